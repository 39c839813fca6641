"""The verdict follows what CUDA answers in a container: good, bad with an explanation, and good again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, data_of
from tests.sandbox import hosts

VERIFY = "deploys/verify.py"
ABSENT = f"nvidia/cuda@sha256:{64 * '0'}"
PROOF = "/var/lib/gpu-hosts/proof"


@pytest.fixture(autouse=True)
def working_gpu(provisioned: Machine) -> Iterator[None]:
    """After each test cuInit succeeds again."""
    yield
    hosts.tell_cuinit(provisioned.name, "0")


def proof_time(machine: Machine) -> int:
    """When the proof on record was made, in seconds of the host's clock."""
    return int(machine.sh(f"sed -n 's/^time=//p' {PROOF}"))


@pytest.mark.parametrize(
    ("answer", "result", "explanation"),
    [
        ("100", "cuInit 100", "no device reached the container"),
        ("802", "cuInit 802", "NVSwitch machines need nvidia-fabricmanager"),
        ("999", "cuInit 999", "dmesg on the host, lines with NVRM"),
        ("nothing", "libcuda: ", "nothing was injected: the nvidia runtime did not run"),
    ],
)
def test_failing_cuda_is_bad(
    provisioned: Machine, controller: Controller, answer: str, result: str, explanation: str
) -> None:
    """Exit status 1, the result and what it usually means, and the same in the table; then good again."""
    hosts.tell_cuinit(provisioned.name, answer)
    bad = controller.run(data_of(provisioned), VERIFY, "-y")
    assert (bad.status, bad.verdicts) == (1, {provisioned.name: "bad"}), bad.text
    said = bad.said_of(provisioned.name)
    assert f"bad: gpu proof: CUDA did not initialise in a container: {result}" in said
    assert explanation in said
    assert bad.table[provisioned.name]["GPU proof"].startswith(result.strip())

    hosts.tell_cuinit(provisioned.name, "0")
    good = controller.run(data_of(provisioned), VERIFY, "-y")
    assert (good.status, good.verdicts) == (0, {provisioned.name: "good"}), good.text


def test_failed_proof_is_repeated_by_the_next_run(provisioned: Machine, controller: Controller) -> None:
    """The run says why it proves again, and changes nothing else."""
    hosts.tell_cuinit(provisioned.name, "999")
    assert controller.run(data_of(provisioned), VERIFY, "-y").status == 1
    hosts.tell_cuinit(provisioned.name, "0")
    run = controller.run(data_of(provisioned), DEPLOY, "-y")
    assert (run.status, run.verdicts) == (0, {provisioned.name: "good"}), run.text
    assert "gpu proof: proves the GPU in a container (the last one failed: cuInit 999)" in run.text
    assert run.operations == ["Prove the GPU in a container", "Ask again and judge"]


def test_verify_always_proves_again(provisioned: Machine, controller: Controller) -> None:
    """Although the proof on record is valid: a new one takes its place."""
    provisioned.sh(f"sed -i 's/^time=.*/time=1000000000/' {PROOF}")
    run = controller.run(data_of(provisioned), VERIFY, "-y")
    assert (run.status, run.verdicts) == (0, {provisioned.name: "good"}), run.text
    assert proof_time(provisioned) > 1000000000


def test_no_proof_is_unknown(provisioned: Machine, controller: Controller) -> None:
    """Without the image nothing is proved: unknown, never good, and the old record does not count."""
    without_image = data_of(provisioned)
    without_image[provisioned.name]["gpu_proof_image"] = ABSENT
    run = controller.run(without_image, VERIFY, "-y")
    assert (run.status, run.verdicts) == (1, {provisioned.name: "bad"}), run.text
    assert f"unknown: gpu proof: the image {ABSENT} is not on the host" in run.text
    assert f"bad: images: not there: {ABSENT}" in run.text
