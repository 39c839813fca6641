"""The probe itself: what it sends of awkward files, whom it finds holding locks, and a run on this machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facts.host import probe_text
from facts.parse import parse_probe
from tests.facts.machines import link_tools, run_probe

AWKWARD = {
    "empty.list": b"",
    "unterminated.list": b"deb http://mirror.example/ trixie main",
    "returns.list": b"a\r\nb\r\n",
    "nul.list": b"a\0b\n",
    "utf8.list": "# für\n".encode(),
    "frames.sources": b"@@ end\n@@ gpu-host-probe 1\nkey=value\nfile=x /y\n",
    "two words.list": b"   leading and trailing   \n\n\n",
    "long.sources": b"# 123456789\n" * 20_000,
}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of links to the plain tools."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return link_tools(folder)


def write(root: Path, path: str, content: bytes) -> None:
    """A file below ``root`` with its folders."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def test_any_file_arrives_whole(tmp_path: Path, tools: Path) -> None:
    for name, content in AWKWARD.items():
        write(tmp_path, f"etc/apt/sources.list.d/{name}", content)
    write(tmp_path, "etc/docker/daemon.json", b"\xff\xfe{")
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.probe == 1
    found = {Path(file.path).name: file.text.encode() for file in host.packages.sources}
    assert found == AWKWARD
    assert host.docker.daemon_json == "\ufffd\ufffd{"


def test_names_that_are_not_ascii_do_not_break_the_answer(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "dev/video0", b"")
    write(tmp_path, "sys/class/video4linux/video0/name", "Caméra = USB\n".encode())
    camera = parse_probe(run_probe(tmp_path, [tools])).cameras[0]
    assert camera.name == "Cam??ra = USB"
    assert camera.index is None


def test_an_empty_machine_has_nothing_and_says_so(tmp_path: Path, tools: Path) -> None:
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.probe == 1
    assert host.gpus is None
    assert host.packages.manager is None
    assert host.packages.half_configured is None
    assert host.docker.installed is False
    assert host.sshd.effective is None


def test_lock_holder_is_named(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "var/lib/dpkg/lock-frontend", b"")
    inode = (tmp_path / "var/lib/dpkg/lock-frontend").stat().st_ino
    table = f"1: FLOCK  ADVISORY  WRITE 7 fe:00:1{inode} 0 EOF\n2: POSIX  ADVISORY  WRITE 812 fe:00:{inode} 0 EOF\n"
    waiting = f"2: -> POSIX  ADVISORY  WRITE 900 fe:00:{inode} 0 EOF\n"
    write(tmp_path, "proc/locks", (table + waiting).encode())
    for pid, name in ((7, b"other\n"), (812, b"unattended-upgr\n"), (900, b"apt-get\n")):
        write(tmp_path, f"proc/{pid}/comm", name)
    assert parse_probe(run_probe(tmp_path, [tools])).packages.lock_holder == "unattended-upgr (pid 812)"


def test_dnfs_lock_holder_is_named_while_it_lives(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "var/lib/dnf/rpmdb_lock.pid", b"900")
    write(tmp_path, "var/cache/dnf/metadata_lock.pid", b"901")
    write(tmp_path, "proc/900/comm", b"dnf\n")
    assert parse_probe(run_probe(tmp_path, [tools])).packages.lock_holder == "dnf (pid 900)"


def test_nobody_holds_a_lock_that_is_not_in_the_table(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "var/lib/dpkg/lock", b"")
    write(tmp_path, "proc/locks", b"1: POSIX  ADVISORY  WRITE 812 fe:00:1 0 EOF\n")
    assert parse_probe(run_probe(tmp_path, [tools])).packages.lock_holder is None


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_an_ordinary_user_is_told_what_could_not_be_read(public_folder: Path) -> None:
    write(public_folder, "etc/docker/daemon.json", b"{}")
    write(public_folder, "etc/ssh/sshd_config", b"X11Forwarding no\n")
    write(public_folder, "var/lib/gpu-hosts/proof", b"time=1\n")
    for path in ("etc/docker/daemon.json", "etc/ssh/sshd_config", "var/lib/gpu-hosts"):
        (public_folder / path).chmod(0)
    other = 65534 if os.geteuid() == 0 else None
    done = subprocess.run(
        ["sh", "-c", probe_text()],
        env={"ROOT": str(public_folder), "PATH": "/usr/bin:/bin"},
        user=other,
        group=other,
        extra_groups=[] if other else None,
        capture_output=True,
        text=True,
        check=True,
    )
    host = parse_probe(done.stdout)
    assert host.probe == 1
    assert host.elevated is False
    assert host.docker.daemon_json is None
    assert host.sshd.includes_drop_ins is None
    for path in ("/etc/docker/daemon.json", "/etc/ssh/sshd_config", "/var/lib/gpu-hosts"):
        assert f"{path}: not readable" in host.unread


def test_a_command_that_hangs_is_cut_short(tmp_path: Path, tools: Path) -> None:
    """The stand-in for ``timeout`` gives up at once; without it the probe would wait for the sleep."""
    (tools / "timeout").unlink()
    for name, body in {"timeout": "exit 124", "docker": "sleep 600"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    write(tmp_path, "run/docker.pid", b"812")
    write(tmp_path, "proc/812/comm", b"dockerd\n")
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.docker.running is None
    assert any(line.startswith("docker: the daemon did not answer") for line in host.unread)


def test_this_machine() -> None:
    host = parse_probe(run_probe("", [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]))
    assert host.probe == 1
    assert host.kernel.running == os.uname().release
    assert host.platform.architecture == os.uname().machine
    assert host.elevated == (os.geteuid() == 0)
    assert abs(host.time - time.time()) < 600
    boot_id, _, started = host.boot.partition("/")
    assert boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert started.isdigit()
