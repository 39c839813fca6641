"""The scripts that use apt, in a real shell with stand-in commands.

What the stand-ins print is what the real ones print: ``gpg --show-keys --with-colons`` by GnuPG's doc/DETAILS; apt
2.6.1 on Debian 12 for a repository that answers 404 and for one that is signed by another key.
"""

import shutil
from pathlib import Path

import pytest

from tests.areas.shell import Finished, Place, three_parts

KEY = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
SUBKEY = "D3306A018370199E527AE7997EA0A9C3F273FCD8"
URI = "https://download.docker.com/linux/debian"


def colons(*keys: str) -> str:
    """What gpg prints of a file with these primary keys, each with a user id and a subkey."""
    lines = [
        f"pub:-:4096:1:{key[-16:]}:1487791800:::-:::scESCA::::::23::0:\nfpr:::::::::{key}:\n"
        "uid:-::::1487792064::A2D2E2D3E4F5A6B7C8D9E0F1A2B3C4D5E6F7A8B9::A name <mail@example.org>::::::::::0:\n"
        f"sub:-:4096:1:{SUBKEY[-16:]}:1487788586::::::s::::::23:\nfpr:::::::::{SUBKEY}:"
        for key in keys
    ]
    return "\n".join(lines)


REFUSALS = {
    "signature": f"Get:1 {URI} trixie InRelease [682 B]\\n"
    f"Err:1 {URI} trixie InRelease\\n  The following signatures couldn't be verified because the public key is not "
    f"available: NO_PUBKEY 53CFCA252BF2DB19\\nReading package lists...\\n"
    f"E: The repository '{URI} trixie InRelease' is not signed.",
    "404": f"Ign:1 {URI} trixie InRelease\\nErr:2 {URI} trixie Release\\n  404  Not Found [IP: 127.0.0.1 443]\\n"
    f"Reading package lists...\\nE: The repository '{URI} trixie Release' does not have a Release file.",
}


@pytest.fixture
def apt(place: Place) -> Place:
    """A host whose apt, dpkg and network do as they are asked."""
    for name in ("apt-get", "dpkg", "modprobe"):
        place.stand_in(name, "")
    # Looking through every process of a busy machine takes long, and nobody holds this host's locks.
    place.stand_in("find", f'case $1 in /proc/*) ;; *) {shutil.which("find")} "$@" ;; esac')
    place.stand_in("curl", 'while [ "$1" != --output ]; do shift; done; echo key >"$2"')
    place.stand_in("gpg", f"cat <<'.'\n{colons(KEY)}\n.")
    return place


def add(place: Place, name: str = "docker", *, uri: str = URI) -> Finished:
    """Add one repository."""
    arguments = (
        name,
        uri,
        str(place.root / f"{name}.sources"),
        f"Types: deb\nURIs: {uri}\n",
        str(place.root / "keyrings" / f"{name}.asc"),
        f"{uri}/gpg",
        KEY,
    )
    return place.run("apt", "apt_sources", arguments=arguments)


def left(place: Place) -> set[str]:
    """The repository files on the host."""
    return {path.name for path in place.root.rglob("*") if path.suffix in (".sources", ".asc", ".new")}


def test_repository_signed_by_the_known_key_is_added(apt: Place) -> None:
    done = add(apt)
    assert (done.status, done.output) == (0, "")
    assert left(apt) == {"docker.sources", "docker.asc"}
    assert (apt.root / "docker.sources").read_text() == f"Types: deb\nURIs: {URI}\n"
    for path in (apt.root / "docker.sources", apt.root / "keyrings/docker.asc"):
        assert path.stat().st_mode & 0o777 == 0o644
    assert [call.split()[0] for call in apt.calls("apt-get")] == ["update"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (colons(SUBKEY), SUBKEY),
        (colons(KEY, SUBKEY), f"{KEY} {SUBKEY}"),
        (colons(SUBKEY, KEY), f"{SUBKEY} {KEY}"),
        ("", "none"),
    ],
    ids=["another", "one more", "one before", "no key at all"],
)
def test_any_other_key_is_refused_and_both_fingerprints_are_shown(apt: Place, said: str, shown: str) -> None:
    apt.stand_in("gpg", f"cat <<'.'\n{said}\n.")
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert shown in done.output
    assert f"known is {KEY}" in done.output
    assert left(apt) == set()


def test_key_that_cannot_be_fetched_says_what_curl_says(apt: Place) -> None:
    apt.stand_in("curl", "echo 'curl: (6) Could not resolve host: download.docker.com' >&2; exit 6")
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "Could not resolve host" in done.output
    assert left(apt) == set()


@pytest.mark.parametrize("why", REFUSALS)
def test_repository_that_apt_does_not_accept_is_taken_away_again(apt: Place, why: str) -> None:
    apt.stand_in("apt-get", f'[ "$1" != update ] || {{ printf "{REFUSALS[why]}\\n"; exit 100; }}')
    done = add(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "taken away" in done.output
    assert left(apt) == set()


def test_somebody_elses_broken_source_does_not_take_ours_away(apt: Place) -> None:
    said = REFUSALS["404"].replace(URI, "https://old.example.org/debian")
    apt.stand_in("apt-get", f'printf "{said}\\n"; exit 100')
    done = add(apt)
    assert done.status == 0, "the packages will tell whether it is in their way"
    assert three_parts(done.output)
    assert "old.example.org" in done.output
    assert left(apt) == {"docker.sources", "docker.asc"}


def test_flat_repository_is_taken_away_although_apt_prints_it_without_its_last_slash(apt: Place) -> None:
    uri = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64"
    said = REFUSALS["signature"].replace(f"{URI} trixie", f"{uri} ")
    apt.stand_in("apt-get", f'printf "{said}\\n"; exit 100')
    assert add(apt, "nvidia-container-toolkit", uri=f"{uri}/").status == 1
    assert left(apt) == set()


def test_without_a_repository_the_lists_are_refreshed_once(apt: Place) -> None:
    assert apt.run("apt", "apt_sources").status == 0
    assert [call.split()[0] for call in apt.calls("apt-get")] == ["update"]


def test_who_holds_the_lock_is_named(place: Place) -> None:
    lock = place.path("/var/lib/dpkg/lock-frontend")
    lock.parent.mkdir(parents=True)
    script = place.moved((Path(__file__).parents[2] / "deploys/templates/apt.sh").read_text())
    assert place.run_text(f"{script}\nlock_holder").status == 1
    with lock.open("w"):
        done = place.run_text(f"{script}\nlock_holder")
    assert done.status == 0
    assert "(pid " in done.output


RUNNING = "6.8.0-45-generic"


def install_driver(place: Place, *, first: str = "", source: str = "") -> Finished:
    """Install branch 580 on a host that runs the kernel RUNNING."""
    place.stand_in("uname", f"echo {RUNNING}")
    arguments = (source, "580", "nvidia-utils-580", first, "nvidia-utils-580 the-module")
    return place.run("apt", "driver_install", arguments=arguments)


def offer(place: Place, candidate: str) -> None:
    """Have apt offer a version, and the module be there afterwards."""
    policy = f"nvidia-utils-580:\\n  Installed: (none)\\n  Candidate: {candidate}\\n  Version table:\\n"
    place.stand_in("apt-cache", f'printf "{policy}"')
    place.stand_in("modinfo", "echo 580.95.05")
    place.stand_in("modprobe", "")
    place.stand_in("update-initramfs", "")


def add_kernel(place: Place, release: str, *, modules: bool = True) -> None:
    """A kernel in /boot, with or without its modules."""
    place.path("/boot").mkdir(exist_ok=True)
    place.path(f"/boot/vmlinuz-{release}").touch()
    if modules:
        place.path(f"/lib/modules/{release}").mkdir(parents=True)


@pytest.mark.parametrize("candidate", ["580.95.05-1", "580.95.05-0ubuntu0.24.04.1", "1:580.95.05-1"])
def test_driver_of_the_planned_branch_is_installed(apt: Place, candidate: str) -> None:
    offer(apt, candidate)
    done = install_driver(apt)
    assert (done.status, done.output) == (0, f"driver 580.95.05 installed for kernel {RUNNING}\n")
    [call] = apt.calls("apt-get")
    assert call.split()[0] == "install"
    assert call.endswith("nvidia-utils-580 the-module")
    assert "--no-remove" in call


@pytest.mark.parametrize("candidate", ["575.57.08-1", "5800.1-1", "1:58.0-1", "(none)", ""])
def test_driver_of_another_branch_is_not_installed(apt: Place, candidate: str) -> None:
    offer(apt, candidate)
    done = install_driver(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert candidate in done.output
    assert apt.calls("apt-get") == []


def test_the_branch_is_pinned_before_apt_chooses(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    assert install_driver(apt, first="nvidia-driver-pinning-580").status == 0
    assert [call.split()[-1] for call in apt.calls("apt-get")] == ["nvidia-driver-pinning-580", "the-module"]


def test_a_module_that_was_not_built_is_an_error_although_apt_says_ok(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    apt.stand_in("modinfo", "exit 1")
    log = apt.path("/var/lib/dkms/nvidia/580.95.05/build/make.log")
    log.parent.mkdir(parents=True)
    log.write_text("cc1: error: incompatible gcc/plugin versions\n")
    done = install_driver(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "cc1: error" in done.output


def test_nouveau_is_kept_away_once_the_module_is_there(apt: Place) -> None:
    """And only once: the second time nothing is rebuilt."""
    offer(apt, "580.95.05-1")
    assert [install_driver(apt).status for _ in range(2)] == [0, 0]
    lines = apt.path("/etc/modprobe.d/gpu-hosts-nouveau.conf").read_text().splitlines()
    assert {"blacklist nouveau", "blacklist nova_core", "blacklist nova_drm"} <= set(lines)
    assert apt.calls("update-initramfs") == ["-u -k all"]


def test_nouveau_stays_where_nothing_would_replace_it(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    apt.stand_in("modinfo", "exit 1")
    assert install_driver(apt).status == 1
    assert not apt.path("/etc/modprobe.d/gpu-hosts-nouveau.conf").exists()
    assert apt.calls("update-initramfs") == []


def test_an_initramfs_that_cannot_be_rebuilt_is_an_error(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    apt.stand_in("update-initramfs", "echo 'No space left on device'; exit 1")
    done = install_driver(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "No space left" in done.output


def test_a_module_of_another_branch_is_not_success(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    apt.stand_in("modinfo", "echo 535.183.01")
    done = install_driver(apt)
    assert done.status == 1
    assert three_parts(done.output)
    assert "535.183.01" in done.output


def test_the_module_must_be_there_for_the_kernel_that_boots_next(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    for release in ("6.8.0-9-generic", RUNNING, "6.8.0-101-generic"):
        add_kernel(apt, release)
    assert install_driver(apt).output.endswith("for kernel 6.8.0-101-generic\n")
    assert apt.calls("modinfo") == ["-k 6.8.0-101-generic -F version nvidia"]


def test_a_kernel_without_modules_does_not_boot_next(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    add_kernel(apt, "6.8.0-101-generic", modules=False)
    assert install_driver(apt).output.endswith(f"for kernel {RUNNING}\n")


def test_driver_without_its_repository_is_not_tried(apt: Place) -> None:
    offer(apt, "580.95.05-1")
    done = install_driver(apt, source=str(apt.root / "never-added.sources"))
    assert done.status == 1
    assert three_parts(done.output)
    assert apt.calls("apt-get") == []


def test_half_configured_packages_stop_every_install(apt: Place) -> None:
    apt.stand_in("dpkg", "echo 'The following packages are only half configured: grub-pc'")
    offer(apt, "580.95.05-1")
    for done in (install_driver(apt), apt.run("apt", "apt_install", arguments=("docker||docker.io",))):
        assert done.status == 1
        assert three_parts(done.output)
        assert "grub-pc" in done.output
    assert apt.calls("apt-get") == []


GROUPS = ("docker||docker-ce docker-ce-cli", "toolkit||nvidia-container-toolkit", "sshd X11||xauth")


def test_all_areas_go_in_as_one_transaction(apt: Place) -> None:
    assert apt.run("apt", "apt_install", arguments=GROUPS) == Finished(0, "")
    [call] = apt.calls("apt-get")
    assert call.endswith("docker-ce docker-ce-cli nvidia-container-toolkit xauth")


def test_one_bad_name_does_not_hold_up_the_other_areas(apt: Place) -> None:
    apt.stand_in("apt-get", 'case "$*" in *nvidia-container*) echo "E: Unable to locate package"; exit 100 ;; esac')
    done = apt.run("apt", "apt_install", arguments=GROUPS)
    assert done.status == 1
    assert done.output.startswith("toolkit: its packages cannot be installed\n")
    assert three_parts(done.output)
    assert [call.split()[-1] for call in apt.calls("apt-get")][1:] == [
        "docker-ce-cli",
        "nvidia-container-toolkit",
        "xauth",
    ]


def test_an_area_whose_repository_was_not_added_is_left_out(apt: Place) -> None:
    groups = (f"toolkit|{apt.root}/never-added.sources|nvidia-container-toolkit", "sshd X11||xauth")
    done = apt.run("apt", "apt_install", arguments=groups)
    assert done.status == 1
    assert three_parts(done.output)
    assert [call.split()[-1] for call in apt.calls("apt-get")] == ["xauth"]
