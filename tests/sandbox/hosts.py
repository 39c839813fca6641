"""Running hosts: containers that boot systemd and are reached over SSH; starting, resetting, removing them."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from tests.sandbox import enterprise_linux, ubuntu
from tests.sandbox.engine import LABEL, PREFIX, docker, remove_container, run, wait_until
from tests.sandbox.errors import SandboxError
from tests.sandbox.host_images import KINDS, Kind, ensure_host_image, image_of
from tests.sandbox.rpm_standins import RELEASES
from tests.sandbox.state import (
    CHECKOUT,
    FOLDER,
    KNOWN_HOSTS,
    RunningHost,
    State,
    locked,
    read_state,
    write_state,
)
from tests.sandbox.vendors import NAMES

VENDORS_NUMBER, FIRST_HOST_NUMBER = 2, 11  # last byte of the addresses


def start_host(kind_name: str, name: str) -> RunningHost:
    """Start a host called ``name`` from the image of its kind; one of that name that exists is replaced.

    Takes some seconds. The host is as after its installation: this is also how a host is reset.
    """
    kind = _find_kind(kind_name)
    _ensure_image(kind)
    with locked():
        state = read_state()
        _remove(name)
        host = RunningHost(name, kind.name, _address(state, name), kind.user, _password_file(kind, name))
        _run_container(host, kind, state)
    _wait_until_ready(host)
    with locked():
        _remember_host_keys(host)
        state = read_state()
        write_state(replace(state, hosts={**state.hosts, name: host}))
    return host


def _ensure_image(kind: Kind) -> None:
    """Make the image of ``kind`` where it is missing, while other hosts start and stop; tell the state of new keys."""
    if not kind.on_demand:
        return
    with locked("image-lock"):
        if kind.name in RELEASES:
            made = enterprise_linux.ensure_image(kind, read_state())
        elif kind.name == "ubuntu":
            made = ubuntu.ensure_image(kind, read_state())
        else:
            ensure_host_image(kind)
            return
    with locked():
        state = read_state()
        write_state(replace(state, fingerprints={**state.fingerprints, **made.fingerprints}))


def remove_host(name: str) -> None:
    """Remove a host that ``start_host`` started, with everything on it."""
    with locked():
        state = read_state()
        _remove(name)
        (FOLDER / f"{name}.sudo-password").unlink(missing_ok=True)
        kept = {other: host for other, host in state.hosts.items() if other != name}
        write_state(replace(state, hosts=kept))


def container_of(name: str) -> str:
    """Name of the container of host ``name``, for ``docker exec`` and the like."""
    return f"{PREFIX}-{name}"


def is_ready(host: RunningHost) -> bool:
    """Whether the host has booted: systemd is done, sshd listens, and on WSL the administrator's container runs."""
    booted = _ask(host.name, "systemctl is-system-running; systemctl is-active ssh").split()
    if booted != ["running", "active"]:
        return False
    return host.kind != "wsl" or "keep-me" in _ask(host.name, "docker ps --format '{{.Names}}'")


def tell_cuinit(name: str, answer: str) -> None:
    """Make cuInit answer a number (0, 100, 802, 999) in containers of the host, or inject "nothing"."""
    docker("exec", container_of(name), "/bin/sh", "-c", f"echo {answer} >/etc/gpu-sandbox/cuinit")


def _find_kind(name: str) -> Kind:
    if name not in KINDS:
        raise SandboxError(f"no kind of host is called {name}", seen=name, remedy=f"one of {', '.join(KINDS)}")
    return KINDS[name]


def _ask(name: str, script: str) -> str:
    """Stdout of a shell script inside a host; empty where the host is not there."""
    command = ["docker", "exec", container_of(name), "/bin/sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _remove(name: str) -> None:
    remove_container(container_of(name))
    subprocess.run(["docker", "volume", "rm", "--force", *_volumes(name)], capture_output=True)


def _volumes(name: str) -> dict[str, str]:
    """Volumes of a host and where they are: an overlay cannot be mounted on the container's own file system."""
    return {f"{container_of(name)}-{store}": f"/var/lib/{store}" for store in ("docker", "containerd")}


def _address(state: State, name: str) -> str:
    """The address that the host already has, or the first free one of the sandbox's network."""
    if name in state.hosts:
        return state.hosts[name].address
    template = "{{range .Containers}}{{.IPv4Address}} {{end}}"  # 172.30.97.2/24; what a killed run left is there too
    in_use = docker("network", "inspect", "--format", template, PREFIX).split()
    taken = {host.address for host in state.hosts.values()} | {address.split("/")[0] for address in in_use}
    usable = [str(address) for address in ip_network(state.network).hosts()][FIRST_HOST_NUMBER - 1 :]
    return next(address for address in usable if address not in taken)


def _password_file(kind: Kind, name: str) -> str:
    """Path, relative to the checkout, of a new 0600 file with the sudo password; "" where sudo does not ask."""
    if not kind.asks_password:
        return ""
    path = FOLDER / f"{name}.sudo-password"
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(12) + "\n")
    return str(path.relative_to(CHECKOUT))


def _run_container(host: RunningHost, kind: Kind, state: State) -> None:
    """Boot the container. Plain options where ``--privileged`` would do: some machines' root may not grant that."""
    container = container_of(host.name)
    volumes = _volumes(host.name)
    for volume in volumes:
        docker("volume", "create", "--label", LABEL, volume)
    names = [f"--add-host={name}:{state.vendors}" for name in NAMES]
    options = (
        "--detach", "--name", container, "--hostname", host.name, "--label", LABEL,
        "--network", PREFIX, "--ip", host.address, *names, "--restart", "on-failure",
        "--cap-add=ALL", "--security-opt", "seccomp=unconfined",
        "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
        "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
        *(f"--volume={volume}:{path}" for volume, path in volumes.items()), "--stop-signal", "SIGRTMIN+3",
        "--env", "container=docker", *_cgroup_options(),
        image_of(kind), "/usr/lib/gpu-sandbox/init",
    )  # fmt: skip
    # Without SYS_MODULE no host loads a module into this machine's kernel. Where root lacks a capability, Docker 20.10
    # must be told to leave it out (SYS_RESOURCE is the one that was met), and newer ones refuse to be told.
    for without in (("SYS_MODULE", "SYS_RESOURCE"), ("SYS_MODULE",), ()):
        try:
            docker("run", *(f"--cap-drop={name}" for name in without), *options)
            break
        except SandboxError as error:
            if not without or "invalid CapDrop" not in str(error):
                raise
    if host.sudo_password_file:
        password = (CHECKOUT / host.sudo_password_file).read_text().strip()
        docker("exec", "--interactive", container, "chpasswd", stdin=f"{host.user}:{password}\n".encode())


def _cgroup_options() -> tuple[str, ...]:
    """systemd needs a cgroup tree to write to: on v2 its own (see files/host/init), on v1 the machine's."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return ("--cgroupns=private",)
    legacy = ("--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")  # systemd 257 refuses v1 without it
    return (*legacy, "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw")


def _wait_until_ready(host: RunningHost) -> None:
    look = f"docker exec {container_of(host.name)} systemctl --failed"
    wait_until(lambda: is_ready(host), what=f"the start of host {host.name}", seconds=90, look_at=look)


def _remember_host_keys(host: RunningHost) -> None:
    """Put the new host's keys in our own known_hosts, in place of those of its predecessor at that address."""
    KNOWN_HOSTS.touch()
    old = [line for line in KNOWN_HOSTS.read_text().splitlines() if line.split(" ")[0] != host.address]
    keys = run("docker", "exec", container_of(host.name), "/bin/sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
    new = [" ".join((host.address, *line.split()[:2])) for line in keys.splitlines()]
    replacement = KNOWN_HOSTS.with_suffix(".new")
    replacement.write_text("\n".join([*old, *new]) + "\n")
    replacement.rename(KNOWN_HOSTS)  # in one step: others log in meanwhile
