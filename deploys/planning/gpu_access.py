"""How a compose service of a host gets the GPU: by the runtime, by ``gpus``, by ``deploy`` with devices, or by CDI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploys.planning.docker_choice import Engine
from deploys.planning.proof import CDI, GPUS, mechanisms_afterwards
from deploys.planning.records import Area, DaemonPlan, DockerPlan, DriverPlan, RebootPlan, Refusal, ToolkitPlan
from deploys.planning.versions import may_reach
from facts.model import Host

RUNTIME = "nvidia"

# What is merged into the service. Which driver libraries come along is left to the image and to the toolkit, which
# takes utility and compute where nobody says otherwise (toolkit, internal/config/image, DefaultDriverCapabilities).
SERVICES: Mapping[str, Mapping[str, object]] = {
    "runtime": {"runtime": RUNTIME, "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}},
    # The text `all` is for Compose 2.33 and newer (compose-go 2.4.8); the list means the same to all that know `gpus`.
    "gpus": {"gpus": [{"count": "all"}]},
    "deploy": {
        "deploy": {
            "resources": {"reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}}
        }
    },
    # Compose 2.30 and newer take the name among `devices` as well. This goes through any Compose that knows devices of
    # a reservation (compose, pkg/compose/create.go, setReservations), and is in the way of no device of the service.
    "cdi": {
        "deploy": {
            "resources": {
                "reservations": {
                    "devices": [{"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}]
                }
            }
        }
    },
}

# First versions of Docker Compose. Which releases the changes are in was read in its repository.
DEVICES_SINCE = "1.28"  # CHANGELOG.md, 1.28.0: "Support for Nvidia GPUs via device requests"
GPUS_SINCE = "2.30"  # pull request 12197


@dataclass(frozen=True)
class GpuAccess:
    """One of the ways, and the keys that a service needs for it."""

    service: Mapping[str, object]
    by: str  # runtime, gpus, deploy, cdi

    def add_to(self, service: Mapping[str, object]) -> dict[str, object]:
        """The service with these keys, its environment (a mapping) kept; it has no ``deploy`` of its own."""
        environment = {**_environment(self.service), **_environment(service)}
        return {**service, **self.service, **({"environment": environment} if environment else {})}


def refuse_driver(driver: DriverPlan, reboot: RebootPlan, *, blocked: str | None) -> Refusal | None:
    """Why no container gets a GPU whose driver will not work when containers start, or None where it will.

    ``blocked`` names what keeps the driver from working; None: nothing does.
    """
    brief = "no container of this host gets the GPU, whose driver is not usable"
    if driver.absent:
        remedy = 'set nvidia_driver = "present", or take the wish for the GPU off this host'
        return _refuse(f"{brief}: there is to be none", "nvidia_driver is absent", remedy)
    if not blocked:
        return None
    # It may be of an area that this run is not about, and so does not tell.
    if refusal := driver.refusal or reboot.refusal:
        return _refuse(f"{brief}: {refusal.brief}", refusal.seen, refusal.remedy)
    if reboot.due:
        return _refuse(f"{brief}: a reboot is due", blocked, "reboot the host, then run this again")
    return _refuse(brief, blocked, "run deploys/gpu_host.py, which sets the driver up as well")


def choose_gpu_access(
    host: Host,
    *,
    docker: DockerPlan,
    toolkit: ToolkitPlan,
    daemon: DaemonPlan,
    engine: Engine,
    by: str = "auto",
    no_driver: Refusal | None = None,
) -> GpuAccess | Refusal:
    """The way of ``by``, or, for ``auto``, the first that works: what this run makes true counts.

    ``engine`` is the host's Docker after the run. ``no_driver`` says why the driver will not work.
    A refusal says why there is none, or what there is in place of the one that was asked for.
    """
    if toolkit.absent or not has_gpu(host):
        seen = "nvidia_toolkit is absent" if toolkit.absent else "no NVIDIA GPU that is this host's own"
        return _refuse("no container of this host can have a GPU", seen, "take the wish for it off this host")
    if no_driver:
        return no_driver
    mechanisms: tuple[str, ...] = ()
    if host.toolkit.runtime_path or toolkit.packages:
        mechanisms = mechanisms_afterwards(host, docker=docker, toolkit=toolkit, daemon=daemon)
    obstacles = {
        "runtime": _runtime_obstacle(host, daemon),
        "deploy": _devices_obstacle(host, mechanisms, engine.compose, DEVICES_SINCE),
        "cdi": _cdi_obstacle(host, mechanisms, engine),
        "gpus": _devices_obstacle(host, mechanisms, engine.compose, GPUS_SINCE),
    }
    ways = [way for way, obstacle in obstacles.items() if not obstacle]
    if not ways:
        seen = "; ".join(f"{way}: {obstacle}" for way, obstacle in obstacles.items())
        remedy = "run deploys/container_toolkit.py and read its output"
        return _refuse("no container of this host gets the GPU", seen, remedy)
    if by != "auto" and by not in ways:
        brief = f"this host's containers cannot have the GPU by {by}"
        return _refuse(brief, obstacles[by], f'set gpu_by = "auto", or one of {", ".join(ways)}')
    chosen = ways[0] if by == "auto" else by
    return GpuAccess(SERVICES[chosen], chosen)


def _environment(service: Mapping[str, object]) -> dict[str, object]:
    found = service.get("environment")
    return dict(found) if isinstance(found, Mapping) else {}


def has_gpu(host: Host) -> bool:
    """Whether there is an NVIDIA GPU that is the host's own."""
    if host.jetson:
        return True
    if host.wsl:
        return host.wsl.gpu_device
    return any(gpu.bound_driver != "vfio-pci" for gpu in host.gpus or ())


def _refuse(brief: str, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, brief, seen, remedy)


def _runtime_obstacle(host: Host, daemon: DaemonPlan) -> str:
    if host.docker_desktop:
        return f"Docker Desktop has no runtime {RUNTIME}"  # docker/for-win issue 13907
    will_know = RUNTIME in daemon.runtimes and not (daemon.refusal or daemon.skipped)
    return "" if will_know or RUNTIME in host.docker.runtimes else f"dockerd does not know the runtime {RUNTIME}"


def _devices_obstacle(host: Host, mechanisms: tuple[str, ...], compose: str, since: str) -> str:
    if not may_reach(compose, since):
        return f"Docker Compose {since} and newer know it, here is {compose}"
    # Docker Desktop has the hook in a machine of its own.
    if host.docker_desktop or GPUS in mechanisms:
        return ""
    return f"`docker run {GPUS}` does not work with Docker, toolkit and machine as they are"


def _cdi_obstacle(host: Host, mechanisms: tuple[str, ...], engine: Engine) -> str:
    if not may_reach(engine.compose, DEVICES_SINCE):
        return f"Docker Compose {DEVICES_SINCE} and newer know it, here is {engine.compose}"
    is_had = CDI in mechanisms and engine.takes_cdi
    return "" if is_had else "this Docker takes no CDI devices, or there is no specification of the GPUs"
