"""What the tests against simulated hosts share: hosts of their own, pyinfra as a subprocess, and what it said."""

from __future__ import annotations

import itertools
import json
import os
import pprint
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox import hosts
from tests.sandbox.engine import docker
from tests.sandbox.inventory import controller_environment, host_data
from tests.sandbox.state import CHECKOUT, RunningHost, read_state

Inventory = Mapping[str, Mapping[str, Any]]  # pyinfra's data of each host, by its name
Command = list[str]
DEPLOY = "deploys/gpu_host.py"
PYINFRA = [str(Path(sys.executable).with_name("pyinfra"))]
LIMIT = 570  # seconds after which a command counts as hanging
PROMPT = "Press enter to execute..."
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Run:
    """A finished pyinfra: exit status, everything it printed without colours, commands sent to each host."""

    status: int
    text: str
    counts: Mapping[str, int]

    @property
    def table(self) -> dict[str, dict[str, str]]:
        """The closing table: host -> column title -> cell."""
        _, _, table = self.text.partition("--> Hosts:\n")
        lines = [re.split(r"  +", line.strip()) for line in table.splitlines() if line.strip()]
        titles = lines[0] if lines else []
        return {line[0]: dict(zip(titles, line, strict=True)) for line in lines[1:]}

    @property
    def preflight(self) -> list[dict[str, str]]:
        """The table of what is to be fetched: column title -> cell, for each line."""
        _, _, table = self.text.partition("--> Images to fetch:\n")
        rows = itertools.takewhile(lambda line: line.startswith(" " * 8), table.splitlines())
        lines = [re.split(r"  +", line.strip()) for line in rows]
        return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]

    @property
    def verdicts(self) -> dict[str, str]:
        """The closing table's last column: host -> verdict."""
        return {host: row["verdict"] for host, row in self.table.items()}

    @property
    def operations(self) -> list[str]:
        """Names of the operations that were begun, in order."""
        return [name.strip() for name in re.findall(r"--> Starting operation: (.*)", self.text)]

    def said_of(self, host: str) -> str:
        """The log lines that belong to one host, with the further lines of its messages."""
        kept, ours = [], False
        for line in self.text.splitlines():
            if re.match(r"    \[|--> |$", line):
                ours = line.startswith(f"    [{host}]")
            if ours:
                kept.append(line)
        return "\n".join(kept)

    def is_three_part(self, host: str, brief: str) -> bool:
        """Whether an error of ``host`` that says ``brief`` also tells what was seen and what to do."""
        lines = self.said_of(host).splitlines()
        at = next((number for number, line in enumerate(lines) if brief in line), len(lines))
        block = "\n".join(lines[at : at + 3])
        return bool(re.search(r"\n.*  seen: \S.*\n.*  to do: \S", block))


@dataclass(frozen=True)
class Machine:
    """A simulated host, looked at from inside, past SSH and sudo."""

    host: RunningHost

    @property
    def name(self) -> str:
        """Its name in inventories."""
        return self.host.name

    @property
    def data(self) -> dict[str, Any]:
        """pyinfra's data for it, as in the demo's inventory."""
        return host_data(self.host, read_state())

    @property
    def restarts(self) -> int:
        """How often it rebooted by itself since it was started."""
        return int(docker("inspect", "--format", "{{.RestartCount}}", hosts.container_of(self.name)))

    def command(self, script: str) -> Command:
        """The command that runs ``script`` (sh) inside as root."""
        return ["docker", "exec", hosts.container_of(self.name), "/bin/sh", "-c", script]

    def sh(self, script: str) -> str:
        """Stdout of ``script`` inside as root, stripped. Fails the test where the script fails."""
        done = subprocess.run(self.command(script), capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, f"{self.name}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def does(self, script: str) -> bool:
        """Whether ``script`` exits 0 inside."""
        return subprocess.run(self.command(script), capture_output=True, timeout=LIMIT).returncode == 0

    def read(self, path: str) -> str:
        """A file's text."""
        done = subprocess.run(self.command(f"cat '{path}'"), capture_output=True, timeout=LIMIT, check=True)
        return done.stdout.decode()

    def write(self, path: str, text: str) -> None:
        """Write a file; it keeps its owner and mode where it exists."""
        command = ["docker", "exec", "--interactive", *self.command(f"cat >'{path}'")[2:]]
        subprocess.run(command, input=text.encode(), timeout=LIMIT, check=True)

    def ssh(self, *words: str) -> Command:
        """The OpenSSH command of this host's user, without a password or a question. Options may precede."""
        state = read_state()
        key, known = CHECKOUT / state.ssh_key, CHECKOUT / state.known_hosts
        options = ["-i", str(key), "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
        return ["ssh", *options, f"{self.host.user}@{self.host.address}", *words]

    def can_log_in(self) -> bool:
        """Whether a new login over SSH works."""
        return subprocess.run(self.ssh("true"), capture_output=True, timeout=LIMIT).returncode == 0

    def wait_for(self, script: str, what: str) -> None:
        """Ask until ``script`` exits 0 inside."""
        wait_until(lambda: self.does(script), f"{what} on {self.name}")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Ask ``is_so()`` until it says yes; fail the test when it did not in three minutes."""
    deadline = time.monotonic() + 180
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.2)


@contextmanager
def machine(kind: str, name: str) -> Iterator[Machine]:
    """A new host of ``kind``, removed afterwards."""
    try:
        yield Machine(hosts.start_host(kind, name))
    finally:
        hosts.remove_host(name)


def data_of(*machines: Machine) -> dict[str, dict[str, Any]]:
    """The inventory of these hosts, as the demo would set them."""
    return {one.name: one.data for one in machines}


class Controller:
    """The machine that pyinfra runs on: writes inventory files into a folder and runs pyinfra from the checkout."""

    def __init__(self, folder: Path, limit: float = LIMIT) -> None:
        """``folder`` is an empty one, for inventories; ``limit`` is what a run may take, in seconds."""
        self._folder = folder
        self._limit = limit
        self._number = 0
        self.client = folder.name  # what the simulated registries know it by
        self.further: dict[str, str] = {}  # environment variables, beside those that lead to the registries

    @property
    def environment(self) -> dict[str, str]:
        """That pyinfra runs in."""
        return {**os.environ, **controller_environment(read_state(), self.client), **self.further}

    def write_inventory(self, inventory: Inventory) -> Path:
        """A real inventory file; each has a new name."""
        self._number += 1
        path = self._folder / f"inventory-{self._number}.py"
        path.write_text(f"fleet = {pprint.pformat([(name, dict(data)) for name, data in inventory.items()])}\n")
        return path

    def run(self, inventory: Inventory, *words: str) -> Run:
        """Run pyinfra to its end without a terminal, counting the commands it sends."""
        counts = self._folder / "counts.json"
        counts.unlink(missing_ok=True)
        program = [sys.executable, "-m", "tests.counted_pyinfra", str(counts)]
        command = [*program, str(self.write_inventory(inventory)), *words]
        done = self._finish(command, stdin=subprocess.DEVNULL)
        return Run(done.status, done.text, json.loads(counts.read_text()) if counts.exists() else {})

    def run_with_stdin_closed(self, inventory: Inventory, *words: str) -> Run:
        """Run pyinfra with no standard input at all, as some schedulers do."""
        command = [*PYINFRA, str(self.write_inventory(inventory)), *words]
        return self._finish(["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command], stdin=None)

    def run_on_terminal(self, inventory: Inventory, *words: str) -> Run:
        """Run pyinfra on a pseudo-terminal and answer each of its questions with Enter."""
        master, slave = pty.openpty()
        command = [*PYINFRA, str(self.write_inventory(inventory)), *words]
        environment = self.environment
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        text = _answer_questions(master)
        os.close(master)
        return Run(process.wait(self._limit), COLOURS.sub("", text.replace("\r\n", "\n")), {})

    def start(self, inventory: Inventory, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start pyinfra; see ``running``."""
        return running([*PYINFRA, str(self.write_inventory(inventory)), *words], environment=self.environment)

    def finish(self, process: subprocess.Popen[str]) -> Run:
        """Wait for a pyinfra that was started."""
        text, _ = process.communicate(timeout=self._limit)
        return Run(process.returncode, COLOURS.sub("", text), {})

    def _finish(self, command: Command, *, stdin: int | None) -> Run:
        pipe, out = subprocess.PIPE, subprocess.STDOUT
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.environment, stdin=stdin, stdout=pipe, stderr=out, text=True,
            timeout=self._limit,
        )  # fmt: skip
        return Run(done.returncode, COLOURS.sub("", done.stdout), {})


def wish(controller: Controller, host: Machine, deploy: str, wishes: Mapping[str, object]) -> Run:
    """Run ``deploy`` on ``host`` with these settings."""
    inventory = data_of(host)
    inventory[host.name].update(wishes)
    return controller.run(inventory, deploy, "-y")


def apply(controller: Controller, host: Machine, deploy: str, wishes: Mapping[str, object]) -> Run:
    """Wish for it twice: the first run makes it so, the second has nothing to do."""
    first = wish(controller, host, deploy, wishes)
    assert (first.status, first.verdicts) == (0, {host.name: "good"}), first.text
    second = wish(controller, host, deploy, wishes)
    assert (second.status, second.counts, second.operations) == (0, {host.name: 1}, []), second.text
    return first


@contextmanager
def running(
    command: Command, *, stdin: int = subprocess.DEVNULL, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a command at the checkout's root, its whole output in one pipe. It is killed (SIGKILL) at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdin=stdin, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _answer_questions(master: int) -> str:
    """Everything that comes out of a terminal until nobody has it open, with Enter typed at each prompt."""
    text, answered = "", 0
    while True:
        try:
            text += os.read(master, 4096).decode(errors="replace")
        except OSError:  # EIO: the other end is closed
            return text
        if text.count(PROMPT) > answered:
            answered += 1
            os.write(master, b"\n")
