"""The state of a host, taken from inside without changing it, to be compared before and after a run."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.harness import Machine

# Where logins put their own units, which come and go.
_UNITS = "grep -vE '(^|-)(session-|user-?[0-9@]|user-runtime-dir)' | sort"
_FILES = """
find /etc /usr -xdev -type f -exec sha256sum {} + | LC_ALL=C sort -k 2
find /etc /usr -xdev ! -type f -printf '%y %m %U:%G %p %l\\n' | LC_ALL=C sort
find /etc /usr -xdev -type f -printf '%m %U:%G %p\\n' | LC_ALL=C sort
"""
_DOCKER = """
[ -S /run/docker.sock ] && systemctl is-active --quiet docker || exit 0
docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'
docker ps --quiet | while read -r id; do docker inspect --format '{{.Id}} {{.State.Pid}}' "$id"; done
docker image ls --all --digests --no-trunc --format '{{.ID}} {{.Repository}} {{.Tag}} {{.Digest}}' | sort
docker network ls --no-trunc --format '{{.ID}} {{.Name}}'
docker info --format '{{json .Runtimes}} {{.DefaultRuntime}}'
systemctl show --property MainPID docker
"""


@dataclass(frozen=True)
class Snapshot:
    """Files of /etc and /usr with hashes, owners and modes; dpkg's database; Docker; systemd's units; what we keep."""

    files: str
    packages: str
    docker: str
    units: str
    kept: str


def take_snapshot(machine: Machine) -> Snapshot:
    """Look at all of it."""
    return Snapshot(
        files=machine.sh(_FILES),
        packages=machine.sh("sha256sum /var/lib/dpkg/status; ls /etc/apt/sources.list.d /var/lib/apt/lists"),
        docker=machine.sh(_DOCKER),
        units=machine.sh(
            "systemctl list-units --all --plain --no-legend --type=service,socket,target,mount"
            f" | awk '{{print $1, $3, $4}}' | {_UNITS}; systemctl list-unit-files --no-legend | {_UNITS}"
        ),
        kept=machine.sh("find /var/lib/gpu-hosts -printf '%p %s %T@\\n' 2>/dev/null | LC_ALL=C sort; true"),
    )


def keep_me_pid(machine: Machine) -> int:
    """Process id of the administrator's container, which must survive."""
    return int(machine.sh("docker inspect --format '{{.State.Pid}}' keep-me"))


def start_time(machine: Machine) -> str:
    """Start time of PID 1: another one after each reboot."""
    return machine.sh("cut -d ' ' -f 22 /proc/1/stat")
