"""What listens on TCP, control groups, processors and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.devices import Listener
from facts.parse import parse_probe
from tests.facts.answers import host_of
from tests.facts.machines import link_tools, run_probe


@pytest.mark.parametrize(
    ("line", "listener"),
    [
        # iproute2, misc/ss.c. Both families of one socket are "*"; an address may name its interface.
        (
            'LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=812,fd=3))',
            Listener("0.0.0.0", 22, "sshd (pid 812)"),
        ),
        (
            'LISTEN 0 4096 *:1104 *:* users:(("docker-proxy",pid=9,fd=7),("x",pid=1,fd=2))',
            Listener("::", 1104, "docker-proxy (pid 9)"),
        ),
        ("LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*", Listener("127.0.0.53", 53, "")),
        ("LISTEN 0 128 [::1]:631 [::]:*", Listener("::1", 631, "")),
        ("LISTEN 0 128 [fe80::1%eth0]:546 [::]:*", Listener("fe80::1", 546, "")),
        ("LISTEN 0 128 [::ffff:127.0.0.1]:63342 *:*", Listener("127.0.0.1", 63342, "")),
        # iproute2 before 4.13 wrote addresses of IPv6 bare.
        ("LISTEN 0 128 :::22 :::*", Listener("::", 22, "")),
        ("LISTEN 0 128", None),
        ("LISTEN 0 128 nobody:22 *:*", None),
    ],
)
def test_lines_of_ss(line: str, listener: Listener | None) -> None:
    assert host_of(f"listeners.listener={line}").listeners == ((listener,) if listener else ())


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 1162 1 0000000040f68970 100 0 0 10 0\n"
TCP = (
    f"{HEADER}   0: 00000000:07E8 00000000:0000 0A {REST}   1: 0100007F:8E70 0100007F:B21B 06 {REST}"
    f"   2: 3500007F:0035 00000000:0000 0A {REST}"
)
TCP6 = (
    f"{HEADER}   0: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A {REST}"
    f"   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A {REST}"
)
OF_TABLES = (
    Listener("127.0.0.53", 53, ""),
    Listener("::1", 631, ""),
    Listener("0.0.0.0", 2024, ""),
    Listener("127.0.0.1", 8080, ""),
)
SS = """\
State    Recv-Q   Send-Q     Local Address:Port     Peer Address:Port  Process
LISTEN   0        128              0.0.0.0:22            0.0.0.0:*      users:(("sshd",pid=812,fd=3))
LISTEN   0        128              0.0.0.0:22            0.0.0.0:*      users:(("sshd",pid=812,fd=3))
"""


@pytest.mark.parametrize(
    ("said", "listeners"),
    [
        (SS, (Listener("0.0.0.0", 22, "sshd (pid 812)"),)),
        # It is there and may not ask the kernel.
        ("", OF_TABLES),
    ],
)
def test_ss_is_asked_before_the_kernels_tables(tmp_path: Path, said: str, listeners: tuple[Listener, ...]) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    link_tools(tools)
    (tmp_path / "said").write_text(said)
    (tools / "ss").write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
    (tools / "ss").chmod(0o755)
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/tcp").write_text(TCP)
    (tmp_path / "proc/net/tcp6").write_text(TCP6)
    assert parse_probe(run_probe(tmp_path, [tools])).listeners == listeners


@pytest.mark.parametrize(
    ("marks", "version"),
    [
        (["/sys/fs/cgroup/cgroup.controllers"], 2),
        (["/sys/fs/cgroup/devices"], 1),
        # A child of the one hierarchy may have any name.
        (["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/devices"], 2),
        ([], None),
    ],
)
def test_version_of_control_groups(marks: list[str], version: int | None) -> None:
    assert host_of(*(f"marks.mark={mark}" for mark in marks)).cgroup == version


@pytest.mark.parametrize(("online", "cpus"), [("0-15", 16), ("0", 1), ("0-3,8-11,15", 9), ("", None), ("none", None)])
def test_processors_that_are_online(online: str, cpus: int | None) -> None:
    assert host_of(f"host.cpus={online}").cpus == cpus


@pytest.mark.parametrize(
    ("line", "memory"),
    [("MemTotal:       24684084 kB", 25276502016), ("MemFree:         1 kB", None), ("MemTotal: many kB", None)],
)
def test_memory_in_bytes(line: str, memory: int | None) -> None:
    assert host_of(f"host.memory={line}").memory == memory
