"""Facts of the world, from ``deploys/catalogue/*.toml``: driver branches, GPUs, packages, repositories, images."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

FOLDER = Path(__file__).resolve().parents[1] / "catalogue"


class _Row(BaseModel):
    """A row: where it was read, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    checked: str  # ISO date


class Branch(_Row):
    """An NVIDIA driver branch that is still supported."""

    branch: str
    kind: Literal["lts", "production"]
    supported_until: str


class GpuRange(_Row):
    """PCI device ids of one generation, both ends included, and what can drive them."""

    name: str
    first: int
    last: int
    modules: Literal["open", "open-preferred", "proprietary"]
    oldest_branch: int = 0
    newest_branch: int = 999

    def is_served_by(self, branch: str) -> bool:
        """Whether drivers of this branch ("580") know these GPUs."""
        return self.oldest_branch <= int(branch) <= self.newest_branch


class DriverPackages(_Row):
    """Names of the driver's packages on one release of a distribution."""

    distribution: str
    version: str
    architecture: str  # dpkg's name
    branches: tuple[str, ...]
    repository: str | None = None  # None: the distribution's own archive
    prebuilt: bool  # signed modules for each kernel; False: built by DKMS
    first_kernel: str = ""  # the release's first kernel: later ones have package names of their own
    first: tuple[str, ...] = ()
    lead: str
    common: tuple[str, ...]
    open: tuple[str, ...]
    proprietary: tuple[str, ...]


class RepositoryRow(_Row):
    """A vendor's apt repository; ``{…}`` in it is filled in for a host."""

    name: str
    distributions: tuple[str, ...]
    uri: str
    suite: str
    components: str
    key_url: str
    fingerprint: str


class Symptom(_Row):
    """Words by which a trouble is known, what it usually is and what to do."""

    texts: tuple[str, ...]
    cause: str
    remedy: str


class DockerPackages(_Row):
    """Docker Engine's package names, by source."""

    vendor_packages: tuple[str, ...]
    distribution_packages: tuple[str, ...]


class ToolkitPackages(_Row):
    """NVIDIA Container Toolkit's package names."""

    packages: tuple[str, ...]


class L4tRange(_Row):
    """L4T releases from ``first`` up to, and without, ``fixed``."""

    first: str
    fixed: str


class ProofImage(_Row):
    """The image in which CUDA is initialised."""

    image: str


class Catalogue(BaseModel):
    """All of it. Made by ``load_catalogue``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: tuple[Branch, ...]
    gpus: tuple[GpuRange, ...]
    packages: tuple[DriverPackages, ...]
    repository: tuple[RepositoryRow, ...]
    symptom: tuple[Symptom, ...]
    docker: DockerPackages
    toolkit: ToolkitPackages
    l4t_without_raw_table: L4tRange
    proof: ProofImage


@cache
def load_catalogue() -> Catalogue:
    """Read and check every catalogue file. Raises pydantic.ValidationError where a row is not as declared."""
    tables: dict[str, object] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        tables |= tomllib.loads(path.read_text())
    return Catalogue.model_validate(tables)
