"""Compose files of an owner's on a server that had nothing: the GPU in them, a change, a bad one, and their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, Run, apply, machine, wish

CONTAINERS = "deploys/containers.py"
FOLDER = "/etc/gpu-hosts/containers"
# Made up. What is kept in ./data is the owner's.
TRAIN = """\
services:
  train:
    image: python:3.12-slim
    command: ["sh", "-c", "ls /dev/nvidia0 && echo first >/data/note && exec sleep 100000"]
    volumes: ["./data:/data"]
    ports:
      - 127.0.0.1:8077:8000
  migrate:
    image: python:3.12-slim
    command: ["true"]
"""
CHANGED = TRAIN.replace("sleep 100000", "python3 -m http.server 8000")
CRASHING = TRAIN.replace("exec sleep 100000", "exec cat /no/such/model")
ON_SSHS_PORT = TRAIN.replace("127.0.0.1:8077", "0.0.0.0:22")


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    """A bare server with a GPU. The tests of this module use it in order."""
    with machine("server", "t-containers") as bare:
        yield bare


def mine(folder: Path, text: str) -> Mapping[str, object]:
    """The wish for this file, whose service `train` gets the GPU."""
    file = folder / "compose.yaml"
    file.write_text(text)
    wished = {"kind": "compose", "file": str(file), "gpu": ["train"], "done": ["migrate"]}
    return {"images": [], "containers": {"mine": wished}}


def container(server: Machine) -> str:
    """The id of the running container of `train`."""
    return server.sh("docker ps -q --no-trunc --filter name=gpu-hosts-mine-train")


def check_failed(run: Run, server: Machine, brief: str, *said: str) -> None:
    """In three parts, which say this."""
    assert run.status == 1, run.text
    assert run.is_three_part(server.name, brief), run.text
    for words in said:
        assert words in run.said_of(server.name), run.text


def test_bare_server_comes_up_with_it(server: Machine, controller: Controller, tmp_path: Path) -> None:
    """What the same run installs before counts: the runtime that gives `train` the GPU."""
    apply(controller, server, DEPLOY, mine(tmp_path, TRAIN))
    assert server.sh(f"docker logs {container(server)}") == "/dev/nvidia0"
    assert server.sh(f"docker inspect -f '{{{{.HostConfig.Runtime}}}}' {container(server)}") == "nvidia"
    compose = f"docker compose -p gpu-hosts-mine -f {FOLDER}/mine/compose.yaml -f {FOLDER}/mine/owner.yaml"
    assert server.sh(f"{compose} config --quiet 2>&1") == ""
    assert server.sh(f"stat -c %a {FOLDER}/mine/owner.yaml") == "600"


def test_changed_file_takes_the_place_of_the_old_one(server: Machine, controller: Controller, tmp_path: Path) -> None:
    before = container(server)
    apply(controller, server, CONTAINERS, mine(tmp_path, CHANGED))
    assert container(server) != before
    assert server.sh(f"docker exec {container(server)} cat /data/note") == "first"


def test_one_that_crashes_gives_way_to_what_was_there(server: Machine, controller: Controller, tmp_path: Path) -> None:
    run = wish(controller, server, CONTAINERS, mine(tmp_path, CRASHING))
    brief = "container mine: it does not come up; the one from before was started again"
    check_failed(run, server, brief, "/no/such/model", "train: exited, exit code 1")
    assert server.sh(f"cat {FOLDER}/mine/owner.yaml") == CHANGED.strip()
    assert container(server)


def test_taken_port_is_refused_in_the_plan(server: Machine, controller: Controller, tmp_path: Path) -> None:
    before = container(server)
    run = wish(controller, server, CONTAINERS, mine(tmp_path, ON_SSHS_PORT))
    check_failed(run, server, "containers: refused: mine: port 22 is taken", "sshd (pid ")
    assert "Start the containers" not in run.operations
    assert container(server) == before


def test_what_nothing_wishes_for_goes_and_its_data_stay(server: Machine, controller: Controller) -> None:
    apply(controller, server, CONTAINERS, {"images": [], "containers": {}})
    assert server.sh("docker ps -aq --filter name=gpu-hosts-") == ""
    assert server.sh(f"ls {FOLDER}") == ""
    assert server.sh("cat /var/lib/gpu-hosts-containers/mine/data/note") == "first"
