"""The NVIDIA driver: GPU to branch and flavour, distribution to packages, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.catalogue import Branch, Catalogue, DriverPackages, GpuRange
from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, DriverPlan, Note, Refusal, Repository
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from facts.model import Gpu, Host, ModuleFlavour, PlatformKind


def plan_driver(settings: Settings, host: Host, catalogue: Catalogue) -> DriverPlan:
    """Whose driver it is, which one serves every GPU of the host, and what is missing of it."""
    note = _not_ours(host)
    if note:
        return DriverPlan(notes=(note,))
    refusal = _refuse_gpus(host) or _refuse_leftovers(host)
    if refusal:
        return DriverPlan(refusal=refusal)
    choice = _choose(settings, host, catalogue)
    if isinstance(choice, Refusal):
        return DriverPlan(refusal=choice)
    if host.driver.disk_version and host.driver.library_version:
        return _keep(settings, host, choice)
    return _install(settings, host, catalogue, choice)


def is_ours(host: Host) -> bool:
    """Whether the driver of this host is one that packages install: not L4T's, Windows', or a maker's own."""
    return _not_ours(host) is None


def _not_ours(host: Host) -> Note | None:
    if host.platform.kind is PlatformKind.JETSON:
        release = f"L4T {host.jetson.l4t}" if host.jetson and host.jetson.l4t else "L4T"
        return Note("the driver is left alone", f"it is part of {release}")
    if host.platform.kind is PlatformKind.WSL2:
        return Note("no Linux driver is installed", "on WSL 2 the driver is the Windows one, under /usr/lib/wsl/lib")
    if host.platform.hands_off:
        return Note("the driver is left alone", f"{host.platform.hands_off} comes with its maker's own")
    return None


def _refuse_gpus(host: Host) -> Refusal | None:
    if host.gpus is None:
        return Refusal(
            Area.DRIVER, "the PCI devices cannot be read", "no /sys/bus/pci/devices", "run as root on the real host"
        )
    if not host.gpus:
        return Refusal(
            Area.DRIVER,
            "there is no NVIDIA GPU in this machine",
            "no display controller of vendor 0x10de under /sys/bus/pci/devices",
            "check that the card is seated, powered and enabled in the firmware; or take the host out of the inventory",
        )
    return None


def _refuse_leftovers(host: Host) -> Refusal | None:
    if not host.driver.run_file_installer:
        return None
    return Refusal(
        Area.DRIVER,
        "a driver from NVIDIA's .run installer is on this host, and packages would fight it",
        "/usr/bin/nvidia-uninstall or /usr/bin/nvidia-installer is there",
        "run nvidia-uninstall on the host, then run this again",
    )


@dataclass(frozen=True)
class _Choice:
    """The driver that serves every GPU of a host."""

    branch: Branch
    flavour: ModuleFlavour
    because: str  # why this flavour
    gpus: str  # the GPUs, in words


def _choose(settings: Settings, host: Host, catalogue: Catalogue) -> _Choice | Refusal:
    ranges = {gpu: _range_of(gpu, catalogue) for gpu in host.gpus or ()}
    gpus = ", ".join(f"{gpu.device:#06x} at {gpu.address} ({row.name})" for gpu, row in ranges.items())
    kinds: set[str] = {row.modules for row in ranges.values()}
    flavour = _choose_flavour(settings, kinds, gpus)
    if isinstance(flavour, Refusal):
        return flavour
    served = set.intersection(*(set(row.branches) for row in ranges.values()))
    branch = _choose_branch(settings, [row for row in catalogue.branch if row.branch in served], gpus)
    if isinstance(branch, Refusal):
        return branch
    return _Choice(branch, flavour, _why_flavour(settings, kinds), gpus)


def _range_of(gpu: Gpu, catalogue: Catalogue) -> GpuRange:
    """The first matching row: narrower ranges stand before wider ones. The last row catches every older id."""
    return next(row for row in catalogue.gpus if row.first <= gpu.device <= row.last)


def _choose_flavour(settings: Settings, kinds: set[str], gpus: str) -> ModuleFlavour | Refusal:
    wish = settings.nvidia_driver_modules
    if {"open", "proprietary"} <= kinds:
        return Refusal(
            Area.DRIVER,
            "no one driver serves these GPUs together: one needs open modules, another proprietary ones",
            gpus,
            "take one of them out of the machine",
        )
    forced = {"open": ModuleFlavour.OPEN, "proprietary": ModuleFlavour.PROPRIETARY}
    required = next((forced[kind] for kind in kinds if kind in forced), None)
    if required and wish not in ("auto", required):
        return Refusal(
            Area.DRIVER,
            f"these GPUs do not work with {wish} modules",
            gpus,
            f'set nvidia_driver_modules = "{required}", or leave it at auto',
        )
    return required or forced["open" if wish == "auto" else wish]


def _why_flavour(settings: Settings, kinds: set[str]) -> str:
    if "proprietary" in kinds:
        return "the GPU has no GSP, which open modules need"
    if "open" in kinds:
        return "no others drive this GPU"
    if settings.nvidia_driver_modules != "auto":
        return f"nvidia_driver_modules is {settings.nvidia_driver_modules}"
    return "NVIDIA's own choice from Turing on"


def _choose_branch(settings: Settings, served: list[Branch], gpus: str) -> Branch | Refusal:
    wish = settings.nvidia_driver_branch
    if not served:
        return Refusal(
            Area.DRIVER,
            "no supported driver branch serves these GPUs",
            gpus,
            "use a newer GPU; NVIDIA has ended the branches that drove these",
        )
    wished = [row for row in served if wish in ("auto", row.branch)]
    if not wished:
        return Refusal(
            Area.DRIVER,
            f"driver branch {wish} is not one this can install for these GPUs",
            gpus,
            f"set nvidia_driver_branch to {' or '.join(row.branch for row in served)}, or leave it at auto",
        )
    return max(wished, key=lambda row: int(row.branch))


def _keep(settings: Settings, host: Host, choice: _Choice) -> DriverPlan:
    driver = host.driver
    branch = (driver.disk_version or "").split(".")[0]
    if settings.nvidia_driver_branch not in ("auto", branch):
        return DriverPlan(
            refusal=Refusal(
                Area.DRIVER,
                "another driver branch is installed, and branches are not switched so far",
                f"installed {driver.disk_version}, wished {settings.nvidia_driver_branch}",
                f'set nvidia_driver_branch = "{branch}", or remove the installed driver\'s packages first',
            )
        )
    if settings.nvidia_driver_modules != "auto" and driver.disk_flavour not in (None, choice.flavour):
        return DriverPlan(
            refusal=Refusal(
                Area.DRIVER,
                "the installed driver has the other kernel modules, and they are not switched so far",
                f"installed {driver.disk_flavour}, wished {choice.flavour}",
                "leave nvidia_driver_modules at auto, or remove the installed driver's packages first",
            )
        )
    note = Note(f"driver {driver.disk_version} ({driver.disk_flavour or 'flavour unknown'}) is kept", "it is installed")
    due = driver.loaded_version != driver.disk_version
    loaded = Note("a reboot is due", f"loaded is {driver.loaded_version or 'none'}, on disk is {driver.disk_version}")
    return DriverPlan(
        branch=branch,
        flavour=driver.disk_flavour,
        kernel=host.kernel.next_boot or host.kernel.running,
        reboot_due=due,
        notes=(note, loaded) if due else (note,),
    )


def _install(settings: Settings, host: Host, catalogue: Catalogue, choice: _Choice) -> DriverPlan:
    row = _find_packages(host, catalogue)
    refusal = refuse_packages(host, Area.DRIVER) or _refuse_distribution(host, row) or _refuse_secure_boot(host, row)
    if refusal or row is None:
        return DriverPlan(refusal=refusal)
    repository = _plan_repository(row, settings, host, catalogue)
    if isinstance(repository, Refusal):
        return DriverPlan(refusal=repository)
    modules = row.open if choice.flavour is ModuleFlavour.OPEN else row.proprietary
    words = {"branch": choice.branch.branch, "kernel": host.kernel.running, "flavour": _kernel_flavour(host, row)}
    return DriverPlan(
        branch=choice.branch.branch,
        flavour=choice.flavour,
        first=tuple(name.format(**words) for name in row.first),
        packages=tuple(name.format(**words) for name in (*row.common, *modules)),
        lead=row.lead.format(**words),
        repository=repository,
        kernel=host.kernel.next_boot or host.kernel.running,
        reboot_due=host.driver.nouveau_loaded or host.driver.nova_core_loaded or bool(host.driver.loaded_version),
        notes=_why(host, row, choice),
    )


def _plan_repository(
    row: DriverPackages, settings: Settings, host: Host, catalogue: Catalogue
) -> Repository | Refusal | None:
    if row.repository is None:
        return None
    fingerprint = settings.nvidia_driver_key_fingerprint
    return plan_repository(row.repository, Area.DRIVER, host, catalogue, fingerprint=fingerprint)


def _find_packages(host: Host, catalogue: Catalogue) -> DriverPackages | None:
    wanted = (host.os.id, host.os.version, host.os.package_architecture)
    rows = (row for row in catalogue.packages if (row.distribution, row.version, row.architecture) == wanted)
    return next(rows, None)


def _refuse_distribution(host: Host, row: DriverPackages | None) -> Refusal | None:
    if row:
        return None
    return Refusal(
        Area.DRIVER,
        "the driver's packages for this system are not known here",
        f"{host.os.pretty_name} ({host.os.package_architecture})",
        "install the driver by hand (a later run keeps it), or use a release that the README lists",
    )


def _refuse_secure_boot(host: Host, row: DriverPackages | None) -> Refusal | None:
    if host.secure_boot is False or (row and row.prebuilt):
        return None
    seen = "Secure Boot is on" if host.secure_boot else "this is a UEFI machine whose Secure Boot state cannot be read"
    return Refusal(
        Area.DRIVER,
        "the driver for this system is built on the host, and Secure Boot would not load it unsigned",
        seen,
        "switch Secure Boot off in the firmware, or use Ubuntu, whose modules are signed",
    )


def _kernel_flavour(host: Host, row: DriverPackages) -> str:
    """Ubuntu's name for the kernel's kind: `generic` of 6.8.0-45-generic, `-hwe-24.04` added on a later series."""
    version, _, rest = host.kernel.running.partition("-")
    flavour = rest.partition("-")[2]
    series = ".".join(version.split(".")[:2])
    return flavour if series == row.first_kernel or flavour != "generic" else f"{flavour}-hwe-{host.os.version}"


def _why(host: Host, row: DriverPackages, choice: _Choice) -> tuple[Note, ...]:
    branch = choice.branch
    origin = "NVIDIA's repository" if row.repository else f"the archive of {host.os.pretty_name}"
    serves = f"{branch.kind} branch, supported until {branch.supported_until}, serves {choice.gpus}"
    notes = (
        Note(f"installs driver {branch.branch} from {origin}", serves),
        Note(f"takes {choice.flavour} kernel modules", choice.because),
    )
    owners = sorted({gpu.bound_driver for gpu in host.gpus or () if gpu.bound_driver})
    if not owners:
        return notes
    return (*notes, Note("a reboot will be due", f"{', '.join(owners)} owns the GPU until then"))
