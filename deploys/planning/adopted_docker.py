"""An engine that is there: kept whatever its origin, started, or brought to the version that is wished for."""

from __future__ import annotations

import re
from dataclasses import replace

from deploys.planning.adoption import describe_sources
from deploys.planning.advisories import engine_version
from deploys.planning.catalogue import Catalogue, DockerPackages
from deploys.planning.docker_choice import (
    Wish,
    bad_versions,
    describe_taken,
    find_packages,
    limit_to_l4t,
    read_wish,
)
from deploys.planning.obstacles import MANAGERS, refuse_init, refuse_packages
from deploys.planning.proof import GPUS_SINCE
from deploys.planning.records import Area, DockerPlan, Note, Refusal
from deploys.planning.repositories import describe_moved, plan_moved, plan_repository
from deploys.planning.settings import Settings
from deploys.planning.versions import is_older, numbers
from facts.model import Host

# Installed engines that can be changed, and where each comes from.
SOURCES = {"docker-ce": "docker", "docker.io": "distribution"}
OTHER_REMEDIES = {
    "docker-desktop": "change Docker Desktop's version in Windows",
    "snap": "snap refresh docker --channel=…, or snap remove docker and run this again",
}


def plan_adopted(settings: Settings, host: Host, catalogue: Catalogue) -> DockerPlan:
    """The plan for an installed engine, Docker Desktop's among them."""
    wish, version = read_wish(settings.docker_version), engine_version(host)
    if wish.oldest and version is None:
        return DockerPlan(refusal=_refuse_unknown(wish))
    if version is None or wish.is_met_by(version):
        return _with_moved_repository(settings, host, catalogue, _keep(host))
    return _change(settings, host, catalogue, wish, version)


def _keep(host: Host) -> DockerPlan:
    if host.docker_desktop:
        return DockerPlan(notes=(Note("Docker Desktop's engine is used", "/usr/bin/docker leads into Docker Desktop"),))
    version = host.docker.server_version or host.docker.client_version or "of unknown version"
    note = Note(f"Docker {version} is kept", f"installed as {host.docker.origin or 'a package of unknown name'}")
    notes = (note, *_describe(host))
    if host.docker.running is not False:
        return DockerPlan(notes=notes)
    refusal = refuse_init(host, Area.DOCKER) or _refuse_snap(host)
    if refusal:
        return DockerPlan(refusal=refusal)
    return DockerPlan(start=True, notes=(*notes, Note("starts it", "the daemon does not run")))


def _with_moved_repository(settings: Settings, host: Host, catalogue: Catalogue, plan: DockerPlan) -> DockerPlan:
    fingerprint, address = settings.docker_key_fingerprint, settings.docker_repository
    moved = plan_moved("docker", host, catalogue, fingerprint=fingerprint, address=address)
    if plan.refusal or moved is None:
        return plan
    return replace(plan, repository=moved, notes=(*plan.notes, *describe_moved(moved, "docker_repository")))


def _describe(host: Host) -> list[Note]:
    """What is worth knowing of an engine that is kept, and decides nothing."""
    notes, version = [], engine_version(host)
    if host.docker.origin in SOURCES and not _is_held(host.docker.origin, host):
        notes.append(Note("its packages are not on hold, and stay so", "an unattended upgrade of them restarts Docker"))
    if version and numbers(version) < GPUS_SINCE:
        notes.append(Note("containers get GPUs by --runtime=nvidia alone", "`--gpus` is there from 19.03 on"))
    if host.docker.rootless:
        notes.append(Note("a rootless Docker beside it is left alone", f"dockerd of {', '.join(host.docker.rootless)}"))
    return notes


def _is_held(name: str, host: Host) -> bool:
    """apt-mark's holds are names; dnf's entries are names with versions: docker-ce-3:29.4.3-1.el9.*"""
    return any(entry == name or re.match(rf"{re.escape(name)}-\d", entry) for entry in host.packages.held)


def _change(settings: Settings, host: Host, catalogue: Catalogue, wish: Wish, version: str) -> DockerPlan:
    origin = host.docker.origin or ""
    if origin not in SOURCES or (origin == "docker.io" and settings.docker_source == "docker"):
        return DockerPlan(refusal=_refuse_origin(host, wish, version))
    row = find_packages(SOURCES[origin], host, catalogue)
    refusal = refuse_packages(host, Area.DOCKER, MANAGERS)
    if refusal or row is None:
        return DockerPlan(refusal=refusal or _refuse_release(host, wish, version))
    limited = limit_to_l4t(wish, row, host, catalogue)
    if isinstance(limited, Refusal):
        return DockerPlan(refusal=limited)
    refusal = _refuse_downgrade(limited, version) or _refuse_restart(settings, host, limited, version)
    if refusal:
        return DockerPlan(refusal=refusal)
    return _change_packages(settings, host, catalogue, row, limited, version)


def _change_packages(
    settings: Settings, host: Host, catalogue: Catalogue, row: DockerPackages, wish: Wish, version: str
) -> DockerPlan:
    """The installed ones of the engine's packages, in one transaction after which the daemon is another."""
    repository = None
    if row.origin == "docker":
        fingerprint, address = settings.docker_key_fingerprint, settings.docker_repository
        repository = plan_repository("docker", Area.DOCKER, host, catalogue, fingerprint=fingerprint, address=address)
    if isinstance(repository, Refusal):
        return DockerPlan(refusal=repository)
    installed = {name for name, _ in host.docker.packages}
    release, stops_containers = wish.release, settings.docker_restart == "when-needed"
    if _running(host) and not stops_containers:
        # What keeps the containers is live-restore, which is for patch releases only.
        release = release or ".".join(map(str, numbers(version)[:2]))
    avoid, taken = bad_versions(row, release, catalogue)
    return DockerPlan(
        packages=tuple(name for name in dict.fromkeys((*row.packages, *row.same_version)) if name in installed),
        same_version=tuple(name for name in row.same_version if name in installed),
        release=release,
        floor=wish.floor,
        avoid=avoid,
        hold=row.hold,
        repository=repository,
        restarts=True,
        stops_containers=stops_containers,
        start=host.docker.running is False,
        notes=(
            *_describe_change(settings, host, wish, version),
            *describe_taken(release, taken),
            *describe_sources(repository, host),
        ),
    )


def _describe_change(settings: Settings, host: Host, wish: Wish, version: str) -> list[Note]:
    notes = [Note(f"changes Docker {version} to {wish}, which restarts it", wish.because)]
    if is_older(wish.oldest, version):
        notes.append(
            Note("goes back to an older version", "Docker documents no way back; it is within one major version")
        )
    if _running(host) and settings.docker_restart == "when-needed":
        notes.append(Note(f"containers stop: {', '.join(_running(host))}", "docker_restart is when-needed"))
    elif _running(host):
        notes.append(Note("containers go on", "live-restore is in force, and it is a patch release"))
    return notes


def _running(host: Host) -> tuple[str, ...]:
    return tuple(container.name for container in host.docker.running_containers)


def _is_patch(wish: Wish, version: str) -> bool:
    """A newer one of the same major and minor version: docs.docker.com has live-restore for those only."""
    wanted = numbers(wish.oldest)
    return len(wanted) > 2 and wanted[:2] == numbers(version)[:2] and not is_older(wish.oldest, version)


def _refuse_restart(settings: Settings, host: Host, wish: Wish, version: str) -> Refusal | None:
    brief = f"Docker {version} is to become {wish}, which restarts it"
    running = _running(host)
    if settings.docker_restart == "never":
        remedy = 'set docker_restart = "when-idle" (or "when-needed": running containers stop), or unset docker_version'
        return Refusal(Area.DOCKER, f"{brief}, and that is not allowed", "docker_restart is never", remedy)
    if settings.docker_restart == "when-needed" or host.docker.running is False:
        return None
    if host.docker.containers is None:
        seen = "the daemon did not say which containers run"
        return Refusal(Area.DOCKER, brief, seen, 'look at `docker ps`, or set docker_restart = "when-needed"')
    is_kept = "live-restore=true" in host.docker.in_force and not host.docker.swarm and _is_patch(wish, version)
    if not running or is_kept:
        return None
    remedy = 'run this again when they have ended, or set docker_restart = "when-needed", which stops them'
    if "live-restore=true" in host.docker.in_force:
        remedy += "; live-restore is for patch releases of one version only, and not for a swarm"
    return Refusal(Area.DOCKER, f"{brief}, and containers run", ", ".join(running), remedy)


def _refuse_downgrade(wish: Wish, version: str) -> Refusal | None:
    if numbers(wish.oldest)[:1] >= numbers(version)[:1]:
        return None
    return Refusal(
        Area.DOCKER,
        f"Docker is not taken back across major versions: {version} is there, {wish} is wished for",
        "Docker documents no way back; what a newer one keeps (images in containerd's store since 29) an older one may "
        "not find",
        "set docker_version to what is there, or save what you need, remove Docker by hand, then run this again",
    )


def _refuse_unknown(wish: Wish) -> Refusal:
    seen = f"the daemon gave no version, and no package is known; {wish.because}"
    return Refusal(Area.DOCKER, "which Docker this is cannot be told", seen, "start it, or unset docker_version")


def _refuse_release(host: Host, wish: Wish, version: str) -> Refusal:
    seen = f"{host.os.pretty_name}: Docker {version} as {host.docker.origin}; {wish.because}"
    remedy = "change it by hand, or unset docker_version"
    return Refusal(Area.DOCKER, "Docker's packages of this system are not known here", seen, remedy)


def _refuse_origin(host: Host, wish: Wish, version: str) -> Refusal:
    origin = host.docker.origin or "files that no package owns"
    other = "update it from where it came, or remove it when nothing runs on it and run this again"
    if origin == "docker.io":
        other = 'set docker_source = "auto", or remove docker.io when nothing runs on it and run this again'
    return Refusal(
        Area.DOCKER,
        f"Docker {version} is there, and it is not exchanged for another by this collection",
        f"it is of {origin}; {wish.because}",
        f"{OTHER_REMEDIES.get(origin, other)}; or unset docker_version",
    )


def _refuse_snap(host: Host) -> Refusal | None:
    if host.docker.origin != "snap":
        return None
    return Refusal(
        Area.DOCKER,
        "the snap's Docker does not run",
        "/snap/bin/docker, and no answer from its daemon",
        "snap start docker",
    )
