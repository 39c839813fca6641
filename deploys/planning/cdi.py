"""CDI: whether Docker takes such devices, and whether the specification of the GPUs is there and of this driver."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.advisories import engine_version
from deploys.planning.catalogue import Catalogue
from deploys.planning.daemon_config import at, parse
from deploys.planning.records import DaemonPlan, DockerPlan, Note, ToolkitPlan
from deploys.planning.versions import is_older, may_reach
from facts.model import CdiSpec, Host

# Specifications that somebody made by hand; the toolkit's own are in /var/run/cdi.
BY_HAND = "/etc/cdi/"


def plan_cdi(
    toolkit: ToolkitPlan,
    host: Host,
    catalogue: Catalogue,
    *,
    docker: DockerPlan,
    daemon: DaemonPlan,
    changes_driver: bool,
) -> ToolkitPlan:
    """The toolkit's plan with what its CDI specifications need, where Docker takes, or will take, CDI devices.

    Another driver makes them outdated. A Jetson's GPU reaches containers by the toolkit's csv mode, and
    Docker Desktop has a machine of its own.
    """
    if host.jetson or host.docker_desktop or not _takes_cdi(host, catalogue, docker, daemon):
        return toolkit
    specs = host.toolkit.cdi_specs
    stale = tuple(spec.path for spec in specs if is_stale(spec, host) and spec.path.startswith(BY_HAND))
    is_missing = changes_driver or all(is_stale(spec, host) for spec in specs)
    notes = list(toolkit.notes)
    if is_missing:
        notes.append(Note("makes the CDI specification", f"Docker takes CDI devices; {_describe(specs)}"))
    if stale:
        notes.append(Note(f"puts {', '.join(stale)} aside", "it is of another driver"))
    return replace(toolkit, cdi=is_missing, stale_specs=stale, notes=tuple(notes))


def _describe(specs: tuple[CdiSpec, ...]) -> str:
    return ", ".join(f"{spec.path} is of driver {spec.driver}" for spec in specs) or "there is no specification"


def is_stale(spec: CdiSpec, host: Host) -> bool:
    """Whether it is of another driver than the one loaded and the one installed; False where that cannot be told."""
    current = {host.driver.loaded_version, host.driver.library_version} - {None}
    return bool(current) and spec.driver is not None and spec.driver not in current


def _takes_cdi(host: Host, catalogue: Catalogue, docker: DockerPlan, daemon: DaemonPlan) -> bool:
    """Whether the engine of this plan takes CDI devices, and reads the specifications of today's toolkit."""
    try:
        config = parse(host.docker.daemon_json if daemon.text is None else daemon.text)
    except ValueError:
        config = {}
    feature = at(config, ("features", "cdi"))
    if feature is False:
        return False
    since = catalogue.docker_cdi.reads_from if feature is True else catalogue.docker_cdi.default_from
    if docker.packages:
        return _may_be(docker, since)
    version = engine_version(host)
    if not version or is_older(version, catalogue.docker_cdi.reads_from):
        return False
    may_begin = docker.start or daemon.text is not None or feature is True
    return host.docker.cdi or (may_begin and not is_older(version, since))


def _may_be(docker: DockerPlan, version: str) -> bool:
    """Whether the planned engine can be of this version or newer; a distribution's may be any."""
    return docker.packages[0] != "docker-ce" or may_reach(docker.release, version)
