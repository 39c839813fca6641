"""The Docker engine that carries the sandbox: one that answers, or one that we start and stop again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.sandbox.errors import SandboxError

LABEL = "pyinfra-gpu-hosts.sandbox"
PREFIX = "gpu-sandbox"
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
DEFAULT_NAMESPACE = Path("/run/docker/netns/default")  # a mount that dockerd leaves
INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


def run(*command: str, stdin: bytes | None = None, cwd: Path | None = None) -> str:
    """Run a command, return its stdout; raise SandboxError with the end of its stderr when it fails."""
    done = subprocess.run(command, input=stdin, cwd=cwd, capture_output=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-1500:]
        raise SandboxError(
            f"`{' '.join(command)[:300]}` failed (exit {done.returncode})",
            seen=said or "no output",
            remedy="mend what it says; `python -m tests.sandbox up` goes on where it stopped",
        )
    return done.stdout.decode(errors="replace")


def docker(*arguments: str, stdin: bytes | None = None) -> str:
    """Run ``docker ARGUMENTS`` and return its stdout, stripped; raise SandboxError when it fails."""
    return run("docker", *arguments, stdin=stdin).strip()


def does_docker_answer() -> bool:
    """Whether a Docker daemon answers the client's default address."""
    try:
        return subprocess.run(["docker", "version"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def wait_until(is_so: Callable[[], bool], *, what: str, seconds: float, look_at: str) -> None:
    """Ask ``is_so()`` until it says yes; raise SandboxError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise SandboxError(f"{what} did not happen", seen=f"waited {seconds:.0f} s", remedy=f"look at {look_at}")
        time.sleep(0.1)


def start_dockerd(folder: Path) -> None:
    """Start ``dockerd`` in the background; its process id and log stay in ``folder``."""
    log = folder / "dockerd.log"
    before = {"ip_forward": IP_FORWARD.read_text(), "policy": _forward_policy()}
    (folder / "before-dockerd.json").write_text(json.dumps(before))
    with log.open("ab") as output:
        # No default bridge: the sandbox has its own network, and less is left to remove.
        process = subprocess.Popen(
            ["dockerd", "--bridge=none"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (folder / "dockerd.pid").write_text(str(process.pid))
    wait_until(does_docker_answer, what="dockerd's start", seconds=60, look_at=str(log))


def stop_dockerd(folder: Path) -> bool:
    """Stop the ``dockerd`` that ``start_dockerd`` started, and only that; say whether there was one."""
    pid_file = folder / "dockerd.pid"
    if not pid_file.exists():
        return False
    pid = int(pid_file.read_text())
    if is_running := _command_name(pid) == "dockerd":
        os.kill(pid, signal.SIGTERM)
        wait_until(
            lambda: _command_name(pid) != "dockerd",
            what="dockerd's stop",
            seconds=60,
            look_at=str(folder / "dockerd.log"),
        )
        _remove_docker_firewall_rules()
        before = json.loads((folder / "before-dockerd.json").read_text())
        IP_FORWARD.write_text(before["ip_forward"])
        run("iptables", *before["policy"])
        subprocess.run(["umount", str(DEFAULT_NAMESPACE)], capture_output=True)
    pid_file.unlink()
    return is_running


def _command_name(pid: int) -> str | None:
    """Name of a running process; None for one that is gone or only waits to be reaped."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return None
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return None if lines["State"].startswith("Z") else lines["Name"]


def _forward_policy() -> list[str]:
    """The arguments of iptables that set the policy of FORWARD as it is now; dockerd changes it."""
    return run("iptables", "-S", "FORWARD").splitlines()[0].split()


def _remove_docker_firewall_rules() -> None:
    """dockerd leaves its chains behind; take out the rules that name them and nothing else."""
    for save, restore in (
        ("iptables-save", "iptables-restore"),
        ("ip6tables-save", "ip6tables-restore"),
    ):
        rules = subprocess.run([save], capture_output=True, text=True)
        if rules.returncode == 0 and "DOCKER" in rules.stdout:
            kept = [line for line in rules.stdout.splitlines() if "DOCKER" not in line]
            run(restore, stdin=("\n".join(kept) + "\n").encode())


def raise_inotify_limit() -> None:
    """Every systemd host takes several inotify instances; the kernel's default of 128 is soon used up."""
    if int(INOTIFY_INSTANCES.read_text()) < 1024 and os.access(INOTIFY_INSTANCES, os.W_OK):
        INOTIFY_INSTANCES.write_text("1024")


def labelled(kind: str) -> list[str]:
    """Ids of everything of ours: ``kind`` is container, network, volume or image."""
    arguments = [kind, "ls", "--quiet", "--filter", f"label={LABEL}"]
    if kind == "container":
        arguments.append("--all")
    return list(dict.fromkeys(docker(*arguments).split()))


def does_exist(kind: str, name: str) -> bool:
    """Whether a container, network, volume or image of this name exists."""
    found = subprocess.run(["docker", kind, "inspect", name], capture_output=True)
    return found.returncode == 0


def label_of(image: str, key: str) -> str:
    """A label of an image; an empty text where the image or the label is missing."""
    template = '{{index .Config.Labels "' + key + '"}}'
    found = subprocess.run(["docker", "image", "inspect", "--format", template, image], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else ""


def commit_image(name: str, *, base: str, context: Path, script: str, labels: dict[str, str]) -> None:
    """Make an image: copy ``context`` to /build of a container of ``base``, run ``script`` in it, commit.

    Written this way, and not as a Dockerfile, because it needs neither BuildKit nor a default bridge.
    """
    builder = f"{PREFIX}-build-{name.split(':')[-1]}"
    remove_container(builder)
    docker(
        "create", "--name", builder, "--label", LABEL, "--network", "host", base,
        "/bin/sh", "-c", script,
    )  # fmt: skip
    docker("cp", f"{context}/.", f"{builder}:/build")
    run("docker", "start", "--attach", builder)
    changes = [f"--change=LABEL {key}={value}" for key, value in {LABEL: "", **labels}.items()]
    docker("commit", *changes, builder, name)
    remove_container(builder)


def remove_container(name: str) -> None:
    """Remove a container, running or not, with its anonymous volumes; nothing happens where there is none."""
    subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True)


def remove_everything() -> dict[str, int]:
    """Remove every container, network, volume and image with our label; say how many of each."""
    counts = {}
    removal = {
        "container": ("rm", "--force", "--volumes"),
        "network": ("network", "rm"),
        "volume": ("volume", "rm"),
        "image": ("image", "rm", "--force"),
    }
    for kind, command in removal.items():
        found = labelled(kind)
        if found:
            docker(*command, *found)
        counts[kind] = len(found)
    return counts
