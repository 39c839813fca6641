"""Whether the proof on record still counts, and by which mechanisms a host gives a container the GPU."""

import json
from dataclasses import replace

import pytest

from deploys.planning.proof import (
    EXPLANATIONS,
    REFUSALS,
    driver_identity,
    explain,
    other_mechanisms,
    plan_proof,
    stale_because,
)
from deploys.planning.records import DaemonPlan, DockerPlan, ProofPlan, ToolkitPlan
from facts.model import Attempt, CdiSpec, Host, Proof
from tests.planning.hosts import BARE, DOCKER, DOCKER_DESKTOP, JETSON, PROOF_IMAGE, READY, WSL, with_jetson

RUNTIME, GPUS, CDI = "--runtime=nvidia", "--gpus all", "--device nvidia.com/gpu=all"
GOOD = READY.proof or Proof(0, "", "", "", "", "", 0)
SPEC = CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05")
# moby, daemon/errors.go, as docker 29 prints it.
NO_HOOK = 'docker run: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]'


def plan(
    host: Host,
    *,
    docker: DockerPlan | None = None,
    toolkit: ToolkitPlan | None = None,
    daemon: DaemonPlan | None = None,
    changes_driver: bool = False,
) -> ProofPlan:
    """The plan of a run that changes nothing but what is given."""
    return plan_proof(
        PROOF_IMAGE,
        host,
        docker=docker or DockerPlan(),
        toolkit=toolkit or ToolkitPlan(),
        daemon=daemon or DaemonPlan(),
        changes_driver=changes_driver,
    )


def having(
    host: Host, *, docker: str = "28.5.2", cdi: bool = False, spec: bool = True, mode: str | None = None
) -> Host:
    """The host with Docker of a version, which takes CDI devices or not, a specification, and the runtime's mode."""
    return replace(
        host,
        docker=replace(DOCKER, server_version=docker, cdi=cdi),
        toolkit=replace(READY.toolkit, cdi_specs=(SPEC,) if spec else (), mode=mode),
    )


def recorded(host: Host, *others: Attempt) -> Host:
    """The host with a good proof and these attempts beside it."""
    return replace(host, proof=replace(GOOD, others=others))


def test_good_proof_counts() -> None:
    assert stale_because(PROOF_IMAGE, RUNTIME, READY) is None
    assert plan(READY).run is False


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (None, "no proof on record"),
        (replace(GOOD, result="cuInit 999"), "cuInit 999"),
        (replace(GOOD, boot="other/1"), "booted"),
        (replace(GOOD, driver="570.133.20"), "570.133.20"),
        (replace(GOOD, image="other"), "another image"),
        (replace(GOOD, mechanism="--gpus all"), "another mechanism"),
        (replace(GOOD, others=()), "--gpus all has not been tried"),
    ],
)
def test_proof_is_made_again_where_what_it_rests_on_changed(proof: Proof | None, reason: str) -> None:
    planned = plan(replace(READY, proof=proof))
    assert planned.run
    assert reason in planned.notes[0].because


@pytest.mark.parametrize(
    ("planned", "reason"),
    [
        (plan(READY, changes_driver=True), "the driver"),
        (plan(READY, docker=DockerPlan(packages=("docker-ce",))), "Docker or the toolkit"),
        (plan(READY, toolkit=ToolkitPlan(packages=("nvidia-container-toolkit",))), "Docker or the toolkit"),
        (plan(READY, toolkit=ToolkitPlan(cdi=True)), "the CDI specification"),
        (plan(READY, toolkit=ToolkitPlan(stale_specs=("/etc/cdi/nvidia.yaml",))), "the CDI specification"),
    ],
)
def test_proof_is_made_again_where_this_run_changes_what_it_rests_on(planned: ProofPlan, reason: str) -> None:
    assert planned.run
    assert planned.notes[0].because == f"this run changes {reason}"


def test_age_alone_does_not_make_a_proof_stale() -> None:
    assert stale_because(PROOF_IMAGE, RUNTIME, replace(READY, time=READY.time + 10**8)) is None


@pytest.mark.parametrize(
    ("host", "identity"),
    [
        (READY, "580.95.05"),
        (BARE, None),
        (JETSON, "L4T 36.4.4"),
        (replace(JETSON, jetson=None), "L4T of unknown release"),
        (with_jetson(JETSON, l4t=None), "L4T of unknown release"),
        (WSL, "Windows driver"),
    ],
)
def test_driver_identity(host: Host, identity: str | None) -> None:
    assert driver_identity(host) == identity


@pytest.mark.parametrize(
    ("host", "mechanism"),
    [
        (READY, RUNTIME),
        (JETSON, RUNTIME),
        (WSL, RUNTIME),
        (having(READY, docker="18.09.9"), RUNTIME),
        (DOCKER_DESKTOP, GPUS),
    ],
)
def test_mechanism_that_must_work_needs_no_restart(host: Host, mechanism: str) -> None:
    # Jetson's csv mode refuses --gpus (NVIDIA Container Toolkit); Docker Desktop has no nvidia runtime.
    assert plan(host).mechanism == mechanism


# --gpus: Docker 19.03 (release notes); CDI devices: where docker info names CDI's folders, Docker 25 and newer; --gpus
# by CDI: 29.2 (moby, daemon/devices_nvidia_linux.go); the hook refuses modes that are not legacy, and auto is csv on
# Tegra (nvidia-container-toolkit, cmd/nvidia-container-runtime-hook/hook_config.go, internal/info/auto.go).
@pytest.mark.parametrize(
    ("host", "others"),
    [
        (having(READY, docker="18.09.9"), ()),
        (having(READY, docker="19.03.15"), (GPUS,)),
        (having(READY, docker="20.10.24+dfsg1"), (GPUS,)),
        (having(READY, docker="26.1.5+dfsg1"), (GPUS,)),
        (having(READY, docker="26.1.5+dfsg1", cdi=True), (GPUS, CDI)),
        (having(READY, docker="28.5.2", cdi=True), (GPUS, CDI)),
        (having(READY, docker="28.5.2", cdi=True, spec=False), (GPUS,)),
        (having(READY, docker="28.5.2", cdi=True, mode="legacy"), (GPUS, CDI)),
        (having(READY, docker="28.5.2", cdi=True, mode="cdi"), (CDI,)),
        (having(READY, docker="28.5.2", mode="csv"), ()),
        (having(READY, docker="29.1.3", cdi=True, mode="jit-cdi"), (CDI,)),
        (having(READY, docker="29.2.0", cdi=True, mode="jit-cdi"), (GPUS, CDI)),
        (having(JETSON, docker="27.5.1", mode="auto"), ()),
        (having(JETSON, docker="28.5.2", cdi=True, mode="csv"), (CDI,)),
        (having(JETSON, docker="29.4.3", cdi=True, mode="csv"), (GPUS, CDI)),
        (having(JETSON, docker="29.4.3", cdi=True, spec=False), ()),
        (having(WSL, docker="26.1.5"), (GPUS,)),
        (DOCKER_DESKTOP, ()),
        (BARE, ()),
    ],
)
def test_other_mechanisms(host: Host, others: tuple[str, ...]) -> None:
    assert other_mechanisms(host) == others


CDI_ON = DaemonPlan(text=json.dumps({"features": {"cdi": True}}))


@pytest.mark.parametrize(
    ("planned", "others"),
    [
        # What is installed may be of any version, and bring its specification.
        (plan(BARE, docker=DockerPlan(packages=("docker-ce",)), toolkit=ToolkitPlan(packages=("a",))), (GPUS, CDI)),
        (plan(BARE, docker=DockerPlan(packages=("docker-ce",))), (GPUS,)),
        (plan(having(READY, docker="27.5.1")), (GPUS,)),
        (plan(having(READY, docker="27.5.1"), daemon=CDI_ON), (GPUS, CDI)),
        (plan(having(READY, docker="27.5.1"), daemon=DaemonPlan(text="{}")), (GPUS,)),
        (plan(having(READY, docker="27.5.1"), daemon=DaemonPlan(text='{"features": {"cdi": false}}')), (GPUS,)),
        (plan(having(READY, cdi=True, spec=False), toolkit=ToolkitPlan(cdi=True)), (GPUS, CDI)),
        (plan(having(READY, cdi=True, spec=False), changes_driver=True), (GPUS, CDI)),
    ],
)
def test_what_a_run_makes_true_is_tried_in_it(planned: ProofPlan, others: tuple[str, ...]) -> None:
    assert planned.also == others


def test_mechanism_that_comes_with_this_run_is_tried_although_the_proof_is_valid() -> None:
    assert plan(having(READY, docker="27.5.1"), daemon=CDI_ON).notes[0].because == f"{CDI} has not been tried"


def test_what_was_tried_in_vain_and_is_not_there_asks_for_nothing() -> None:
    """The run that installed Docker could not know that this one takes no CDI devices."""
    host = having(READY, docker="26.1.5+dfsg1")
    assert not plan(recorded(host, Attempt(GPUS, "ok", "legacy hook"), Attempt(CDI, "docker run: no", ""))).run


@pytest.mark.parametrize(
    ("attempt", "again"),
    [
        (Attempt(GPUS, "ok", "legacy hook"), False),
        (Attempt(GPUS, NO_HOOK, ""), False),
        (Attempt(GPUS, "cuInit 100", ""), True),
        (Attempt(GPUS, "docker run: driver not loaded", ""), True),
    ],
)
def test_failure_that_waits_for_a_restart_is_not_tried_at_every_run(attempt: Attempt, again: bool) -> None:
    assert plan(recorded(having(READY), attempt)).run is again


UNRESOLVABLE = "docker run: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all"


@pytest.mark.parametrize("failed", [(GPUS, NO_HOOK), (CDI, UNRESOLVABLE)])
def test_failed_mechanism_is_tried_again_after_a_start_of_dockerd(failed: tuple[str, str]) -> None:
    good = (Attempt(name, "ok", "CDI") for name in (GPUS, CDI) if name != failed[0])
    host = recorded(having(READY, cdi=True), *good, Attempt(*failed, ""))
    assert not plan(host).run
    before = replace(host, docker=replace(host.docker, started=GOOD.time - 1))
    assert not plan(before).run
    after = replace(host, docker=replace(host.docker, started=GOOD.time + 1))
    assert plan(after).notes[0].because == f"{failed[0]} failed the last time"
    assert plan(host, daemon=DaemonPlan(text="{}")).run


def test_start_of_dockerd_alone_asks_for_no_new_proof() -> None:
    assert not plan(replace(READY, docker=replace(READY.docker, started=READY.time))).run


@pytest.mark.parametrize(
    ("said", "todo"),
    [
        (NO_HOOK, "systemctl restart docker"),
        ('docker run: could not select device driver "cdi" with capabilities: []', "docker_features"),
        (UNRESOLVABLE, "nvidia-ctk cdi list"),
        ('docker run: error mounting "/usr/lib/libcuda.so.570.1" to rootfs at "/usr/lib/x": stat', "outdated"),
        ("docker run: failed to fulfil mount request: open /usr/lib/libcuda.so.570.1: no such file", "outdated"),
        (
            "docker run: nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
            "nvidia-smi",
        ),
        ("docker run: something new", "see `docker run` on the host"),
        ("could not select device driver", "see `docker run` on the host"),
    ],
)
def test_dockers_refusals_are_explained(said: str, todo: str) -> None:
    assert todo in explain(said)


def test_every_explanation_is_reached() -> None:
    assert [explain(start) for start in EXPLANATIONS] == list(EXPLANATIONS.values())
    assert [explain(f"docker run: {part}") for part in REFUSALS] == list(REFUSALS.values())
