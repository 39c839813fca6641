"""The removal of NVIDIA Container Toolkit, in a real shell with stand-in commands."""

import shutil

import pytest

from tests.areas.apt_host import apt_host, changes, held, set_file
from tests.areas.dnf_host import DNF, LOCKS, RPM, asked, locked, table
from tests.areas.shell import Finished, Place, three_parts

NAMES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container1")
GROUP = f"area=toolkit|remove={' '.join(NAMES)} nvidia-docker2"
UNITS = ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service")
HOOK = "cdiVersion: 0.7.0\nkind: nvidia.com/gpu\ncontainerEdits:\n  hooks:\n    - path: /usr/bin/nvidia-cdi-hook\n"
SPECS = ("/var/run/cdi/nvidia.yaml", "/etc/cdi/nvidia.yaml")


@pytest.fixture
def host(place: Place) -> Place:
    """An apt host with the toolkit, on hold, and what it made."""
    apt_host(place)
    set_file(place, "installed", *(f"{name} 1.20.0-1 ii" for name in NAMES), "docker-ce 5:29 ii")
    set_file(place, "after", "docker-ce 5:29 ii", "nvidia-container-toolkit 1.20.0-1 rc")
    set_file(place, "choice", *(f"Remv {name} [1.20.0-1]" for name in NAMES))
    set_file(place, "held", *NAMES, "docker-ce")
    for spec in SPECS:
        place.path(spec).parent.mkdir(parents=True, exist_ok=True)
        place.path(spec).write_text(HOOK)
    return place


def remove(place: Place, manager: str = "apt") -> Finished:
    """Remove the toolkit."""
    shutil.rmtree(place.run_folder)
    place.run_folder.mkdir()
    return place.run(manager, "packages", f"{manager}_packages", "toolkit_remove", arguments=(GROUP,))


def test_exactly_its_packages_go_and_their_holds_and_specifications(host: Place) -> None:
    for unit in UNITS:
        host.path(f"/etc/systemd/system/{unit}").parent.mkdir(parents=True, exist_ok=True)
        host.path(f"/etc/systemd/system/{unit}").touch()
    assert remove(host) == Finished(0, "")
    assert all(call.endswith(f" {NAMES[0]}- {NAMES[1]}- {NAMES[2]}-") for call in host.calls("apt-get"))
    assert all("APT::Get::Purge=false" in call for call in host.calls("apt-get"))
    assert held(host) == {"docker-ce"}
    assert not any(host.path(spec).exists() for spec in SPECS)
    assert host.calls("systemctl") == [f"disable --now {unit}" for unit in UNITS]


def test_a_specification_of_somebody_elses_stays(host: Place) -> None:
    host.path(SPECS[1]).write_text(HOOK.replace("nvidia-cdi-hook", "site-hook"))
    assert remove(host).status == 0
    assert [host.path(spec).exists() for spec in SPECS] == [False, True]


def test_units_that_went_with_the_package_are_not_touched(host: Place) -> None:
    assert remove(host).status == 0
    assert host.calls("systemctl") == []


@pytest.mark.parametrize("path", ["nvidia-container-runtime", "/usr/bin/nvidia-container-runtime"])
def test_it_stays_while_the_daemon_is_told_to_use_it(host: Place, path: str) -> None:
    host.path("/etc/docker/daemon.json").write_text(f'{{"runtimes": {{"nvidia": {{"path": "{path}"}}}}}}')
    done = remove(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert (changes(host), held(host)) == ([], {*NAMES, "docker-ce"})
    assert all(host.path(spec).exists() for spec in SPECS)


def test_nothing_else_goes(host: Place) -> None:
    set_file(host, "choice", *(f"Remv {name} [1]" for name in (*NAMES, "site-agent")))
    done = remove(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "would remove site-agent\n" in done.output
    assert changes(host) == []
    assert all(host.path(spec).exists() for spec in SPECS)


def test_a_removal_that_was_cut_off_is_ended(host: Place) -> None:
    """No package is left, and what they made is."""
    set_file(host, "installed", "docker-ce 5:29 ii")
    assert remove(host) == Finished(0, "")
    assert changes(host) == []
    assert held(host) == {"docker-ce"}
    assert not any(host.path(spec).exists() for spec in SPECS)


def test_dnf_removes_exactly_its_packages_and_their_locks(place: Place) -> None:
    place.stand_in("find", "")
    place.stand_in("rpm", RPM)
    place.stand_in("dnf", f'case "$*" in *--downloadonly*) exit 0 ;; esac\n{DNF}')
    set_file(place, "installed", *(f"{name} 0 1.20.0 1 x86_64" for name in NAMES))
    set_file(place, "after")
    set_file(place, "said", "Complete!")
    (place.root / "choice").write_text(table("Removing", [f"{name} 1.20.0-1" for name in NAMES]))
    place.path(LOCKS).parent.mkdir(parents=True)
    place.path(LOCKS).write_text("".join(f"{name}-0:1.20.0-1.*\n" for name in ("docker-ce", *NAMES)))
    assert remove(place, "dnf") == Finished(0, "")
    assert asked(place) == [f"remove {' '.join(NAMES)}"]
    assert locked(place) == ["docker-ce-0:1.20.0-1.*"]
