"""The package manager: what is installed, held, half done, locked, and where it comes from."""

from __future__ import annotations

import re

from ..model import Packages, SourceFile
from .answer import Answer

FAMILIES = {
    "apt-get": ("debian", "ubuntu"),
    "dnf": ("rhel", "fedora", "centos", "rocky", "almalinux", "amzn"),
    "zypper": ("suse", "opensuse", "sles"),
}

Versions = tuple[tuple[str, str], ...]


def read_packages(answer: Answer) -> Packages:
    """The state of the host's package manager."""
    rows = [split_row(row) for row in answer.all("packages", "dpkg")]
    half = tuple(sorted({name for status, name, _ in rows if re.match(r".[HUFWt]|..R", status)}))
    tools = answer.all("packages", "tool")
    packages = installed(answer)
    return Packages(
        manager=(manager_command(answer) or "").removesuffix("-get") or None,
        half_configured=half if answer.first("packages", "dpkg_read") else None,
        lock_holder=read_lock(answer.first("packages", "lock")),
        held=tuple(sorted({name for status, name, _ in rows if status.startswith("h")})) + read_versionlock(answer),
        sources=read_sources(answer),
        keyrings=read_keyrings(answer),
        tools=(*tools, "ca-certificates") if "ca-certificates" in dict(packages) else tools,
        installed=packages,
        stream=read_stream(answer),
    )


def manager_command(answer: Answer) -> str | None:
    """The distribution's own package manager; a Debian may have dnf installed, and the reverse."""
    there = answer.all("packages", "manager")
    text = answer.files.get("/etc/os-release") or answer.files.get("/usr/lib/os-release") or ""
    ids = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^ID(?:_LIKE)?=(.*)$", text, re.MULTILINE)).lower()))
    own = (command for command, family in FAMILIES.items() if ids.intersection(family) and command in there)
    return next(own, there[0] if there else None)


def installed(answer: Answer) -> Versions:
    """Installed packages of interest, (name, version), sorted; of the distribution's own manager."""
    if manager_command(answer) in ("dnf", "zypper"):
        # rpm writes "(none)" for a missing epoch.
        found = {name: version.removeprefix("(none):") for name, version, _, _ in rpm_rows(answer)}
    else:
        rows = (split_row(row) for row in answer.all("packages", "dpkg"))
        found = {name: version for status, name, version in rows if status[1:2] == "i"}
    return tuple(sorted(found.items()))


def rpm_rows(answer: Answer) -> tuple[tuple[str, str, str, str], ...]:
    """Name, version, vendor and time of installation of each rpm that the probe asks about."""
    rows = ([*row.split("|"), "", "", ""] for row in answer.all("packages", "rpm"))
    return tuple((row[0], row[1], row[2], row[3]) for row in rows)


def read_versionlock(answer: Answer) -> tuple[str, ...]:
    """The entries of dnf's versionlock.list, which may hold comments."""
    lines = answer.files.get("/etc/dnf/plugins/versionlock.list", "").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def read_stream(answer: Answer) -> str | None:
    """The stream of the module nvidia-driver that dnf has enabled, from its own file."""
    text = answer.files.get("/etc/dnf/modules.d/nvidia-driver.module", "")
    values = dict(line.replace(" ", "").split("=", 1) for line in text.splitlines() if "=" in line)
    return values.get("stream") or None if values.get("state") == "enabled" else None


def split_row(row: str) -> tuple[str, str, str]:
    """``ii |docker-ce|5:28.1.1-1`` into status, name, version."""
    status, name, version = [*row.split("|", 2), "", ""][:3]
    return status, name, version


def pick(packages: Versions, pattern: str, *, but: str = "$^") -> Versions:
    """Those whose whole name matches ``pattern`` and not ``but``."""
    return tuple(
        (name, version) for name, version in packages if re.fullmatch(pattern, name) and not re.fullmatch(but, name)
    )


def read_lock(value: str | None) -> str | None:
    """``812 unattended-upgr`` as people say it."""
    pid, _, name = (value or "").partition(" ")
    return f"{name} (pid {pid})" if name else None


def read_sources(answer: Answer) -> tuple[SourceFile, ...]:
    """apt's source files, or dnf's repository files, in the order of their paths."""
    pattern = r"/etc/apt/sources\.list(\.d/|$)|/etc/yum\.repos\.d/"
    paths = (path for path in answer.files if re.match(pattern, path))
    return tuple(SourceFile(path, answer.files[path]) for path in sorted(paths))


def read_keyrings(answer: Answer) -> tuple[tuple[str, str], ...]:
    """(path, SHA-256) of each keyring, from ``sha256sum``."""
    rows = (re.match(r"([0-9a-f]{64})  (.+)$", row) for row in answer.all("packages", "keyring"))
    return tuple((f"/{row[2].lstrip('/')}", row[1]) for row in rows if row)
