"""The small containers on a simulated server: the GPU's, run for real, and those that it has no devices for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEPLOY, Controller, Inventory, Machine, machine

CONTAINERS = "deploys/containers.py"
SEE: dict[str, dict[str, object]] = {"see": {"kind": "hello_gpu"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    """A bare server."""
    with machine("server", "t-hello") as fresh:
        yield fresh


def wishing(server: Machine, containers: dict[str, dict[str, object]]) -> Inventory:
    """The inventory of the server with these containers."""
    return {server.name: server.data | {"containers": containers}}


def test_a_bare_server_comes_to_print_its_gpu(server: Machine, controller: Controller) -> None:
    run = controller.run(wishing(server, SEE), DEPLOY, "-y")
    assert run.verdicts == {server.name: "good"}, run.text
    seen = server.sh("docker logs gpu-hosts-see")
    assert "simulated GPU" in seen.splitlines()[0]
    assert seen.splitlines()[-1] == "1 GPUs seen, 1 wanted"
    assert (
        server.sh("docker inspect -f '{{.HostConfig.Privileged}} {{.HostConfig.CapDrop}}' gpu-hosts-see")
        == "false [ALL]"
    )


def test_the_next_run_has_nothing_to_do(server: Machine, controller: Controller) -> None:
    run = controller.run(wishing(server, SEE), CONTAINERS, "-y")
    assert (run.operations, run.verdicts) == ([], {server.name: "good"}), run.text


def test_too_few_gpus_are_told(server: Machine, controller: Controller) -> None:
    run = controller.run(wishing(server, {"see": {"kind": "hello_gpu", "count": 2}}), CONTAINERS, "-y")
    assert run.status == 1
    assert run.verdicts == {server.name: "bad"}, run.text
    assert "1 GPUs seen, 2 wanted" in run.said_of(server.name)
    assert "container see: it does not come up" in run.said_of(server.name)
    assert "set count to that" in run.said_of(server.name)


def test_without_devices_the_others_are_refused(server: Machine, controller: Controller) -> None:
    """Neither a camera nor a sound card is simulated: containers with those are run in the virtual machine."""
    wish = wishing(server, SEE | {"front": {"kind": "hello_video"}, "sound": {"kind": "hello_audio"}})
    run = controller.run(wish, CONTAINERS, "-y")
    assert run.verdicts == {server.name: "bad"}, run.text
    assert run.is_three_part(server.name, "front: this host has no camera")
    assert run.is_three_part(server.name, "sound: there is no sound card")
    assert server.sh("docker ps -a --filter label=com.docker.compose.project --format '{{.Names}}'") == "gpu-hosts-see"
