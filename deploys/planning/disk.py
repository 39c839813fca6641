"""What images take on a host's disk: which of their layers are missing there, and how much room the rest needs."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

from deploys.planning.lookups import Layer, Manifest
from deploys.planning.records import Archive
from facts.model import Docker

# Unpacked layers are this many times their packed size. Inferred: 2.0 to 2.5 is what CUDA and L4T images are said to
# be, and the larger one errs towards a refusal.
UNPACKED = 2.5
# Bytes of unpacked image for each file. Measured on small Debian images, 18 to 39 kB; images of CUDA have larger files.
BYTES_PER_FILE = 16_000
# What is left free: a tenth of what is free now, and not more than this.
RESERVE = 2 * 10**9


@dataclass(frozen=True)
class Need:
    """What something takes, in bytes: in all, and the unpacked part of that, which has the files."""

    total: int = 0
    unpacked: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.total + other.total, self.unpacked + other.unpacked)

    @property
    def inodes(self) -> int:
        """Files and directories, estimated."""
        return self.unpacked // BYTES_PER_FILE


NOTHING = Need()


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The chain ID of each layer, lowest first: a layer together with all below it (OCI image-spec, config.md)."""
    return tuple(accumulate(diff_ids, lambda below, own: f"sha256:{sha256(f'{below} {own}'.encode()).hexdigest()}"))


def layer_keys(manifest: Manifest, docker: Docker) -> tuple[str, ...]:
    """By what ``Docker.layers`` knows each layer, lowest first: its blob in containerd's store, else its chain ID."""
    digests = tuple(layer.digest for layer in manifest.layers)
    if docker.containerd_store:
        names = digests
    else:
        names = chain_ids(manifest.diff_ids)
        if len(names) != len(digests):
            return digests  # as a whole, so that none counts as being there
    return tuple(name.partition(":")[2][:16] for name in names)


def lacking(manifest: Manifest, docker: Docker, there: frozenset[str]) -> tuple[Layer, ...]:
    """The layers to download, each once. ``there`` are keys of layers."""
    keyed = zip(layer_keys(manifest, docker), manifest.layers, strict=True)
    return tuple({layer.digest: layer for key, layer in keyed if key not in there}.values())


def keeps_packed(docker: Docker) -> bool:
    """Whether layers stay packed beside their unpacked form.

    So it is in containerd's store, and that is what a Docker 29 takes that is installed anew (docs.docker.com,
    engine/storage/containerd).
    """
    return docker.containerd_store or not docker.installed


def pull_need(layers: tuple[Layer, ...], docker: Docker) -> Need:
    """What these layers take on the host, once downloaded and unpacked. Estimated."""
    packed = sum(layer.size for layer in layers)
    unpacked = int(packed * UNPACKED)
    return Need(unpacked + packed * keeps_packed(docker), unpacked)


def load_need(archive: Archive, docker: Docker) -> Need:
    """What an archive takes: itself while it is loaded, its layers, and these as they were where they are kept so."""
    return Need(archive.size * (2 if keeps_packed(docker) else 1) + archive.unpacked, archive.unpacked)


def bytes_short(need: Need, docker: Docker) -> int:
    """Bytes that are missing on the images' file system, with what is to be left free; 0 where all fits or unknown."""
    if docker.images_free is None or not need.total:
        return 0
    return max(0, need.total + reserve(docker.images_free) - docker.images_free)


def reserve(free: int) -> int:
    """Bytes of the free ones that images do not get."""
    return min(free // 10, RESERVE)


def inodes_short(need: Need, docker: Docker) -> int:
    """Inodes that are missing there; 0 where all fits, or where their number is not limited or not known."""
    return 0 if docker.images_free_inodes is None else max(0, need.inodes - docker.images_free_inodes)


def format_size(size: int) -> str:
    """Bytes as Docker prints them, in powers of 1000 and with three digits: 5.9 GB, 142 MB, 17 B."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if float(f"{value:.3g}") < 1000:
            break
        value, unit = value / 1000, larger
    return f"{float(f'{value:.3g}'):g} {unit}"
