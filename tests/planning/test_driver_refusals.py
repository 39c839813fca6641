"""Every refusal of the driver, read as its user reads it: what is wrong, what was seen, what to do. Made-up hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import Area, Refusal
from deploys.planning.settings import Settings
from facts.model import Display, Host
from tests.planning.hosts import gpu, on, with_driver, with_gpus
from tests.planning.test_driver_change import GUEST, wish

CATALOGUE: Catalogue = load_catalogue()
DEBIAN, UBUNTU, ROCKY = on("debian-13"), on("ubuntu-24.04"), on("rocky-9.6")
H100 = "0x2330 at 0000:17:00.0 (Hopper)"
VOLTA = "0x1db4 at 0000:00:00.0 (Maxwell, Pascal and Volta)"
KEPLER = "0x102d at 0000:00:00.0 (Kepler)"
HERE = "branches that drive them and are packaged here: "
ALL_HERE = "580 (lts), 595 (production), 620 (new-feature), 615 (new-feature), 610 (ended), 590 (ended), 550 (ended)"
ENDED = "NVIDIA mends nothing in it any more (since 2024-07)"
ABSENT = Settings(nvidia_driver="absent")
INSTALLED = with_driver(DEBIAN, "580.178.04-1", "nvidia-driver-cuda nvidia-kernel-open-dkms")
SESSION = replace(DEBIAN, display=Display(None, None, (), sessions=("alice (wayland)",)))
IN_USE = replace(INSTALLED, driver=replace(INSTALLED.driver, users=("python3 (pid 812)",)))
RUNFILE = replace(DEBIAN, driver=replace(DEBIAN.driver, run_file_installer=True))
NEW_KERNEL = on("debian-13", next_boot="6.12.111+deb13-amd64")
LOCKED = replace(DEBIAN, secure_boot=True)
PPA = with_driver(UBUNTU, "580.95.05-0ubuntu0~gpu24.04.1", "nvidia-driver-580")


NO_SOURCES = replace(DEBIAN, packages=replace(DEBIAN.packages, sources=()))
NO_MANAGER = replace(DEBIAN, packages=replace(DEBIAN.packages, manager=None))
HALF = replace(DEBIAN, packages=replace(DEBIAN.packages, half_configured=("grub-pc", "nvidia-kernel-dkms")))


# host, settings; brief, seen and remedy, whole.
REFUSALS: list[tuple[Host, Settings, str, str, str]] = [
    (
        RUNFILE,
        wish(),
        "a driver from NVIDIA's .run installer is on this host, and packages would fight it",
        "/usr/bin/nvidia-uninstall or /usr/bin/nvidia-installer is there",
        'set nvidia_driver_runfile = "uninstall", or run `nvidia-uninstall --silent` on the host; run this again',
    ),
    (
        SESSION,
        wish(),
        "somebody works at this machine's screen, and the driver would change under them",
        "alice (wayland)",
        "run this again when they have logged out",
    ),
    (
        IN_USE,
        ABSENT,
        "processes use the GPU, and the driver would change under them",
        "python3 (pid 812)",
        'run this again when they have ended, or set reboot = "when-needed", which stops them',
    ),
    (
        PPA,
        wish(branch="595"),
        "the installed driver is from the graphics-drivers PPA, and is not mixed with another's packages",
        (
            "580.95.05 is installed, nvidia_driver_branch is 595; installed: "
            "nvidia-driver-580 580.95.05-0ubuntu0~gpu24.04.1 …"
        ),
        'run once with nvidia_driver = "absent", take its repository out of the package sources, then run this again',
    ),
    (
        NEW_KERNEL,
        wish(branch="550"),
        "driver 550 of this archive does not build for this kernel",
        "kernel 6.12.111+deb13-amd64; it is known to fail from 6.12.107 on",
        "leave nvidia_driver_source and nvidia_driver_branch at auto; or boot an older kernel",
    ),
    (
        with_gpus(DEBIAN, 0x1DB4, 0x2B85),
        wish(),
        "no one driver serves these GPUs together: one needs open modules, another proprietary ones",
        f"{VOLTA}, 0x2b85 at 0000:01:00.0 (Blackwell)",
        "take one of them out of the machine",
    ),
    (
        with_gpus(DEBIAN, 0x1DB4),
        wish(modules="open"),
        "these GPUs do not work with open modules",
        VOLTA,
        'set nvidia_driver_modules = "proprietary", or leave it at auto',
    ),
    (
        with_gpus(DEBIAN, 0x5E0),
        wish(),
        "no supported driver branch serves these GPUs",
        "0x05e0 at 0000:00:00.0 (older than Fermi)",
        "use a newer GPU; NVIDIA has ended the branches that drove these",
    ),
    (
        with_gpus(DEBIAN, 0x102D, 0x2330),
        wish(),
        "no one driver branch serves these GPUs together: one is too old for those that drive another",
        f"{KEPLER}, 0x2330 at 0000:01:00.0 (Hopper)",
        "take the oldest of them out of the machine",
    ),
    (
        on("fedora-44"),
        wish(),
        "the driver's packages for this system are not known here",
        "fedora-44 (x86_64), package manager apt",
        (
            "install the driver by hand (a later run keeps it), or use a release that the README lists; a new one "
            "needs rows in deploys/catalogue/driver_packages.toml and repositories.toml"
        ),
    ),
    (
        UBUNTU,
        wish(branch="580.95.05", source="distribution"),
        "an exact driver version cannot be had from this system's archive",
        "nvidia_driver_branch is 580.95.05; the archive has its newest of a branch only",
        'set nvidia_driver_branch = "580", or nvidia_driver_source = "nvidia"',
    ),
    (
        DEBIAN,
        wish(branch="580.95.05", source="distribution"),
        "an exact driver version cannot be had from this system's archive",
        "nvidia_driver_branch is 580.95.05; the archive has its newest of a branch only",
        'set nvidia_driver_source = "nvidia"',
    ),
    (
        DEBIAN,
        wish(branch="999"),
        "driver 999 cannot be had for these GPUs on this system",
        f"{H100}; {HERE}{ALL_HERE}",
        "set nvidia_driver_branch to one of those branches, or leave it at auto",
    ),
    (
        INSTALLED,
        wish(branch="999"),
        "driver 999 cannot be had for these GPUs on this system",
        f"580.178.04 is installed, nvidia_driver_branch is 999; {H100}; {HERE}{ALL_HERE}",
        "set nvidia_driver_branch to one of those branches, or leave it at auto",
    ),
    (
        DEBIAN,
        wish(branch="595", source="distribution"),
        "driver 595 cannot be had for these GPUs on this system",
        f"{H100}; {HERE}550 (ended); nvidia_driver_source is distribution",
        "set nvidia_driver_branch to one of those branches, or leave these settings at auto",
    ),
    (
        with_gpus(on("ubuntu-26.04"), 0x1DB4),
        wish(source="nvidia"),
        "no driver can be had for these GPUs on this system",
        f"{VOLTA}; {HERE}none; nvidia_driver_source is nvidia",
        "leave these settings at auto",
    ),
    (
        with_gpus(on("rocky-8.10"), 0x3300),
        wish(),
        "no driver can be had for these GPUs on this system",
        f"0x3300 at 0000:00:00.0 (newer than Blackwell); {HERE}none",
        "use a release that packages one",
    ),
    (
        with_gpus(UBUNTU, 0x102D),
        wish(),
        "no supported driver branch serves these GPUs",
        f"{KEPLER}; {HERE}470 (ended)",
        f'set nvidia_driver_branch = "470" to have it all the same, knowing that {ENDED}',
    ),
    (
        with_gpus(DEBIAN, 0x102D),
        wish(),
        "no supported driver branch serves these GPUs",
        f"{KEPLER}; {HERE}none",
        f"use a newer GPU, or one of ubuntu-22.04, ubuntu-24.04, which package branch 470, though {ENDED}",
    ),
    (
        replace(with_gpus(UBUNTU, 0x20B2), nvswitches=("0000:a0:00.0",)),
        wish(branch="470"),
        "this machine has NVSwitches, and this origin has no fabric manager for them",
        "NVSwitches: 1; no nvidia-fabricmanager of 470 in the archive",
        "leave nvidia_driver_source and nvidia_driver_branch at auto",
    ),
    (
        on("rhel-9.6"),
        wish(),
        "DKMS, which builds the driver's modules, comes from EPEL, and EPEL is not set up here",
        "Red Hat Enterprise Linux 9.6 (Plow): neither dkms nor epel-release is installed",
        (
            "subscription-manager repos --enable codeready-builder-for-rhel-9-x86_64-rpms; "
            "dnf install https://dl.fedoraproject.org/pub/epel/epel-release-latest-9.noarch.rpm; run this again"
        ),
    ),
    (
        replace(DEBIAN, gpus=None),
        wish(),
        "the PCI devices cannot be read",
        "no /sys/bus/pci/devices",
        "run as root on the real host",
    ),
    (
        replace(DEBIAN, gpus=()),
        wish(),
        "there is no NVIDIA GPU in this machine",
        "no display controller of vendor 0x10de under /sys/bus/pci/devices",
        "check that the card is seated, powered and enabled in the firmware; or take the host out of the inventory",
    ),
    (
        replace(DEBIAN, gpus=(gpu(0x2330, driver="vfio-pci"),)),
        wish(),
        "the GPU is passed through to virtual machines",
        "0000:17:00.0 is bound to vfio-pci",
        "provision the virtual machine, or take the GPU back from it first",
    ),
    (
        GUEST,
        wish(branch="595"),
        "the GPU is a virtual one (NVIDIA vGPU), and its guest driver is in no public repository",
        "580.178.04 is installed, nvidia_driver_branch is 595; 0x2330 at 0000:17:00.0 with subsystem 0x10de:0x187a",
        (
            "install the vGPU guest driver of the hypervisor's vGPU release, from NVIDIA's licensing portal or your "
            "cloud; a later run keeps it, where the settings nvidia_driver_… leave it as it is"
        ),
    ),
    (
        on("ubuntu-26.04"),
        wish(branch="595", source="nvidia"),
        "the fingerprint of the nvidia-driver repository's key is not known here for this release",
        "https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2604/x86_64/3bf863cc.pub",
        (
            "fetch that key, look at it (`gpg --show-keys FILE`), have it confirmed by a second source, and set "
            "nvidia_driver_key_fingerprint"
        ),
    ),
    (
        NO_SOURCES,
        wish(source="distribution"),
        "Debian's own package sources are not recognised, so its components cannot be added to them",
        "no source of trixie main that is signed by Debian in /etc/apt",
        "add contrib non-free non-free-firmware to this host's source of Debian by hand, then run this again",
    ),
    (
        NO_MANAGER,
        wish(),
        "packages are only installed with apt or dnf so far",
        "Debian GNU/Linux 13 (trixie), package manager unknown",
        "install what is missing by hand (a later run keeps it), or use a system that the README lists",
    ),
    (
        HALF,
        wish(),
        "packages are half configured, and apt would trip over them",
        "dpkg --audit names grub-pc, nvidia-kernel-dkms",
        "repair them first: dpkg --configure -a, then apt-get -f install",
    ),
    (
        replace(DEBIAN, init="init"),
        wish(),
        "services cannot be started here",
        "PID 1 is init, not systemd",
        "boot the host with systemd; on WSL, write [boot] systemd=true into /etc/wsl.conf, then wsl --shutdown",
    ),
    (
        LOCKED,
        wish(),
        "the driver for this system is built on the host, and Secure Boot would not load it unsigned",
        "Secure Boot is on; DKMS has no key yet",
        (
            "switch Secure Boot off in the firmware; or set nvidia_module_key_password_env, and a key is staged that "
            "somebody at the host's console can enrol; or use Ubuntu on x86_64, whose modules are signed"
        ),
    ),
]


@pytest.mark.parametrize(("host", "settings", "brief", "seen", "remedy"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_says_what_is_wrong_what_was_seen_and_what_to_do(
    host: Host, settings: Settings, brief: str, seen: str, remedy: str
) -> None:
    assert plan_driver(settings, host, CATALOGUE).refusal == Refusal(Area.DRIVER, brief, seen, remedy)


# What a remedy names as the way out is one: the host with that done is not refused any more.
@pytest.mark.parametrize(
    ("host", "settings", "then"),
    [
        (IN_USE, wish(branch="595"), wish(branch="595").model_copy(update={"reboot": "when-needed"})),
        (NEW_KERNEL, wish(branch="550"), wish()),
        (with_gpus(DEBIAN, 0x1DB4), wish(modules="open"), wish(modules="proprietary")),
        (DEBIAN, wish(branch="580.95.05", source="distribution"), wish(branch="580.95.05", source="nvidia")),
        (UBUNTU, wish(branch="580.95.05", source="distribution"), wish(branch="580", source="distribution")),
        (DEBIAN, wish(branch="595", source="distribution"), wish(branch="550", source="distribution")),
        (with_gpus(on("ubuntu-26.04"), 0x1DB4), wish(source="nvidia"), wish()),
        (with_gpus(UBUNTU, 0x102D), wish(), wish(branch="470")),
        (with_gpus(UBUNTU, 0x102D), wish(branch="470", source="nvidia"), wish(branch="470")),
        (replace(with_gpus(UBUNTU, 0x20B2), nvswitches=("a",)), wish(branch="470"), wish()),
        (GUEST, wish(branch="595"), wish()),
    ],
    ids=range(11),
)
def test_what_is_to_do_helps(host: Host, settings: Settings, then: Settings) -> None:
    assert plan_driver(settings, host, CATALOGUE).refusal
    assert plan_driver(then, host, CATALOGUE).refusal is None


def test_a_driver_that_is_not_whole_is_not_completed_under_a_running_process() -> None:
    broken = replace(IN_USE, driver=replace(IN_USE.driver, library_version=None))
    refusal = plan_driver(wish(), broken, CATALOGUE).refusal
    assert refusal
    assert refusal.seen == "python3 (pid 812)"
