"""The running virtual machine: started, reached over SSH, rebooted, stopped. There is one at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness import LIMIT, Command, running
from tests.sandbox.engine import run, wait_until
from tests.sandbox.errors import SandboxError
from tests.sandbox.state import SSH_KEY
from tests.vm.debian import VM
from tests.vm.image import DISK, HOST_KEYS, ensure_disk
from tests.vm.images import debian_archive, modelbox_archive

PID_FILE = VM / "qemu.pid"
CONSOLE = VM / "console.log"
KNOWN_HOSTS = VM / "known_hosts"
ADDRESS = "127.0.0.1"
BOOTS_WITHIN = 600  # seconds; about 40 on two idle cores
# No KVM: machines that are virtual themselves often have a /dev/kvm that does not work.
MACHINE = ("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-display", "none")
DEVICES = ("-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci")
ARCHIVES = {"debian": debian_archive, "modelbox": modelbox_archive}


@dataclass(frozen=True)
class Guest:
    """The virtual machine, looked at from inside, as root over SSH."""

    port: int  # of this machine; the guest's sshd is behind it
    name: str = "guest"

    @property
    def data(self) -> dict[str, Any]:
        """pyinfra's data for it."""
        return {
            "ssh_hostname": ADDRESS,
            "ssh_port": self.port,
            "ssh_user": "root",
            "ssh_key": str(SSH_KEY),
            "ssh_known_hosts_file": str(KNOWN_HOSTS),
        }

    def ssh(self, *words: str) -> Command:
        """The OpenSSH command that runs ``words`` inside, or nothing. Options may precede."""
        options = ("BatchMode=yes", f"UserKnownHostsFile={KNOWN_HOSTS}", "ConnectTimeout=60", "LogLevel=ERROR")
        login = ["ssh", "-i", str(SSH_KEY), "-p", str(self.port), *(f"-o{option}" for option in options)]
        return [*login, f"root@{ADDRESS}", *words]

    def try_sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run ``script`` inside, whatever comes of it."""
        return subprocess.run(self.ssh(script), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)

    def sh(self, script: str) -> str:
        """Stdout of ``script`` inside, stripped. Fails the test where the script fails."""
        done = self.try_sh(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def does(self, script: str) -> bool:
        """Whether ``script`` exits 0 inside."""
        return self.try_sh(script).returncode == 0

    def load_image(self, name: str) -> Path:
        """Load one of ARCHIVES into its Docker; return the archive. It comes as a disk, which takes no time."""
        self.sh(f"docker load --quiet </dev/disk/by-id/virtio-{name}")
        return ARCHIVES[name]()

    def wait_for(self, script: str, what: str) -> None:
        """Ask until ``script`` exits 0 inside."""
        wait_until(lambda: self.does(script), what=what, seconds=LIMIT, look_at=str(CONSOLE))

    @contextmanager
    def forwarded(self, port: int) -> Iterator[int]:
        """The port here that a port of the guest's loopback interface answers on, through ``ssh -L``."""
        here = free_port()
        options = ("-N", "-oExitOnForwardFailure=yes", "-L", f"{ADDRESS}:{here}:{ADDRESS}:{port}")
        with running([*self.ssh()[:-1], *options, self.ssh()[-1]]):
            wait_until(lambda: _does_listen(here), what="`ssh -L`", seconds=LIMIT, look_at=str(CONSOLE))
            yield here

    @property
    def boot(self) -> str:
        """The kernel's name of this boot; empty while nobody answers."""
        return self.try_sh("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def wait_until_booted(self, *, after: str = "") -> None:
        """Wait until systemd is through with a boot that is not ``after``."""
        wait_until(lambda: self.boot not in ("", after), what="the boot", seconds=BOOTS_WITHIN, look_at=str(CONSOLE))
        state = self.try_sh("systemctl is-system-running --wait").stdout.strip()
        if state != "running":
            failed = self.sh("systemctl --failed --no-legend --plain")
            raise SandboxError("the guest has not booted well", seen=f"{state}: {failed}", remedy=f"look at {CONSOLE}")

    def reboot(self) -> None:
        """Reboot it, and wait until it is back."""
        before = self.boot
        self.try_sh("systemctl reboot")
        self.wait_until_booted(after=before)


def _read_only_disk(name: str, file: Path) -> tuple[str, ...]:
    drive = f"file={file},format=raw,if=none,id={name},readonly=on"
    return "-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"


def free_port() -> int:
    """A TCP port of this machine's loopback interface that nothing listens on."""
    with socket.create_server((ADDRESS, 0)) as free:
        return int(free.getsockname()[1])


def _does_listen(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((ADDRESS, port)) == 0


def start() -> Guest:
    """Boot a fresh guest, in place of one that a killed run has left. Its disk forgets everything when it stops."""
    ensure_disk()
    stop()
    guest = Guest(free_port())
    keys = HOST_KEYS.read_text().splitlines()
    KNOWN_HOSTS.write_text("".join(f"[{ADDRESS}]:{guest.port} {key}\n" for key in keys))
    images = [word for name, make in ARCHIVES.items() for word in _read_only_disk(name, make())]
    os.environ["TMPDIR"] = str(VM)  # where QEMU puts what the guest writes
    run(
        "qemu-system-x86_64", *MACHINE, "-drive", f"file={DISK},format=raw,if=none,id=disk,cache=unsafe", "-snapshot",
        "-device", "virtio-blk-pci,drive=disk,bootindex=0",  # the BIOS tries one disk alone
        "-netdev", f"user,id=net,hostfwd=tcp:{ADDRESS}:{guest.port}-:22", *DEVICES, *images,
        "-serial", f"file:{CONSOLE}", "-monitor", "none", "-pidfile", str(PID_FILE), "-daemonize",
    )  # fmt: skip
    guest.wait_until_booted()
    return guest


def stop() -> bool:
    """Stop the guest, whichever run has started it; say whether there was one."""
    pid = _pid()
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not _pid(), what="QEMU's end", seconds=60, look_at=str(CONSOLE))
    PID_FILE.unlink(missing_ok=True)
    return bool(pid)


def _pid() -> int:
    """Process id of the QEMU that runs on our disk; 0 where none does."""
    try:
        pid = int(PID_FILE.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ValueError):
        return 0
    return pid if any(str(DISK) in word for word in words) else 0
