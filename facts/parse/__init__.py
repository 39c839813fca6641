"""The probe's answer into a ``Host``. Pure: text in, record out, and no text makes it raise."""

from __future__ import annotations

from ..model import Host
from .answer import Answer, read_answer
from .containers import read_docker, read_toolkit
from .devices import read_cameras, read_devices
from .gpu import read_display, read_driver, read_gpus, read_kernel, read_nvswitches, read_secure_boot
from .images import read_registry_cache
from .listeners import read_listeners
from .machine import (
    cgroup_version,
    count_cpus,
    login_user,
    memory_size,
    pid1_start,
    ran_as_root,
    read_addresses,
    read_os,
    read_platform,
    read_proof,
)
from .packages import read_packages
from .sshd import read_sshd
from .tegra import read_jetson
from .wsl import read_wsl

FORMAT = 1
"""The version of the probe's format that this package reads."""

SECTIONS = (
    *("host", "marks", "board", "gpus", "driver", "display", "sshd", "cameras", "devices", "listeners"),
    *("packages", "docker"),
)


def parse_probe(text: str) -> Host:
    """Read the probe's output: a ``Host``, whatever the text.

    ``Host.probe`` is 0 where there is no header, another version, or no closing line: a connection that died
    half way must not make "no Docker here" of a list that never arrived.
    """
    answer = read_answer(text)
    if answer.version != FORMAT:
        return Host(probe=0, unread=("the probe gave no answer that this version can read",))
    platform = read_platform(answer)
    return Host(
        probe=FORMAT if answer.complete else 0,
        name=answer.first("host", "name") or "",
        time=answer.number("host", "time") or 0,
        boot=f"{answer.first('host', 'boot_id') or ''}/{pid1_start(answer)}",
        user=login_user(answer),
        elevated=ran_as_root(answer),
        unread=find_unread(answer),
        platform=platform,
        os=read_os(answer),
        kernel=read_kernel(answer),
        init=answer.first("host", "init"),
        gpus=read_gpus(answer),
        nvswitches=read_nvswitches(answer),
        nvlink5=bool(answer.all("gpus", "nvlink5")),
        driver=read_driver(answer),
        secure_boot=read_secure_boot(answer),
        display=read_display(answer),
        jetson=read_jetson(answer, platform.kind),
        wsl=read_wsl(answer, platform.kind),
        docker=read_docker(answer),
        toolkit=read_toolkit(answer),
        sshd=read_sshd(answer),
        cameras=read_cameras(answer),
        devices=read_devices(answer),
        listeners=read_listeners(answer),
        cgroup=cgroup_version(answer),
        cpus=count_cpus(answer),
        memory=memory_size(answer),
        addresses=read_addresses(answer),
        registry_cache=read_registry_cache(answer),
        packages=read_packages(answer),
        proof=read_proof(answer),
    )


def find_unread(answer: Answer) -> tuple[str, ...]:
    """What the probe says it could not read, then what its answer lacks."""
    said = answer.everywhere("unread")
    missing = tuple(f"{name}: not in the probe's answer" for name in SECTIONS if not answer.has(name))
    silent = answer.all("sshd", "version") and not answer.all("sshd", "effective")
    return said + missing + (("sshd -T: no answer (it needs root and host keys)",) if silent else ())
