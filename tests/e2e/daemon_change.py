"""Changes of daemon.json, sent to a simulated host as pyinfra would send them, and a Docker that can be held up."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from deploys.areas.access import Access, load_detached
from deploys.areas.docker import daemon_json_input, daemon_json_words
from deploys.planning.records import Action, DaemonPlan
from tests.e2e.fleet import DAEMON_JSON
from tests.e2e.harness import LIMIT, Machine, running, wait_until
from tests.e2e.snapshot import keep_me_pid

FOLDER = "/var/lib/gpu-hosts/daemon-json"
PENDING = f"{FOLDER}/pending"
TAKEN_BACK = "Docker did not take the new daemon.json; the old one is back and Docker runs"
# Keys with which dockerd does not start, and what it says then. Its own check lets most of them pass.
FAILING: tuple[tuple[dict[str, object], str], ...] = (
    ({"default-runtime": "absent"}, "specified default runtime 'absent' does not exist"),
    ({"runtimes": {"runc": {"path": "/usr/bin/runc"}}}, "runtime name 'runc' is reserved"),
    ({"exec-opts": ["native.cgroupdriver=foo"]}, "native.cgroupdriver option foo not supported"),
    ({"log-opts": {"absent": "1"}}, "unknown log opt 'absent' for json-file log driver"),
    ({"registry-mirrors": ["mirror.lab"]}, "invalid mirror: "),
    ({"storage-driver": "bogus"}, "error initializing graphdriver: driver not supported"),
)
# Docker's command line, slow to answer while a change is under way: events are asked for after a reload, and what is in
# force after a restart. The daemon itself is as it is.
SLOW_DOCKER = f"""#!/bin/sh
if [ -e {PENDING} ] && [ "$1" = "$(cat /run/docker-slow)" ]; then
    touch /run/docker-asked
    while [ ! -e /run/docker-answers ]; do sleep 0.1; done
fi
exec /usr/bin/docker "$@"
"""


@dataclass(frozen=True)
class Said:
    """What a change of daemon.json left on the SSH client: exit status and output."""

    status: int
    text: str


def text_of(keys: Mapping[str, object]) -> str:
    """A daemon.json with these keys."""
    return json.dumps(keys, indent=2) + "\n"


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def change(machine: Machine, plan: DaemonPlan) -> Said:
    """Carry ``plan`` out over SSH, to its end."""
    command, lines = _command(plan)
    words = machine.ssh(command)
    done = subprocess.run(words, input=lines, capture_output=True, text=True, timeout=LIMIT)
    return Said(done.returncode, done.stdout + done.stderr)


@contextmanager
def changing(
    machine: Machine, plan: DaemonPlan, *, terminal: bool = False, scope: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """OpenSSH that carries ``plan`` out, with or without a terminal there. It is killed at the end.

    scope: of a session that systemd-logind would have made, had it been asked to: a unit below the slice of the users.
    """
    command, lines = _command(plan)
    if scope:
        command = f"sudo systemd-run --quiet --scope --slice=user.slice --unit={scope} {command}"
    options = ["-tt"] if terminal else []
    with running(machine.ssh(*options, command), stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        if terminal:
            # What is typed before sudo has set the terminal up would be lost. Input ends as typed.
            machine.wait_for(f"ls -d {FOLDER}/run.*", "the start of the script")
            client.stdin.write(f"{lines}\x04")
            client.stdin.flush()
        else:
            client.stdin.write(lines)
            client.stdin.close()
        yield client


def _command(plan: DaemonPlan) -> tuple[str, str]:
    words, texts = daemon_json_words(plan), daemon_json_input(plan)
    command = Access(root=False).command(load_detached("daemon_json"), "daemon-json", *words, stdin=texts)
    return command.get_raw_value(), "".join(f"{line}\n" for line in command.connector_arguments["_stdin"])


def refused(machine: Machine, plan: DaemonPlan) -> str:
    """What a change that fails says. File, daemon and container are as they were before it."""
    before = _seen(machine)
    said = change(machine, plan)
    assert (said.status, _seen(machine), is_settled(machine)) == (1, before, True), said.text
    return said.text


def _seen(machine: Machine) -> tuple[str, int, str]:
    return machine.read(DAEMON_JSON), keep_me_pid(machine), in_force(machine, "{{.LoggingDriver}} {{.Labels}}")


def kill_daemon_in_the_middle(machine: Machine, plan: DaemonPlan) -> None:
    """Kill dockerd once it has ``plan``'s file. systemd starts it again, and the change succeeds."""
    slow_docker_down(machine, "events" if plan.action is Action.RELOAD else "info")
    with changing(machine, plan) as client:
        wait_for_the_middle(machine, plan.text or "")
        killed = daemon(machine)
        machine.sh(f"kill -KILL {killed}")
        wait_until(lambda: daemon(machine) not in ("0", killed), "the daemon's return")
        let_docker_answer(machine)
        assert client.wait(60) == 0
    assert machine.read(DAEMON_JSON) == plan.text
    assert is_settled(machine)
    for line in plan.expected:
        assert line.partition("=")[2] in in_force(machine, "{{.Runtimes}} {{.LoggingDriver}}")


def slow_docker_down(machine: Machine, question: str = "events") -> None:
    """Hold up the answer to ``docker QUESTION`` until ``let_docker_answer``."""
    machine.sh(f"rm -f /run/docker-asked /run/docker-answers; echo {question} >/run/docker-slow")
    machine.write("/usr/local/bin/docker", SLOW_DOCKER)
    machine.sh("chmod 0755 /usr/local/bin/docker")


def wait_for_the_middle(machine: Machine, text: str) -> None:
    """Return when ``text`` is in place as the new file and the daemon's answer is awaited."""
    machine.wait_for("[ -e /run/docker-asked ]", "the question what the daemon has done")
    assert machine.does(f"[ -e {PENDING} ]")
    assert machine.read(DAEMON_JSON) == text


def let_docker_answer(machine: Machine) -> None:
    """Let the transaction go on, and return when it has ended."""
    machine.sh("touch /run/docker-answers")
    machine.wait_for(f"flock --nonblock {FOLDER}/lock true", "the end of the transaction")


def is_settled(machine: Machine) -> bool:
    """Whether nothing of a transaction is left but its lock, the ledger and what a killed client has left."""
    left = machine.sh(f"ls {FOLDER}; ls /etc/docker | grep gpu-hosts.new; true").split()
    return {name for name in left if not name.startswith("run.")} <= {"lock", "ledger"}


def daemon(machine: Machine) -> str:
    """The process of dockerd."""
    return machine.sh("systemctl show --property MainPID --value docker")


def in_force(machine: Machine, template: str) -> str:
    """What the daemon itself says."""
    return machine.sh(f"/usr/bin/docker info --format '{template}'")
