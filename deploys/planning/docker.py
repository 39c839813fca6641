"""Docker Engine: keep the one that is there, else install one."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.obstacles import refuse_init, refuse_packages
from deploys.planning.records import Area, DockerPlan, Note, Refusal
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from deploys.planning.versions import numbers
from facts.model import Host


def plan_docker(settings: Settings, host: Host, catalogue: Catalogue) -> DockerPlan:
    """An installed engine of any origin is kept (and started); a missing one is planned from ``docker_source``."""
    if host.wsl and host.wsl.docker_desktop:
        return DockerPlan(notes=(Note("Docker Desktop's engine is used", "/usr/bin/docker leads into Docker Desktop"),))
    if host.docker.installed:
        return _keep(host)
    refusal = refuse_packages(host, Area.DOCKER) or _refuse_l4t_kernel(host, catalogue)
    if refusal:
        return DockerPlan(refusal=refusal)
    if settings.docker_source == "distribution":
        return DockerPlan(
            packages=catalogue.docker.distribution_packages,
            notes=(Note(f"installs Docker of {host.os.pretty_name}", "docker_source is distribution"),),
        )
    return _from_vendor(settings, host, catalogue)


def _keep(host: Host) -> DockerPlan:
    version = host.docker.server_version or host.docker.client_version or "of unknown version"
    note = Note(f"Docker {version} is kept", f"installed as {host.docker.origin or 'a package of unknown name'}")
    if host.docker.running is not False:
        return DockerPlan(notes=(note,))
    refusal = refuse_init(host, Area.DOCKER) or _refuse_snap(host)
    if refusal:
        return DockerPlan(refusal=refusal)
    return DockerPlan(start=True, notes=(note, Note("starts it", "the daemon does not run")))


def _refuse_snap(host: Host) -> Refusal | None:
    if host.docker.origin != "snap":
        return None
    return Refusal(
        Area.DOCKER,
        "the snap's Docker does not run",
        "/snap/bin/docker, and no answer from its daemon",
        "snap start docker",
    )


def _from_vendor(settings: Settings, host: Host, catalogue: Catalogue) -> DockerPlan:
    fingerprint = settings.docker_key_fingerprint
    repository = plan_repository("docker", Area.DOCKER, host, catalogue, fingerprint=fingerprint)
    if isinstance(repository, Refusal):
        return DockerPlan(refusal=repository)
    return DockerPlan(
        packages=catalogue.docker.vendor_packages,
        repository=repository,
        notes=(
            Note(
                "installs Docker CE from Docker's repository",
                f"no Docker here; docker_source is {settings.docker_source}",
            ),
        ),
    )


def _refuse_l4t_kernel(host: Host, catalogue: Catalogue) -> Refusal | None:
    affected = catalogue.l4t_without_raw_table
    if not host.jetson or not host.jetson.l4t:
        return None
    if not numbers(affected.first) <= numbers(host.jetson.l4t) < numbers(affected.fixed):
        return None
    return Refusal(
        Area.DOCKER,
        "today's Docker does not start on this L4T kernel, which lacks the iptables raw table",
        f"L4T {host.jetson.l4t}; the table is there from {affected.fixed} on",
        f"upgrade L4T to {affected.fixed} or newer, or install Docker 27.5.1 by hand and hold it; a later run keeps it",
    )
