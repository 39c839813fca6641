"""Where the sandbox keeps what it made: ``.sandbox/`` in the checkout, with state.json for its users."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.sandbox.errors import SandboxError

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / ".sandbox"
SSH_KEY = FOLDER / "ssh/id_ed25519"
KNOWN_HOSTS = FOLDER / "ssh/known_hosts"
STATE = FOLDER / "state.json"


@dataclass(frozen=True)
class RunningHost:
    """A simulated host: its kind, how to log in, and the file with its sudo password ("" where none is needed)."""

    name: str
    kind: str
    address: str
    user: str
    sudo_password_file: str = ""


@dataclass(frozen=True)
class State:
    """Everything that a user of the sandbox must know. Paths are relative to the checkout."""

    network: str  # subnet, 172.30.97.0/24
    vendors: str  # address of the vendors' container
    fingerprints: dict[str, str] = field(default_factory=dict)  # vendor -> fingerprint of its signing key
    images: dict[str, str] = field(default_factory=dict)  # reference -> digest
    hosts: dict[str, RunningHost] = field(default_factory=dict)
    ssh_key: str = str(SSH_KEY.relative_to(CHECKOUT))
    known_hosts: str = str(KNOWN_HOSTS.relative_to(CHECKOUT))


def read_state() -> State:
    """The state of the sandbox that is up; SandboxError where none is."""
    if not STATE.exists():
        raise SandboxError(
            "the sandbox is not up", seen=f"no {STATE.relative_to(CHECKOUT)}", remedy="python -m tests.sandbox up"
        )
    raw = json.loads(STATE.read_text())
    hosts = {name: RunningHost(**host) for name, host in raw.pop("hosts").items()}
    return State(**raw, hosts=hosts)


def write_state(state: State) -> None:
    """Replace state.json in one step."""
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=2) + "\n")
    new.rename(STATE)


@contextmanager
def locked(name: str = "lock") -> Iterator[None]:
    """Hold the sandbox's lock: one ``up``, ``down`` or change of hosts at a time; or another lock."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
