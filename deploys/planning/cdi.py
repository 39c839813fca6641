"""CDI: whether Docker takes such devices, and whether the specification of the GPUs is there and of this driver."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.records import DockerPlan
from deploys.planning.settings import Settings
from deploys.planning.versions import is_older, numbers
from facts.model import CdiSpec, Host

# Specifications that somebody made by hand; the toolkit's own are in /var/run/cdi.
BY_HAND = "/etc/cdi/"


def needs_cdi(settings: Settings, host: Host, catalogue: Catalogue, docker: DockerPlan) -> bool:
    """Whether Docker takes, or will take, CDI devices, and no specification of the host's driver is there."""
    return takes_cdi(settings, host, catalogue, docker) and all(is_stale(spec, host) for spec in host.toolkit.cdi_specs)


def stale_specs(settings: Settings, host: Host, catalogue: Catalogue, docker: DockerPlan) -> tuple[str, ...]:
    """Files of specifications made by hand that are of another driver, where Docker would read them."""
    if not takes_cdi(settings, host, catalogue, docker):
        return ()
    specs = (spec for spec in host.toolkit.cdi_specs if spec.path.startswith(BY_HAND))
    return tuple(spec.path for spec in specs if is_stale(spec, host))


def is_stale(spec: CdiSpec, host: Host) -> bool:
    """Whether it is of another driver than the one loaded and the one installed; False where that cannot be told."""
    current = {host.driver.loaded_version, host.driver.library_version} - {None}
    return bool(current) and spec.driver is not None and spec.driver not in current


def takes_cdi(settings: Settings, host: Host, catalogue: Catalogue, docker: DockerPlan) -> bool:
    """Whether the engine of this plan takes CDI devices, and reads the specifications of today's toolkit.

    A Jetson's GPU reaches containers by the toolkit's csv mode.
    """
    wished = settings.docker_features.get("cdi")
    if host.jetson or wished is False:
        return False
    reads_from, default_from = catalogue.docker_cdi.reads_from, catalogue.docker_cdi.default_from
    if docker.packages:
        return _will_be(docker, reads_from if wished else default_from)
    version = host.docker.server_version
    return bool(version and not is_older(version, reads_from) and (host.docker.cdi or wished))


def _will_be(docker: DockerPlan, version: str) -> bool:
    """Whether the planned engine is of this version or newer; a distribution's may be any."""
    newest = (*numbers(docker.release), float("inf"))
    return docker.packages[0] == "docker-ce" and newest >= numbers(version)
