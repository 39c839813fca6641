"""Docker Engine: keep the one that is there, or install one, and put users into its group."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.adopted_docker import plan_adopted
from deploys.planning.adoption import describe_sources
from deploys.planning.catalogue import Catalogue, DockerPackages
from deploys.planning.docker_choice import (
    Wish,
    bad_versions,
    describe_taken,
    find_packages,
    limit_to_l4t,
    read_wish,
)
from deploys.planning.obstacles import MANAGERS, refuse_packages
from deploys.planning.records import Area, DockerPlan, Note, Refusal
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from facts.model import Host

DESKTOP = "docker-desktop"


def plan_docker(settings: Settings, host: Host, catalogue: Catalogue) -> DockerPlan:
    """An installed engine of any origin is kept, started, or brought to ``docker_version``; a missing one installed."""
    refusal = _refuse_rootless(host)
    if refusal:
        return DockerPlan(refusal=refusal)
    if host.docker.installed or _is_desktop(host):
        plan = plan_adopted(settings, host, catalogue)
    else:
        plan = _plan_install(settings, host, catalogue)
    return plan if plan.refusal else _add_users(settings, host, plan)


def _is_desktop(host: Host) -> bool:
    return host.docker_desktop or host.docker.origin == DESKTOP


def _refuse_rootless(host: Host) -> Refusal | None:
    """A rootless daemon beside the system's is its user's own affair; alone it is no engine of this host."""
    if not host.docker.rootless or _is_desktop(host) or (host.docker.installed and host.docker.running is not False):
        return None
    return Refusal(
        Area.DOCKER,
        "only a rootless Docker runs here, and that is not configured for GPUs by this collection",
        f"dockerd of {', '.join(host.docker.rootless)}; no daemon of the system",
        "stop it (as that user: systemctl --user disable --now docker) and run this again, which sets up the system's "
        "Docker; or configure the rootless one by hand: nvidia-container-cli.no-cgroups, or CDI",
    )


def _plan_install(settings: Settings, host: Host, catalogue: Catalogue) -> DockerPlan:
    origin = "distribution" if settings.docker_source == "distribution" else "docker"
    refusal = _refuse_suse(host) or refuse_packages(host, Area.DOCKER, MANAGERS)
    if refusal:
        return DockerPlan(refusal=refusal)
    row = find_packages(origin, host, catalogue)
    if row is None:
        return DockerPlan(refusal=_refuse_unserved(origin, host))
    wish = limit_to_l4t(read_wish(settings.docker_version), row, host, catalogue)
    if isinstance(wish, Refusal):
        return DockerPlan(refusal=wish)
    remove = _clear_the_way(row, host)
    if isinstance(remove, Refusal):
        return DockerPlan(refusal=remove)
    repository = None
    if row.origin == "docker":
        fingerprint, address = settings.docker_key_fingerprint, settings.docker_repository
        repository = plan_repository("docker", Area.DOCKER, host, catalogue, fingerprint=fingerprint, address=address)
    if isinstance(repository, Refusal):
        return DockerPlan(refusal=repository)
    avoid, taken = bad_versions(row, wish.release, catalogue)
    return DockerPlan(
        packages=(*row.packages, *(name.format(kernel=host.kernel.running) for name in row.for_kernel)),
        same_version=tuple(name for name in row.same_version if name in row.packages),
        release=wish.release,
        floor=wish.floor,
        avoid=avoid,
        remove=remove,
        hold=row.hold,
        repository=repository,
        # Debian's packages start what they bring; docs.docker.com/engine/install/rhel: "it doesn't start Docker".
        start=host.packages.manager == "dnf",
        notes=(
            *_describe_install(settings, row, wish, host, remove),
            *describe_taken(wish.release, taken),
            *describe_sources(repository, host),
        ),
    )


def _describe_install(
    settings: Settings, row: DockerPackages, wish: Wish, host: Host, remove: tuple[str, ...]
) -> tuple[Note, ...]:
    notes = [
        Note(
            "installs Docker CE from Docker's repository", f"no Docker here; docker_source is {settings.docker_source}"
        )
    ]
    if row.origin == "distribution":
        notes = [Note(f"installs Docker of {host.os.pretty_name}", "docker_source is distribution")]
    if str(wish):
        notes.append(Note(f"takes version {wish}", wish.because))
    if row.lacks:
        notes.append(Note(f"{row.lacks} are not there", f"{host.os.pretty_name} has no packages of them"))
    if remove:
        notes.append(Note(f"removes {', '.join(remove)}", "they cannot be there beside it, and nothing runs on them"))
    return tuple(notes)


def _clear_the_way(row: DockerPackages, host: Host) -> tuple[str, ...] | Refusal:
    """Installed packages to be removed, because Docker's own cannot be there beside them."""
    installed = {name for name, _ in (*host.packages.installed, *host.docker.packages)}
    blocking = [name for name in row.blockers if name in installed]
    if blocking:
        return Refusal(
            Area.DOCKER,
            f"Docker's containerd.io would take the place of {' and '.join(blocking)}",
            f"installed: {', '.join(blocking)}; podman or Kubernetes may need it",
            f"if nothing needs it: dnf remove {' '.join(blocking)}, then run this again (podman can use crun instead)",
        )
    remove = tuple(name for name in row.conflicts if name in installed)
    at_work = [*(f"container {one.name}" for one in host.docker.running_containers), *host.docker.shims]
    if remove and at_work:
        return Refusal(
            Area.DOCKER,
            f"{', '.join(remove)} cannot be there beside the Docker to be installed, and something runs here",
            ", ".join(at_work),
            "stop what runs (Kubernetes, containerd, podman), or give it a host of its own; then run this again",
        )
    return remove


def _refuse_suse(host: Host) -> Refusal | None:
    if host.packages.manager != "zypper":
        return None
    return Refusal(
        Area.DOCKER,
        "Docker is not installed on SUSE by this collection, and Docker itself has no packages for it",
        f"{host.os.pretty_name}, package manager zypper",
        "on the host: zypper install docker docker-compose docker-buildx; a later run keeps and configures it",
    )


def _refuse_unserved(origin: str, host: Host) -> Refusal:
    seen = f"{host.os.pretty_name or 'unknown system'} ({host.platform.architecture})"
    if origin == "distribution":
        remedy = 'set docker_source = "docker", or install it by hand; a later run takes it as found'
        return Refusal(Area.DOCKER, "this system has no Docker of its own that is known here", seen, remedy)
    remedy = "install it by hand (docs.docker.com/engine/install), or use a release that the README lists; "
    brief = "no packages of Docker are known here for this system"
    return Refusal(Area.DOCKER, brief, seen, remedy + "a later run takes it as found")


def _add_users(settings: Settings, host: Host, plan: DockerPlan) -> DockerPlan:
    missing = tuple(user for user in settings.docker_users if user not in host.docker.group)
    if not missing:
        return plan
    if _is_desktop(host) or host.docker.origin == "snap":
        whose = "Docker Desktop" if _is_desktop(host) else "the snap"
        note = Note(f"docker_users is left alone: {', '.join(missing)}", f"who may use {whose} is not set by a group")
        return replace(plan, notes=(*plan.notes, note))
    note = Note(
        f"puts {', '.join(missing)} into the group docker: as good as root, from their next login on", "docker_users"
    )
    return replace(plan, users=missing, notes=(*plan.notes, note))
