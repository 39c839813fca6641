"""The scripts that install and remove the driver on a dnf host, in a real shell with stand-in commands.

What ``dnf shell`` prints of a transaction is what dnf 4.23 prints.
"""

import shutil
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.areas.dnf_host import DNF, LOCKS, RPM, RUNNING, asked, installed, locked, table
from tests.areas.shell import Finished, Place, three_parts

BLACKLIST = "/etc/modprobe.d/gpu-hosts-nouveau.conf"
STREAM = "/etc/dnf/modules.d/nvidia-driver.module"

STREAMS = """cuda-rhel9-x86_64
Name          Stream        Profiles    Summary
nvidia-driver open-dkms [d] default [d] Nvidia driver for open-dkms branch
nvidia-driver 580-open      default [d] Nvidia driver for 580-open branch
"""
OFFERED = [
    f"{name} {epoch}:{version}-1.el9"
    for version in ("580.95.05", "580.178.04", "595.91.07")
    for name, epoch in (("nvidia-driver-cuda", 3), ("kmod-nvidia-open-dkms", 3), ("nvidia-modprobe", 3))
]
DRIVER = ("nvidia-driver-cuda", "kmod-nvidia-open-dkms", "nvidia-modprobe")


@pytest.fixture
def host(place: Place) -> Place:
    """A host without a driver whose dnf offers three versions, and chooses as it is told."""
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    for name in ("modprobe", "dracut", "grubby", "systemctl", "dkms"):
        place.stand_in(name, "")
    place.stand_in("uname", f"echo {RUNNING}")
    place.stand_in("rpm", RPM)
    place.stand_in("dnf", DNF)
    place.stand_in("modinfo", "echo 580.178.04")
    for name, text in (
        ("installed", ""),
        ("offered", "".join(f"{line}\n" for line in OFFERED)),
        ("streams", STREAMS),
        ("choice", table("Installing", [f"{name} 3:580.178.04-1.el9" for name in DRIVER])),
        ("said", "Complete!\n"),
        ("after", installed("580.178.04", *DRIVER)),
    ):
        (place.root / name).write_text(text)
    place.path(LOCKS).parent.mkdir(parents=True)
    place.path(LOCKS).write_text("")
    place.path(LOCKS).with_name("versionlock.conf").touch()
    place.path(STREAM).parent.mkdir(parents=True)
    return place


def run(place: Place, script: str, words: Mapping[str, str]) -> Finished:
    """Run one of the two scripts anew."""
    shutil.rmtree(place.run_folder)
    place.run_folder.mkdir()
    return place.run("dnf", "driver", script, arguments=tuple(f"{key}={value}" for key, value in words.items()))


def install(place: Place, words: Mapping[str, str] = MappingProxyType({})) -> Finished:
    """Install branch 580, with further words."""
    given = {"release": "580", "lead": "nvidia-driver-cuda", "packages": "nvidia-driver-cuda kmod-nvidia-open-dkms"}
    return run(place, "dnf_driver", {**given, **words})


def have(place: Place, version: str, *names: str) -> None:
    """A driver that is installed."""
    (place.root / "installed").write_text(installed(version, *names))


def is_untouched(place: Place, locks: tuple[str, ...] = ()) -> bool:
    """Whether neither packages nor locks nor nouveau's configuration were changed."""
    return not asked(place) and locked(place) == list(locks) and not place.path(BLACKLIST).exists()


NEWEST = "install  nvidia-driver-cuda-3:580.178.04-1.el9 kmod-nvidia-open-dkms-3:580.178.04-1.el9"


def test_newest_of_the_branch_is_installed_by_name_and_version_and_locked(host: Place) -> None:
    done = install(host)
    assert (done.status, done.output) == (0, f"driver 580.178.04 installed for kernel {RUNNING}\n")
    assert asked(host) == [NEWEST]
    assert locked(host) == [f"{name}-3:580.178.04-1.el9.*" for name in sorted(DRIVER)]
    assert host.path(BLACKLIST).exists()
    assert host.calls("dracut") == ["--force --regenerate-all"]


def test_exact_version_is_installed(host: Place) -> None:
    host.stand_in("modinfo", "echo 580.95.05")
    (host.root / "after").write_text(installed("580.95.05", *DRIVER))
    assert install(host, {"release": "580.95.05"}).status == 0
    assert "nvidia-driver-cuda-3:580.95.05-1.el9" in asked(host)[0]


@pytest.mark.parametrize("release", ["570", "58", "5", "580.95.0", "595.91"])
def test_a_release_that_is_not_offered_is_an_error(host: Place, release: str) -> None:
    if release == "595.91":
        (host.root / "offered").write_text("nvidia-driver-cuda 3:595.911.07-1.el9\n")
    done = install(host, {"release": release})
    assert done.status == 1
    assert three_parts(done.output)
    assert "59" in done.output, "what is offered is said"
    assert is_untouched(host)


def test_dependencies_of_the_driver_come_in_its_own_version(host: Place) -> None:
    """nvidia-modprobe is required in any version, and dnf takes the newest."""
    rows = [f"{name} 3:580.178.04-1.el9" for name in DRIVER[:2]]
    (host.root / "choice").write_text(table("Installing", [*rows, "nvidia-modprobe 3:595.91.07-1.el9"]))
    assert install(host).status == 0
    assert asked(host) == [f"{NEWEST} nvidia-modprobe-3:580.178.04-1.el9"]


def test_what_is_there_of_the_driver_moves_along(host: Place) -> None:
    have(host, "595.91.07", *DRIVER)
    assert install(host).status == 0
    assert asked(host) == [f"{NEWEST} nvidia-modprobe-3:580.178.04-1.el9"]


def test_other_modules_replace_the_old_ones_in_the_same_transaction(host: Place) -> None:
    have(host, "580.178.04", "nvidia-driver-cuda", "kmod-nvidia-latest-dkms")
    (host.root / "choice").write_text(table("Removing", ["kmod-nvidia-latest-dkms 3:580.178.04-1.el9"]))
    assert install(host, {"remove": "kmod-nvidia-latest-dkms not-installed"}).status == 0
    assert asked(host) == ["remove kmod-nvidia-latest-dkms", NEWEST]


@pytest.mark.parametrize(
    ("enabled", "wish", "commands"),
    [
        ("", "580-open", ["module enable nvidia-driver:580-open"]),
        ("open-dkms", "580-open", ["module enable nvidia-driver:580-open"]),
        ("580-open", "580-open", []),
        ("", "595-open open-dkms", ["module enable nvidia-driver:open-dkms"]),
    ],
)
def test_stream_is_switched_in_the_same_transaction(host: Place, enabled: str, wish: str, commands: list[str]) -> None:
    if enabled:
        host.path(STREAM).write_text(
            f"[nvidia-driver]\nname=nvidia-driver\nstream={enabled}\nprofiles=\nstate=enabled\n"
        )
    assert install(host, {"stream": wish}).status == 0
    assert asked(host) == [*commands, NEWEST]


def test_a_stream_that_is_not_there_is_an_error_that_names_those_that_are(host: Place) -> None:
    done = install(host, {"stream": "595-open 595-dkms"})
    assert done.status == 1
    assert three_parts(done.output)
    assert "open-dkms 580-open" in done.output
    assert is_untouched(host)


@pytest.mark.parametrize("heading", ["Removing", "Removing dependent packages", "Removing unused dependencies"])
def test_nothing_else_may_be_removed_for_it(host: Place, heading: str) -> None:
    (host.root / "choice").write_text(table(heading, ["site-cuda 1-1", "old-driver 1-1"]))
    done = install(host, {"allowed": "old-driver"})
    assert done.status == 1
    assert three_parts(done.output)
    assert "would remove site-cuda\n" in done.output
    assert is_untouched(host)
    assert install(host, {"allowed": "old-driver site-cuda"}).status == 0


def test_what_is_replaced_is_removed_too(host: Place) -> None:
    lines = table("Installing", ["nvidia-driver-cuda 3:580.178.04-1.el9"]).splitlines()
    lines.insert(6, "     replacing  site-cuda.x86_64 1-1.el9")
    (host.root / "choice").write_text("\n".join(lines))
    done = install(host)
    assert done.status == 1
    assert "would remove site-cuda\n" in done.output


def test_a_row_that_is_too_long_for_its_line_is_read(host: Place) -> None:
    lines = table("Removing").splitlines()
    lines[5:5] = [" a-package-with-a-very-long-name", "                      x86_64  1-1  repository  7.3 k"]
    (host.root / "choice").write_text("\n".join(lines))
    assert "would remove a-package-with-a-very-long-name\n" in install(host).output


ERROR = """Error:
 Problem: conflicting requests
  - package a requires b
Dependencies resolved.
Nothing to do.
Complete!
"""


def test_the_look_ahead_is_what_is_done(host: Place) -> None:
    """With the same options: what dnf may erase, switch and leave out."""
    assert install(host, {"stream": "580-open"}).status == 0
    look, done = (call for call in host.calls("dnf") if " shell " in call)
    assert look.replace("--assumeno", "--assumeyes") == done
    assert "--allowerasing" in done


@pytest.mark.parametrize("file", ["choice", "said"])
def test_an_error_is_one_although_dnfs_shell_goes_on(host: Place, file: str) -> None:
    (host.root / file).write_text(ERROR)
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "conflicting requests" in done.output
    assert not locked(host)


def test_locks_of_another_version_do_not_stand_in_the_way_and_others_stay(host: Place) -> None:
    have(host, "595.91.07", *DRIVER)
    others = ["# Added lock on Sat Nov 21", "kernel-core-0:5.14.0-570.17.1.el9_6.*", "!site-0:1-1.*"]
    old = ["nvidia-driver-cuda-3:595.91.07-1.el9.*", "nvidia-modprobe-3:595.*", "*nvidia*595*"]
    host.path(LOCKS).write_text("".join(f"{line}\n" for line in [*others, *old]))
    assert install(host).status == 0
    assert locked(host) == [*others, *(f"{name}-3:580.178.04-1.el9.*" for name in sorted(DRIVER))]
    assert all("--disableplugin=versionlock" in call for call in host.calls("dnf") if "shell" in call)


def test_what_somebody_else_has_locked_is_not_changed(host: Place) -> None:
    have(host, "5.14.0", "kernel-core")
    entry = "kernel-core-3:5.14.0-*"
    host.path(LOCKS).write_text(f"{entry}\n")
    (host.root / "choice").write_text(table("Upgrading", ["kernel-core 3:5.15.0-1.el9"]))
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "kernel-core" in done.output
    assert is_untouched(host, (entry,))


def test_the_second_run_writes_nothing(host: Place) -> None:
    install(host)
    before = host.path(LOCKS).stat().st_ino
    assert install(host).status == 0
    assert host.path(LOCKS).stat().st_ino == before
    assert len(host.calls("dracut")) == 1


def test_fabric_manager_must_be_of_the_drivers_own_version(host: Place) -> None:
    words = {"packages": "nvidia-driver-cuda nvidia-fabricmanager", "same_version": "nvidia-fabricmanager"}
    (host.root / "offered").write_text("\n".join([*OFFERED, "nvidia-fabricmanager 0:580.95.05-1.el9", ""]))
    done = install(host, words)
    assert done.status == 1
    assert three_parts(done.output)
    assert "offered are 0:580.95.05-1.el9" in done.output
    assert is_untouched(host)
    (host.root / "offered").write_text("\n".join([*OFFERED, "nvidia-fabricmanager 0:580.178.04-1.el9", ""]))
    assert install(host, words).status == 0
    assert "nvidia-fabricmanager-0:580.178.04-1.el9" in asked(host)[0]


def test_repositories_that_packages_bring_come_first(host: Place) -> None:
    host.stand_in("crb", "")
    assert install(host, {"first": "epel-release"}).status == 0
    changes = [call for call in host.calls("dnf") if "--assumeyes" in call]
    assert changes[0].endswith("install epel-release")
    assert host.calls("crb") == ["enable"]


def test_the_module_is_built_for_the_kernel_that_boots_next(host: Place) -> None:
    """NVIDIA's packages build it for the running one."""
    newer = "5.14.0-611.5.1.el9_7.x86_64"
    for kernel in (RUNNING, newer):
        host.path(f"/lib/modules/{kernel}").mkdir(parents=True)
        host.path("/boot").mkdir(exist_ok=True)
        host.path(f"/boot/vmlinuz-{kernel}").touch()
    assert install(host).output.endswith(f"for kernel {newer}\n")
    assert host.calls("dkms") == [f"autoinstall -k {newer}"]


def test_a_module_that_was_not_built_is_an_error(host: Place) -> None:
    host.stand_in("modinfo", "exit 1")
    done = install(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert not host.path(BLACKLIST).exists()


def test_a_transaction_that_was_cut_off_is_mended_first(host: Place) -> None:
    host.stand_in("dnf", "case $* in *check*) echo 'a-2-1.x86_64 is a duplicate with a-1-1.x86_64'; exit 1 ;; esac")
    for done in (install(host), run(host, "dnf_driver_remove", {"packages": "a"})):
        assert done.status == 1
        assert three_parts(done.output)
        assert "duplicate with a-1-1" in done.output
    assert is_untouched(host)


def remove(host: Place) -> Finished:
    """Remove the driver."""
    return run(host, "dnf_driver_remove", {"packages": " ".join(DRIVER)})


def test_driver_is_removed_with_its_locks_stream_and_blacklist(host: Place) -> None:
    install(host, {"stream": "580-open"})
    host.path(STREAM).write_text("[nvidia-driver]\nname=nvidia-driver\nstream=580-open\nprofiles=\nstate=enabled\n")
    with host.path(LOCKS).open("a") as file:
        file.write("kernel-core-0:5.14.0-570.17.1.el9_6.*\n")
    (host.root / "choice").write_text(table("Removing", [f"{name} 3:580.178.04-1.el9" for name in DRIVER]))
    (host.root / "after").write_text("")
    done = remove(host)
    assert done.status == 0, done.output
    assert asked(host) == [f"remove {' '.join(DRIVER)}", "module reset nvidia-driver"]
    assert locked(host) == ["kernel-core-0:5.14.0-570.17.1.el9_6.*"]
    assert not host.path(BLACKLIST).exists()
    assert len(host.calls("dracut")) == 2
    host.path(STREAM).write_text("[nvidia-driver]\nname=nvidia-driver\nstream=\nprofiles=\nstate=\n")
    assert remove(host).output == "driver removed: nothing was left of it\n"


def test_a_change_that_fails_half_way_is_marked_until_it_ends(host: Place) -> None:
    marker = host.path("/var/lib/gpu-hosts/driver/unfinished")
    host.stand_in("dracut", "exit 1")
    assert install(host).status == 1
    assert marker.exists()
    host.stand_in("dracut", "")
    assert install(host).status == 0
    assert not marker.exists()
    (host.root / "choice").write_text(table("Removing", [f"{name} 3:580.178.04-1.el9" for name in DRIVER]))
    (host.root / "after").write_text("")
    host.stand_in("dracut", "exit 1")
    assert remove(host).status == 1
    assert (marker.exists(), locked(host)) == (True, [])
    host.stand_in("dracut", "")
    assert run(host, "dnf_driver_remove", {}).status == 0
    assert not marker.exists()
    assert not host.path(BLACKLIST).exists()


def test_nothing_is_removed_that_was_not_named(host: Place) -> None:
    have(host, "580.178.04", *DRIVER)
    (host.root / "choice").write_text(table("Removing", [f"{name} 1-1" for name in (*DRIVER, "site-cuda")]))
    done = remove(host)
    assert done.status == 1
    assert three_parts(done.output)
    assert "would change site-cuda\n" in done.output
    assert is_untouched(host)
