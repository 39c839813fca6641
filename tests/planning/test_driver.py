"""GPU to driver. Expected values are typed from NVIDIA's own publications, never read from our catalogue.

``nvGpus.h`` is the device table of NVIDIA's nvidia-installer 590.48.01; the legacy list is NVIDIA's "Legacy GPU"
page; package names are those of NVIDIA's driver installation guide (Debian, compute-only) and of Ubuntu's archive.
"""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan, Refusal
from deploys.planning.settings import Settings
from facts.model import Host, Kernel, ModuleFlavour, Os
from tests.planning.hosts import (
    BARE,
    DOCKER_DESKTOP,
    DRIVER_580,
    JETSON,
    READY,
    ROCKY_9,
    WSL,
    gpu,
    on_ubuntu,
    with_gpus,
    with_sources,
)

OPEN, PROPRIETARY = ModuleFlavour.OPEN, ModuleFlavour.PROPRIETARY
CATALOGUE: Catalogue = load_catalogue()


def plan(host: Host, settings: Settings | None = None) -> DriverPlan:
    """The plan with the catalogue that ships."""
    return plan_driver(settings or Settings(), host, CATALOGUE)


def refusal(host: Host, settings: Settings | None = None) -> Refusal:
    """The refusal, whole, with nothing planned beside it."""
    found = plan(host, settings)
    assert found.refusal
    assert found == DriverPlan(refusal=found.refusal)
    assert all((found.refusal.brief, found.refusal.seen, found.refusal.remedy))
    return found.refusal


# nvGpus.h: no flag for open-only boards' GSP, and 580 is the last branch with Maxwell, Pascal and Volta (legacy list).
SERVED = [
    (0x2330, "H100 SXM5 80GB", OPEN),
    (0x2B85, "GeForce RTX 5090", OPEN),
    (0x2901, "B200", OPEN),
    (0x20B5, "A100 80GB PCIe", OPEN),
    (0x27B8, "L4", OPEN),
    (0x1EB8, "Tesla T4", OPEN),
    (0x1DB4, "Tesla V100 PCIe 16GB", PROPRIETARY),
    (0x15F8, "Tesla P100 PCIe 16GB", PROPRIETARY),
    (0x1B80, "GeForce GTX 1080", PROPRIETARY),
    (0x13C2, "GeForce GTX 970", PROPRIETARY),
]


@pytest.mark.parametrize(("device", "name", "flavour"), SERVED)
@pytest.mark.parametrize("host", [BARE, on_ubuntu("6.8.0-45-generic")], ids=["debian", "ubuntu"])
def test_gpu_gets_580_in_the_flavour_it_takes(host: Host, device: int, name: str, flavour: ModuleFlavour) -> None:
    found = plan(with_gpus(host, device))
    assert (found.refusal, found.branch, found.flavour) == (None, "580", flavour), name


def test_grace_hopper_gets_open_modules_on_an_arm_server() -> None:
    found = plan(with_gpus(on_ubuntu("6.8.0-1021-nvidia-64k", architecture="arm64"), 0x2342))
    assert (found.branch, found.flavour) == ("580", OPEN)
    assert "linux-modules-nvidia-580-open-nvidia-64k" in found.packages


@pytest.mark.parametrize(
    ("device", "name"), [(0x102D, "Tesla K80"), (0x1021, "Tesla K20Xm"), (0x06C0, "GeForce GTX 480")]
)
def test_gpu_without_a_supported_branch_is_refused(device: int, name: str) -> None:
    # Legacy list: Kepler ended with 470, Fermi with 390; both are out of support.
    found = refusal(with_gpus(BARE, device))
    assert "no supported driver branch" in found.brief, name
    assert f"{device:#06x}" in found.seen


@pytest.mark.parametrize(
    ("device", "wish", "allowed"),
    [
        (0x2330, "proprietary", True),
        (0x1EB8, "proprietary", True),
        (0x2330, "open", True),
        (0x1DB4, "open", False),
        (0x15F8, "open", False),
        (0x2B85, "proprietary", False),
        (0x2342, "proprietary", False),
    ],
)
def test_wished_modules_are_taken_or_refused_by_hardware(device: int, wish: str, allowed: bool) -> None:
    settings = Settings.model_validate({"nvidia_driver_modules": wish})
    host = with_gpus(BARE, device)
    if allowed:
        assert plan(host, settings).flavour == wish
    else:
        found = refusal(host, settings)
        assert wish in found.brief
        assert "nvidia_driver_modules" in found.remedy


def test_two_generations_take_what_both_work_with() -> None:
    # nvidia-installer's rule: a GPU without GSP among them decides for proprietary modules.
    assert plan(with_gpus(BARE, 0x1EB8, 0x1DB4)).flavour is PROPRIETARY
    assert plan(with_gpus(BARE, 0x1EB8, 0x2B85)).flavour is OPEN


def test_gpus_without_a_common_driver_are_refused_and_both_named() -> None:
    found = refusal(with_gpus(BARE, 0x1DB4, 0x2B85))
    assert "together" in found.brief
    assert "0x1db4 at 0000:00:00.0" in found.seen
    assert "0x2b85 at 0000:01:00.0" in found.seen


@pytest.mark.parametrize("wish", ["470", "535", "470.256.02"])
def test_wished_branch_that_is_not_to_be_had_is_refused_with_those_that_are(wish: str) -> None:
    found = refusal(BARE, Settings(nvidia_driver_branch=wish))
    assert wish in found.brief
    assert "580 (lts), 595 (production)" in found.seen


# NVIDIA, supported drivers (page of 2026-09-09): 580 is the long-term branch (June 2028) and the last for Maxwell,
# Pascal and Volta; 595 is a production branch (March 2027).
@pytest.mark.parametrize(
    ("wish", "release", "pinned"),
    [
        ("auto", "580", "nvidia-driver-pinning-580"),
        ("lts", "580", "nvidia-driver-pinning-580"),
        ("production", "595", "nvidia-driver-pinning-595"),
        ("595", "595", "nvidia-driver-pinning-595"),
        ("595.71.05", "595.71.05", "nvidia-driver-pinning-595.71.05"),
    ],
)
def test_wish_is_pinned_before_the_rest(wish: str, release: str, pinned: str) -> None:
    found = plan(BARE, Settings(nvidia_driver_branch=wish))
    assert (found.release, found.first) == (release, (pinned,))


@pytest.mark.parametrize("wish", ["production", "595", "595.71.05"])
def test_branch_without_the_gpu_is_refused(wish: str) -> None:
    """A V100 is not served by 595."""
    found = refusal(with_gpus(BARE, 0x1DB4), Settings(nvidia_driver_branch=wish))
    assert "580 (lts)" in found.seen
    assert "595" not in found.seen


def test_exact_version_cannot_be_had_from_an_archive() -> None:
    host = on_ubuntu("6.8.0-45-generic")
    found = refusal(host, Settings(nvidia_driver_branch="580.95.05", nvidia_driver_source="distribution"))
    assert "archive" in found.brief
    assert found.remedy == 'set nvidia_driver_branch = "580", or nvidia_driver_source = "nvidia"'
    assert plan(host, Settings(nvidia_driver_branch="580.95.05")).first == ("nvidia-driver-pinning-580.95.05",)


@pytest.mark.parametrize(
    ("wish", "is_kept"), [("lts", True), ("580.95.05", True), ("production", False), ("580.65.06", False)]
)
def test_installed_driver_is_kept_if_it_is_the_wished_one(wish: str, is_kept: bool) -> None:
    """READY has 580.95.05."""
    found = plan(READY, Settings(nvidia_driver_branch=wish))
    assert found.refusal is None
    assert (found.packages == ()) is is_kept
    assert found.reboot_due is not is_kept


def test_no_gpu_is_refused() -> None:
    assert "no NVIDIA GPU" in refusal(replace(BARE, gpus=())).brief


def test_unreadable_pci_is_not_taken_for_no_gpu() -> None:
    assert "no NVIDIA GPU" not in refusal(replace(BARE, gpus=None)).brief


def test_gpu_of_a_virtual_machine_is_refused() -> None:
    found = refusal(replace(BARE, gpus=(gpu(0x2330, driver="vfio-pci"),)))
    assert "0000:17:00.0 is bound to vfio-pci" in found.seen


def test_gpu_of_a_virtual_machine_does_not_decide_for_the_others() -> None:
    mine = gpu(0x1DB4, address="0000:18:00.0")
    found = plan(replace(BARE, gpus=(gpu(0x2B85, driver="vfio-pci"), mine)))
    assert (found.refusal, found.flavour) == (None, PROPRIETARY)


def test_run_file_leftovers_are_refused() -> None:
    found = refusal(replace(BARE, driver=replace(BARE.driver, run_file_installer=True)))
    assert ".run" in found.brief
    assert "nvidia-uninstall" in found.remedy


def test_run_file_leftovers_go_first_where_the_owner_says_so() -> None:
    consent = Settings(nvidia_driver_runfile="uninstall")
    host = replace(READY, driver=replace(DRIVER_580, run_file_installer=True, packages=()))
    found = plan(host, consent)
    assert (found.refusal, found.runfile, found.reboot_due) == (None, True, True)
    assert "nvidia-driver-cuda" in found.packages
    busy = replace(host, driver=replace(host.driver, users=("python3 (pid 812)",)))
    assert "python3 (pid 812)" in refusal(busy, consent).seen
    absent = plan(host, Settings(nvidia_driver_runfile="uninstall", nvidia_driver="absent"))
    assert (absent.runfile, absent.packages, absent.uninstall) == (True, (), ())


@pytest.mark.parametrize(("state", "seen"), [(True, "Secure Boot is on"), (None, "cannot be read")])
def test_secure_boot_refuses_what_is_built_on_the_host(state: bool | None, seen: str) -> None:
    assert seen in refusal(replace(BARE, secure_boot=state)).seen


@pytest.mark.parametrize("state", [True, None, False])
def test_secure_boot_takes_ubuntus_signed_modules(state: bool | None) -> None:
    assert plan(replace(on_ubuntu("6.8.0-45-generic"), secure_boot=state)).refusal is None


def test_debian_takes_nvidias_repository_and_pins_the_branch_first() -> None:
    # Driver installation guide, Debian: compute-only = nvidia-driver-cuda and the kernel module package.
    found = plan(BARE)
    assert found.first == ("nvidia-driver-pinning-580",)
    assert found.lead == "nvidia-driver-cuda"
    assert {"nvidia-driver-cuda", "nvidia-kernel-open-dkms"} <= set(found.packages)
    assert "linux-headers-6.12.57+deb13-amd64" in found.packages
    assert found.repository
    # The key of the debian13 repository, as its cuda-keyring package carries it.
    assert found.repository.fingerprint.endswith("8793F200")


def test_debian_gets_proprietary_modules_for_volta() -> None:
    assert "nvidia-kernel-dkms" in plan(with_gpus(BARE, 0x1DB4)).packages


@pytest.mark.parametrize(
    ("kernel", "version", "modules"),
    [
        ("6.8.0-45-generic", "24.04", "linux-modules-nvidia-580-open-generic"),
        ("6.11.0-21-generic", "24.04", "linux-modules-nvidia-580-open-generic-hwe-24.04"),
        ("6.8.0-1021-aws", "24.04", "linux-modules-nvidia-580-open-aws"),
        ("6.14.0-1004-gcp", "24.04", "linux-modules-nvidia-580-open-gcp"),
        ("5.15.0-151-generic", "22.04", "linux-modules-nvidia-580-open-generic"),
        ("6.8.0-65-generic", "22.04", "linux-modules-nvidia-580-open-generic-hwe-22.04"),
    ],
)
def test_ubuntu_takes_the_modules_of_its_kernels_kind(kernel: str, version: str, modules: str) -> None:
    found = plan(on_ubuntu(kernel, version=version))
    assert found.packages == ("nvidia-utils-580", "nvidia-headless-no-dkms-580-open", modules)
    assert (found.repository, found.first, found.lead) == (None, (), "nvidia-utils-580")


def test_a_repository_that_is_there_is_not_added_again() -> None:
    uri = "https://developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64/"
    keyring = "/usr/share/keyrings/cuda-archive-keyring.gpg"
    found = plan(with_sources(BARE, f"deb [signed-by={keyring}] {uri} /", keyrings=(keyring,)))
    assert found.repository is None
    assert found.packages


def test_an_unknown_distribution_is_refused() -> None:
    fedora = replace(BARE, os=Os("fedora", "44", "", "Fedora 44", None), packages=replace(BARE.packages, manager="dnf"))
    for host in (fedora, replace(BARE, os=replace(BARE.os, version="11"))):
        found = refusal(host)
        assert "not known here" in found.brief
        assert "driver_packages.toml" in found.remedy


def test_half_configured_packages_are_refused_by_name() -> None:
    found = refusal(replace(BARE, packages=replace(BARE.packages, half_configured=("grub-efi-amd64-signed",))))
    assert "grub-efi-amd64-signed" in found.seen


def test_an_installed_driver_is_kept_whatever_the_package_manager_says() -> None:
    found = plan(replace(READY, os=ROCKY_9, packages=replace(READY.packages, manager="dnf", half_configured=("x",))))
    assert (found.refusal, found.packages, found.repository, found.reboot_due) == (None, (), None, False)
    assert (found.branch, found.flavour) == ("580", OPEN)


@pytest.mark.parametrize(("loaded", "named"), [("570.133.20", "570.133.20"), (None, "none")])
def test_loaded_and_installed_driver_differ(loaded: str | None, named: str) -> None:
    found = plan(replace(READY, driver=replace(DRIVER_580, loaded_version=loaded)))
    assert found.reboot_due
    assert found.packages == ()
    assert named in found.notes[-1].because
    assert "580.95.05" in found.notes[-1].because


# Legacy list: 580 is the last branch for Volta, 470 for Kepler. Release notes: Blackwell came with 570. nvGpus.h: no
# proprietary modules for Blackwell and Grace Hopper, no open ones before Turing.
INSTALLED = [
    (0x2B85, "580.95.05", OPEN, True),
    (0x2B85, "580.95.05", PROPRIETARY, False),
    (0x2B85, "550.163.01", OPEN, False),
    (0x2342, "580.95.05", PROPRIETARY, False),
    (0x2330, "535.183.01", PROPRIETARY, True),
    (0x2330, "595.1.1", OPEN, True),
    (0x1DB4, "580.95.05", PROPRIETARY, True),
    (0x1DB4, "580.95.05", OPEN, False),
    (0x1DB4, "595.1.1", PROPRIETARY, False),
    (0x1DB4, "595.1.1", None, False),
    (0x102D, "470.256.02", PROPRIETARY, True),
    (0x102D, "535.183.01", PROPRIETARY, False),
    (0x2B85, "580.95.05", None, True),
]


@pytest.mark.parametrize(("device", "version", "flavour", "kept"), INSTALLED)
def test_installed_driver_is_kept_where_it_drives_the_gpu(
    device: int, version: str, flavour: ModuleFlavour | None, kept: bool
) -> None:
    driver = replace(DRIVER_580, disk_version=version, library_version=version, disk_flavour=flavour)
    host = replace(with_gpus(READY, device), driver=driver)
    found = plan(host)
    if kept:
        assert (found.refusal, found.packages) == (None, ())
    elif device == 0x102D:  # Debian 13 packages nothing for Kepler
        assert found.refusal
        assert version in found.refusal.seen
    else:
        assert (found.branch, found.reboot_due) == ("580", True)
        assert version in found.notes[0].because
        assert f"{device:#06x}" in found.notes[0].because


@pytest.mark.parametrize("owner", ["nouveau", "nova_core"])
def test_another_driver_on_the_gpu_makes_a_reboot_due(owner: str) -> None:
    driver = replace(BARE.driver, nouveau_loaded=owner == "nouveau", nova_core_loaded=owner == "nova_core")
    found = plan(replace(BARE, gpus=(gpu(0x2330, driver=owner),), driver=driver))
    assert found.reboot_due
    assert any(owner in note.because for note in found.notes)


def test_a_fresh_driver_is_loaded_without_a_reboot() -> None:
    assert not plan(BARE).reboot_due


@pytest.mark.parametrize(("version", "due"), [("580.65.06", False), ("570.133.20", True)])
def test_completing_a_driver_of_another_branch_makes_a_reboot_due(version: str, due: bool) -> None:
    driver = replace(DRIVER_580, loaded_version=version, disk_version=version, library_version=None)
    found = plan(replace(READY, driver=driver))
    assert "nvidia-driver-cuda" in found.packages
    assert found.reboot_due is due


@pytest.mark.parametrize(
    ("host", "because"),
    [
        (JETSON, "L4T 36.4.4"),
        (replace(JETSON, jetson=None), "L4T"),
        (WSL, "Windows"),
        (DOCKER_DESKTOP, "Windows"),
        (replace(BARE, platform=replace(BARE.platform, hands_off="DGX OS")), "DGX OS"),
    ],
    ids=["jetson", "jetson-without-release", "wsl", "docker-desktop", "dgx"],
)
@pytest.mark.parametrize("devices", [(), (0x2330,)], ids=["no-gpu", "gpu"])
def test_a_makers_driver_is_never_touched(host: Host, because: str, devices: tuple[int, ...]) -> None:
    settings = Settings(nvidia_driver_branch="580", nvidia_driver_modules="proprietary")
    found = plan(with_gpus(host, *devices), settings)
    assert found == DriverPlan(notes=found.notes)
    assert because in found.notes[0].because


def test_the_note_says_what_why_and_for_which_gpu() -> None:
    text = " ".join(f"{note.choice} {note.because}" for note in plan(BARE).notes)
    assert "580" in text
    assert "0x2330 at 0000:17:00.0" in text
    assert "2028-06" in text


RUNNING, NEXT = "6.12.48+deb13-amd64", "6.12.57+deb13-amd64"


@pytest.mark.parametrize(("next_boot", "kernels"), [(NEXT, {RUNNING, NEXT}), (RUNNING, {RUNNING}), (None, {RUNNING})])
def test_headers_come_for_the_running_kernel_and_the_next(next_boot: str | None, kernels: set[str]) -> None:
    found = plan(replace(BARE, kernel=Kernel(RUNNING, next_boot, ())))
    headers = {name.removeprefix("linux-headers-") for name in found.packages if name.startswith("linux-headers-")}
    assert headers == kernels | {"amd64"}
    assert len(found.packages) == len(set(found.packages))


def test_installed_driver_without_a_module_for_the_next_kernel_is_repaired() -> None:
    host = replace(READY, kernel=Kernel(RUNNING, NEXT, ()), driver=replace(DRIVER_580, next_boot_version=None))
    found = plan(host)
    assert NEXT in found.notes[0].because
    assert f"linux-headers-{NEXT}" in found.packages
    assert plan(replace(host, kernel=Kernel(RUNNING, None, ()))).refusal is None
    assert plan(replace(host, driver=DRIVER_580)).refusal is None


def test_driver_of_the_next_kernel_alone_is_kept_and_a_reboot_due() -> None:
    driver = replace(DRIVER_580, loaded_version=None, disk_version=None, disk_flavour=None)
    found = plan(replace(READY, kernel=Kernel(RUNNING, NEXT, ()), driver=driver))
    assert (found.refusal, found.packages, found.reboot_due) == (None, (), True)
