"""Another wish for a host that has a driver: what goes, what may go, what stays. Made-up hosts.

Names of packages: packages.ubuntu.com (580 in noble), NVIDIA's driver installation guide and the lists of its
repositories (names with the branch up to 580, without from 590 on), the Debian archive, yum-packaging-nvidia-driver.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan
from deploys.planning.settings import Settings
from facts.model import Display, Host, Kernel, ModuleFlavour, SourceFile
from tests.planning.hosts import on, with_driver

CATALOGUE: Catalogue = load_catalogue()
OPEN, PROPRIETARY = ModuleFlavour.OPEN, ModuleFlavour.PROPRIETARY

ARCHIVE_MODULES = """
linux-modules-nvidia-580-open-generic linux-modules-nvidia-580-open-6.8.0-45-generic
linux-modules-nvidia-580-open-6.8.0-101-generic linux-objects-nvidia-580-open-6.8.0-45-generic
"""
ARCHIVE_PROGRAMS = """
libnvidia-cfg1-580 libnvidia-compute-580 nvidia-compute-utils-580 nvidia-firmware-580-580.178.04
nvidia-headless-no-dkms-580-open nvidia-kernel-common-580 nvidia-kernel-source-580-open nvidia-utils-580
"""
# Both branches and both flavours need these.
SIGNATURES = "linux-signatures-nvidia-6.8.0-45-generic linux-signatures-nvidia-6.8.0-101-generic"
ARCHIVE = ARCHIVE_MODULES + ARCHIVE_PROGRAMS + SIGNATURES
METAPACKAGES = "linux-generic linux-image-generic linux-headers-generic"

SUFFIXED = "libnvidia-compute-580 nvidia-compute-utils-580 nvidia-dkms-580-open nvidia-firmware-580 nvidia-utils-580"
UNSUFFIXED = "libnvidia-compute nvidia-dkms-open nvidia-firmware nvidia-kernel-source-open nvidia-persistenced"

UBUNTU = with_driver(on("ubuntu-24.04", packages=METAPACKAGES), "580.178.04-0ubuntu0.24.04.1", ARCHIVE)
UBUNTU_580 = with_driver(
    on("ubuntu-24.04"),
    "580.178.04-1ubuntu1",
    f"{SUFFIXED} nvidia-modprobe nvidia-persistenced nvidia-driver-pinning-580",
)
UBUNTU_595 = with_driver(on("ubuntu-24.04"), "595.91.07-1ubuntu1", f"{UNSUFFIXED} nvidia-driver-pinning-595")
DEBIAN = with_driver(
    on("debian-13"), "580.178.04-1", "libcuda1 nvidia-driver-cuda nvidia-driver-pinning-580 nvidia-kernel-open-dkms"
)
DEBIAN_550 = with_driver(on("debian-13"), "550.163.01-2", "libcuda1 libnvidia-ml1 nvidia-open-kernel-dkms nvidia-smi")
ROCKY = with_driver(
    on("rocky-9.6"), "3:580.178.04-1.el9", "kmod-nvidia-open-dkms nvidia-driver-cuda nvidia-driver-cuda-libs"
)


def wish(*, branch: str = "auto", modules: str = "auto", source: str = "auto", usage: str = "auto") -> Settings:
    """Settings of the driver by their names without nvidia_driver_."""
    values = {"branch": branch, "modules": modules, "source": source, "usage": usage}
    return Settings.model_validate({f"nvidia_driver_{name}": value for name, value in values.items()})


def plan(host: Host, settings: Settings | None = None, *, update: bool = False) -> DriverPlan:
    """The plan with the catalogue that ships."""
    return plan_driver(settings or Settings(), host, CATALOGUE, update=update)


CHANGES = [
    (UBUNTU, wish(modules="proprietary"), ARCHIVE_MODULES, "linux-modules-nvidia-580-generic"),
    (UBUNTU, wish(branch="595"), ARCHIVE_MODULES + ARCHIVE_PROGRAMS, "linux-modules-nvidia-595-open-generic"),
    (UBUNTU, wish(source="nvidia"), ARCHIVE_MODULES, "nvidia-dkms-580-open nvidia-driver-pinning-580"),
    (UBUNTU_580, wish(branch="595"), f"{SUFFIXED} nvidia-driver-pinning-580", "libnvidia-compute nvidia-dkms-open"),
    (UBUNTU_595, wish(branch="580"), "nvidia-dkms-open nvidia-driver-pinning-595", "libnvidia-compute-580"),
    (UBUNTU_580, wish(modules="proprietary"), "nvidia-dkms-580-open", "nvidia-dkms-580"),
    (UBUNTU_580, wish(branch="580.95.05"), "nvidia-driver-pinning-580", "nvidia-driver-pinning-580.95.05"),
    # The archive has the persistence daemon in nvidia-compute-utils.
    (
        UBUNTU_580,
        wish(source="distribution"),
        "nvidia-dkms-580-open nvidia-driver-pinning-580 nvidia-firmware-580 nvidia-persistenced",
        "nvidia-utils-580",
    ),
    (
        UBUNTU_595,
        wish(source="distribution"),
        "libnvidia-compute nvidia-dkms-open nvidia-driver-pinning-595 nvidia-firmware nvidia-persistenced",
        "nvidia-utils-595",
    ),
    (DEBIAN, wish(branch="595"), "nvidia-driver-pinning-580", "nvidia-driver-pinning-595"),
    (DEBIAN, wish(modules="proprietary"), "nvidia-kernel-open-dkms", "nvidia-kernel-dkms"),
    (
        DEBIAN,
        wish(source="distribution"),
        "nvidia-driver-cuda nvidia-driver-pinning-580 nvidia-kernel-open-dkms",
        "nvidia-smi libcuda1",
    ),
    (DEBIAN_550, wish(branch="580"), "nvidia-open-kernel-dkms", "nvidia-driver-cuda nvidia-kernel-open-dkms"),
    (ROCKY, wish(modules="proprietary"), "kmod-nvidia-open-dkms", "kmod-nvidia-latest-dkms"),
    (ROCKY, wish(branch="595"), "", "kmod-nvidia-open-dkms nvidia-driver-cuda"),
]


@pytest.mark.parametrize(("host", "settings", "goes", "comes"), CHANGES)
def test_what_would_be_in_the_way_goes_and_the_rest_may(host: Host, settings: Settings, goes: str, comes: str) -> None:
    found = plan(host, settings)
    assert found.refusal is None
    assert set(found.remove) == set(goes.split())
    assert set(comes.split()) <= {*found.first, *found.packages}
    installed = {name for name, _ in host.driver.packages}
    assert set(found.allowed) == installed - {*found.remove, *found.packages, *found.first}
    assert found.reboot_due
    assert found.notes[0].choice == f"changes driver {host.driver.disk_version}"


def test_the_kernels_metapackages_are_moved_and_held_with_prebuilt_modules_alone() -> None:
    found = plan(UBUNTU, wish(branch="595"))
    assert set(METAPACKAGES.split()) <= set(found.packages)
    assert set(found.hold) == {*METAPACKAGES.split(), "linux-modules-nvidia-595-open-generic"}
    assert plan(UBUNTU, wish(source="nvidia")).hold == ()


def test_the_kernels_are_let_go_with_the_prebuilt_modules_and_not_where_others_held_them() -> None:
    held = ("linux-generic", "linux-image-generic", "nvidia-utils-580")
    away = plan(replace(UBUNTU, packages=replace(UBUNTU.packages, held=held)), wish(source="nvidia"))
    assert away.unhold == ("linux-generic", "linux-image-generic")
    metapackages = tuple((name, "1") for name in METAPACKAGES.split())
    others = replace(UBUNTU_580.packages, installed=metapackages, held=held)
    for settings in (wish(modules="proprietary"), Settings(nvidia_driver="absent")):
        found = plan(replace(UBUNTU_580, packages=others), settings)
        assert found.packages or found.uninstall
        assert (found.hold, found.unhold) == ((), ())


def test_streams_follow_branch_and_flavour() -> None:
    streams = {plan(ROCKY, settings).stream for settings in (wish(modules="proprietary"), wish(branch="595"))}
    assert streams == {"580-dkms", "open-dkms"}


@pytest.mark.parametrize("host", [UBUNTU, UBUNTU_580, UBUNTU_595, DEBIAN, DEBIAN_550, ROCKY])
@pytest.mark.parametrize("settings", [Settings(), wish(usage="compute"), wish(modules="open")])
def test_what_agrees_is_kept(host: Host, settings: Settings) -> None:
    found = plan(host, settings)
    assert (found.refusal, found.packages, found.remove, found.reboot_due) == (None, (), (), False)


@pytest.mark.parametrize(
    ("host", "branch", "origin", "names"),
    [
        (UBUNTU_595, "595", "nvidia", "nvidia-driver-open"),
        (UBUNTU_580, "580", "nvidia", "nvidia-driver-580-open"),
        (UBUNTU, "580", "distribution", "nvidia-driver-580-open linux-modules-nvidia-580-open-generic"),
        (DEBIAN, "580", "nvidia", "nvidia-driver"),
        (DEBIAN_550, "550", "distribution", "nvidia-driver nvidia-open-kernel-dkms"),
    ],
)
def test_a_display_driver_is_added_to_the_branch_and_origin_that_are_there(
    host: Host, branch: str, origin: str, names: str
) -> None:
    found = plan(replace(host, display=Display("graphical.target", "gdm3", ())))
    assert (found.branch, found.flavour, found.remove) == (branch, OPEN, ())
    assert set(names.split()) <= set(found.packages)
    assert any("from NVIDIA's" in note.choice for note in found.notes) is (origin == "nvidia")


def test_a_display_driver_that_is_wished_away_stays() -> None:
    names = "nvidia-driver-580-open linux-modules-nvidia-580-open-generic"
    host = with_driver(on("ubuntu-24.04"), "580.178.04-0ubuntu0.24.04.1", names)
    assert plan(host, wish(usage="compute")).packages == ()


NEXT = "6.8.0-101-generic"


@pytest.mark.parametrize(
    ("host", "kernel", "seen"),
    [
        (replace(UBUNTU_595, driver=replace(UBUNTU_595.driver, library_version="595.71.05")), None, "595.71.05 differ"),
        (replace(UBUNTU_595, driver=replace(UBUNTU_595.driver, next_boot_version=None)), NEXT, f"kernel {NEXT}"),
        (replace(UBUNTU_595, driver=replace(UBUNTU_595.driver, unfinished=True)), None, "did not finish"),
    ],
)
def test_a_repair_stays_in_its_branch_flavour_and_origin(host: Host, kernel: str | None, seen: str) -> None:
    host = replace(host, kernel=Kernel(host.kernel.running, kernel or host.kernel.running, ()))
    found = plan(host)
    assert seen in found.notes[0].because
    assert (found.branch, found.flavour, found.remove) == ("595", OPEN, ())
    assert (found.first, found.may_be_there) == (("nvidia-driver-pinning-595",), True)


def test_a_driver_whose_module_was_not_built_is_completed_and_not_replaced() -> None:
    unbuilt = replace(UBUNTU_595.driver, disk_version=None, next_boot_version=None, disk_flavour=None)
    found = plan(replace(UBUNTU_595, driver=unbuilt))
    assert (found.branch, found.lead, found.remove) == ("595", "libnvidia-compute", ())
    asked = plan(replace(UBUNTU_595, driver=unbuilt), wish(branch="580"))
    assert asked.branch == "580"
    volta = tuple(replace(gpu, device=0x1DB4) for gpu in UBUNTU_595.gpus or ())
    assert plan(replace(UBUNTU_595, driver=unbuilt, gpus=volta)).branch == "580"


def test_the_origin_is_told_by_what_is_of_the_drivers_own_version() -> None:
    beside = ("libnvidia-egl-wayland1", "1:1.1.20-1ubuntu1")
    archive = replace(UBUNTU, driver=replace(UBUNTU.driver, packages=(*UBUNTU.driver.packages, beside)))
    assert plan(archive, wish(source="distribution")).packages == ()
    # NVIDIA's versions before 580.126.09 could be Ubuntu's; the firmware's name could not.
    by_hand = with_driver(on("ubuntu-24.04"), "580.95.05-0ubuntu1", SUFFIXED)
    assert plan(by_hand, wish(source="nvidia")).packages == ()
    assert plan(by_hand, wish(source="distribution")).lead == "nvidia-utils-580"
    assert plan(by_hand, update=True).lead == "libnvidia-compute-580"


def test_a_driver_that_no_longer_drives_the_gpu_is_left_for_one_that_does() -> None:
    volta = replace(UBUNTU_595, gpus=tuple(replace(gpu, device=0x1DB4) for gpu in UBUNTU_595.gpus or ()))
    found = plan(volta)
    assert (found.branch, found.flavour) == ("580", PROPRIETARY)
    assert "does not drive 0x1db4" in found.notes[0].because


@pytest.mark.parametrize(
    ("host", "wanted", "branch", "lead"),
    [
        (UBUNTU, "", "580", "nvidia-utils-580"),
        (UBUNTU_580, "", "580", "libnvidia-compute-580"),
        (UBUNTU_595, "", "595", "libnvidia-compute"),
        (UBUNTU_595, "production", "595", "libnvidia-compute"),
        (DEBIAN, "lts", "580", "nvidia-driver-cuda"),
        (ROCKY, "", "580", "nvidia-driver-cuda"),
        (DEBIAN_550, "", "550", "libcuda1"),
    ],
)
def test_an_update_stays_where_it_is_and_reboots_only_for_news(host: Host, wanted: str, branch: str, lead: str) -> None:
    found = plan(host, wish(branch=wanted or "auto"), update=True)
    assert (found.refusal, found.may_be_there, found.branch, found.lead) == (None, True, branch, lead)
    assert (found.remove, found.reboot_due) == ((), False)
    assert found.notes[0].choice == f"updates driver {host.driver.disk_version}"


def test_an_update_of_a_pinned_version_lets_go_of_it_where_the_wish_did() -> None:
    host = with_driver(on("debian-13"), "580.95.05-1", "nvidia-driver-cuda nvidia-driver-pinning-580.95.05")
    found = plan(host, wish(branch="580"), update=True)
    assert (found.first, found.remove) == (("nvidia-driver-pinning-580",), ("nvidia-driver-pinning-580.95.05",))
    assert plan(host, wish(branch="580.95.05"), update=True).first == ("nvidia-driver-pinning-580.95.05",)


def test_an_update_of_a_branch_that_nobody_packages_any_more_is_refused() -> None:
    host = with_driver(on("ubuntu-24.04"), "570.211.01-0ubuntu0.24.04.1", "nvidia-utils-570 libnvidia-compute-570")
    refusal = plan(host, update=True).refusal
    assert refusal
    assert "driver 570 cannot be had" in refusal.brief
    assert plan(host).refusal is None


@pytest.mark.parametrize("host", [UBUNTU, UBUNTU_595, DEBIAN, ROCKY])
def test_removal_names_the_drivers_packages_and_nothing_of_the_toolkit_or_cuda(host: Host) -> None:
    others = ("cuda-toolkit-13-0", "libnvidia-container1", "nvidia-container-toolkit", "nvidia-l4t-core")
    packages = replace(host.packages, installed=(*host.packages.installed, *((name, "1") for name in others)))
    found = plan(replace(host, packages=packages), Settings(nvidia_driver="absent"))
    assert found.uninstall == tuple(name for name, _ in host.driver.packages)
    assert (found.absent, found.packages, found.remove, found.reboot_due) == (True, (), (), True)
    changed = plan(replace(host, packages=packages), wish(branch="595" if host is not UBUNTU_595 else "580"))
    assert not {*others} & {*changed.packages, *changed.remove, *changed.allowed, *found.uninstall, *found.hold}


def test_removal_lets_go_of_the_kernels_that_were_held_and_done_twice_does_nothing() -> None:
    held = replace(UBUNTU, packages=replace(UBUNTU.packages, held=("linux-generic", "nvidia-utils-580", "other")))
    absent = Settings(nvidia_driver="absent")
    assert plan(held, absent).hold == ("linux-generic",)
    gone = replace(UBUNTU, driver=replace(UBUNTU.driver, packages=(), disk_version=None, library_version=None))
    found = plan(gone, absent)
    assert (found.absent, found.uninstall, found.reboot_due) == (True, (), True)
    gone = replace(gone, driver=replace(gone.driver, loaded_version=None))
    assert plan(gone, absent).reboot_due is False
    assert plan(gone, absent).unfinished is False
    assert plan(replace(gone, driver=replace(gone.driver, unfinished=True)), absent).unfinished is True


# Whose packages they are: versions and vendors as in those archives (see the catalogue's sources for each).
FOREIGN = [
    ("ubuntu-24.04", "the graphics-drivers PPA", "580.95.05-0ubuntu0~gpu24.04.1", "nvidia-driver-580", ""),
    ("ubuntu-24.04", "Pop!_OS", "580.95.05-1pop0~1757000000~24.04~abc", "nvidia-driver-580", ""),
    ("ubuntu-22.04", "Lambda Stack", "580.95.05-0lambda0.22.04.1", "nvidia-utils-580", ""),
    ("rocky-9.6", "RPM Fusion", "3:580.95.05-1.el9", "akmod-nvidia", "RPM Fusion"),
    ("rocky-9.6", "negativo17", "3:580.95.05-1.el9", "nvidia-driver", "negativo17.org"),
    ("almalinux-9.6", "AlmaLinux's or Red Hat's own driver", "580.95.05-1.el9", "kmod-nvidia-open", "AlmaLinux"),
    ("rhel-9.6", "AlmaLinux's or Red Hat's own driver", "580.95.05-1.el9", "kmod-nvidia-open", "Red Hat, Inc."),
    ("rocky-8.10", "ELRepo", "580.95.05-1.el8.elrepo", "kmod-nvidia", "The ELRepo Project"),
]


@pytest.mark.parametrize(("release", "whose", "version", "name", "vendor"), FOREIGN)
def test_somebody_elses_driver_is_kept_or_removed_and_never_mixed_with(
    release: str, whose: str, version: str, name: str, vendor: str
) -> None:
    host = with_driver(on(release, packages="dkms"), version, name)
    host = replace(host, driver=replace(host.driver, vendors=((name, vendor),) if vendor else ()))
    assert plan(host).packages == ()
    assert plan(host, Settings(nvidia_driver="absent")).uninstall == (name,)
    broken = replace(host, driver=replace(host.driver, library_version=None))
    for found in (plan(host, wish(branch="595")), plan(host, update=True), plan(broken)):
        assert found.refusal, found
        if release == "rocky-8.10" and "595" in found.refusal.brief:
            continue
        assert whose in found.refusal.brief
        assert f"{name} {version}" in found.refusal.seen
        assert 'nvidia_driver = "absent"' in found.refusal.remedy


def test_nothing_is_installed_beside_a_repository_of_the_same_names() -> None:
    text = "[epel-nvidia]\nbaseurl=https://negativo17.org/repos/nvidia/epel-9/x86_64/\nenabled=1\n"
    rocky = on("rocky-9.6")
    path = "/etc/yum.repos.d/epel-nvidia.repo"
    found = plan(replace(rocky, packages=replace(rocky.packages, sources=(SourceFile(path, text),))))
    assert found.refusal
    assert "negativo17" in found.refusal.brief
    assert (found.refusal.seen, "take that file away" in found.refusal.remedy) == (path, True)


GUEST = with_driver(on("ubuntu-24.04"), "580.178.04", "nvidia-linux-grid-580")
GUEST = replace(GUEST, gpus=tuple(replace(gpu, subsystem="0x10de:0x187a") for gpu in GUEST.gpus or ()))


@pytest.mark.parametrize("is_runfile", [False, True])
def test_a_virtual_gpus_guest_driver_is_kept_and_never_replaced(is_runfile: bool) -> None:
    packages = () if is_runfile else GUEST.driver.packages
    host = replace(GUEST, driver=replace(GUEST.driver, run_file_installer=is_runfile, packages=packages))
    for shown in (host, replace(host, display=Display("graphical.target", "gdm3", ()))):
        assert (plan(shown).refusal, plan(shown).packages, plan(shown).branch) == (None, (), "580")
    for found in (plan(host, wish(branch="595")), plan(host, update=True), plan(host, wish(modules="proprietary"))):
        assert found.refusal
        assert found.packages == ()
        assert "vGPU" in found.refusal.brief
    assert "595" in str(plan(host, wish(branch="595")).refusal)
