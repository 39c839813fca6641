"""Docker Compose: the one that is there, or the package that brings it."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.adopted_docker import SOURCES
from deploys.planning.catalogue import Catalogue
from deploys.planning.docker_choice import engine_afterwards, find_packages
from deploys.planning.obstacles import MANAGERS, refuse_packages
from deploys.planning.records import Area, DockerPlan, Note, Refusal
from deploys.planning.versions import may_reach, numbers
from facts.model import Host

# compose, CHANGELOG.md, 1.27.0: files need no `version`, and `runtime` is there in all of them.
OLDEST = "1.27"
# It makes no container anew with Docker 26, whose images have no ContainerConfig (compose 1.29.2, compose/service.py;
# docs.docker.com/engine/deprecated).
PLUGIN = "2"
WITHOUT_CONTAINER_CONFIG = "26"


@dataclass(frozen=True)
class Compose:
    """The host's Docker Compose after the run."""

    version: str  # "" where the run installs one of any version, and so the newest
    tools: tuple[str, ...] = ()  # packages that bring it
    notes: tuple[Note, ...] = ()


def plan_compose(host: Host, catalogue: Catalogue, *, docker: DockerPlan) -> Compose | Refusal:
    """What is there is kept. Where there is none, it comes with a Docker of this run, or from where Docker came."""
    there, oldest = host.docker.compose, _oldest(host, catalogue, docker)
    if there and numbers(there) >= numbers(oldest):
        return Compose(there)
    seen = f"Docker Compose {there}" if there else "`docker compose` and `docker-compose` are not there"
    source = SOURCES.get(docker.packages[0] if docker.packages else host.docker.origin or "")
    row = find_packages(source, host, catalogue) if source else None
    if row is None:
        return Refusal(
            Area.CONTAINERS,
            f"containers need Docker Compose {oldest} or newer",
            f"{seen}; Docker is {host.docker.server_version or ''} of {host.docker.origin or 'unknown origin'}, on "
            f"{host.os.pretty_name or 'an unknown system'}",
            "put the plugin docker-compose into /usr/local/lib/docker/cli-plugins (docs.docker.com/compose/install)",
        )
    if row.compose in docker.packages:
        return Compose(row.compose_version)
    if refusal := refuse_packages(host, Area.CONTAINERS, MANAGERS):
        return refusal
    return Compose(row.compose_version, (row.compose,), (Note(f"installs {row.compose}", seen),))


def _oldest(host: Host, catalogue: Catalogue, docker: DockerPlan) -> str:
    """The oldest Docker Compose that works with the Docker of after the run."""
    version = engine_afterwards(host, catalogue, docker=docker)
    return PLUGIN if may_reach(version, WITHOUT_CONTAINER_CONFIG) else OLDEST
