"""Facts of the world, from ``deploys/catalogue/*.toml``: driver branches, GPUs, packages, repositories, images."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).resolve().parents[1] / "catalogue"


class _Row(BaseModel):
    """A row: where it was read, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    checked: str  # ISO date


class Branch(_Row):
    """An NVIDIA driver branch. ``ended``: it gets no fixes any more, and is installed only when asked for by number."""

    branch: str
    kind: Literal["lts", "production", "new-feature", "ended"]
    supported_until: str = ""  # year and month; empty: not published
    modules: tuple[Literal["open", "proprietary"], ...] = ("open", "proprietary")
    security_floor: str = ""  # the version that fixes what NVIDIA's newest bulletin about the branch names
    bulletin: str = ""  # its number, and a CVE of it


class GpuRange(_Row):
    """PCI device ids of one generation, both ends included, or listed one by one, and what can drive them."""

    name: str
    first: int = 1
    last: int = 0
    devices: tuple[int, ...] = ()
    # open, proprietary: nothing else works; integrated: part of a chip whose maker brings the driver
    modules: Literal["open", "open-preferred", "proprietary", "integrated"]
    oldest_branch: int = 0
    newest_branch: int = 999

    def has(self, device: int) -> bool:
        """Whether the GPU of this PCI device id is one of these."""
        return self.first <= device <= self.last or device in self.devices

    def is_served_by(self, branch: str) -> bool:
        """Whether drivers of this branch ("580") know these GPUs."""
        return self.oldest_branch <= int(branch) <= self.newest_branch


class VgpuGuests(_Row):
    """Virtual GPUs as their guests see them: device id -> ids of the subsystem, in hexadecimal ("1347-1349,180d")."""

    guests: dict[str, str]

    def has(self, device: int, subsystem: str) -> bool:
        """Whether a GPU with this subsystem (0x10de:0x1347) is a virtual one."""
        vendor, _, number = subsystem.partition(":")
        if vendor != "0x10de" or not number:
            return False
        ranges = (part.partition("-") for part in self.guests.get(f"{device:04x}", "").split(",") if part)
        return any(int(first, 16) <= int(number, 16) <= int(last or first, 16) for first, _, last in ranges)


class UbuntuRelease(_Row):
    """A release of Ubuntu and the kernel series it came with: later series have package names of their own."""

    version: str
    first_kernel: str


class DriverPackages(_Row):
    """Names of the driver's packages on some releases of a distribution, from one origin."""

    origin: Literal["distribution", "nvidia"]
    distributions: tuple[str, ...]  # id-version; an Enterprise Linux by its major version
    architectures: tuple[str, ...]  # `uname -m`
    branches: tuple[str, ...]
    repository: str | None = None  # None: the distribution's own archive
    components: bool = False  # in components of the distribution's archive beside main
    signed: tuple[str, ...] = ()  # architectures whose modules are prebuilt and signed; elsewhere DKMS builds them
    prebuilt: bool = False
    first: tuple[str, ...] = ()
    stream_open: str = ""  # of dnf's module nvidia-driver
    stream_proprietary: str = ""
    unbuildable_from: str = ""  # the first kernel for which DKMS is known to fail with them
    lead: str  # the package whose version must be of the branch
    build: tuple[str, ...] = ()  # what DKMS needs on the host
    open: tuple[str, ...]  # kernel modules
    proprietary: tuple[str, ...]
    compute: tuple[str, ...]  # what runs on them, without a display
    desktop: tuple[str, ...]
    fabric_manager: tuple[str, ...] = ()

    def modules(self, flavour: str) -> tuple[str, ...]:
        """Package names of the kernel modules: of the open or the proprietary ones."""
        return self.open if flavour == "open" else self.proprietary


class ForeignOrigin(_Row):
    """Whose driver packages are neither the distribution's nor NVIDIA's, and how they are known."""

    name: str
    version: str = ""  # regular expression that such packages' versions match
    vendor: str = ""  # regular expression for rpm's vendor
    repository: str = ""  # regular expression for the text of a repository file that gives them, beside ours


class RepositoryRow(_Row):
    """A vendor's repository for apt or dnf; ``{…}`` in it is filled in for a host."""

    name: str
    distributions: tuple[str, ...]
    uri: str
    same: str = ""  # regular expression for other addresses that give the same packages
    older: str = ""  # regular expression for addresses whose place it took
    suite: str = ""  # apt's
    components: str = ""
    signed_index: bool = True  # dnf's repo_gpgcheck
    signed_packages: bool = True  # dnf's gpgcheck
    key_url: str
    fingerprint: str  # empty: not known here; the owner of a host must say it


class Symptom(_Row):
    """Words by which a trouble is known, what it usually is and what to do."""

    texts: tuple[str, ...]
    cause: str
    remedy: str


class DockerPackages(_Row):
    """Docker Engine's packages on some releases, from one origin."""

    origin: Literal["docker", "distribution"]
    distributions: tuple[str, ...]
    packages: tuple[str, ...]  # the engine first
    version: str = ""  # of the engine; "": the newest
    same_version: tuple[str, ...] = ()  # of the engine's own version, where they are installed
    hold: tuple[str, ...]
    conflicts: tuple[str, ...]  # removed where nothing runs on them
    blockers: tuple[str, ...] = ()  # in the way as well, and never removed
    for_kernel: tuple[str, ...] = ()
    lacks: str = ""
    compose: str  # the package that brings Docker Compose
    compose_version: str = ""  # of that package; "": the newest


class VersionAdvisory(_Row):
    """Known trouble of the versions from ``first`` up to, and without, ``fixed``."""

    name: str
    first: str = "0"
    fixed: str
    text: str


class DockerCdi(_Row):
    """Docker's versions with CDI devices by default, and those that read what the toolkit writes."""

    default_from: str
    reads_from: str


class ToolkitPackages(_Row):
    """NVIDIA Container Toolkit's package names, and those that it had."""

    packages: tuple[str, ...]
    old_names: tuple[str, ...]
    owns_daemon_json: str


class L4tRange(_Row):
    """L4T releases from ``first`` up to, and without, ``fixed``, and the newest Docker that starts there."""

    first: str
    fixed: str
    newest_docker: str


class L4tToolkit(_Row):
    """The first L4T on which NVIDIA's ordinary toolkit can take the place of L4T's."""

    ordinary_from: str


class OwnImage(_Row):
    """An image that we bring ourselves: in which CUDA is initialised, or of the containers of a site cache."""

    image: str


class CameraPackages(_Row):
    """Packages for cameras that a package manager knows: those with v4l2-ctl, and a live picture on an X display."""

    manager: str
    tools: tuple[str, ...]
    viewer: tuple[str, ...]


class DaemonVersions(_Row):
    """The Docker versions whose daemon.json this catalogue knows, both ends included."""

    oldest: str
    newest: str


class _OfVersions(_Row):
    """What is there in Docker versions from ``since`` up to, and without, ``until``; "" for no end."""

    since: str = ""
    until: str = ""


class DaemonKey(_OfVersions):
    """Keys of daemon.json that are alike. catalogue/daemon.toml says what each field means."""

    names: tuple[str, ...]
    type: Literal[
        "any",
        "bool",
        "bools",
        "int",
        "object",
        "objects",
        "pools",
        "runtimes",
        "size",
        "text",
        "texts",
        "named texts",
    ]
    choices: tuple[str, ...] = ()
    reload: bool = False
    forgotten: bool = False
    neutral: Any = None
    survives: bool = True
    line: str = ""
    items: Literal["", "item", "name", "url"] = ""
    ignored: bool = False


class LogOption(_OfVersions):
    """Options of log drivers."""

    drivers: tuple[str, ...]
    names: tuple[str, ...]


class StorageDriver(_OfVersions):
    """Storage drivers, other than containerd's snapshotters."""

    names: tuple[str, ...]


Version = Annotated[str, Field(pattern=r"^(\d+(\.\w+)*)?$")]
Some = Annotated[tuple[str, ...], Field(min_length=1)]


class ImageFamily(_Row):
    """A word that people ask for images by."""

    name: str
    aliases: tuple[str, ...] = ()
    # In order of preference. One that ends in "/*" is of many: the second word of the wish is its last part.
    repositories: Some
    instead: tuple[str, ...] = ()  # families that a host may have where it can have none of these
    otherwise: str = ""  # what to do where it can have none at all


class ImageRepository(_Row):
    """A repository of images whose tags can be read, and what they are made for."""

    names: Some  # as Docker prints them; of several with the same images, the first is chosen
    machines: tuple[Literal["jetson", "x86_64", "arm64"], ...]  # where a tag does not say
    defaults: tuple[str, ...] = ()  # words of tags, the ones that are meant first where a wish names none
    version_is_cuda: bool = False  # the version in a tag is CUDA's
    needs_l4t: bool = False  # no image of it is for any L4T
    compat: bool = False  # its images bring NVIDIA's forward compatibility libraries


class ImageTags(_Row):
    """Tags of a repository. Written by a tool from what the registries say."""

    repository: str
    tags: tuple[str, ...]


class ImageRelease(_Row):
    """What images have in them, of the versions from ``first`` up to, and without, ``fixed``; "" for no end."""

    repositories: Some
    integrated: bool | None = None  # only those for Jetson's integrated GPU, or only the others
    kind: str = ""  # only those with this word in their tags: trtllm
    first: Version = ""
    fixed: Version = ""
    l4t: Version = ""  # the release that it was made for
    cuda: Version = ""
    without: tuple[str, ...] = ()  # generations of GPUs that it has no code for: names of the rows ``gpus``


class L4tLine(_Row):
    """L4T releases whose images run on each other, from ``first`` up to, and without, ``fixed``."""

    name: str
    first: Version
    fixed: Version
    cuda: Version
    releases: tuple[str, ...]  # those that are known
    server_images: bool = False  # images for arm64 servers run on it


class CudaMajor(_Row):
    """The oldest driver branch that runs a major version of CUDA, and the branch each minor version came with."""

    major: Version
    oldest_driver: int
    drivers: dict[str, int]  # 12.4 -> 550


class CudaGpus(_Row):
    """Versions of CUDA that have code for GPUs of these generations (the rows ``gpus`` that are ranges)."""

    gpus: tuple[str, ...]
    oldest: Version
    newest_major: Version = ""  # "": the newest there is


class EndedSystem(_Row):
    """Distributions in images that get no security fixes any more."""

    names: tuple[str, ...]  # as in tags: ubuntu18.04
    title: str
    since: str


class ModelBoxImages(_Row):
    """ModelBox' images with one engine, whose names say what is in them."""

    engine: str  # tensorrt
    version: Version
    accelerator: Literal["cuda", "cann"]
    accelerator_version: Version
    suffix: str = ""  # d310p
    architectures: tuple[Literal["x86_64", "aarch64"], ...]
    stages: tuple[str, ...] = ("develop", "runtime")
    systems: dict[str, str]  # word in the name -> system: ubuntu -> ubuntu20.04
    tags: Some


class Catalogue(BaseModel):
    """All of it. Made by ``load_catalogue``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: tuple[Branch, ...]
    gpus: tuple[GpuRange, ...]
    vgpu: VgpuGuests
    ubuntu: tuple[UbuntuRelease, ...]
    foreign: tuple[ForeignOrigin, ...]
    packages: tuple[DriverPackages, ...]
    repository: tuple[RepositoryRow, ...]
    symptom: tuple[Symptom, ...]
    docker: tuple[DockerPackages, ...]
    docker_advisory: tuple[VersionAdvisory, ...]
    docker_cdi: DockerCdi
    toolkit: ToolkitPackages
    toolkit_advisory: tuple[VersionAdvisory, ...]
    l4t_without_raw_table: L4tRange
    l4t_toolkit: L4tToolkit
    proof: OwnImage
    registry_cache: OwnImage
    camera_packages: tuple[CameraPackages, ...]
    daemon_versions: DaemonVersions
    daemon_key: tuple[DaemonKey, ...]
    log_option: tuple[LogOption, ...]
    storage_driver: tuple[StorageDriver, ...]
    image_family: tuple[ImageFamily, ...]
    image_repository: tuple[ImageRepository, ...]
    image_tags: tuple[ImageTags, ...]
    image_release: tuple[ImageRelease, ...]
    l4t_line: tuple[L4tLine, ...]
    cuda_major: tuple[CudaMajor, ...]
    cuda_gpus: tuple[CudaGpus, ...]
    ended_system: tuple[EndedSystem, ...]
    modelbox: tuple[ModelBoxImages, ...]


@cache
def load_catalogue() -> Catalogue:
    """Read and check every catalogue file. Raises pydantic.ValidationError where a row is not as declared."""
    tables = {key: rows for path in FOLDER.glob("*.toml") for key, rows in tomllib.loads(path.read_text()).items()}
    return Catalogue.model_validate(tables)
