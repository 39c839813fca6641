"""Running the templates in a real shell on a made-up host: their own folder below a temporary one, stand-in commands.

The scripts are run as they ship. Only the places in ``MOVED`` are others, so that nothing of this machine is met.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploys.areas.access import load_script

MOVED = re.compile(
    r"(?<![\w.])/(etc/docker|etc/cdi|etc/udev|etc/nv_tegra_release|var/run/cdi|etc/dnf|etc/modprobe\.d|etc/apt/(?:preferences\.d|sources\.list)|var/lib|var/tmp|var/cache/(?:apt|dnf)"
    r"|etc/gpu-hosts|etc/ssl/certs|etc/pki/tls|etc/systemd|run/docker\.pid|run/systemd|boot|lib/modules|sys/module|sys/devices/soc0)\b"
)
SHELL = shutil.which("dash") or "sh"

# The scripts find these and the stand-ins only, so that a Docker or an NVIDIA runtime of this machine is never met.
PLAIN_TOOLS = (
    *("base64", "cat", "chmod", "chown", "cp", "cut", "date", "df", "find", "flock", "grep", "head", "mkdir", "mkfifo"),
    *("mktemp", "mv", "od", "readlink", "rm", "rmdir", "sed", "setsid", "sh", "sha256sum", "sleep", "sort", "stat"),
    *("id", "sync", "tail", "timeout", "tr"),
)
# The commands by which a script changes what is on the disk: it can be killed before each of them.
STEPS = ("cp", "mkdir", "mv", "rm")
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Finished:
    """What a script left: exit status and output."""

    status: int
    output: str


class Place:
    """A made-up host below ``root``, with stand-in commands that come before the machine's own."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root = root
        self.tools = tools
        self.bin = root / "bin"
        self.run_folder = root / "run"
        for folder in (
            self.bin,
            self.run_folder,
            self.path("/var/lib/gpu-hosts"),
            self.path("/etc/docker"),
            self.path("/etc/modprobe.d"),
            self.path("/etc/apt/preferences.d"),
        ):
            folder.mkdir(parents=True)
        authorities = self.path("/etc/ssl/certs/ca-certificates.crt")
        authorities.parent.mkdir(parents=True)
        authorities.write_text("made up\n")

    def path(self, name: str) -> Path:
        """Where the host's file lies here."""
        return self.root / name.lstrip("/")

    def stand_in(self, name: str, body: str) -> None:
        """A command: sh text. ``$here`` is the root; ``calls`` there gets a line for each call."""
        file = self.bin / name
        file.write_text(f'#!/bin/sh\nhere={self.root}\necho "{name} $*" >>"$here/calls"\n{body}\n')
        file.chmod(0o755)

    def calls(self, command: str) -> list[str]:
        """The argument lists, joined by spaces, that a stand-in was called with."""
        log = self.root / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split(" ")[0] == command]

    def moved(self, script: str) -> str:
        """The script with the places that it reads and writes below ``root``."""
        return MOVED.sub(lambda found: str(self.path(found[0])), script)

    def kill_at(self, step: int) -> None:
        """Have the next script killed, with all that it started, before its ``step``-th change of the disk."""
        count = self.root / "steps"
        count.write_text("")
        for name in STEPS:
            file = self.bin / name
            file.write_text(
                f"#!/bin/sh\nprintf x >>{count}\nread -r taken <{count}\n"
                f'[ ${{#taken}} != {step} ] || kill -KILL 0\nexec {self.tools / name} "$@"\n'
            )
            file.chmod(0o755)

    def kill_no_more(self) -> None:
        """Let scripts run to their end again."""
        for name in STEPS:
            (self.bin / name).unlink()

    def fill_disk_at(self, end: str) -> None:
        """A disk that is full when a copy is made to a path with that end: its beginning is written, and no more."""
        full = 'echo "{" >"$last"; echo "No space left on device" >&2; exit 1'
        self.stand_in("cp", f'for last; do :; done\ncase $last in *{end}) {full} ;; esac\n{self.tools}/cp "$@"')

    def run(self, *names: str, arguments: tuple[str, ...] = (), payload: str | None = None) -> Finished:
        """Run templates put together, with ``payload`` where a script expects its standard input."""
        if payload is not None:
            (self.run_folder / "input").write_text(payload)
        return self.run_text(self.moved(load_script(*names)), arguments)

    def run_text(self, script: str, arguments: tuple[str, ...] = (), *, stdin: str = "") -> Finished:
        """Run sh text on this host."""
        command = [SHELL, "-c", script, "gpu-hosts", *arguments]
        environment = {"PATH": f"{self.bin}:{self.tools}", "RUN": str(self.run_folder), "HOME": str(self.root)}
        done = subprocess.run(
            command,
            input=stdin,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
            process_group=0,
        )
        return Finished(done.returncode, done.stdout)


def three_parts(output: str) -> bool:
    """Whether an error has what is wrong, what was seen and what to do."""
    first, *rest = output.splitlines()
    return bool(first) and [line.split(":")[0] for line in rest[-2:]] == ["  seen", "  to do"]


def wait_until(is_true: Callable[[], bool], *, seconds: float = 20) -> None:
    """Return as soon as it is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)


def start_daemon() -> subprocess.Popen[bytes]:
    """A process that outlives SIGHUP, as a daemon does that reads its configuration again. End it with ``kill``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the child
    try:
        return subprocess.Popen(["sleep", "60"])
    finally:
        signal.signal(signal.SIGHUP, before)
