"""The guest's disk: Debian 13 with its own kernel, systemd, sshd, Docker and GRUB."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from tests.sandbox.control import unmount_below
from tests.sandbox.engine import run
from tests.sandbox.keys import make_ssh_key
from tests.sandbox.state import SSH_KEY
from tests.vm.debian import FILES, VM, install_debian, make_once

DISK = VM / "disk.raw"
HOST_KEYS = VM / "host-keys"  # public ones, a line each
# linux-image-amd64 and not -cloud-amd64: that one has neither vivid nor sound.
PACKAGES = (
    "systemd-sysv", "udev", "dbus", "libpam-systemd", "openssh-server", "sudo", "ca-certificates", "kmod", "iproute2",
    "procps", "passwd", "iptables", "linux-image-amd64", "initramfs-tools", "zstd", "grub-pc-bin", "grub-common",
    "docker.io", "docker-cli", "docker-compose",
)  # fmt: skip
SECTOR, MIB = 512, 2**20
SIZE = 12 * 2**30  # bytes; the file is sparse


def ensure_disk() -> None:
    """Make disk.raw and host-keys, unless they stand."""
    VM.mkdir(parents=True, exist_ok=True)
    make_ssh_key(SSH_KEY)
    make_once(DISK, (Path(__file__), *sorted(FILES.iterdir()), SSH_KEY.with_suffix(".pub")), _make_disk)


def _make_disk() -> None:
    root = VM / "root"
    unmount_below(root)  # what a killed mmdebstrap has left
    shutil.rmtree(root, ignore_errors=True)
    hooks = (
        f"copy-in {FILES} /",
        f"upload {SSH_KEY.with_suffix('.pub')} /files/controller.pub",
        'chroot "$1" sh /files/setup',
    )
    install_debian("trixie", root, PACKAGES, hooks)
    HOST_KEYS.write_text("".join(path.read_text() for path in sorted(root.glob("etc/ssh/ssh_host_*_key.pub"))))
    _write_disk(root)
    shutil.rmtree(root)


def _write_disk(root: Path) -> None:
    """One partition from the first MiB on, and GRUB before it.

    GRUB's boot.img takes over from the BIOS and reads core.img from the sector behind it, which is where it looks when
    nobody tells it otherwise (GRUB's manual, "Images"): so neither a loop device nor grub-install is needed.
    """
    with DISK.open("wb") as disk:
        disk.truncate(SIZE)
    run("mkfs.ext4", "-q", "-E", f"offset={MIB}", "-d", str(root), str(DISK), f"{(SIZE - MIB) // 1024}k")
    boot = (root / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    core = (root / "files/core.img").read_bytes()
    chs = b"\xfe\xff\xff"  # more than cylinders can say: the two numbers behind count
    linux = struct.pack("<B3sB3sII", 0x80, chs, 0x83, chs, MIB // SECTOR, (SIZE - MIB) // SECTOR)
    table = linux.ljust(64, b"\0") + b"\x55\xaa"
    with DISK.open("r+b") as disk:
        disk.write(boot[: SECTOR - len(table)] + table + core)
