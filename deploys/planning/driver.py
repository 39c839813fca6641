"""The NVIDIA driver: kept, installed, changed or removed, or a refusal that says why."""

from __future__ import annotations

import re
from dataclasses import replace

from deploys.planning.catalogue import Catalogue
from deploys.planning.choice import Choice, choose_driver, describe_branch, installed_version, why_flavour
from deploys.planning.driver_packages import held_kernels, name_packages, plan_driver_repository, refuse_needs
from deploys.planning.gpus import Gpus, find_gpus, find_integrated, refuse_vgpu
from deploys.planning.installed import (
    foreign_origin,
    installed_origin,
    refuse_foreign_repository,
    why_change,
    why_repair,
)
from deploys.planning.obstacles import MANAGERS, processes_at_work, refuse_packages
from deploys.planning.records import Area, DriverPlan, Note, Refusal, Repository
from deploys.planning.repositories import describe_moved, plan_moved
from deploys.planning.secure_boot import is_loadable, wait_for_key
from deploys.planning.settings import Settings
from facts.model import Driver, Host, PlatformKind

UPDATE = "an update was asked for"


def plan_driver(settings: Settings, host: Host, catalogue: Catalogue, *, update: bool = False) -> DriverPlan:
    """Whose driver it is, which one serves every GPU of the host, and what is missing of it.

    ``update``: look for the newest version of what is installed, too.
    """
    note = _not_ours(host) or _integrated(host, catalogue)
    if note:
        return DriverPlan(notes=(note,))
    virtual = refuse_vgpu(host, catalogue) if settings.nvidia_driver == "present" else None
    # A virtual GPU's guest driver may come so, and no package could take its place.
    if host.driver.run_file_installer and not virtual:
        return _without_runfile(settings, host, catalogue)
    if settings.nvidia_driver == "absent":
        return _remove(settings, host)
    version = installed_version(host)
    gpus = (virtual if version is None else None) or find_gpus(host, catalogue)
    if isinstance(gpus, Refusal):
        return DriverPlan(refusal=gpus)
    if version is None:
        planned = _install_like(settings, host, catalogue, gpus, host.driver.library_version)
        missing = "its kernel module or its library is missing"
        refusal = _refuse_foreign(host, catalogue, missing) or _refuse_users(settings, host)
        return DriverPlan(refusal=refusal) if refusal and not planned.refusal else planned
    change = why_change(settings, host, gpus, catalogue, version=version)
    reason = change or why_repair(host, version)
    if reason is None and not update:
        return _keep(settings, host, catalogue, version)
    if virtual:
        return DriverPlan(refusal=replace(virtual, seen=f"{reason or UPDATE}; {virtual.seen}"))
    planned = _change(settings, host, catalogue, gpus, reason=reason, version=version)
    if planned.refusal or not change:
        return planned
    return replace(planned, reboot_due=host.driver.loaded_version is not None or planned.reboot_due, may_be_there=False)


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


def _integrated(host: Host, catalogue: Catalogue) -> Note | None:
    found = find_integrated(host, catalogue)
    return Note("the driver is left alone", f"{found} is part of a chip whose maker brings it") if found else None


def _without_runfile(settings: Settings, host: Host, catalogue: Catalogue) -> DriverPlan:
    """Packages and a driver of the .run installer would fight: it goes first, with its owner's consent."""
    if settings.nvidia_driver_runfile == "refuse":
        refusal = Refusal(
            Area.DRIVER,
            "a driver from NVIDIA's .run installer is on this host, and packages would fight it",
            "/usr/bin/nvidia-uninstall or /usr/bin/nvidia-installer is there",
            'set nvidia_driver_runfile = "uninstall", or run `nvidia-uninstall --silent` on the host; run this again',
        )
        return DriverPlan(refusal=refusal)
    left = replace(
        host.driver, run_file_installer=False, disk_version=None, next_boot_version=None, library_version=None
    )
    planned = plan_driver(settings, replace(host, driver=left), catalogue)
    if planned.refusal:
        return planned
    in_the_way = _refuse_session(host) or _refuse_users(settings, host)
    if in_the_way:
        return DriverPlan(refusal=in_the_way)
    note = Note("uninstalls the driver of NVIDIA's .run installer", "nvidia_driver_runfile is uninstall")
    due = planned.reboot_due or host.driver.loaded_version is not None
    return replace(planned, runfile=True, reboot_due=due, notes=(note, *planned.notes))


def _keep(settings: Settings, host: Host, catalogue: Catalogue, version: str) -> DriverPlan:
    """An installed driver of any origin stays, if it drives the GPUs and agrees with the settings."""
    driver = host.driver
    branch = version.split(".")[0]
    # The library is of another version where a module came for the next kernel alone.
    newest = driver.library_version or version
    due = driver.loaded_version != newest
    notes = [Note(f"driver {version} ({driver.disk_flavour or 'flavour unknown'}) is kept", "it is installed")]
    if due:
        notes.append(Note("a reboot is due", f"loaded is {driver.loaded_version or 'none'}, on disk is {newest}"))
    row = next((row for row in catalogue.branch if row.branch == branch), None)
    fingerprint, address = settings.nvidia_driver_key_fingerprint, settings.nvidia_driver_repository
    moved = plan_moved("nvidia-driver", host, catalogue, fingerprint=fingerprint, address=address)
    return DriverPlan(
        repository=moved,
        branch=branch,
        release=branch,
        flavour=driver.disk_flavour,
        security_floor=row.security_floor if row else "",
        bulletin=row.bulletin if row else "",
        # nouveau's consoles cannot be taken from it: that needs the reboot.
        reload=due and settings.nvidia_driver_reload and driver.loaded_version is not None,
        reboot_due=due,
        notes=(*notes, *describe_moved(moved, "nvidia_driver_repository"), *_around(host)),
    )


def _install(settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus) -> DriverPlan:
    choice = choose_driver(settings, host, catalogue, gpus)
    if isinstance(choice, Refusal):
        return DriverPlan(refusal=choice)
    if not is_loadable(choice.row, host):
        return wait_for_key(settings, host)
    refusal = (
        refuse_packages(host, Area.DRIVER, MANAGERS)
        or _refuse_session(host)
        or refuse_foreign_repository(host, catalogue)
        or refuse_needs(choice, host)
    )
    repository = refusal or plan_driver_repository(choice.row, settings, host, catalogue)
    if isinstance(repository, Refusal):
        return DriverPlan(refusal=repository)
    names = name_packages(choice, host, catalogue)
    return replace(
        names,
        branch=choice.branch.branch,
        release=choice.release,
        flavour=choice.flavour,
        repository=repository,
        security_floor=choice.branch.security_floor,
        bulletin=choice.branch.bulletin,
        reboot_due=_is_another_loaded(host.driver, choice.branch.branch),
        notes=(*_why(settings, choice, gpus, host), *_around(host), *_components(choice, repository)),
    )


def _install_like(settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus, version: str | None) -> DriverPlan:
    """A driver like the one whose packages are there and whose module is not; where that cannot be, another."""
    if version and host.driver.packages:
        planned = _install(_as_installed(settings, host, version), host, catalogue, gpus)
        if not planned.refusal:
            return planned
    return _install(settings, host, catalogue, gpus)


def _change(
    settings: Settings, host: Host, catalogue: Catalogue, gpus: Gpus, *, reason: str | None, version: str
) -> DriverPlan:
    """Another branch, other modules, another origin, a repair; without a reason: an update within the branch.

    The last two may find nothing newer: whether a reboot is due then is seen on the host.
    """
    refusal = _refuse_foreign(host, catalogue, reason or UPDATE)
    planned = _install(_as_installed(settings, host, version), host, catalogue, gpus)
    if planned.refusal and reason:
        planned = _install(settings, host, catalogue, gpus)
    if planned.refusal and not refusal and reason:
        refusal = replace(planned.refusal, seen=f"{reason}; {planned.refusal.seen}")
    refusal = refusal or planned.refusal or _refuse_users(settings, host)
    if refusal:
        return DriverPlan(refusal=refusal, manager=planned.manager, module_key=planned.module_key)
    note = Note(f"{'changes' if reason else 'updates'} driver {version}", reason or UPDATE)
    reload = settings.nvidia_driver_reload and host.driver.loaded_version is not None
    return replace(planned, reload=reload, may_be_there=True, notes=(note, *planned.notes))


def _as_installed(settings: Settings, host: Host, version: str) -> Settings:
    """The settings with what is installed wished for, where they leave it open: a repair changes nothing else."""
    found = {
        "nvidia_driver_branch": version.split(".")[0],
        "nvidia_driver_source": installed_origin(host),
        "nvidia_driver_modules": host.driver.disk_flavour,
    }
    open_ones = {name: str(value) for name, value in found.items() if value and getattr(settings, name) == "auto"}
    return settings.model_copy(update=open_ones)


def _remove(settings: Settings, host: Host) -> DriverPlan:
    """Take away every package of the driver, whoever's they are."""
    names = tuple(name for name, _ in host.driver.packages)
    because = "nvidia_driver is absent"
    loaded = host.driver.loaded_version is not None
    if not names and not host.driver.unfinished:
        note = Note("no driver is installed" + (", one is still loaded" if loaded else ""), because)
        return DriverPlan(absent=True, reboot_due=loaded, notes=(note,))
    refusal = refuse_packages(host, Area.DRIVER, MANAGERS) or _refuse_session(host) or _refuse_users(settings, host)
    if refusal:
        return DriverPlan(refusal=refusal)
    return DriverPlan(
        absent=True,
        manager=host.packages.manager or "",
        uninstall=names,
        unfinished=host.driver.unfinished,
        hold=held_kernels(host),
        reboot_due=loaded,
        notes=(Note(f"removes the driver: {', '.join(names)}" if names else "ends an earlier removal", because),),
    )


def _is_another_loaded(driver: Driver, branch: str) -> bool:
    """Whether a module is loaded that only a boot replaces: another project's, another branch's, one gone from disk."""
    if driver.nouveau_loaded or driver.nova_core_loaded:
        return True
    loaded = driver.loaded_version
    return loaded is not None and (loaded != driver.disk_version or loaded.split(".")[0] != branch)


def _refuse_session(host: Host) -> Refusal | None:
    if not host.display.sessions:
        return None
    return Refusal(
        Area.DRIVER,
        "somebody works at this machine's screen, and the driver would change under them",
        ", ".join(host.display.sessions),
        "run this again when they have logged out",
    )


def _refuse_users(settings: Settings, host: Host) -> Refusal | None:
    """New processes of a job fail while the loaded module and the library differ, and logging in at a screen does."""
    users = processes_at_work(host) if settings.reboot == "when-idle" else host.driver.users
    if not users or settings.reboot == "when-needed":
        return None
    return Refusal(
        Area.DRIVER,
        "processes use the GPU, and the driver would change under them",
        ", ".join(users),
        'run this again when they have ended, or set reboot = "when-needed", which stops them'
        if processes_at_work(host)
        else 'set reboot = "when-idle": they draw the login screen, at which nobody has logged in',
    )


def _refuse_foreign(host: Host, catalogue: Catalogue, reason: str) -> Refusal | None:
    origin = foreign_origin(host, catalogue)
    if origin is None:
        return None
    return Refusal(
        Area.DRIVER,
        f"the installed driver is from {origin}, and is not mixed with another's packages",
        f"{reason}; installed: " + ", ".join(f"{name} {version}" for name, version in host.driver.packages[:4]) + " …",
        'run once with nvidia_driver = "absent", take its repository out of the package sources, then run this again',
    )


def _why(settings: Settings, choice: Choice, gpus: Gpus, host: Host) -> tuple[Note, ...]:
    branch = choice.branch
    origin = "NVIDIA's repository" if choice.row.origin == "nvidia" else f"the archive of {host.os.pretty_name}"
    notes = [
        Note(f"installs driver {choice.release} from {origin}", f"{describe_branch(branch)}, serves {gpus}"),
        Note(f"takes {choice.flavour} kernel modules", why_flavour(settings, choice, gpus, host)),
        Note(f"for {choice.usage}", choice.usage_because),
    ]
    owners = sorted({gpu.bound_driver for gpu, _ in gpus.rows if gpu.bound_driver not in (None, "nvidia")})
    if owners:
        notes.append(Note("a reboot will be due", f"{', '.join(owners)} owns the GPU until then"))
    return tuple(notes)


def _components(choice: Choice, repository: Repository | None) -> tuple[Note, ...]:
    if not (choice.row.components and repository):
        return ()
    added = re.findall(r"(?m)^Components: (.*)$", repository.source)
    return (Note(f"adds {added[0] if added else 'components'} to the package sources", "the driver is in them"),)


def _around(host: Host) -> tuple[Note, ...]:
    """What is there beside the driver and is left as found."""
    notes = []
    if host.nvlink5:
        notes.append(Note("NVLink 5 is left as found", "its subnet manager (nvlsm) and IMEX are not set up here"))
    if host.driver.mig:
        notes.append(Note("MIG is left as found", "GPU instances exist"))
    return tuple(notes)
