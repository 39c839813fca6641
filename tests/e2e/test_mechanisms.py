"""Every way of giving a container the GPU is tried in a real one, and what failed beside the good one is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, data_of, machine

VERIFY = "deploys/verify.py"
PROOF = "/var/lib/gpu-hosts/proof"
SPEC = "/var/run/cdi/nvidia.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A provisioned server, whose Docker takes CDI devices."""
    with machine("server", "t-mechanisms") as fresh:
        run = Controller(tmp_path_factory.mktemp("mechanisms")).run(data_of(fresh), DEPLOY, "-y")
        assert run.verdicts == {fresh.name: "good"}, run.text
        yield fresh


def test_all_that_work_are_named(server: Machine, controller: Controller) -> None:
    run = controller.run(data_of(server), VERIFY, "-y")
    assert run.verdicts == {server.name: "good"}, run.text
    [proof] = [line for line in run.said_of(server.name).splitlines() if "good: gpu proof:" in line]
    assert "CUDA initialised in a container by --runtime=nvidia" in proof
    assert proof.endswith("--device nvidia.com/gpu=all (injected by CDI)")
    assert "also by --gpus all" in proof
    assert run.table[server.name]["GPU proof"].startswith("ok (runtime, gpus, CDI), ")


def test_the_next_run_has_nothing_to_do(server: Machine, controller: Controller) -> None:
    run = controller.run(data_of(server), DEPLOY, "-y")
    assert (run.operations, run.verdicts) == ([], {server.name: "good"}), run.text


def test_outdated_specification_is_told_and_costs_the_others_nothing(server: Machine, controller: Controller) -> None:
    """The library that it mounts has gone with another driver."""
    good = server.sh(f"cat {SPEC}")
    server.sh(f"sed -i 's|hostPath: .*|hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.1.gone|' {SPEC}")
    try:
        run = controller.run(data_of(server), VERIFY, "-y")
    finally:
        server.sh(f"cat >{SPEC} <<'END'\n{good}\nEND")
    assert run.verdicts == {server.name: "good"}, run.text
    [told] = [line for line in run.said_of(server.name).splitlines() if "note: gpu proof:" in line]
    assert "--device nvidia.com/gpu=all does not give a container the GPU: docker run: " in told
    assert "the CDI specification is outdated" in told
    assert run.table[server.name]["GPU proof"].startswith("ok (runtime, gpus), ")


def test_without_the_hook_dockerd_wants_a_restart(server: Machine, controller: Controller) -> None:
    """As where the toolkit came after dockerd's start: what is typed most waits, and the run says for what."""
    hook = "/usr/bin/nvidia-container-runtime-hook"
    server.sh(f"mv {hook} {hook}.away && systemctl restart docker && mv {hook}.away {hook}")
    run = controller.run(data_of(server), VERIFY, "-y")
    assert run.verdicts == {server.name: "good"}, run.text
    [told] = [line for line in run.said_of(server.name).splitlines() if "note: gpu proof:" in line]
    assert "--gpus all does not give a container the GPU" in told
    assert "systemctl restart docker" in told
    server.sh(f"systemctl restart docker && sed -i 's/^time=.*/time=1000000000/' {PROOF}")
    again = controller.run(data_of(server), DEPLOY, "-y")
    assert again.verdicts == {server.name: "good"}, again.text
    assert "gpu proof: proves the GPU in a container (--gpus all failed the last time)" in again.text
    assert again.table[server.name]["GPU proof"].startswith("ok (runtime, gpus, CDI), ")
