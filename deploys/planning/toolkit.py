"""NVIDIA Container Toolkit: four packages of one version."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, Note, Refusal, ToolkitPlan
from deploys.planning.repositories import plan_repository
from deploys.planning.settings import Settings
from facts.model import Host


def plan_toolkit(settings: Settings, host: Host, catalogue: Catalogue) -> ToolkitPlan:
    """Keep a complete set and whatever came with L4T; install a missing or mixed one."""
    if host.wsl and host.wsl.docker_desktop:
        return ToolkitPlan(notes=(Note("nothing to install", "Docker Desktop brings the toolkit in its own machine"),))
    if host.jetson and host.toolkit.runtime_path:
        version = dict(host.toolkit.packages).get("nvidia-container-toolkit", "of unknown version")
        return ToolkitPlan(notes=(Note(f"toolkit {version} is kept", "it came with L4T"),))
    names = catalogue.toolkit.packages
    installed = {name: version for name, version in host.toolkit.packages if name in names}
    missing = tuple(name for name in names if name not in installed)
    versions = sorted(set(installed.values()))
    if not missing and len(versions) == 1:
        note = Note(f"toolkit {versions[0]} is kept", "all its packages are of one version")
        return ToolkitPlan(expected=names, notes=(note,))
    refusal = refuse_packages(host, Area.TOOLKIT) or _refuse_old_l4t(host)
    if refusal:
        return ToolkitPlan(refusal=refusal)
    fingerprint = settings.nvidia_toolkit_key_fingerprint
    repository = plan_repository("nvidia-container-toolkit", Area.TOOLKIT, host, catalogue, fingerprint=fingerprint)
    if isinstance(repository, Refusal):
        return ToolkitPlan(refusal=repository)
    because = f"missing: {', '.join(missing)}" if missing else f"mixed versions: {', '.join(versions)}"
    note = Note("installs NVIDIA Container Toolkit from NVIDIA's repository", because)
    return ToolkitPlan(packages=names, expected=names, repository=repository, notes=(note,))


def _refuse_old_l4t(host: Host) -> Refusal | None:
    """Up to L4T r35 the runtime needs L4T's own libnvidia-container0, which only its repository has."""
    if not host.jetson or not host.jetson.l4t or int(host.jetson.l4t.split(".")[0]) >= 36:
        return None
    return Refusal(
        Area.TOOLKIT,
        "this L4T needs its own container runtime, and it is not installed",
        f"L4T {host.jetson.l4t}, no nvidia-container-runtime",
        "on the board: apt-get install nvidia-container (r32: nvidia-container-runtime), from the L4T repository",
    )
