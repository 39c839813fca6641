"""What the Docker daemon says of itself: ``docker info``, and when its process started."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from .answer import Answer, to_int

Info = Mapping[str, object]

# Keys of daemon.json and the fields of `docker info` that have what is in force (moby, api/types/system/info.go).
TEXTS = {
    "default-runtime": "DefaultRuntime",
    "log-driver": "LoggingDriver",
    "cgroup-driver": "CgroupDriver",
    "data-root": "DockerRootDir",
    "storage-driver": "Driver",
    "http-proxy": "HttpProxy",
    "https-proxy": "HttpsProxy",
    "no-proxy": "NoProxy",
}
FLAGS = {"live-restore": "LiveRestoreEnabled", "debug": "Debug"}
# Always insecure, whatever daemon.json says (moby, registry/config.go).
LOOPBACK = ("127.0.0.0/8", "::1/128")
# Clock ticks in a second as user space sees them: USER_HZ of x86 and ARM (Linux, include/asm-generic/param.h).
TICKS = 100


def read_info(answer: Answer) -> Info:
    """``docker info`` as an object; empty where there is none or it is not JSON."""
    try:
        info = json.loads(answer.first("docker", "info") or "{}")
    except (ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def word(info: Info, key: str) -> str | None:
    """A non-empty text of an object, or None."""
    value = info.get(key)
    return value if isinstance(value, str) and value else None


def table(info: Info, key: str) -> Info:
    """An object of an object, or an empty one."""
    value = info.get(key)
    return value if isinstance(value, dict) else {}


def items(info: Info, key: str) -> list[object]:
    """A list of an object, or an empty one."""
    value = info.get(key)
    return value if isinstance(value, list) else []


def find_in_force(info: Info) -> tuple[str, ...]:
    """What can be set in daemon.json and is in force, as the lines of ``Docker.in_force``; none without an answer."""
    if word(info, "ServerVersion") is None:
        return ()
    registries = table(info, "RegistryConfig")
    return (
        *(f"runtime={name}" for name in sorted(table(info, "Runtimes"))),
        *(f"{key}={text}" for key, field in TEXTS.items() if (text := word(info, field))),
        *(f"{key}={str(flag).lower()}" for key, field in FLAGS.items() if isinstance(flag := info.get(field), bool)),
        *(f"registry-mirror={mirror}" for mirror in items(registries, "Mirrors")),
        *(f"insecure-registry={name}" for name in insecure_registries(registries)),
        *(
            f"address-pool={pool.get('Base')} {pool.get('Size')}"
            for pool in items(info, "DefaultAddressPools")
            if isinstance(pool, dict)
        ),
        *(f"label={label}" for label in items(info, "Labels")),
    )


def insecure_registries(registries: Info) -> list[object]:
    """Networks, then hosts, less what is always insecure."""
    networks = [network for network in items(registries, "InsecureRegistryCIDRs") if network not in LOOPBACK]
    hosts = table(registries, "IndexConfigs").items()
    return networks + [name for name, about in hosts if isinstance(about, dict) and about.get("Secure") is False]


def in_swarm(info: Info) -> bool:
    """Whether the daemon is a member of a swarm, be it one that waits or fails (moby, api/types/swarm/swarm.go)."""
    return word(table(info, "Swarm"), "LocalNodeState") in {"active", "pending", "locked", "error"}


def start_time(answer: Answer) -> int | None:
    """When dockerd started: the time of boot and field 22 of its /proc/PID/stat (proc(5)), which are sent from 3 on."""
    match = re.match(r"btime (\d{1,18}) \w ((?:\S+ )*)", answer.first("docker", "dockerd") or "")
    fields = match[2].split() if match else []
    ticks = to_int(fields[18]) if len(fields) > 18 else None
    return int(match[1]) + ticks // TICKS if match and ticks is not None else None
