"""What the names and tags of images say, and which images the catalogue knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from deploys.planning.catalogue import Catalogue, ImageFamily, ImageRelease, ImageRepository
from deploys.planning.versions import numbers

OLDEST_L4T = 28  # r8.5.2 is a version of TensorRT, whose numbers are far from L4T's
MACHINES = {"igpu": "jetson", "sbsa": "arm64", "aarch64": "arm64", "amd64": "x86_64", "x86_64": "x86_64"}
SYSTEM = re.compile(r"(ubuntu|ubi|rockylinux|oraclelinux|centos|opensuse|debian|amzn|azl|cm)[\d.]+")


@dataclass(frozen=True)
class KnownImage:
    """An image, and what is known of it. Versions are as they are written; "" where nothing says."""

    name: str
    tag: str
    machines: tuple[str, ...]  # jetson, x86_64, arm64
    needs_l4t: bool = False
    integrated: bool = False  # for Jetson's integrated GPU, by its tag
    compat: bool = False  # brings forward compatibility libraries
    npu: bool = False  # for Ascend's processors, not for NVIDIA's
    version: str = ""
    l4t: str = ""
    cuda: str = ""
    cuda_in_tag: bool = False
    without: tuple[str, ...] = ()  # generations of GPUs that it has no code for
    system: str = ""  # ubuntu22.04
    words: tuple[str, ...] = ()  # what is left of the tag: base, cudnn, devel
    rank: int = 0  # place in its family's order of preference; the first is 0
    default: int = 0  # place among the kinds of image that are meant where a wish names none

    @property
    def reference(self) -> str:
        """As Docker is asked for it."""
        return f"{self.name}:{self.tag}"


@dataclass
class _Parts:
    """The parts of a tag, between its dashes."""

    version: str = ""
    l4t: str = ""
    cuda: str = ""
    system: str = ""
    machine: str = ""
    words: tuple[str, ...] = ()


def find_repository(name: str, catalogue: Catalogue) -> ImageRepository | None:
    """The catalogue's row for a repository, or None: it is a third party's."""
    exact = (row for row in catalogue.image_repository if name in row.names)
    many = (row for row in catalogue.image_repository if f"{name.split('/')[0]}/*" in row.names)
    return next(exact, None) or (next(many, None) if "/" in name else None)


def read_tag(name: str, tag: str, row: ImageRepository, catalogue: Catalogue, *, rank: int = 0) -> KnownImage:
    """What a tag says, completed by what the catalogue knows of such a version."""
    parts = _split(tag)
    integrated = parts.machine == "jetson"
    known = [
        release
        for release in catalogue.image_release
        if row.names[0] in release.repositories and _covers(release, parts, integrated)
    ]
    cuda = parts.version if row.version_is_cuda else parts.cuda
    return KnownImage(
        name,
        tag,
        (parts.machine,) if parts.machine else row.machines,
        needs_l4t=row.needs_l4t and parts.machine in ("", "jetson"),
        integrated=integrated,
        compat=row.compat,
        version=parts.version,
        l4t=parts.l4t or next((one.l4t for one in known if one.l4t), ""),
        cuda=cuda or next((one.cuda for one in known if one.cuda), ""),
        cuda_in_tag=bool(cuda),
        without=tuple(name for one in known for name in one.without),
        system=parts.system,
        words=parts.words,
        rank=rank,
        default=next((i for i, word in enumerate(row.defaults) if word in parts.words), len(row.defaults)),
    )


@cache  # the same tags are read for each host of a fleet
def _split(tag: str) -> _Parts:
    parts = _Parts()
    for i, part in enumerate(tag.split("-")):
        number = re.fullmatch(r"(?:r|b|v|pth|tf)?(\d+(?:\.\w+)*)", part)
        if re.fullmatch(r"cu\d{2,3}", part):
            parts.cuda = f"{part[2:-1]}.{part[-1]}"
        elif part in MACHINES:
            parts.machine = MACHINES[part]
        elif i and re.fullmatch(r"\d\d\.04", part):
            parts.system = f"ubuntu{part}"
        elif SYSTEM.fullmatch(part):
            parts.system = part
        elif number and part.startswith("r") and numbers(number[1])[0] >= OLDEST_L4T:
            parts.l4t = number[1]
        elif number and not parts.version:
            parts.version = number[1]
        else:
            parts.words += (part,)
    return parts


def _covers(release: ImageRelease, parts: _Parts, integrated: bool) -> bool:
    version = numbers(parts.version)
    if release.integrated not in (None, integrated) or release.kind not in ("", *parts.words) or not version:
        return False
    return numbers(release.first) <= version and not (release.fixed and version >= numbers(release.fixed))


def images_of(family: ImageFamily, words: tuple[str, ...], catalogue: Catalogue) -> tuple[KnownImage, ...]:
    """Every image of a family. ``words`` are those of the wish: the first names one of many repositories."""
    if family.name == "modelbox":
        return tuple(_modelbox_images(words, catalogue))
    names = [_fill(name, words) for name in family.repositories]
    found: list[KnownImage] = []
    for rank, name in enumerate(names):
        row = find_repository(name, catalogue)
        for table in catalogue.image_tags:
            if row and table.repository == name:
                found += (read_tag(name, tag, row, catalogue, rank=rank) for tag in table.tags)
    return tuple(found)


def _fill(name: str, words: tuple[str, ...]) -> str:
    return name.replace("*", words[0] if words else "") if name.endswith("/*") else name


def _modelbox_images(words: tuple[str, ...], catalogue: Catalogue) -> Iterator[KnownImage]:
    """ModelBox' images. Those for Ascend are looked at only where a word of the wish means them."""
    ascend = {"mindspore", "cann", "ascend", "d310p"} & set(words)
    for image in modelbox_images(catalogue):
        if image.npu == bool(ascend):
            yield image


def modelbox_images(catalogue: Catalogue) -> Iterator[KnownImage]:
    """All of ModelBox' images, by the scheme of their names: what is in one stands there, not in its tag."""
    for rank, row in enumerate(catalogue.modelbox):
        for stage in row.stages:
            for word, system in row.systems.items():
                for machine in row.architectures:
                    what = f"{row.engine}_{row.version}-{row.accelerator}_{row.accelerator_version}"
                    suffix = f"-{row.suffix}" if row.suffix else ""
                    kinds = [stage, row.engine, row.accelerator, word, *([row.suffix] if row.suffix else [])]
                    yield KnownImage(
                        f"modelbox/modelbox-{stage}-{what}{suffix}-{word}-{machine}",
                        row.tags[0],
                        (MACHINES[machine],),
                        npu=row.accelerator == "cann",
                        version=row.version,
                        cuda=row.accelerator_version if row.accelerator == "cuda" else "",
                        cuda_in_tag=row.accelerator == "cuda",
                        system=system,
                        words=tuple([*kinds, "ascend"] if row.accelerator == "cann" else kinds),
                        rank=rank,
                        default=row.stages.index(stage) + 2 * list(row.systems).index(word),
                    )
