"""``make bench``: what a run that changes nothing costs, beside one hand-written script over plain ``ssh``.

Both look at the same things: the script is the probe itself, sent to every host at once by OpenSSH. The runs alternate,
so that the machine's other load falls on both. Needs the simulated fleet, provisioned (``make demo``).
"""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from facts.host import probe_text
from tests.sandbox.state import CHECKOUT, RunningHost, State, read_state

ROUNDS = 7
FLEETS = (("server",), ("server", "jetson", "wsl"))


def main() -> int:
    """Measure one and three hosts and print the medians, their ratio and the number of execs. 1 where a run changed."""
    state = read_state()
    print(f"no-op run, median of {ROUNDS} (minimum to maximum), seconds")
    return max(_measure(names, state) for names in FLEETS)


def _measure(names: tuple[str, ...], state: State) -> int:
    """Measure one fleet and print its row. Returns 1 where the run was not a no-op run."""
    hosts = [state.hosts[name] for name in names]
    ours, plain = [], []
    counts = _run_pyinfra(names)  # warms caches, and shows early that nothing is left to change
    for _ in range(ROUNDS):
        start = time.perf_counter()
        counts = _run_pyinfra(names)
        middle = time.perf_counter()
        _run_script(hosts, state)
        ours.append(middle - start)
        plain.append(time.perf_counter() - middle)
    _print_row(names, ours, plain, counts)
    if set(counts.values()) == {1}:
        return 0
    print("a host was sent more than one command: it was not a no-op run; run `make demo` first")
    return 1


def _run_pyinfra(names: tuple[str, ...]) -> dict[str, int]:
    """One run over the hosts of these names. Returns how many commands each was sent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.json"
        limits = [word for name in names for word in ("--limit", name)]
        program = [sys.executable, "-m", "tests.counted_pyinfra", str(path)]
        run = [*program, "inventories/sandbox.py", "deploys/gpu_host.py", "-y", *limits]
        subprocess.run(run, cwd=CHECKOUT, check=True, capture_output=True)
        counts: dict[str, int] = json.loads(path.read_text())
        return counts


def _run_script(hosts: list[RunningHost], state: State) -> None:
    running = [_start_script(host, state) for host in hosts]
    for process in running:
        if process.wait() != 0:
            raise RuntimeError(f"ssh failed: {process.args!r}")


def _start_script(host: RunningHost, state: State) -> subprocess.Popen[bytes]:
    """The probe over plain ssh, as root by the way this host's user becomes it."""
    options = ["-i", state.ssh_key, "-o", f"UserKnownHostsFile={state.known_hosts}", "-o", "BatchMode=yes"]
    script = shlex.join(["sh", "-c", probe_text()])
    password = b""
    if host.sudo_password_file:
        script = f"sudo -S -p '' {script}"
        password = (CHECKOUT / host.sudo_password_file).read_bytes()
    elif host.user != "root":
        script = f"sudo -n {script}"
    command = ["ssh", *options, f"{host.user}@{host.address}", script]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(password)
    process.stdin.close()
    return process


def _print_row(names: tuple[str, ...], ours: list[float], plain: list[float], counts: dict[str, int]) -> None:
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    print(
        f"{len(names)} host{'s' if len(names) > 1 else ' '}  pyinfra {_figure(ours)}  script over ssh {_figure(plain)}"
        f"  ratio {ratio:.1f}  execs a host {sorted(set(counts.values()))}"
    )


def _figure(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    sys.exit(main())
