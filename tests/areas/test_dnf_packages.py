"""The transaction for Docker, toolkit and tools with dnf, in a real shell with stand-in commands.

Docker's versions are written as in its repository for RHEL 9: its packages have epochs of their own.
"""

import shutil
from collections.abc import Mapping

import pytest

from tests.areas.dnf_host import DNF, LOCKS, RPM, asked, locked, table
from tests.areas.shell import KILLED, Finished, Place, three_parts

ENGINE = {"packages": "docker-ce docker-ce-cli containerd.io", "same_version": "docker-ce-cli"}
HELD = "docker-ce docker-ce-cli containerd.io"
OFFERED = [
    *(f"docker-ce 3:{version}-1.el9" for version in ("28.0.4", "28.5.2", "29.9.0")),
    *(f"docker-ce-cli 1:{version}-1.el9" for version in ("28.0.4", "28.5.2", "29.9.0")),
    *(f"containerd.io 0:1.7.{patch}-3.1.el9" for patch in (27, 28)),
]


def packages(version: str, *, containerd: str = "1.7.28") -> list[str]:
    """Lines of the host's packages: Docker CE."""
    return [
        f"docker-ce 3 {version} 1.el9 x86_64",
        f"docker-ce-cli 1 {version} 1.el9 x86_64",
        f"containerd.io 0 {containerd} 3.1.el9 x86_64",
    ]


def locks_of(version: str) -> list[str]:
    """The entries that hold them."""
    return ["containerd.io-0:1.7.28-3.1.el9.*", f"docker-ce-3:{version}-1.el9.*", f"docker-ce-cli-1:{version}-1.el9.*"]


def set_lines(place: Place, name: str, *lines: str) -> None:
    """What one of the stand-ins reads."""
    (place.root / name).write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def host(place: Place) -> Place:
    """A host without Docker, whose dnf has three versions of it and chooses as it is told."""
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    place.stand_in("rpm", RPM)
    place.stand_in("dnf", f'case "$*" in *--downloadonly*) exit 0 ;; esac\n{DNF}')
    place.stand_in("systemctl", "")
    set_lines(place, "installed")
    set_lines(place, "offered", *OFFERED)
    set_lines(place, "after", *packages("28.5.2"))
    (place.root / "choice").write_text(table("Installing", [f"{name} 1-1" for name in HELD.split()]))
    (place.root / "said").write_text("Complete!\n")
    place.path(LOCKS).parent.mkdir(parents=True)
    place.path(LOCKS).write_text("")
    place.path(LOCKS).with_name("versionlock.conf").touch()
    return place


def group(area: str, fields: Mapping[str, str]) -> str:
    """A group as the script takes it."""
    return "|".join([f"area={area}", *(f"{name}={value}" for name, value in fields.items())])


def change(place: Place, *groups: str) -> Finished:
    """Run the transaction."""
    shutil.rmtree(place.run_folder)
    place.run_folder.mkdir()
    return place.run("dnf", "packages", "dnf_packages", "packages_change", arguments=groups)


def run_engine(place: Place, version: str, *, containers: str = "", live_restore: bool = False) -> None:
    """A Docker CE that is installed and runs."""
    set_lines(place, "installed", *packages(version, containerd="1.7.27"))
    place.stand_in("docker", f"case $1 in ps) printf '{containers}' ;; info) echo {str(live_restore).lower()} ;; esac")


@pytest.mark.parametrize(
    ("wish", "version"),
    [
        ({}, "29.9.0"),
        ({"release": "28"}, "28.5.2"),
        ({"release": "28.0.4"}, "28.0.4"),
        ({"avoid": "29.0.0,"}, "28.5.2"),
        ({"floor": "28.3", "avoid": "29.0.0,30.0.0"}, "28.5.2"),
    ],
)
def test_the_newest_version_that_is_as_wished_is_installed_and_locked(
    host: Place, wish: dict[str, str], version: str
) -> None:
    set_lines(host, "after", *packages(version))
    assert change(host, group("docker", {**ENGINE, **wish, "hold": HELD})) == Finished(0, "")
    assert asked(host) == [f"install docker-ce-3:{version}-1.el9 docker-ce-cli-1:{version}-1.el9 containerd.io"]
    assert locked(host) == locks_of(version)
    assert not any("--allowerasing" in call for call in host.calls("dnf"))


def test_a_wish_that_nothing_fulfils_is_an_error_that_names_what_there_is(host: Place) -> None:
    done = change(host, group("docker", {**ENGINE, "release": "27"}))
    assert done.status == 1
    assert three_parts(done.output)
    assert "3:29.9.0-1.el9 3:28.5.2-1.el9 3:28.0.4-1.el9" in done.output
    assert asked(host) == []


def test_what_is_in_the_way_goes_in_the_same_transaction(host: Place) -> None:
    set_lines(host, "installed", "docker 0 1.13.1 1 x86_64", "podman 0 5 1 x86_64")
    (host.root / "choice").write_text(table("Removing", ["docker 1.13.1-1"]))
    assert change(host, group("docker", {**ENGINE, "remove": "docker docker-common", "restarts": "yes"})) == Finished(
        0, ""
    )
    assert asked(host) == [
        "remove docker",
        "install docker-ce-3:29.9.0-1.el9 docker-ce-cli-1:29.9.0-1.el9 containerd.io",
    ]
    look, fetch, do = (call for call in host.calls("dnf") if " shell " in call)
    assert look.replace("--assumeno", "--assumeyes") == do == fetch.replace("--downloadonly ", "")


@pytest.mark.parametrize("heading", ["Removing", "Removing dependent packages"])
def test_nothing_else_goes(host: Place, heading: str) -> None:
    (host.root / "choice").write_text(table(heading, ["site-agent 1-1", "docker 1-1"]))
    done = change(host, group("docker", {**ENGINE, "remove": "docker"}))
    assert done.status == 1
    assert three_parts(done.output)
    assert "would remove site-agent\n" in done.output
    assert asked(host) == []


def test_what_somebody_else_has_locked_is_not_changed(host: Place) -> None:
    set_lines(host, "installed", "container-selinux 3 2.229.0 1.el9 noarch")
    host.path(LOCKS).write_text("container-selinux-3:2.229.0-*\n")
    (host.root / "choice").write_text(table("Upgrading", ["container-selinux 3:2.240.0-1.el9"]))
    done = change(host, group("docker", {**ENGINE, "hold": HELD}))
    assert done.status == 1
    assert three_parts(done.output)
    assert "container-selinux" in done.output
    assert (asked(host), locked(host)) == ([], ["container-selinux-3:2.229.0-*"])


@pytest.mark.parametrize(
    ("live_restore", "stops", "allowed"), [(False, "no", False), (True, "no", True), (False, "yes", True)]
)
def test_running_containers_are_looked_for_at_the_last_moment(
    host: Place, *, live_restore: bool, stops: str, allowed: bool
) -> None:
    run_engine(host, "28.5.1", containers="train\\n", live_restore=live_restore)
    done = change(host, group("docker", {**ENGINE, "release": "28.5.2", "restarts": "yes", "stops_containers": stops}))
    assert (done.status == 0, bool(asked(host))) == (allowed, allowed), done.output
    assert allowed or (three_parts(done.output) and "train" in done.output)


def test_locks_of_the_old_version_give_way_and_others_stay(host: Place) -> None:
    run_engine(host, "28.0.4")
    others = ["# by somebody", "kernel-core-0:5.14.0-570.17.1.el9_6.*"]
    host.path(LOCKS).write_text("\n".join([*others, *locks_of("28.0.4"), "docker-ce-3:28.0.4-1.el9.x86_64", ""]))
    assert change(host, group("docker", {**ENGINE, "release": "28.5", "hold": HELD, "restarts": "yes"})).status == 0
    assert locked(host) == [*others, *locks_of("28.5.2")]


def test_an_engine_that_is_as_wished_is_no_change_and_locking_alone_is_done(host: Place) -> None:
    set_lines(host, "installed", *packages("28.5.2"))
    done = change(host, group("docker", {**ENGINE, "release": "28", "hold": f"{HELD} docker-ce-rootless-extras"}))
    assert (done, asked(host), locked(host)) == (Finished(0, ""), [], locks_of("28.5.2"))
    host.path(LOCKS).write_text("")
    assert change(host, group("docker", {"hold": HELD})) == Finished(0, "")
    assert locked(host) == locks_of("28.5.2")
    before = host.path(LOCKS).stat().st_ino
    assert change(host, group("docker", {"hold": HELD})).status == 0
    assert host.path(LOCKS).stat().st_ino == before


@pytest.mark.parametrize("step", range(1, 6))
def test_a_change_that_was_killed_is_ended_by_the_next_run(host: Place, step: int) -> None:
    host.kill_at(step)
    status = change(host, group("docker", {**ENGINE, "release": "28", "hold": HELD})).status
    host.kill_no_more()
    assert status in (0, KILLED)
    assert change(host, group("docker", {**ENGINE, "release": "28", "hold": HELD})).status == 0
    assert locked(host) == locks_of("28.5.2")


def test_one_bad_name_does_not_hold_up_the_other_areas(host: Place) -> None:
    error = "Error: Unable to find a match: nvidia-container-toolkit"
    host.stand_in(
        "dnf",
        f'case "$*" in *shell*) ! grep -q nvidia "$here/run/commands" || {{ echo "{error}"; exit 1; }} ;; esac\n{DNF}',
    )
    done = change(host, group("docker", ENGINE), group("toolkit", {"packages": "nvidia-container-toolkit"}))
    assert done.status == 1
    assert done.output.count("cannot be changed") == 1
    assert three_parts(done.output)
    assert error in done.output
    assert asked(host)[0].startswith("install docker-ce")


def test_a_transaction_that_was_cut_off_is_mended_first(host: Place) -> None:
    host.stand_in("dnf", "case $* in *check*) echo 'a-2-1.x86_64 is a duplicate with a-1-1.x86_64'; exit 1 ;; esac")
    done = change(host, group("docker", ENGINE))
    assert done.status == 1
    assert three_parts(done.output)
    assert "duplicate with a-1-1" in done.output


def test_a_repository_of_somebody_elses_that_is_broken_is_not_in_the_way(host: Place) -> None:
    """dnf goes on without it."""
    broken = (
        "Error: Failed to download metadata for repo 'site': Cannot download repomd.xml\nIgnoring repositories: site\n"
    )
    for name in ("choice", "said"):
        file = host.root / name
        file.write_text(broken + file.read_text())
    assert change(host, group("docker", ENGINE)) == Finished(0, "")
    assert asked(host)
