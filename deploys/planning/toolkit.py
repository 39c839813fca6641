"""NVIDIA Container Toolkit: four packages of one version."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, Note, Refusal, ToolkitPlan
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from facts.model import Host


def plan_toolkit(settings: Settings, host: Host, catalogue: Catalogue) -> ToolkitPlan:
    """Keep a complete set, install a missing or mixed one."""
    if host.wsl and host.wsl.docker_desktop:
        return ToolkitPlan(notes=(Note("nothing to install", "Docker Desktop brings the toolkit in its own machine"),))
    installed = dict(host.toolkit.packages)
    missing = tuple(name for name in catalogue.toolkit.packages if name not in installed)
    versions = sorted({installed[name] for name in catalogue.toolkit.packages if name in installed})
    if not missing and len(versions) == 1:
        return ToolkitPlan(notes=(Note(f"toolkit {versions[0]} is kept", "all its packages are of one version"),))
    refusal = refuse_packages(host, Area.TOOLKIT) or _refuse_l4t_set(host, versions)
    if refusal:
        return ToolkitPlan(refusal=refusal)
    fingerprint = settings.nvidia_toolkit_key_fingerprint
    repository = plan_repository("nvidia-container-toolkit", Area.TOOLKIT, host, catalogue, fingerprint=fingerprint)
    if isinstance(repository, Refusal):
        return ToolkitPlan(refusal=repository)
    because = f"missing: {', '.join(missing)}" if missing else f"mixed versions: {', '.join(versions)}"
    return ToolkitPlan(
        packages=catalogue.toolkit.packages,
        repository=repository,
        notes=(Note("installs NVIDIA Container Toolkit from NVIDIA's repository", because),),
    )


def _refuse_l4t_set(host: Host, versions: list[str]) -> Refusal | None:
    """A Jetson's own toolkit belongs to its L4T release; a broken set of it is not ours to replace."""
    if not host.jetson or not versions:
        return None
    return Refusal(
        Area.TOOLKIT,
        "the toolkit that came with L4T is incomplete",
        ", ".join(f"{name} {version}" for name, version in host.toolkit.packages),
        "repair it from the L4T repository: apt-get install --reinstall nvidia-container",
    )
