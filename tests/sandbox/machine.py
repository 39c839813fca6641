"""What the sandbox needs of the machine it runs on: root, a few tools from apt, a Debian mirror."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.engine import does_docker_answer, run
from tests.sandbox.errors import SandboxError

# command -> the Debian and Ubuntu package that ships it
TOOLS = {
    "dpkg-deb": "dpkg",
    "gcc": "gcc",
    "gpg": "gpg",
    "gpg-agent": "gpg-agent",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "ssh-keygen": "openssh-client",
}
ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "GPU_SANDBOX_DEBIAN_MIRROR"
APT_SETTINGS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
)


@dataclass(frozen=True)
class Mirror:
    """Where Debian comes from: (URI, suite suffix) pairs ("" and "-updates" say), and apt settings."""

    archives: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]

    def source_lines(self, suite: str, *, updates: bool = True) -> list[str]:
        """One-line apt sources of ``suite``, with those of its updates or without."""
        return [f"deb {uri} {suite}{suffix} main" for uri, suffix in self.archives if updates or not suffix]


def check_machine() -> None:
    """Raise SandboxError unless this is root on an x86_64 Debian or Ubuntu machine."""
    if platform.machine() != "x86_64":
        raise SandboxError(
            "the simulated hosts are x86_64 containers",
            seen=f"this machine is {platform.machine()}",
            remedy="run the sandbox on an x86_64 machine",
        )
    if os.geteuid() != 0:
        raise SandboxError(
            "the sandbox needs root: it builds root file systems and boots systemd in containers",
            seen=f"user id {os.geteuid()}",
            remedy="run the same command with sudo",
        )
    if shutil.which("apt-get") is None:
        raise SandboxError(
            "the sandbox is built with apt, dpkg-deb and mmdebstrap",
            seen="no apt-get on this machine",
            remedy="run it on Debian 12 or 13, or Ubuntu 22.04 or newer",
        )


def install_tools() -> list[str]:
    """Install what is missing from apt, Docker only where none answers; return the packages installed."""
    missing = [package for command, package in TOOLS.items() if shutil.which(command) is None]
    if not ARCHIVE_KEYRING.exists():
        missing.append("debian-archive-keyring")
    if not does_docker_answer() and not (shutil.which("dockerd") and shutil.which("docker")):
        missing.append("docker.io")
    if missing:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        patient = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
        run(*patient, "update")
        if "docker.io" in missing and _does_apt_know("docker-cli"):  # from Debian 13 on a package of its own
            missing.append("docker-cli")
        run(*patient, "install", "--no-install-recommends", *missing)
    return missing


def _does_apt_know(package: str) -> bool:
    return bool(run("apt-cache", "search", "--names-only", f"^{package}$"))


def find_mirror() -> Mirror:
    """The Debian mirror of this machine's own apt configuration, or the one that the environment names."""
    if named := os.environ.get(MIRROR_VARIABLE):
        return Mirror(((named, ""), (named, "-updates")), _apt_settings())
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    archives = _archives(release.get("VERSION_CODENAME", "")) if release.get("ID") == "debian" else []
    if not archives:
        raise SandboxError(
            "no Debian mirror is known, and the simulated hosts are made of Debian packages",
            seen=f"this is {release.get('PRETTY_NAME', 'an unknown system')}; its apt sources name no Debian suite",
            remedy=f"set {MIRROR_VARIABLE} to the address of a Debian mirror (ends in /debian)",
        )
    return Mirror(tuple(archives), _apt_settings())


def _archives(codename: str) -> list[tuple[str, str]]:
    """(URI, suite suffix) of every apt source for this machine's own release, without third parties."""
    listing = ("apt-get", "indextargets", "--format", "$(RELEASE)|$(COMPONENT)|$(REPO_URI)")
    if not (indexes := run(*listing)):  # apt has never been refreshed here
        run("apt-get", "-qq", "update")
        indexes = run(*listing)
    found: dict[tuple[str, str], None] = {}
    for line in indexes.splitlines():
        suite, component, uri = line.split("|")
        suffix = suite.removeprefix(codename)
        if suite.startswith(codename) and component == "main" and suffix in ("", "-updates", "-security"):
            found[uri.rstrip("/"), suffix] = None
    return sorted(found, key=lambda archive: archive[1])


def _apt_settings() -> tuple[tuple[str, str], ...]:
    """The machine's apt settings without which its mirror may not be reachable or trusted."""
    done = subprocess.run(["apt-config", "dump", *APT_SETTINGS], capture_output=True, text=True)
    return tuple(re.findall(r'^(Acquire::[\w:-]+) "([^"]+)";$', done.stdout, re.M))
