"""The transaction around daemon.json: it ends committed or rolled back, whatever is killed in its middle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploys.areas.access import Access, load_detached
from deploys.areas.docker import daemon_json_input, daemon_json_words
from deploys.planning.daemon import digest
from deploys.planning.records import Action, DaemonPlan
from tests.e2e.fleet import DAEMON_JSON
from tests.e2e.harness import Controller, Machine, data_of, running
from tests.e2e.snapshot import keep_me_pid
from tests.planning.daemon_files import merge_runtime

TOOLKIT = "deploys/container_toolkit.py"
FOLDER = "/var/lib/gpu-hosts/daemon-json"
PENDING, BEFORE = f"{FOLDER}/pending", f"{FOLDER}/before"
SITE = '{\n  "log-driver": "json-file",\n  "labels": [\n    "site=lab-2"\n  ]\n}\n'
# A key that a newer Docker may know. The daemon that runs has started without it, and will not take it.
NEWER = SITE.replace('"log-driver"', '"key-of-a-newer-docker": true,\n  "log-driver"')
# Docker's command line, slow to tell what has happened: the transaction waits between swap and outcome.
SLOW_DOCKER = """#!/bin/sh
if [ "$1" = events ]; then
    touch /run/docker-asked
    while [ ! -e /run/docker-answers ]; do sleep 0.1; done
fi
exec /usr/bin/docker "$@"
"""


@pytest.fixture
def wsl(provisioned: Machine) -> Iterator[Machine]:
    """The host as before the runtime was registered, in the file and in the daemon, with the toolkit there."""
    provisioned.write(DAEMON_JSON, SITE)
    provisioned.sh(f"rm -rf {DAEMON_JSON}.gpu-hosts.bak {FOLDER}; docker kill keep-me")
    provisioned.sh("systemctl reset-failed docker; systemctl restart docker")  # systemd allows few starts a minute
    provisioned.wait_for("docker ps --quiet --filter name=keep-me | grep -q .", "the administrator's container")
    yield provisioned
    provisioned.sh("rm -f /usr/local/bin/docker /run/docker-asked; touch /run/docker-answers")


def slow_docker_down(machine: Machine) -> None:
    """Hold up the answer until ``let_docker_answer``."""
    machine.sh("rm -f /run/docker-asked /run/docker-answers")
    machine.write("/usr/local/bin/docker", SLOW_DOCKER)
    machine.sh("chmod 0755 /usr/local/bin/docker")


def wait_for_the_middle(machine: Machine) -> None:
    """Return when the new file is in place and the daemon's answer is awaited."""
    machine.wait_for("[ -e /run/docker-asked ]", "the question whether the daemon has reloaded")
    assert machine.does(f"[ -e {PENDING} ]")
    assert "nvidia" in machine.read(DAEMON_JSON)


def let_docker_answer(machine: Machine) -> None:
    """Let the transaction go on, and return when it has ended."""
    machine.sh("touch /run/docker-answers")
    machine.wait_for(f"flock --nonblock {FOLDER}/lock true", "the end of the transaction")
    assert not machine.does(f"[ -e {PENDING} ] || [ -e {BEFORE} ]")


def runtimes(machine: Machine) -> set[str]:
    """What the daemon itself knows."""
    return set(json.loads(machine.sh("docker info --format '{{json .Runtimes}}'")))


@contextmanager
def ssh_client(machine: Machine, text: str, *, terminal: bool) -> Iterator[None]:
    """OpenSSH that sends the change of the file (now ``text``) as pyinfra would, with or without a terminal there.

    It is killed at the end.
    """
    plan = DaemonPlan(merge_runtime(text), digest(text), Action.RELOAD, expected=("runtime=nvidia",))
    words, texts = daemon_json_words(plan), daemon_json_input(plan)
    command = Access(root=False).command(load_detached("daemon_json"), "daemon-json", *words, stdin=texts)
    lines = "".join(f"{line}\n" for line in command.connector_arguments["_stdin"])
    words = ["-tt"] if terminal else []
    with running(machine.ssh(*words, command.get_raw_value()), stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        if terminal:
            # What is typed before sudo has set the terminal up would be lost. Input ends as typed.
            machine.wait_for(f"ls -d {FOLDER}/run.*", "the start of the script")
            client.stdin.write(f"{lines}\x04")
            client.stdin.flush()
        else:
            client.stdin.write(lines)
            client.stdin.close()
        yield


def test_runtime_is_registered_without_restart(wsl: Machine, controller: Controller) -> None:
    """The daemon's process and the container's are the ones from before."""
    before = keep_me_pid(wsl), wsl.sh("systemctl show --property MainPID docker")
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert run.status == 0, run.text
    assert (keep_me_pid(wsl), wsl.sh("systemctl show --property MainPID docker")) == before
    assert "nvidia" in runtimes(wsl)
    assert wsl.read(DAEMON_JSON) == merge_runtime(SITE)
    assert wsl.read(f"{DAEMON_JSON}.gpu-hosts.bak") == SITE


def test_file_that_the_daemon_refuses_is_taken_back(wsl: Machine, controller: Controller) -> None:
    """Byte for byte, while the container and the daemon go on; the message tells the daemon's own reason."""
    wsl.write(DAEMON_JSON, NEWER)
    before = keep_me_pid(wsl)
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "Docker did not take the new daemon.json; the old one is back"), run.text
    assert "key-of-a-newer-docker" in run.said_of(wsl.name)
    assert wsl.read(DAEMON_JSON) == NEWER
    assert not wsl.does(f"[ -e {PENDING} ] || [ -e {BEFORE} ]")
    assert keep_me_pid(wsl) == before
    assert "nvidia" not in runtimes(wsl)


@pytest.mark.parametrize("terminal", [False, True])
def test_client_killed_in_the_middle(wsl: Machine, controller: Controller, terminal: bool) -> None:
    """The host commits by itself, and the next run finds it right."""
    slow_docker_down(wsl)
    before = keep_me_pid(wsl)
    with ssh_client(wsl, SITE, terminal=terminal):
        wait_for_the_middle(wsl)
    let_docker_answer(wsl)
    assert wsl.read(DAEMON_JSON) == merge_runtime(SITE)
    assert "nvidia" in runtimes(wsl)
    assert keep_me_pid(wsl) == before
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert (run.status, run.operations) == (0, []), run.text


def test_client_killed_before_the_daemon_refuses(wsl: Machine) -> None:
    """The host takes the file back by itself."""
    wsl.write(DAEMON_JSON, NEWER)
    slow_docker_down(wsl)
    before = keep_me_pid(wsl)
    with ssh_client(wsl, NEWER, terminal=True):
        wait_for_the_middle(wsl)
    let_docker_answer(wsl)
    assert wsl.read(DAEMON_JSON) == NEWER
    assert keep_me_pid(wsl) == before


def test_pyinfra_killed_in_the_middle(wsl: Machine, controller: Controller) -> None:
    """The host ends the transaction, and a run after it makes the rest right."""
    slow_docker_down(wsl)
    before = keep_me_pid(wsl)
    with controller.start(data_of(wsl), TOOLKIT, "-y"):
        wait_for_the_middle(wsl)
    let_docker_answer(wsl)
    assert wsl.read(DAEMON_JSON) == merge_runtime(SITE)
    assert keep_me_pid(wsl) == before
    run = controller.run(data_of(wsl), "deploys/gpu_host.py", "-y")
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text


def test_interrupted_change_is_settled_first(wsl: Machine, controller: Controller) -> None:
    """A host that lost power between swap and outcome: the old file comes back, and the run after that goes through."""
    wsl.write(DAEMON_JSON, merge_runtime(SITE))
    wsl.sh(f"mkdir -p {FOLDER}")
    wsl.write(BEFORE, SITE)
    wsl.write(PENDING, f"was={digest(SITE)}\nnew={digest(merge_runtime(SITE))}\n")
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert run.status == 1, run.text
    assert "settles an interrupted change of daemon.json" in run.said_of(wsl.name)
    assert run.is_three_part(wsl.name, "an earlier change of daemon.json had not finished"), run.text
    assert wsl.read(DAEMON_JSON) == SITE
    assert not wsl.does(f"[ -e {PENDING} ]")
    assert controller.run(data_of(wsl), TOOLKIT, "-y").status == 0
    assert wsl.read(DAEMON_JSON) == merge_runtime(SITE)
