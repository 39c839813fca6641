"""What can be pulled, from where, and where it goes: space, layers, registries and the site cache."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable

from ..model import RegistryCache, SourceFile
from .answer import Answer
from .daemon import Info, items

# `["driver-type", …]` of docker info where containerd keeps the images (moby, daemon/containerd/service.go).
CONTAINERD_STORE = ["driver-type", "io.containerd.snapshotter.v1"]
CERTS = "/etc/docker/certs.d/"
CACHE = "/etc/gpu-hosts/registry-cache/"
# A header of hosts.toml may carry a password (containerd, docs/hosts.md).
HEADER = re.compile(r"""^(\s*["']?[\w-]*authorization["']?\s*=\s*).*$""", re.MULTILINE | re.IGNORECASE)


def uses_containerd_store(info: Info) -> bool:
    """Whether containerd keeps the images, packed and unpacked."""
    return CONTAINERD_STORE in items(info, "DriverStatus")


def free_bytes(answer: Answer) -> int | None:
    """Free bytes for unprivileged writers where Docker keeps, or would keep, its images: ``df -Pk``."""
    row = df_row(answer.all("docker", "free"))
    return row[2] * 1024 if row else None


def free_inodes(answer: Answer) -> int | None:
    """Free inodes there: ``df -Pi``. None where the file system has no fixed number of them (btrfs says 0)."""
    row = df_row(answer.all("docker", "free_inodes"))
    return row[2] if row and row[0] else None


def df_row(rows: Iterable[str]) -> tuple[int, int, int] | None:
    """All, used and free of the first row of df that has numbers."""
    found = (re.search(r"\s(\d{1,18})\s+(\d{1,18})\s+(\d{1,18})\s+(?:\d+%|-)", row) for row in rows)
    row = next(filter(None, found), None)
    return (int(row[1]), int(row[2]), int(row[3])) if row else None


def read_layers(answer: Answer, *, installed: bool) -> tuple[str, ...] | None:
    """The first 16 hex digits of each layer that is there; None where that could not be read."""
    if not installed and answer.has("docker"):
        return ()
    lines = answer.all("docker", "layers")
    names = (name for line in lines for name in line.split())
    return tuple(name for name in names if re.fullmatch("[0-9a-f]{16}", name)) if lines else None


def read_registry_files(answer: Answer) -> tuple[SourceFile, ...]:
    """hosts.toml and certificates below Docker's certs.d. Authorization headers are blanked."""
    found = files_below(answer, CERTS)
    return tuple(SourceFile(file.path, HEADER.sub(r'\1"***"', file.text)) for file in found)


def files_below(answer: Answer, folder: str) -> tuple[SourceFile, ...]:
    """The files that arrived from below a folder, by their paths."""
    return tuple(SourceFile(path, text) for path, text in sorted(answer.files.items()) if path.startswith(folder))


def read_registry_cache(answer: Answer) -> RegistryCache | None:
    """The site cache that an earlier run set up; None where there is nothing of it."""
    files = files_below(answer, CACHE)
    lines = answer.all("docker", "cache_certificate")
    if not files and not lines:
        return None
    address = re.search(r"(?:IP Address|DNS):([^\s,]+)", " ".join(lines))
    return RegistryCache(files, address[1] if address else "", certificate_end(lines))


def certificate_end(lines: Iterable[str]) -> int | None:
    """``notAfter=Nov 21 10:00:00 2027 GMT`` in seconds since the epoch."""
    end = next((line.removeprefix("notAfter=") for line in lines if line.startswith("notAfter=")), "")
    try:
        return ssl.cert_time_to_seconds(end.strip())
    except ValueError:
        return None
