"""The NVIDIA driver: GPU to branch and flavour, distribution to packages, or a refusal."""

from __future__ import annotations

import re

from deploys.planning.catalogue import Catalogue, DriverPackages
from deploys.planning.gpus import Choice, Gpus, agrees, choose_driver, find_gpus
from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, DriverPlan, Note, Refusal, Repository
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from facts.model import Driver, Host, ModuleFlavour, PlatformKind


def plan_driver(settings: Settings, host: Host, catalogue: Catalogue) -> DriverPlan:
    """Whose driver it is, which one serves every GPU of the host, and what is missing of it."""
    note = _not_ours(host)
    if note:
        return DriverPlan(notes=(note,))
    gpus = find_gpus(host, catalogue)
    refusal = gpus if isinstance(gpus, Refusal) else _refuse_leftovers(host)
    if refusal or isinstance(gpus, Refusal):
        return DriverPlan(refusal=refusal)
    has_module = host.driver.disk_version or host.driver.next_boot_version
    if has_module and host.driver.library_version:
        return _keep(settings, host, catalogue, gpus)
    return _install(settings, host, catalogue, gpus)


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


def _refuse_leftovers(host: Host) -> Refusal | None:
    if not host.driver.run_file_installer:
        return None
    return Refusal(
        Area.DRIVER,
        "a driver from NVIDIA's .run installer is on this host, and packages would fight it",
        "/usr/bin/nvidia-uninstall or /usr/bin/nvidia-installer is there",
        "run nvidia-uninstall on the host, then run this again",
    )


def _keep(settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus) -> DriverPlan:
    """An installed driver of any origin stays, if it drives the GPUs and agrees with the settings."""
    driver = host.driver
    version = driver.disk_version or driver.next_boot_version or ""
    branch = version.split(".")[0]
    refusal = _refuse_installed(settings, host, catalogue, gpus, version=version) or _refuse_next_boot(host)
    if refusal:
        return DriverPlan(refusal=refusal)
    note = Note(f"driver {version} ({driver.disk_flavour or 'flavour unknown'}) is kept", "it is installed")
    due = driver.loaded_version != version
    loaded = Note("a reboot is due", f"loaded is {driver.loaded_version or 'none'}, on disk is {version}")
    return DriverPlan(
        branch=branch,
        release=branch,
        flavour=driver.disk_flavour,
        reboot_due=due,
        notes=(note, loaded) if due else (note,),
    )


def _refuse_installed(
    settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus, *, version: str
) -> Refusal | None:
    branch, flavour = version.split(".")[0], host.driver.disk_flavour
    left_out = gpus.not_driven_by(branch, flavour)
    if left_out.rows:
        return Refusal(
            Area.DRIVER,
            "the installed driver does not drive this GPU",
            f"driver {version} with {flavour or 'unknown'} modules; {left_out}",
            "remove its packages, then run this again",
        )
    if not agrees(settings.nvidia_driver_branch, version, catalogue):
        return Refusal(
            Area.DRIVER,
            "another driver is installed, and versions are not switched so far",
            f"installed {version}, wished {settings.nvidia_driver_branch}",
            f'set nvidia_driver_branch = "{branch}", or remove the installed driver\'s packages first',
        )
    if flavour is not None and settings.nvidia_driver_modules not in ("auto", flavour):
        return Refusal(
            Area.DRIVER,
            "the installed driver has the other kernel modules, and they are not switched so far",
            f"installed {flavour}, wished {settings.nvidia_driver_modules}",
            "leave nvidia_driver_modules at auto, or remove the installed driver's packages first",
        )
    return None


def _refuse_next_boot(host: Host) -> Refusal | None:
    kernel = host.kernel.next_boot
    if kernel in (None, host.kernel.running) or host.driver.next_boot_version:
        return None
    return Refusal(
        Area.DRIVER,
        "the kernel that boots next has no NVIDIA module",
        f"running {host.kernel.running}, next {kernel}",
        f"install linux-headers-{kernel} where DKMS builds the module, or Ubuntu's linux-modules-nvidia of that kernel",
    )


def _install(settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus) -> DriverPlan:
    row = _find_packages(host, catalogue)
    offered = row.branches if row else tuple(branch.branch for branch in catalogue.branch)
    choice = choose_driver(settings, gpus, catalogue, offered=offered)
    if isinstance(choice, Refusal):
        return DriverPlan(refusal=choice)
    refusal = (
        refuse_packages(host, Area.DRIVER)
        or _refuse_distribution(host, row)
        or _refuse_secure_boot(host, row)
        or _refuse_version(settings, row)
    )
    if refusal or row is None:
        return DriverPlan(refusal=refusal)
    repository = _plan_repository(row, settings, host, catalogue)
    if isinstance(repository, Refusal):
        return DriverPlan(refusal=repository)
    modules = row.open if choice.flavour is ModuleFlavour.OPEN else row.proprietary
    words = {
        "branch": choice.branch.branch,
        "release": _release(settings, choice),
        "flavour": _kernel_flavour(host, row),
    }
    return DriverPlan(
        branch=choice.branch.branch,
        release=_release(settings, choice),
        flavour=choice.flavour,
        first=_fill_in(row.first, words, host),
        packages=_fill_in((*row.common, *modules), words, host),
        lead=row.lead.format_map(words),
        repository=repository,
        reboot_due=_is_another_loaded(host.driver, choice.branch.branch),
        notes=_why(host, row, choice, gpus),
    )


def _is_another_loaded(driver: Driver, branch: str) -> bool:
    """Whether a module is loaded that only a boot replaces: another project's, another branch's, one gone from disk."""
    if driver.nouveau_loaded or driver.nova_core_loaded:
        return True
    loaded = driver.loaded_version
    return loaded is not None and (loaded != driver.disk_version or loaded.split(".")[0] != branch)


def _release(settings: Settings, choice: Choice) -> str:
    """What the driver's version must be, or begin with: the wished version, else the branch."""
    wish = settings.nvidia_driver_branch
    return wish if "." in wish else choice.branch.branch


def _fill_in(names: tuple[str, ...], words: dict[str, str], host: Host) -> tuple[str, ...]:
    """Package names for this host; one with `{kernel}` in it stands for the running and the next-boot kernel."""
    kernels = (host.kernel.running, host.kernel.next_boot or host.kernel.running)
    return tuple(dict.fromkeys(name.format_map(words | {"kernel": kernel}) for name in names for kernel in kernels))


def _refuse_version(settings: Settings, row: DriverPackages | None) -> Refusal | None:
    """An archive has one version of a branch at a time; NVIDIA's repository keeps them, and packages that pin each."""
    if "." not in settings.nvidia_driver_branch or row is None or row.repository:
        return None
    return Refusal(
        Area.DRIVER,
        "an exact driver version cannot be had from this system's archive",
        f"nvidia_driver_branch is {settings.nvidia_driver_branch}; the archive has its newest of a branch only",
        f'set nvidia_driver_branch = "{settings.nvidia_driver_branch.split(".")[0]}"',
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


# Ubuntu's kernels of a later series than the release's own (HWE) are packaged under names of their own.
HWE_FLAVOURS = ("generic", "lowlatency", "generic-64k", "lowlatency-64k")


def _kernel_flavour(host: Host, row: DriverPackages) -> str:
    """The kernel's kind as package names have it.

    Debian: `cloud-amd64` of 6.12.57+deb13-cloud-amd64. Ubuntu: `generic` of 6.8.0-45-generic, and
    `generic-hwe-24.04` where the series is not the release's first.
    """
    running = host.kernel.running
    if host.os.id == "debian":
        found = re.search(r"-((?:cloud-|rt-)?[a-z0-9]+)$", running)
        return found[1] if found else host.os.package_architecture or ""
    version, _, rest = running.partition("-")
    flavour = rest.partition("-")[2]
    is_first_series = ".".join(version.split(".")[:2]) == row.first_kernel
    return flavour if is_first_series or flavour not in HWE_FLAVOURS else f"{flavour}-hwe-{host.os.version}"


def _why(host: Host, row: DriverPackages, choice: Choice, gpus: Gpus) -> tuple[Note, ...]:
    branch = choice.branch
    origin = "NVIDIA's repository" if row.repository else f"the archive of {host.os.pretty_name}"
    kind = "long-term support" if branch.kind == "lts" else "production"
    serves = f"{kind} branch, supported until {branch.supported_until}, serves {gpus}"
    notes = (
        Note(f"installs driver {branch.branch} from {origin}", serves),
        Note(f"takes {choice.flavour} kernel modules", choice.because),
    )
    owners = sorted({gpu.bound_driver for gpu, _ in gpus.rows if gpu.bound_driver not in (None, "nvidia")})
    if not owners:
        return notes
    return (*notes, Note("a reboot will be due", f"{', '.join(owners)} owns the GPU until then"))
