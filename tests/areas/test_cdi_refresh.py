"""The CDI specification made anew, in a real shell with stand-ins of nvidia-ctk and systemctl."""

from __future__ import annotations

import pytest

from tests.areas.shell import Finished, Place, three_parts

ETC, RUN = "/etc/cdi/nvidia.yaml", "/var/run/cdi/nvidia.yaml"
DRIVER = "580.95.05"
# As nvidia-ctk lists what is in the folders: by the names of devices.
LIST = (
    "for spec in $here/etc/cdi/*.yaml $here/var/run/cdi/*.yaml; do "
    "! grep -qs ^kind:.nvidia.com $spec || sed -n 's|^- name: |nvidia.com/gpu=|p' $spec; done"
)
NO_SERVICE = 'case "$*" in cat*) exit 1 ;; esac'


def spec(driver: str) -> str:
    """The parts of a specification that are looked at, in the toolkit's YAML."""
    mount = f"  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}\n"
    return f"cdiVersion: 0.7.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\ncontainerEdits:\n  mounts:\n{mount}"


def write(place: Place, name: str, text: str) -> None:
    """A file of the host."""
    place.path(name).parent.mkdir(parents=True, exist_ok=True)
    place.path(name).write_text(text)


@pytest.fixture
def host(place: Place) -> Place:
    """A host with driver 580.95.05 loaded and a toolkit before 1.18, which has no service."""
    write(place, "/sys/module/nvidia/version", f"{DRIVER}\n")
    write(place, "/new", spec(DRIVER))
    generate = 'for output; do :; done; cp "$here/new" "${output#--output=}"'
    place.stand_in("nvidia-ctk", f'case "$2" in list) {LIST} ;; generate) {generate} ;; esac')
    place.stand_in("systemctl", NO_SERVICE)
    place.stand_in("journalctl", "echo nvidia-smi: no devices")
    return place


def with_service(
    host: Place, restart: str = 'mkdir -p "$here/var/run/cdi"; cp "$here/new" "$here/var/run/cdi/nvidia.yaml"'
) -> None:
    """The service of toolkit 1.18 and newer, which does this when it is restarted: sh text."""
    host.stand_in("systemctl", f'case "$1" in restart) {restart} ;; esac')


def refresh(host: Place, *stale: str, driver: str = "") -> Finished:
    """Run the script; the paths of ``stale`` are the host's."""
    return host.run("cdi_refresh", arguments=(driver, *(str(host.path(name)) for name in stale)))


def texts(host: Place) -> dict[str, str]:
    """The specifications that CDI reads, and what was put aside beside them."""
    files = [path for folder in ("/etc/cdi", "/var/run/cdi") for path in host.path(folder).glob("*")]
    return {f"/{path.relative_to(host.root)}": path.read_text() for path in files}


def test_without_the_service_the_specification_is_made_in_etc(host: Place) -> None:
    assert refresh(host) == Finished(0, "")
    assert texts(host) == {ETC: spec(DRIVER)}


def test_the_service_makes_its_own(host: Place) -> None:
    with_service(host)
    assert refresh(host) == Finished(0, "")
    assert texts(host) == {RUN: spec(DRIVER)}
    assert host.calls("systemctl")[-1] == "restart nvidia-cdi-refresh.service"
    assert not [call for call in host.calls("nvidia-ctk") if "generate" in call]


def test_service_whose_conditions_skip_it_is_made_up_for(host: Place) -> None:
    """systemd calls a skipped start a success; toolkit 1.18 and 1.19.0 on WSL 2."""
    with_service(host, ":")
    assert refresh(host, driver="Windows driver") == Finished(0, "")
    assert texts(host) == {ETC: spec(DRIVER)}


@pytest.mark.parametrize("named", [True, False], ids=["known when it was planned", "found on the host"])
def test_specification_of_another_driver_is_put_aside(host: Place, named: bool) -> None:
    with_service(host)
    write(host, ETC, spec("570.133.20"))
    assert refresh(host, *((ETC,) if named else ())) == Finished(0, "")
    assert texts(host) == {RUN: spec(DRIVER), f"{ETC}.gpu-hosts.bak": spec("570.133.20")}


def test_specification_of_another_vendor_stays(host: Place) -> None:
    theirs = spec("570.133.20").replace("nvidia.com/gpu", "example.com/gpu")
    write(host, "/etc/cdi/theirs.yaml", theirs)
    assert refresh(host).status == 0
    assert texts(host) == {ETC: spec(DRIVER), "/etc/cdi/theirs.yaml": theirs}


def test_l4t_names_no_driver_in_its_libraries(host: Place) -> None:
    write(host, "/new", spec("1.1"))
    assert refresh(host, driver="L4T 36.4.7") == Finished(0, "")
    assert texts(host) == {ETC: spec("1.1")}


def test_what_was_there_is_back_where_no_new_one_can_be_made(host: Place) -> None:
    write(host, ETC, spec("570.133.20"))
    host.stand_in("nvidia-ctk", "echo ERROR_LIB_RM_VERSION_MISMATCH >&2; exit 1")
    done = refresh(host, ETC)
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert "ERROR_LIB_RM_VERSION_MISMATCH" in done.output
    assert texts(host) == {ETC: spec("570.133.20")}


def test_failing_service_is_told_with_its_log(host: Place) -> None:
    with_service(host, "exit 1")
    write(host, RUN, spec("570.133.20"))
    done = refresh(host)
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert "nvidia-smi: no devices" in done.output
    assert texts(host) == {RUN: spec("570.133.20")}


def test_new_specification_of_another_driver_is_an_error(host: Place) -> None:
    """As where modules and libraries are not of one version."""
    write(host, "/new", spec("575.57.08"))
    done = refresh(host)
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert f"no library of {DRIVER}" in done.output


def test_new_specification_without_all_is_an_error(host: Place) -> None:
    write(host, "/new", spec(DRIVER).replace("name: all", "name: none"))
    done = refresh(host)
    assert done.status == 1
    assert "no device nvidia.com/gpu=all" in done.output


def test_without_a_toolkit_nothing_is_touched(host: Place) -> None:
    (host.bin / "nvidia-ctk").unlink()
    write(host, ETC, spec("570.133.20"))
    done = refresh(host, ETC)
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert texts(host) == {ETC: spec("570.133.20")}


def test_second_time_ends_the_same(host: Place) -> None:
    with_service(host)
    write(host, ETC, spec("570.133.20"))
    assert (refresh(host, ETC).status, refresh(host, ETC).status) == (0, 0)
    assert texts(host) == {RUN: spec(DRIVER), f"{ETC}.gpu-hosts.bak": spec("570.133.20")}
