"""Which driver: branch, modules, origin and use, for these GPUs on this system, or a refusal with what would work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploys.planning.catalogue import Branch, Catalogue, DriverPackages
from deploys.planning.gpus import REQUIRED, Gpus
from deploys.planning.records import Area, Refusal
from deploys.planning.repositories import distribution_of
from deploys.planning.secure_boot import is_loadable
from deploys.planning.settings import Settings
from deploys.planning.versions import numbers
from facts.model import Host, ModuleFlavour

# The display driver, in every distribution's words.
DISPLAY_PACKAGES = (
    r"nvidia-driver(-open|-\d{3}(-server)?(-open)?)?|nvidia-linux-grid-\d{3}"
    r"|xserver-xorg-video-nvidia.*|xorg-x11-drv-nvidia"
)
RANK = {"lts": 3, "production": 2, "new-feature": 1, "ended": 0}


@dataclass(frozen=True)
class Choice:
    """The driver to install: the row of packages, its branch, its modules, and what it is for."""

    row: DriverPackages
    branch: Branch
    flavour: ModuleFlavour
    release: str  # the branch, or the exact version that was wished for
    usage: str  # compute, desktop
    usage_because: str


def rows_of(host: Host, catalogue: Catalogue) -> tuple[DriverPackages, ...]:
    """The rows for this host's distribution, release and architecture, in the order in which they are tried."""
    wanted, architecture = distribution_of(host), host.platform.architecture
    rows = catalogue.packages
    return tuple(row for row in rows if wanted in row.distributions and architecture in row.architectures)


def choose_driver(settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus) -> Choice | Refusal:
    """The first of the candidates whose modules this host would load; where Secure Boot lets none in, the first."""
    refusal = _refuse_modules(settings, gpus)
    if refusal:
        return refusal
    served = [branch for branch in catalogue.branch if gpus.are_served_by(branch.branch)]
    if not served:
        return _refuse_generations(catalogue, gpus)
    rows = rows_of(host, catalogue)
    if not rows:
        return _refuse_distribution(host)
    candidates = list(_candidates(settings, host, rows, served, gpus))
    if not candidates:
        return _refuse_wish(settings, host, catalogue, served, gpus)
    buildable = [choice for choice in candidates if not _kernel_too_new(choice.row, host)]
    if not buildable:
        return _refuse_kernel(candidates[0], host)
    loadable = (choice for choice in buildable if is_loadable(choice.row, host))
    return next(loadable, buildable[0])


def agrees(wish: str, version: str, catalogue: Catalogue) -> bool:
    """Whether a driver of this version is what the setting nvidia_driver_branch wishes for."""
    branch = version.split(".")[0]
    kinds = {row.branch: row.kind for row in catalogue.branch}
    return wish in ("auto", branch, kinds.get(branch)) or f"{version}.".startswith(f"{wish}.")


def installed_version(host: Host) -> str | None:
    """The version of a driver that is there with module and library; None where one of them is missing."""
    module = host.driver.disk_version or host.driver.next_boot_version
    return module if module and host.driver.library_version else None


def describe_branch(branch: Branch) -> str:
    """What kind of branch it is, and how long NVIDIA mends it."""
    kind = {"lts": "long-term support", "new-feature": "new-feature"}.get(branch.kind, "production")
    if branch.kind == "ended":
        since = branch.supported_until or "long ago"
        return f"a branch that NVIDIA has ended (since {since}): it mends nothing in it any more"
    return f"{kind} branch" + (f", supported until {branch.supported_until}" if branch.supported_until else "")


def has_display_driver(host: Host) -> bool:
    """Whether the packages of a desktop are there."""
    return any(re.fullmatch(DISPLAY_PACKAGES, name) for name, _ in host.driver.packages)


def choose_usage(settings: Settings, host: Host) -> tuple[str, str]:
    """compute or desktop, and why. A lab desktop must not come up black.

    The default target counts only where it was set on the machine: graphical.target is also what Debian and Ubuntu
    ship on servers.
    """
    if settings.nvidia_driver_usage != "auto":
        return settings.nvidia_driver_usage, f"nvidia_driver_usage is {settings.nvidia_driver_usage}"
    display = host.display
    if display.display_manager:
        return "desktop", f"{display.display_manager} is enabled"
    if display.target_chosen and display.default_target == "graphical.target":
        return "desktop", "graphical.target is the default"
    # Not on a host that has a driver: somebody may have plugged a screen into a server for an hour.
    if display.connected and installed_version(host) is None:
        return "desktop", f"a screen is at {display.connected[0]}"
    if has_display_driver(host):
        return "desktop", "the display driver is installed"
    return "compute", "no display manager, no screen"


def _kernel_too_new(row: DriverPackages, host: Host) -> str | None:
    """The kernel, running or next, for which DKMS is known to fail with the row's modules."""
    kernels = (host.kernel.running, host.kernel.next_boot or host.kernel.running)
    limit = row.unbuildable_from
    return next((kernel for kernel in kernels if limit and numbers(kernel) >= numbers(limit)), None)


def _refuse_kernel(choice: Choice, host: Host) -> Refusal:
    return Refusal(
        Area.DRIVER,
        f"driver {choice.branch.branch} of this archive does not build for this kernel",
        f"kernel {_kernel_too_new(choice.row, host)}; it is known to fail from {choice.row.unbuildable_from} on",
        "leave nvidia_driver_source and nvidia_driver_branch at auto; or boot an older kernel",
    )


def _candidates(
    settings: Settings, host: Host, rows: tuple[DriverPackages, ...], served: list[Branch], gpus: Gpus
) -> Iterator[Choice]:
    usage, because = choose_usage(settings, host)
    wish = settings.nvidia_driver_branch
    for row in rows:
        if settings.nvidia_driver_source not in ("auto", row.origin) or ("." in wish and row.origin != "nvidia"):
            continue
        here = [branch for branch in served if branch.branch in row.branches and _is_wished(branch, settings)]
        for branch in sorted(here, key=lambda branch: (RANK[branch.kind], int(branch.branch)), reverse=True):
            flavour = _flavour(branch, row, settings, gpus)
            if flavour:
                yield Choice(row, branch, flavour, wish if "." in wish else branch.branch, usage, because)


def _is_wished(branch: Branch, settings: Settings) -> bool:
    """auto takes an ended branch only from the distribution, where that was asked for: some mend it themselves."""
    wish = settings.nvidia_driver_branch.split(".")[0]
    if wish == "auto":
        return branch.kind != "ended" or settings.nvidia_driver_source == "distribution"
    return wish in (branch.branch, branch.kind)


def _flavour(branch: Branch, row: DriverPackages, settings: Settings, gpus: Gpus) -> ModuleFlavour | None:
    """The modules that GPUs, setting, branch and packages agree on; open ones where all of them take both."""
    wanted = {REQUIRED[kind] for kind in gpus.kinds if kind in REQUIRED}
    if not wanted:
        wish = settings.nvidia_driver_modules
        wanted = set(ModuleFlavour) if wish == "auto" else {REQUIRED[wish]}
    offered = [flavour for flavour in ModuleFlavour if flavour in branch.modules and row.modules(flavour)]
    return next((flavour for flavour in offered if flavour in wanted), None)


def why_flavour(settings: Settings, choice: Choice, gpus: Gpus, host: Host) -> str:
    """The reason for a choice's modules."""
    if "proprietary" in gpus.kinds:
        return "the GPU has no GSP, which open modules need"
    if "open" in gpus.kinds:
        return "no others drive this GPU"
    if host.driver.disk_flavour is choice.flavour:
        return "as those that are installed"
    if settings.nvidia_driver_modules != "auto":
        return f"nvidia_driver_modules is {settings.nvidia_driver_modules}"
    if choice.flavour is ModuleFlavour.PROPRIETARY:
        return f"branch {choice.branch.branch} has no others here"
    return "NVIDIA's own choice from Turing on"


def _refuse_modules(settings: Settings, gpus: Gpus) -> Refusal | None:
    wish = settings.nvidia_driver_modules
    required = [REQUIRED[kind] for kind in sorted(gpus.kinds) if kind in REQUIRED]
    if len(required) > 1:
        return Refusal(
            Area.DRIVER,
            "no one driver serves these GPUs together: one needs open modules, another proprietary ones",
            str(gpus),
            "take one of them out of the machine",
        )
    if required and wish not in ("auto", required[0]):
        return Refusal(
            Area.DRIVER,
            f"these GPUs do not work with {wish} modules",
            str(gpus),
            f'set nvidia_driver_modules = "{required[0]}", or leave it at auto',
        )
    return None


def _refuse_generations(catalogue: Catalogue, gpus: Gpus) -> Refusal:
    """No branch has them all: each alone may have one."""
    names = [branch.branch for branch in catalogue.branch]
    left_out = [row for _, row in gpus.rows if not any(row.is_served_by(name) for name in names)]
    if left_out:
        brief = "no supported driver branch serves these GPUs"
        remedy = "use a newer GPU; NVIDIA has ended the branches that drove these"
    else:
        brief = "no one driver branch serves these GPUs together: one is too old for those that drive another"
        remedy = "take the oldest of them out of the machine"
    return Refusal(Area.DRIVER, brief, str(gpus), remedy)


def _refuse_distribution(host: Host) -> Refusal:
    return Refusal(
        Area.DRIVER,
        "the driver's packages for this system are not known here",
        f"{host.os.pretty_name or 'unknown system'} ({host.platform.architecture}), package manager "
        f"{host.packages.manager or 'unknown'}",
        "install the driver by hand (a later run keeps it), or use a release that the README lists; a new one needs "
        "rows in deploys/catalogue/driver_packages.toml and repositories.toml",
    )


def _refuse_wish(settings: Settings, host: Host, catalogue: Catalogue, served: list[Branch], gpus: Gpus) -> Refusal:
    """No candidate: name what there is, and the smallest change of the settings that would do."""
    wish, source, modules = settings.nvidia_driver_branch, settings.nvidia_driver_source, settings.nvidia_driver_modules
    rows = rows_of(host, catalogue)
    ranked = sorted(served, key=lambda branch: (RANK[branch.kind], int(branch.branch)), reverse=True)
    if wish == "auto" and all(branch.kind == "ended" for branch in served):
        return _refuse_ended(catalogue, ranked, rows, gpus)
    if "." in wish and source == "distribution":
        return _refuse_exact(wish, rows)
    wished = [] if source == "auto" else [f"nvidia_driver_source is {source}"]
    wished += [] if modules == "auto" else [f"nvidia_driver_modules is {modules}"]
    here = _packaged([row for row in rows if source in ("auto", row.origin)], ranked)
    ways = ["set nvidia_driver_branch to one of those branches"] if here and wish != "auto" else []
    ways += ["leave these settings at auto"] if wished else ["leave it at auto"] if ways else []
    none = "no driver can be had" if wish == "auto" else f"driver {wish} cannot be had"
    return Refusal(
        Area.DRIVER,
        f"{none} for these GPUs on this system",
        "; ".join([_name_packaged(gpus, here), *wished]),
        ", or ".join(ways) or "use a release that packages one",
    )


def _packaged(rows: Iterable[DriverPackages], branches: list[Branch]) -> list[Branch]:
    names = {name for row in rows for name in row.branches}
    return [branch for branch in branches if branch.branch in names]


def _name_packaged(gpus: Gpus, here: list[Branch]) -> str:
    names = ", ".join(f"{branch.branch} ({branch.kind})" for branch in here) or "none"
    return f"{gpus}; branches that drive them and are packaged here: {names}"


def _refuse_exact(wish: str, rows: tuple[DriverPackages, ...]) -> Refusal:
    branch = wish.split(".")[0]
    has_branch = any(row.origin == "distribution" and branch in row.branches for row in rows)
    return Refusal(
        Area.DRIVER,
        "an exact driver version cannot be had from this system's archive",
        f"nvidia_driver_branch is {wish}; the archive has its newest of a branch only",
        (f'set nvidia_driver_branch = "{branch}", or ' if has_branch else "set ") + 'nvidia_driver_source = "nvidia"',
    )


def _refuse_ended(catalogue: Catalogue, ranked: list[Branch], rows: tuple[DriverPackages, ...], gpus: Gpus) -> Refusal:
    """GPUs whose last branch NVIDIA has ended: it is there for those who ask for it by number."""
    newest, here = ranked[0], _packaged(rows, ranked)
    brief, seen = "no supported driver branch serves these GPUs", _name_packaged(gpus, here)
    since = f"NVIDIA mends nothing in it any more (since {newest.supported_until})"
    if here:
        remedy = f'set nvidia_driver_branch = "{here[0].branch}" to have it all the same, knowing that {since}'
        return Refusal(Area.DRIVER, brief, seen, remedy)
    systems = sorted(
        {name for row in catalogue.packages if newest.branch in row.branches for name in row.distributions}
    )
    remedy = f"use a newer GPU, or one of {', '.join(systems)}, which package branch {newest.branch}, though {since}"
    return Refusal(Area.DRIVER, brief, seen, remedy)
