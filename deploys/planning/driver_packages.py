"""A driver's packages by name: what goes in, what makes way, what is held, and where they come from."""

from __future__ import annotations

import re

from deploys.planning.catalogue import Catalogue, DriverPackages
from deploys.planning.choice import Choice, rows_of
from deploys.planning.installed import NVIDIAS_NAMES
from deploys.planning.records import Area, DriverPlan, Refusal, Repository
from deploys.planning.repositories import plan_components, plan_repository
from deploys.planning.settings import Settings
from facts.model import Host, ModuleFlavour

# Whatever another origin calls so must not be taken from it.
DRIVER_NAMES = " ".join(
    (
        "cuda-drivers* libcuda1 libcudadebugger1 libnvidia-cfg1* libnvidia-common* libnvidia-compute*",
        "libnvidia-decode* libnvidia-encode* libnvidia-extra* libnvidia-fbc1* libnvidia-gl* libnvidia-gpucomp*",
        "libnvidia-ml1 libnvidia-nscq* nvidia-compute-utils* nvidia-dkms* nvidia-driver* nvidia-fabricmanager*",
        "nvidia-firmware* nvidia-headless* nvidia-imex* nvidia-kernel-* nvidia-modprobe nvidia-open*",
        "nvidia-persistenced nvidia-settings nvidia-smi nvidia-utils* nvidia-xconfig xserver-xorg-video-nvidia*",
    )
)
# apt-cache policy shows these as l= and o= of each repository.
OTHER_ORIGINS = {
    "distribution": ("l=NVIDIA CUDA", "o=LP-PPA-graphics-drivers"),
    "nvidia": ("o=Ubuntu", "o=Debian", "o=LP-PPA-graphics-drivers"),
}
# Ubuntu's kernels of a later series than the release's own (HWE) are packaged under names of their own.
HWE_FLAVOURS = ("generic", "lowlatency", "generic-64k", "lowlatency-64k")
# Not linux-signatures-nvidia-…, which the modules of every branch and flavour need, nor linux-modules-nvidia-fs-….
PREBUILT = r"linux-(modules|objects)-nvidia-\d{3}-.*"
# Metapackages: linux-generic, linux-image-generic-hwe-24.04, linux-headers-aws-lts-22.04, linux-image-generic-6.14 …
KERNEL_PACKAGES = (
    r"linux-((image|headers)-[a-z]+|generic|virtual|lowlatency|aws|azure|gcp|oracle|nvidia)"
    r"(-(64k|edge|(hwe|lts)-\d\d\.\d\d|\d+\.\d+[a-z]?))*"
)


def name_packages(choice: Choice, host: Host, catalogue: Catalogue) -> DriverPlan:
    """The part of the plan that is names: packages in their roles, preferences, stream, services."""
    row = choice.row
    words, kernels = _words(choice, host), _kernel_words(host, catalogue)
    fabric = _fill_in(row.fabric_manager, words, kernels) if host.nvswitches else ()
    modules = _fill_in(row.modules(choice.flavour), words, kernels)
    programs = _fill_in(row.desktop if choice.usage == "desktop" else row.compute, words, kernels)
    held = kernel_packages(host) if row.prebuilt else ()
    # Whoever holds a kernel before we come has a reason: it is not moved, and modules for it must be there.
    moved = [name for name in held if host.driver.packages or name not in host.packages.held]
    packages = tuple(dict.fromkeys((*programs, *modules, *_fill_in(row.build, words, kernels), *fabric, *moved)))
    # EPEL on RHEL is its owner's to set up (see refuse_needs).
    first = _fill_in(row.first, words, kernels) if host.os.id != "rhel" else ()
    remove = _remove(choice, host, catalogue, (*packages, *first))
    stream = row.stream_open if choice.flavour is ModuleFlavour.OPEN else row.stream_proprietary
    return DriverPlan(
        manager=host.packages.manager or "",
        first=first,
        packages=packages,
        remove=remove,
        allowed=tuple(name for name, _ in host.driver.packages if name not in (*first, *packages, *remove)),
        hold=(*held, *modules) if row.prebuilt else (),
        unhold=() if row.prebuilt else held_kernels(host),
        services=("nvidia-persistenced", *(("nvidia-fabricmanager",) if fabric else ())),
        same_version=fabric,
        preferences=_preferences(row) if host.packages.manager == "apt" else "",
        stream=stream,
        lead=row.lead.format_map(words),
    )


def _words(choice: Choice, host: Host) -> dict[str, str]:
    return {
        "branch": choice.branch.branch,
        "release": choice.release,
        "open": "-open" if choice.flavour is ModuleFlavour.OPEN else "",
        "server": "-server" if _takes_server_build(host) else "",
    }


def _takes_server_build(host: Host) -> bool:
    """Ubuntu's build for data centres: the fabric manager is made for it, and who has it keeps it."""
    return bool(host.nvswitches) or any("-server" in name for name, _ in host.driver.packages)


def _kernel_words(host: Host, catalogue: Catalogue) -> list[dict[str, str]]:
    """What `{kernel}` and `{flavour}` stand for: the running and the next-boot kernel, and every kind of them."""
    following = host.kernel.next_boot or host.kernel.running
    return [
        {"kernel": one, "next_kernel": following, "flavour": kind}
        for one in (host.kernel.running, following)
        for kind in kernel_flavours(host, catalogue)
    ]


def _fill_in(names: tuple[str, ...], words: dict[str, str], kernels: list[dict[str, str]]) -> tuple[str, ...]:
    """Package names for this host; one that depends on the kernel comes once for each."""
    return tuple(dict.fromkeys(name.format_map(words | kernel) for name in names for kernel in kernels))


def _remove(choice: Choice, host: Host, catalogue: Catalogue, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Installed packages that would stay beside the wanted ones: other modules, other pins, another branch's."""
    kernels = _kernel_words(host, catalogue)
    others = {
        name
        for row in rows_of(host, catalogue)
        for branch in row.branches
        for flavour in ModuleFlavour
        for name in _every_name(row, branch, flavour, kernels)
    }
    return tuple(
        name
        for name, _ in host.driver.packages
        if name not in wanted
        # Ubuntu's archive has this daemon in another package, and dpkg overwrites no file of two.
        and (
            name in (*others, "nvidia-persistenced")
            or _is_of_another_branch(name, choice)
            or _is_other_build(name, choice)
            or (choice.row.origin == "distribution" and re.fullmatch(NVIDIAS_NAMES, name))
        )
    )


def _every_name(
    row: DriverPackages, branch: str, flavour: ModuleFlavour, kernels: list[dict[str, str]]
) -> tuple[str, ...]:
    words = {"branch": branch, "release": branch, "open": "-open" if flavour is ModuleFlavour.OPEN else ""}
    # Not its programs and libraries: what one origin names, another's packages depend on (libcuda1, on Debian).
    names = (*row.modules(flavour), *row.fabric_manager)
    return tuple(name for server in ("", "-server") for name in _fill_in(names, words | {"server": server}, kernels))


def _is_of_another_branch(name: str, choice: Choice) -> bool:
    if name.startswith("linux-") and not re.fullmatch(PREBUILT, name):
        return False
    found = re.search(r"-(\d{3})(-|$)", name)
    return name.startswith("nvidia-driver-pinning-") or bool(found and found[1] != choice.branch.branch)


def _is_other_build(name: str, choice: Choice) -> bool:
    """Prebuilt modules of the other flavour: they would lie beside the new ones, and depmod would take either."""
    if not re.fullmatch(PREBUILT, name):
        return False
    return not choice.row.prebuilt or ("-open-" in name) != (choice.flavour is ModuleFlavour.OPEN)


def kernel_flavours(host: Host, catalogue: Catalogue) -> tuple[str, ...]:
    """The kernels' kinds as package names have them.

    Debian: `cloud-amd64` of 6.12.57+deb13-cloud-amd64. Ubuntu: those of the installed metapackages, by
    ubuntu-drivers-common's rule; without any, `generic` of 6.8.0-45-generic, and `generic-hwe-24.04` where the
    series is not the release's first.
    """
    images = [name for name in kernel_packages(host) if name.startswith("linux-image-")]
    if host.os.id == "ubuntu" and images:
        # The kernel is the same, with fewer modules of its own.
        kinds = [name.removeprefix("linux-image-").replace("virtual", "generic") for name in images]
    else:
        kernels = (host.kernel.running, host.kernel.next_boot or host.kernel.running)
        kinds = [_flavour_of(kernel, host, catalogue) for kernel in kernels]
    return tuple(dict.fromkeys(kinds))


def _flavour_of(kernel: str, host: Host, catalogue: Catalogue) -> str:
    if host.os.id != "ubuntu":
        found = re.search(r"-((?:cloud-|rt-)?[a-z0-9]+)$", kernel)
        return found[1] if found else host.os.package_architecture or ""
    version, _, rest = kernel.partition("-")
    flavour = rest.partition("-")[2]
    first = {row.version: row.first_kernel for row in catalogue.ubuntu}.get(host.os.version)
    is_first_series = ".".join(version.split(".")[:2]) == first
    return flavour if is_first_series or flavour not in HWE_FLAVOURS else f"{flavour}-hwe-{host.os.version}"


def kernel_packages(host: Host) -> tuple[str, ...]:
    """Ubuntu's installed kernel metapackages. A prebuilt module is for one kernel: both move together or not at all."""
    return tuple(name for name, _ in host.packages.installed if re.fullmatch(KERNEL_PACKAGES, name))


def held_kernels(host: Host) -> tuple[str, ...]:
    """Those that are on hold for the sake of prebuilt modules; without such modules a hold is somebody else's."""
    if not any(re.fullmatch(PREBUILT, name) for name, _ in host.driver.packages):
        return ()
    return tuple(name for name in kernel_packages(host) if name in host.packages.held)


def _preferences(row: DriverPackages) -> str:
    """apt's preferences that keep the driver of one origin."""
    blocks = [
        f"Package: {DRIVER_NAMES}\nPin: release {origin}\nPin-Priority: -1\n" for origin in OTHER_ORIGINS[row.origin]
    ]
    return "# Written by pyinfra-gpu-hosts: the driver's packages are of one origin.\n" + "\n".join(blocks)


def plan_driver_repository(
    row: DriverPackages, settings: Settings, host: Host, catalogue: Catalogue
) -> Repository | Refusal | None:
    """The repository or the components that the row's packages come from; None where the host has them."""
    if row.components:
        return plan_components(host, Area.DRIVER)
    if row.repository is None:
        return None
    fingerprint, address = settings.nvidia_driver_key_fingerprint, settings.nvidia_driver_repository
    return plan_repository(row.repository, Area.DRIVER, host, catalogue, fingerprint=fingerprint, address=address)


def refuse_needs(choice: Choice, host: Host) -> Refusal | None:
    """What only the owner of a host can provide: a fabric manager's packages, EPEL on RHEL."""
    if host.nvswitches and not choice.row.fabric_manager:
        return Refusal(
            Area.DRIVER,
            "this machine has NVSwitches, and this origin has no fabric manager for them",
            f"NVSwitches: {len(host.nvswitches)}; no nvidia-fabricmanager of {choice.branch.branch} in the archive",
            "leave nvidia_driver_source and nvidia_driver_branch at auto",
        )
    if host.os.id != "rhel" or {"dkms", "epel-release"} & dict(host.packages.installed).keys():
        return None
    release = host.os.version.split(".")[0]
    return Refusal(
        Area.DRIVER,
        "DKMS, which builds the driver's modules, comes from EPEL, and EPEL is not set up here",
        f"{host.os.pretty_name}: neither dkms nor epel-release is installed",
        f"subscription-manager repos --enable codeready-builder-for-rhel-{release}-{host.platform.architecture}-rpms; "
        f"dnf install https://dl.fedoraproject.org/pub/epel/epel-release-latest-{release}.noarch.rpm; run this again",
    )
