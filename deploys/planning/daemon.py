"""Docker's daemon.json: our runtime merged into what others wrote. Order, unknown keys and foreign values stay."""

from __future__ import annotations

import hashlib
import json
import re

from deploys.planning.records import Area, DaemonPlan, Note, Refusal
from facts.model import Host

RUNTIME = "nvidia"
# NVIDIA Container Toolkit installation guide; the name is looked up on dockerd's PATH.
RUNTIME_PATH = "nvidia-container-runtime"
FILE = "/etc/docker/daemon.json"


def plan_daemon(host: Host) -> DaemonPlan:
    """Register the nvidia runtime where the file or the running daemon does not know it yet."""
    if host.wsl and host.wsl.docker_desktop:
        return DaemonPlan(
            notes=(Note("nothing to register", "Docker Desktop reads a daemon.json of its own, in Windows"),)
        )
    if host.docker.origin == "snap":
        return DaemonPlan(refusal=_snap())
    if _is_registered_by_flag(host) and not host.docker.pending:
        return DaemonPlan(
            runtimes=(RUNTIME,), notes=(Note("the nvidia runtime is registered", "by the daemon's flags"),)
        )
    text = host.docker.daemon_json
    try:
        merged = merge_runtime(text)
    except ValueError as error:
        return DaemonPlan(refusal=_unmergeable(str(error)))
    registered = RUNTIME in host.docker.runtimes
    if merged == text and registered and not host.docker.pending:
        return DaemonPlan(
            runtimes=(RUNTIME,), notes=(Note("the nvidia runtime is registered", "daemon.json and the daemon have it"),)
        )
    return DaemonPlan(
        text=merged, found=digest(text), runtimes=(RUNTIME,), notes=(_why(host, is_written=merged == text),)
    )


def _is_registered_by_flag(host: Host) -> bool:
    """dockerd does not start with a runtime both in its flags and in the file."""
    flags = (host.docker.daemon_flags or "").replace("--add-runtime ", "--add-runtime=")
    return f"--add-runtime={RUNTIME}" in flags and RUNTIME in host.docker.runtimes


def merge_runtime(text: str | None) -> str:
    """daemon.json with the nvidia runtime in it.

    Takes the file's text (None: there is no file) and returns it unchanged where the runtime is already defined,
    else with one key added. Raises ValueError where the text is not a JSON object or ``runtimes`` is not one.
    """
    if text and "\ufffd" in text:
        raise ValueError("it is not UTF-8 text")
    if text is None or not text.strip():
        config: object = {}
    else:
        config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError(f"the top level is a {type(config).__name__}, not an object")
    runtimes = config.get("runtimes", {})
    if not isinstance(runtimes, dict):
        raise ValueError(f"`runtimes` is a {type(runtimes).__name__}, not an object")
    if RUNTIME in runtimes and text is not None:
        return text
    entry = {"path": RUNTIME_PATH, "runtimeArgs": []}
    merged = config | {"runtimes": runtimes | {RUNTIME: entry}}
    return json.dumps(merged, indent=_indent(text or ""), ensure_ascii=False) + "\n"


def digest(text: str | None) -> str:
    """SHA-256 of the file's text in hexadecimal, or "absent"."""
    return "absent" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _indent(text: str) -> str | int:
    """The file's own indentation: that of its first indented line, else four spaces."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found.group(1) if found else 4


def _why(host: Host, *, is_written: bool) -> Note:
    if host.docker.pending:
        return Note("settles an interrupted change of daemon.json", "a transaction began and did not finish")
    if is_written:
        return Note("makes the daemon read daemon.json again", "the file has the nvidia runtime, the daemon does not")
    others = "no daemon.json yet" if host.docker.daemon_json is None else "its other keys stay as they are"
    return Note("adds the nvidia runtime to daemon.json", others)


def _snap() -> Refusal:
    return Refusal(
        Area.DAEMON,
        "Docker is a snap, which has a daemon.json of its own inside and cannot run the nvidia runtime from the host",
        "docker is installed as a snap",
        "snap remove docker (its images and containers go with it), then run this again to install Docker CE",
    )


def _unmergeable(reason: str) -> Refusal:
    # Nothing of the text is quoted: it may hold a proxy's password. The reason gives line and column.
    return Refusal(
        Area.DAEMON,
        "daemon.json cannot be merged into, so it stays as it is",
        f"{FILE}: {reason}",
        "mend the file by hand (`dockerd --validate` helps), then run this again",
    )
