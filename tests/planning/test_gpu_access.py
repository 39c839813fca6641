"""How a compose service gets the GPU, by Docker, Docker Compose and platform."""

from dataclasses import replace

import pytest

from deploys.planning.docker_choice import Engine
from deploys.planning.gpu_access import GpuAccess, choose_gpu_access
from deploys.planning.records import DaemonPlan, DockerPlan, Refusal, ToolkitPlan
from facts.model import CdiSpec, Host
from tests.planning.hosts import BARE, DOCKER_DESKTOP, JETSON, READY, WSL, gpu

RUNTIME = {"runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}


def having(host: Host, *, docker: str, runtimes: tuple[str, ...] = ("runc",), cdi: bool = False) -> Host:
    """The host with this Docker, these runtimes and, with ``cdi``, a specification that Docker reads."""
    specs = (CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05"),) if cdi else ()
    return replace(
        host,
        docker=replace(READY.docker, server_version=docker, runtimes=runtimes, cdi=cdi),
        toolkit=replace(READY.toolkit, cdi_specs=specs),
    )


def engine(host: Host, compose: str = "2.40.3") -> Engine:
    """The host's Docker, as it is."""
    return Engine(host.docker.server_version or "", compose, host.docker.cdi)


def choose(host: Host, compose: str = "2.40.3", by: str = "auto", *, daemon: DaemonPlan | None = None) -> object:
    """The way that is chosen on a host that needs nothing else, or the refusal."""
    found = choose_gpu_access(
        host,
        docker=DockerPlan(),
        toolkit=ToolkitPlan(),
        daemon=daemon or DaemonPlan(),
        engine=engine(host, compose),
        by=by,
    )
    return found.by if isinstance(found, GpuAccess) else found


NEW = having(READY, docker="28.5.2", runtimes=("nvidia", "runc"), cdi=True)


@pytest.mark.parametrize(
    ("host", "compose", "by"),
    [
        (NEW, "2.40.3", "runtime"),
        (having(READY, docker="20.10.24", runtimes=("nvidia", "runc")), "1.29.2", "runtime"),
        # Docker 18.09 and Compose 1.24 have nothing else: the documents' nvidia-docker.
        (having(READY, docker="18.09.9", runtimes=("nvidia", "runc")), "1.24.0", "runtime"),
        (having(JETSON, docker="28.5.2", runtimes=("nvidia", "runc")), "2.40.3", "runtime"),
        (having(WSL, docker="28.5.2", runtimes=("nvidia", "runc")), "2.40.3", "runtime"),
        # docker/for-win issue 13907: "unknown or invalid runtime name: nvidia".
        (DOCKER_DESKTOP, "2.40.3", "deploy"),
        (having(READY, docker="28.5.2"), "2.40.3", "deploy"),
        (having(READY, docker="20.10.24"), "1.28.0", "deploy"),
        (replace(NEW, docker=replace(NEW.docker, runtimes=("runc",)), jetson=JETSON.jetson), "2.40.3", "cdi"),
    ],
)
def test_first_way_that_works_is_taken(host: Host, compose: str, by: str) -> None:
    assert choose(host, compose) == by


@pytest.mark.parametrize(
    ("host", "compose", "by", "is_had"),
    [
        (NEW, "2.40.3", "gpus", True),
        (NEW, "2.30.0", "gpus", True),
        # "services.x Additional property gpus is not allowed"
        (NEW, "2.29.7", "gpus", False),
        (NEW, "2.26.1", "deploy", True),
        (NEW, "1.28.0", "deploy", True),
        (NEW, "1.27.4", "deploy", False),
        (NEW, "2.26.1", "cdi", True),
        (having(READY, docker="28.5.2"), "2.40.3", "cdi", False),
        (having(READY, docker="18.09.9", runtimes=("nvidia",)), "2.40.3", "gpus", False),
        # The hook behind --gpus refuses in the mode that a Jetson's toolkit has.
        (having(JETSON, docker="28.5.2", runtimes=("nvidia",)), "2.40.3", "gpus", False),
        (DOCKER_DESKTOP, "2.40.3", "gpus", True),
        (DOCKER_DESKTOP, "2.40.3", "runtime", False),
        (DOCKER_DESKTOP, "2.40.3", "cdi", False),
    ],
)
def test_way_that_is_asked_for_is_had_or_refused(host: Host, compose: str, by: str, is_had: bool) -> None:
    found = choose(host, compose, by)
    assert found == by if is_had else isinstance(found, Refusal)


def test_refusal_says_what_there_is_instead() -> None:
    found = choose(NEW, "2.26.1", "gpus")
    assert isinstance(found, Refusal)
    assert found.seen == "Docker Compose 2.30 and newer know it, here is 2.26.1"
    assert found.remedy == 'set gpu_by = "auto", or one of runtime, deploy, cdi'


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        (replace(NEW, gpus=()), "no NVIDIA GPU that is this host's own"),
        (replace(NEW, gpus=(gpu(0x2330, driver="vfio-pci"),)), "no NVIDIA GPU that is this host's own"),
        (having(READY, docker="18.09.9"), "runtime: dockerd does not know the runtime nvidia; "),
    ],
)
def test_no_way_is_a_refusal_with_every_reason(host: Host, seen: str) -> None:
    found = choose(host)
    assert isinstance(found, Refusal)
    assert found.seen.startswith(seen)


def test_what_this_run_makes_true_counts() -> None:
    """On a bare host the daemon's area registers the runtime before; where it is refused or skipped, nobody does."""
    assert choose(BARE, "", daemon=DaemonPlan(runtimes=("nvidia",))) == "runtime"
    assert isinstance(choose(BARE, "", daemon=DaemonPlan(runtimes=("nvidia",), skipped="driver")), Refusal)
    assert isinstance(choose(BARE, ""), Refusal)


@pytest.mark.parametrize(("version", "is_had"), [("20.10.24", False), ("", True)])
def test_docker_of_this_run_takes_cdi_or_not(version: str, is_had: bool) -> None:
    """Debian 12's does not, and the next run would refuse what was planned for it."""
    comes = DockerPlan(packages=("docker.io",))
    afterwards = Engine(version, "", takes_cdi=is_had)
    host = replace(NEW, docker=BARE.docker)
    found = choose_gpu_access(
        host, docker=comes, toolkit=ToolkitPlan(), daemon=DaemonPlan(), engine=afterwards, by="cdi"
    )
    assert isinstance(found, GpuAccess) is is_had


def test_without_a_toolkit_there_is_no_way() -> None:
    """One that this run installs counts: Docker's hook and CDI come with it."""
    host = replace(having(READY, docker="28.5.2"), toolkit=BARE.toolkit)
    assert isinstance(choose(host), Refusal)
    planned = choose_gpu_access(
        host,
        docker=DockerPlan(),
        toolkit=ToolkitPlan(packages=("nvidia-container-toolkit",)),
        daemon=DaemonPlan(),
        engine=engine(host),
    )
    assert isinstance(planned, GpuAccess)


def test_what_is_merged_into_the_service() -> None:
    """Compose 2.30 to 2.32 refuse the text `all` for gpus: compose-go has it from 2.4.8 on, the list from 2.3."""
    services = {}
    for by in ("runtime", "gpus", "deploy", "cdi"):
        found = choose_gpu_access(
            NEW, docker=DockerPlan(), toolkit=ToolkitPlan(), daemon=DaemonPlan(), engine=engine(NEW), by=by
        )
        assert isinstance(found, GpuAccess)
        services[by] = found.service
    assert services["runtime"] == RUNTIME
    assert services["gpus"] == {"gpus": [{"count": "all"}]}
    nvidia = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert services["deploy"] == {"deploy": {"resources": {"reservations": {"devices": [nvidia]}}}}
    cdi = {"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}
    assert services["cdi"] == {"deploy": {"resources": {"reservations": {"devices": [cdi]}}}}


def test_absent_toolkit_gives_no_gpu() -> None:
    found = choose_gpu_access(
        NEW, docker=DockerPlan(), toolkit=ToolkitPlan(absent=True), daemon=DaemonPlan(), engine=engine(NEW)
    )
    assert isinstance(found, Refusal)
    assert found.seen == "nvidia_toolkit is absent"


def test_services_own_environment_stays() -> None:
    access = GpuAccess(RUNTIME, "runtime")
    service = {"image": "one", "environment": {"A": "b"}}
    environment = {"NVIDIA_VISIBLE_DEVICES": "all", "A": "b"}
    assert access.add_to(service) == {"image": "one", "runtime": "nvidia", "environment": environment}
    assert GpuAccess({"gpus": []}, "gpus").add_to({"image": "one"}) == {"image": "one", "gpus": []}
