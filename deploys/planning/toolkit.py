"""NVIDIA Container Toolkit: four packages of one version, without known security holes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from deploys.planning.adoption import describe_sources
from deploys.planning.advisories import Advisory, names_of, toolkit_advisories, toolkit_floor
from deploys.planning.catalogue import Catalogue
from deploys.planning.obstacles import MANAGERS, refuse_packages
from deploys.planning.records import Area, Note, Refusal, ToolkitPlan
from deploys.planning.repositories import describe_moved, plan_moved, plan_repository
from deploys.planning.settings import Settings
from deploys.planning.versions import is_older, numbers, upstream
from facts.model import Host

NAME = "nvidia-container-toolkit"  # of its repository


def plan_toolkit(settings: Settings, host: Host, catalogue: Catalogue) -> ToolkitPlan:
    """Keep a whole set without known holes, and what came with L4T; install, mend, update or remove any other."""
    if host.docker_desktop:
        return ToolkitPlan(notes=(Note("nothing to install", "Docker Desktop brings the toolkit in its own machine"),))
    if settings.nvidia_toolkit == "absent":
        return _plan_removal(host, catalogue)
    if host.jetson and host.toolkit.runtime_path:
        plan = _plan_l4ts(settings, host, catalogue)
    else:
        plan = _plan_ordinary(settings, host, catalogue)
    if not plan.packages and not plan.refusal:
        plan = _with_moved_repository(settings, host, catalogue, plan)
    if plan.refusal or host.toolkit.mode in (None, "auto"):
        return plan
    note = Note(f"its runtime is in mode {host.toolkit.mode}, and stays so", "its config.toml says so")
    return replace(plan, notes=(*plan.notes, note))


def _with_moved_repository(settings: Settings, host: Host, catalogue: Catalogue, plan: ToolkitPlan) -> ToolkitPlan:
    fingerprint, address = settings.nvidia_toolkit_key_fingerprint, settings.nvidia_toolkit_repository
    moved = plan_moved(NAME, host, catalogue, fingerprint=fingerprint, address=address)
    notes = (*plan.notes, *describe_moved(moved, "nvidia_toolkit_repository"))
    return replace(plan, repository=moved, notes=notes)


def _plan_l4ts(settings: Settings, host: Host, catalogue: Catalogue) -> ToolkitPlan:
    """The toolkit of a JetPack stays, holes and all, unless its owner wants NVIDIA's ordinary one over it."""
    version = dict(host.toolkit.packages).get("nvidia-container-toolkit", "of unknown version")
    kept = Note(f"toolkit {version} is kept", "a Jetson's is L4T's, or what its owner put in its place")
    advisories = toolkit_advisories(host, catalogue)
    if not advisories:
        return ToolkitPlan(notes=(kept,))
    if settings.nvidia_toolkit_jetson == "upgrade" and upstream(version) == settings.nvidia_toolkit_version:
        return ToolkitPlan(notes=_describe_kept(version, advisories, ()))
    is_ordinary = _is_ordinary(host, catalogue)
    if settings.nvidia_toolkit_jetson == "keep":
        what = 'nvidia_toolkit_jetson = "upgrade"' if is_ordinary else "a newer JetPack"
        return ToolkitPlan(notes=(kept, Note(f"it has {names_of(advisories)}", f"{what} would mend it")))
    if not is_ordinary:
        return ToolkitPlan(refusal=_refuse_upgrade(host, advisories))
    because = f"nvidia_toolkit_jetson is upgrade; {upstream(version)} has {names_of(advisories)}"
    return _install(settings, host, catalogue, because)


def _is_ordinary(host: Host, catalogue: Catalogue) -> bool:
    """Whether this L4T runs with NVIDIA's ordinary toolkit; where its release is unknown, nothing is risked."""
    l4t = host.jetson.l4t if host.jetson else None
    return bool(l4t) and numbers(l4t or "") >= numbers(catalogue.l4t_toolkit.ordinary_from)


def _plan_ordinary(settings: Settings, host: Host, catalogue: Catalogue) -> ToolkitPlan:
    names, wished = catalogue.toolkit.packages, settings.nvidia_toolkit_version
    installed = {name: version for name, version in host.toolkit.packages if name in names}
    missing = [name for name in names if name not in installed]
    versions = sorted(set(installed.values()))
    if missing or len(versions) != 1:
        because = f"missing: {', '.join(missing)}" if missing else f"mixed versions: {', '.join(versions)}"
        return _install(settings, host, catalogue, because)
    if wished not in ("auto", upstream(versions[0])):
        because = f"{upstream(versions[0])} is installed, nvidia_toolkit_version is {wished}"
        return _install(settings, host, catalogue, because)
    advisories = toolkit_advisories(host, catalogue)
    if advisories and wished == "auto":
        return _install(settings, host, catalogue, f"{upstream(versions[0])} has {names_of(advisories)}")
    return ToolkitPlan(expected=names, notes=_describe_kept(versions[0], advisories, _old_names(host, catalogue)))


def _describe_kept(version: str, advisories: Iterable[Advisory], old: Iterable[str]) -> tuple[Note, ...]:
    notes = [Note(f"toolkit {version} is kept", "all its packages are of one version")]
    if names := names_of(advisories):
        notes.append(Note(f"it has {names}", "nvidia_toolkit_version asks for this version"))
    if names := ", ".join(old):
        notes.append(Note(f"{names} stays", "it is an older name of the toolkit, and nothing is in its way"))
    return tuple(notes)


def _old_names(host: Host, catalogue: Catalogue) -> tuple[str, ...]:
    installed = [name for name, _ in host.toolkit.packages]
    return tuple(name for name in catalogue.toolkit.old_names if name in installed)


def _install(settings: Settings, host: Host, catalogue: Catalogue, because: str) -> ToolkitPlan:
    """All four packages of one version from NVIDIA's repository; containers that run do not notice."""
    refusal = (
        refuse_packages(host, Area.TOOLKIT, MANAGERS)
        or _refuse_old_l4t(host, catalogue)
        or _refuse_daemon_json_owner(host, catalogue)
    )
    if refusal:
        return ToolkitPlan(refusal=refusal)
    fingerprint, address = settings.nvidia_toolkit_key_fingerprint, settings.nvidia_toolkit_repository
    repository = plan_repository(NAME, Area.TOOLKIT, host, catalogue, fingerprint=fingerprint, address=address)
    if isinstance(repository, Refusal):
        return ToolkitPlan(refusal=repository)
    floor = toolkit_floor(catalogue)
    wished = "" if settings.nvidia_toolkit_version == "auto" else settings.nvidia_toolkit_version
    old = _old_names(host, catalogue)
    notes = [Note("installs NVIDIA Container Toolkit from NVIDIA's repository", because)]
    if wished:
        notes.append(Note(f"takes version {wished}", f"nvidia_toolkit_version is {wished}"))
    if wished and is_older(wished, floor):
        notes.append(Note(f"{wished} has known security holes", f"the newest of them is fixed in {floor}"))
    if old:
        notes.append(Note(f"removes {', '.join(old)}", "they are older names of the toolkit"))
    return ToolkitPlan(
        packages=catalogue.toolkit.packages,
        release=wished,
        floor="" if wished else floor,
        remove=old,
        hold=catalogue.toolkit.packages,
        expected=catalogue.toolkit.packages,
        repository=repository,
        notes=(*notes, *describe_sources(repository, host)),
    )


def _plan_removal(host: Host, catalogue: Catalogue) -> ToolkitPlan:
    """Exactly the installed packages of the toolkit, after daemon.json has let go of it."""
    if host.jetson:
        return ToolkitPlan(refusal=_refuse_l4ts_removal(host))
    names = tuple(name for name, _ in host.toolkit.packages)
    if not names and not host.toolkit.runtime_path:
        return ToolkitPlan(absent=True, notes=(Note("there is none, and none is wished for", "nvidia_toolkit"),))
    if not names:
        return ToolkitPlan(refusal=_refuse_no_packages(host))
    refusal = refuse_packages(host, Area.TOOLKIT, MANAGERS) or _refuse_daemon_json_owner(host, catalogue)
    if refusal:
        return ToolkitPlan(refusal=refusal)
    note = Note(f"removes {', '.join(names)}", "nvidia_toolkit is absent")
    return ToolkitPlan(uninstall=names, absent=True, notes=(note,))


def _refuse_old_l4t(host: Host, catalogue: Catalogue) -> Refusal | None:
    """Up to L4T r35 the runtime needs L4T's own libnvidia-container0, which only its repository has."""
    if not host.jetson or not host.jetson.l4t or _is_ordinary(host, catalogue):
        return None
    return Refusal(
        Area.TOOLKIT,
        "this L4T needs its own container runtime, and it is not installed",
        f"L4T {host.jetson.l4t}, no nvidia-container-runtime",
        "on the board: apt-get install nvidia-container (r32: nvidia-container-runtime), from the L4T repository",
    )


def _refuse_upgrade(host: Host, advisories: tuple[Advisory, ...]) -> Refusal:
    l4t = host.jetson.l4t if host.jetson and host.jetson.l4t else "of unknown release"
    return Refusal(
        Area.TOOLKIT,
        "the toolkit of this L4T is not exchanged: it needs L4T's own libnvidia-container0",
        f"L4T {l4t}; {advisories[0].version} has {names_of(advisories)}",
        'upgrade JetPack, or set nvidia_toolkit_jetson = "keep"',
    )


def _refuse_daemon_json_owner(host: Host, catalogue: Catalogue) -> Refusal | None:
    """rpm takes a package's %config files away with it, changed ones to .rpmsave; dpkg leaves them."""
    version = dict(host.toolkit.packages).get("nvidia-docker2")
    if host.packages.manager != "dnf" or not version or not is_older(version, catalogue.toolkit.owns_daemon_json):
        return None
    return Refusal(
        Area.TOOLKIT,
        "the package nvidia-docker2 owns /etc/docker/daemon.json, and would take it along",
        f"nvidia-docker2 {version}",
        "on the host: cp -p /etc/docker/daemon.json /root/, dnf remove nvidia-docker2, put the file back, then run "
        "this again",
    )


def _refuse_l4ts_removal(host: Host) -> Refusal:
    l4t = host.jetson.l4t if host.jetson and host.jetson.l4t else "of unknown release"
    brief = "the toolkit of a Jetson belongs to L4T and is not removed"
    return Refusal(Area.TOOLKIT, brief, f"L4T {l4t}", 'set nvidia_toolkit = "present" for this host')


def _refuse_no_packages(host: Host) -> Refusal:
    brief = "the toolkit was not installed as packages, and is not removed"
    seen = f"{host.toolkit.runtime_path}, of no package"
    return Refusal(Area.TOOLKIT, brief, seen, "remove it the way it came; then run this again")
