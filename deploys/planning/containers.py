"""The wished containers of one host: each a compose project, started where it is missing or has changed."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.image_plan import LocalFiles
from deploys.planning.records import ContainersPlan, DaemonPlan, DockerPlan, DriverPlan, ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import Host


def plan_containers(
    settings: Settings,
    host: Host,
    catalogue: Catalogue,
    files: LocalFiles,
    *,
    driver: DriverPlan,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
) -> ContainersPlan:
    """Every wish as a project of files, or refused; those that are not right yet are to be started."""
    return ContainersPlan()
