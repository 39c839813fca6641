"""The judgement of the GPU proof: what must work, what else works, and a proof that does not count."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Finding, Verdict, check
from deploys.planning.host_plan import Plan
from deploys.planning.plan import make_plan
from deploys.planning.proof import CDI, GPUS, explain
from deploys.planning.records import Area
from deploys.planning.settings import Settings
from facts.model import Attempt, CdiSpec, Host, Proof
from tests.planning.hosts import BARE, PROOF_IMAGE, READY

CATALOGUE = load_catalogue()
GOOD, BAD, UNKNOWN = Verdict.GOOD, Verdict.BAD, Verdict.UNKNOWN
PROOF = READY.proof or Proof(0, "", "", "", "", "", 0)


def plan(host: Host) -> Plan:
    """The plan for a host with the proof image that the made-up hosts have."""
    return make_plan(Settings(gpu_proof_image=PROOF_IMAGE, reboot="when-needed"), host, CATALOGUE)


def finding(area: Area, host: Host) -> Finding:
    """The one finding of an area, of the plan that was made for the bare server."""
    [found] = [one for one in check(plan(BARE), host, CATALOGUE) if one.area is area]
    return found


def test_good_proof_names_what_was_proved() -> None:
    found = finding(Area.PROOF, READY)
    assert found.verdict is GOOD
    for part in ("CUDA", "--runtime=nvidia", "1 GPU ", "NVIDIA H100 80GB HBM3", "580.95.05"):
        assert part in found.text


def proof_findings(*others: Attempt) -> list[Finding]:
    """The findings of the proof, good by the runtime, of a host with --gpus and CDI."""
    docker = replace(READY.docker, cdi=True)
    toolkit = replace(READY.toolkit, cdi_specs=(CdiSpec("/var/run/cdi/nvidia.yaml", "580.95.05"),))
    host = replace(READY, docker=docker, toolkit=toolkit, proof=replace(PROOF, others=others))
    return [one for one in check(plan(BARE), host, CATALOGUE) if one.area is Area.PROOF]


def test_other_mechanisms_that_work_are_named_with_what_injected_the_gpu() -> None:
    [found] = proof_findings(Attempt(GPUS, "ok", "legacy hook"), Attempt(CDI, "ok", "CDI"))
    assert "by --runtime=nvidia (injected by CDI): 1 GPU" in found.text
    also = "; also by --gpus all (injected by legacy hook), --device nvidia.com/gpu=all (injected by CDI)"
    assert found.text.endswith(also)


@pytest.mark.parametrize(
    ("attempt", "verdict"),
    [
        (Attempt(GPUS, 'docker run: could not select device driver "" with capabilities: [[gpu]].', ""), Verdict.NOTE),
        (Attempt(GPUS, "cuInit 100", ""), BAD),
        (Attempt(CDI, "docker run: unresolvable CDI devices nvidia.com/gpu=all", ""), Verdict.NOTE),
    ],
)
def test_failed_mechanism_is_told_beside_the_good_proof(attempt: Attempt, verdict: Verdict) -> None:
    good, failed = proof_findings(attempt)
    assert (good.verdict, failed.verdict) == (GOOD, verdict)
    assert "also by" not in good.text
    assert attempt.mechanism in failed.text
    assert attempt.result in failed.text
    assert failed.remedy == explain(attempt.result)


def test_mechanism_that_the_host_does_not_have_is_not_told() -> None:
    host = replace(READY, proof=replace(PROOF, others=(Attempt(CDI, "docker run: unknown flag", ""),)))
    assert finding(Area.PROOF, host).verdict is GOOD


# CUresult values: CUDA driver API documentation.
@pytest.mark.parametrize(
    ("result", "explained"),
    [
        ("cuInit 100", "nvidia-smi"),
        ("cuInit 802", "fabricmanager"),
        ("cuInit 803", "reboot"),
        ("cuInit 804", "forward compatibility"),
        ("cuInit 999", "dmesg"),
        ("libcuda: libcuda.so.1: cannot open shared object file: No such file or directory", "injected"),
        ("python3 is not in the image", "gpu_proof_image"),
    ],
)
def test_failed_proof_is_bad_and_explained(result: str, explained: str) -> None:
    found = finding(Area.PROOF, replace(READY, proof=replace(PROOF, result=result, devices=0, names="")))
    assert found.verdict is BAD
    assert result in found.text
    assert explained in found.remedy
    assert explain(result) == found.remedy


def test_unknown_failure_still_says_where_to_look() -> None:
    assert explain("no devices")


@pytest.mark.parametrize(
    "proof",
    [None, replace(PROOF, boot="before/1"), replace(PROOF, driver="570.1"), replace(PROOF, image="other")],
    ids=["none", "boot", "driver", "image"],
)
def test_stale_or_missing_proof_is_unknown_never_good(proof: Proof | None) -> None:
    found = finding(Area.PROOF, replace(READY, proof=proof))
    assert found.verdict is UNKNOWN
    assert found.remedy
