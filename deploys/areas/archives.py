"""Archives of `docker save` on the controller: what is in them, read in one pass and without unpacking them.

Docker writes ``manifest.json`` (moby, image/tarexport) and, since 25.0, an OCI image layout around the same file
(OCI image-spec, image-layout.md). Archives of other tools may have the layout alone, which needs containerd's store.
"""

from __future__ import annotations

import json
import lzma
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from deploys.planning.images import parse_reference
from deploys.planning.records import Archive
from deploys.planning.settings import Problem

SETTING = "images_archives"
LARGEST_DOCUMENT = 16 << 20  # bytes; configurations and manifests are some kilobytes
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
GUESSED_RATIO = 2.5  # of a packed layer that does not say how long it is unpacked
NAMES = re.compile(r"\w[\w./:-]*", re.ASCII)  # words of a command and of our log
NAME = "io.containerd.image.name"  # annotation by which containerd and Docker name an image of a layout


class _BadArchiveError(Exception):
    """What is wrong with it."""


@dataclass(frozen=True)
class _Member:
    """A file of the archive: how long it is, unpacked where it is a packed layer; its content if it is a document."""

    unpacked: int
    text: bytes | None = None


@dataclass(frozen=True)
class _Image:
    names: tuple[str, ...]
    id: str
    architecture: str
    layers: tuple[str, ...]  # members


def read_archive(path: Path) -> Archive | Problem:
    """What an archive brings; gzip, bzip2 or xz may have packed it. A file that is none is a problem of the setting.

    One of several gigabytes that is packed takes minutes: a file that stays as it is is read once for all hosts.
    """
    try:
        about = path.stat()
    except OSError as error:
        return Problem(SETTING, f"{path} cannot be read: {error.strerror or error}")
    if not stat.S_ISREG(about.st_mode):
        return Problem(SETTING, f"{path} is no file")
    return _read_archive(path, about.st_size, about.st_mtime_ns)


@cache
def _read_archive(path: Path, size: int, changed: int) -> Archive | Problem:
    """The same of a file of ``size`` bytes that was changed at ``changed`` (ns): another one is read anew."""
    try:
        with _open(path) as tar:
            members = dict(_members(tar))
        return _describe(path, size, members)
    except _BadArchiveError as error:
        return Problem(SETTING, f"{path} is no archive of docker save: {error}")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        seen = f"a document in it is not as Docker or OCI say ({error!r})"
        return Problem(SETTING, f"{path} is no archive of docker save: {seen}")
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        return Problem(SETTING, f"{path} is damaged or cut off ({error}); make it anew with docker save -o")
    except OSError as error:  # gzip's are, too
        return Problem(SETTING, f"{path} cannot be read: {error.strerror or error}")


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except tarfile.ReadError as error:
        raise _BadArchiveError("it is no tar file, plain or packed with gzip, bzip2 or xz") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, _Member]]:
    for entry in tar:
        name = entry.name.removeprefix("./")
        if entry.isfile():
            yield name, _read_member(tar, entry)
        elif entry.islnk() or entry.issym():
            yield name, _Member(0)  # a layer that two images share: it is there once (image/tarexport/save.go)


def _read_member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> _Member:
    file = tar.extractfile(entry)
    if file is None:
        return _Member(entry.size)
    start = file.read(4)
    if start[:1] in (b"{", b"[") and entry.size <= LARGEST_DOCUMENT:
        return _Member(entry.size, start + file.read())
    if start.startswith(GZIP):
        # RFC 1952: the last four bytes are the length, modulo 2**32, of what the last member holds.
        file.seek(entry.size - 4)
        length = int.from_bytes(file.read(4), "little")
        return _Member(length if length >= entry.size else round(entry.size * GUESSED_RATIO))
    return _Member(round(entry.size * GUESSED_RATIO) if start.startswith(ZSTD) else entry.size)


def _describe(path: Path, size: int, members: Mapping[str, _Member]) -> Archive:
    if "manifest.json" in members:
        images = [_docker_image(entry, members) for entry in _read(members, "manifest.json", list)]
    elif "index.json" in members:
        images = list(_oci_images(_read(members, "index.json", dict), members, ()))
    else:
        raise _BadArchiveError("it has neither manifest.json nor index.json")
    if not images:
        raise _BadArchiveError("there is no image in it")
    layers = {layer for image in images for layer in image.layers}
    names = _unique(name for image in images for name in image.names)
    if not names:
        raise _BadArchiveError("no image in it has a name; make it by names: docker save -o FILE NAME:TAG")
    return Archive(
        path=str(path.resolve()),
        size=size,
        names=names,
        ids=_unique(image.id for image in images),
        architectures=_unique(image.architecture for image in images),
        unpacked=sum(members[layer].unpacked for layer in layers),
    )


def _unique(words: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _docker_image(entry: Any, members: Mapping[str, _Member]) -> _Image:
    names = tuple(map(_as_docker_lists, entry["RepoTags"] or ()))  # podman save has docker.io/library/ before them
    return _image(names, entry["Config"], tuple(entry["Layers"] or ()), members)


def _oci_images(index: Any, members: Mapping[str, _Member], names: tuple[str, ...]) -> Iterator[_Image]:
    """The images of an index, and of those that it leads to. ``names``: of the index itself."""
    for entry in index.get("manifests", ()):
        name = entry.get("annotations", {}).get(NAME, "")
        own = (_as_docker_lists(name),) if name else names
        blob = _blob(entry)
        if blob not in members or entry.get("platform", {}).get("os") == "unknown":
            continue  # a platform that was not saved, or an attestation
        manifest = _read(members, blob, dict)
        if "manifests" in manifest:
            yield from _oci_images(manifest, members, own)
        else:
            yield _image(own, _blob(manifest["config"]), tuple(map(_blob, manifest["layers"])), members)


def _blob(descriptor: Any) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _as_docker_lists(name: str) -> str:
    parsed = parse_reference(name)
    return f"{parsed.name}:{parsed.tag or 'latest'}"


def _image(names: tuple[str, ...], config: str, layers: tuple[str, ...], members: Mapping[str, _Member]) -> _Image:
    strange = [name for name in names if not NAMES.fullmatch(name)]
    if strange:
        raise _BadArchiveError(f"{strange[0]!r} is no image's name")
    missing = [layer for layer in layers if layer not in members]
    if missing:
        raise _BadArchiveError(f"a layer is missing: {missing[0]}; make it anew with docker save -o")
    architecture = _read(members, config, dict).get("architecture")
    if not isinstance(architecture, str):
        raise _BadArchiveError(f"{config} does not say for which architecture the image is")
    return _Image(names, f"sha256:{sha256(members[config].text or b'').hexdigest()}", architecture, layers)


def _read(members: Mapping[str, _Member], name: str, kind: type) -> Any:
    text = members[name].text if name in members else None
    try:
        document = json.loads(text) if text else None
    except ValueError:
        document = None
    if not isinstance(document, kind):
        raise _BadArchiveError(f"{name} is missing or makes no sense")
    return document
