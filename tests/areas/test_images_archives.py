"""Archives of `docker save`, made here as Docker lays them out (moby, image/tarexport/save.go; OCI image-layout.md)."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from deploys.areas.archives import read_archive
from deploys.planning.records import Archive
from deploys.planning.settings import Problem

LAYER, SHARED = b"l" * 30_000, b"s" * 20_000
CONFIG = {"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}


def digest(content: bytes) -> str:
    """SHA-256, as hex digits."""
    return sha256(content).hexdigest()


def write(path: Path, files: Mapping[str, object], *, mode: str = "w", links: Mapping[str, str] | None = None) -> Path:
    """A tar file; what is not bytes is written as JSON."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return path


CONFIG_TEXT = json.dumps(CONFIG).encode()
ID = f"sha256:{digest(CONFIG_TEXT)}"
# Docker before 25.0: a folder a layer.
MANIFESTS = [
    {
        "Config": f"{digest(CONFIG_TEXT)}.json",
        "RepoTags": ["nvidia/cuda:12", "lab/cuda:latest"],
        "Layers": ["aaa/layer.tar", "bbb/layer.tar", "bbb/layer.tar"],
    }
]
LEGACY = {
    "aaa/VERSION": b"1.0",
    "aaa/layer.tar": LAYER,
    "bbb/layer.tar": SHARED,
    f"{digest(CONFIG_TEXT)}.json": CONFIG_TEXT,
    "manifest.json": MANIFESTS,
}


def blobs(*contents: bytes) -> dict[str, bytes]:
    """As an OCI layout keeps them."""
    return {f"blobs/sha256/{digest(content)}": content for content in contents}


def descriptor(content: bytes, *, name: str = "", platform: str = "linux/arm64") -> dict[str, object]:
    """What leads to a blob."""
    system, _, architecture = platform.partition("/")
    annotations = {"annotations": {"io.containerd.image.name": name}} if name else {}
    return {
        "digest": f"sha256:{digest(content)}",
        "size": len(content),
        "platform": {"os": system, "architecture": architecture},
        **annotations,
    }


PACKED = gzip.compress(LAYER)
MANIFEST = json.dumps({"config": descriptor(CONFIG_TEXT), "layers": [descriptor(PACKED), descriptor(SHARED)]}).encode()
NAME = "docker.io/nvidia/cuda:12"
ATTESTATION = descriptor(b"{}", platform="unknown/unknown")
ABSENT = descriptor(b"another platform", platform="linux/amd64")
PLATFORMS = json.dumps({"manifests": [descriptor(MANIFEST), ATTESTATION, ABSENT]}).encode()
# Docker 25.0 and later: the layout, and manifest.json besides.
LAYOUT = {
    "oci-layout": {"imageLayoutVersion": "1.0.0"},
    "index.json": {"manifests": [descriptor(MANIFEST, name=NAME)]},
    "manifest.json": [
        {
            "Config": f"blobs/sha256/{digest(CONFIG_TEXT)}",
            "RepoTags": ["nvidia/cuda:12"],
            "Layers": [f"blobs/sha256/{digest(PACKED)}", f"blobs/sha256/{digest(SHARED)}"],
        }
    ],
    **blobs(CONFIG_TEXT, MANIFEST, PACKED, SHARED),
}
# What skopeo and other tools write; the index of an image of several platforms leads to a second one.
INDEX_ONLY = {
    "index.json": {"manifests": [descriptor(PLATFORMS, name=NAME)]},
    **blobs(CONFIG_TEXT, MANIFEST, PLATFORMS, PACKED, SHARED, b"{}"),
}


@pytest.mark.parametrize(
    ("files", "names"),
    [(LEGACY, ("nvidia/cuda:12", "lab/cuda:latest")), (LAYOUT, ("nvidia/cuda:12",)), (INDEX_ONLY, ("nvidia/cuda:12",))],
    ids=["legacy", "layout", "index only"],
)
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_what_an_archive_brings(tmp_path: Path, files: Mapping[str, object], names: tuple[str, ...], mode: str) -> None:
    path = write(tmp_path / "images.tar", files, mode=mode)
    assert read_archive(path) == Archive(
        path=str(path), size=path.stat().st_size, names=names, ids=(ID,), architectures=("arm64",), unpacked=50_000
    )


def renamed(names: object) -> dict[str, object]:
    """The first archive with other names in it."""
    return {**LEGACY, "manifest.json": [{**MANIFESTS[0], "RepoTags": names}]}


def test_names_of_podman_are_those_that_docker_lists_afterwards(tmp_path: Path) -> None:
    found = read_archive(write(tmp_path / "x.tar", renamed(["docker.io/library/python:3", "localhost/lab:latest"])))
    assert isinstance(found, Archive)
    assert found.names == ("python:3", "localhost/lab:latest")


def test_an_archive_whose_images_have_no_names_is_refused(tmp_path: Path) -> None:
    found = read_archive(write(tmp_path / "x.tar", renamed(None)))
    assert isinstance(found, Problem)
    assert "docker save -o FILE NAME:TAG" in found.reason


def test_layer_of_two_images_is_linked_and_counted_once(tmp_path: Path) -> None:
    second = [{"Config": f"{digest(CONFIG_TEXT)}.json", "RepoTags": None, "Layers": ["ccc/layer.tar"]}]
    files = {**LEGACY, "manifest.json": [*MANIFESTS, *second]}
    found = read_archive(write(tmp_path / "x.tar", files, links={"ccc/layer.tar": "../bbb/layer.tar"}))
    assert isinstance(found, Archive)
    assert (found.ids, found.unpacked) == ((ID,), 50_000)


def without(files: Mapping[str, object], *names: str) -> dict[str, object]:
    """The files but these."""
    return {name: content for name, content in files.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"etc/passwd": b"root"}, "neither manifest.json nor index.json"),
        ({"manifest.json": []}, "no image in it"),
        ({"manifest.json": {"schemaVersion": 2}}, "makes no sense"),
        ({"manifest.json": b"{not json"}, "makes no sense"),
        ({"manifest.json": [{"RepoTags": ["x:1"]}]}, "not as Docker or OCI say"),
        ({"manifest.json": ["x"]}, "not as Docker or OCI say"),
        (without(LEGACY, "bbb/layer.tar"), "a layer is missing: bbb/layer.tar"),
        (without(LEGACY, f"{digest(CONFIG_TEXT)}.json"), "is missing"),
        ({"index.json": {"manifests": [ABSENT]}}, "no image in it"),
        (without(INDEX_ONLY, f"blobs/sha256/{digest(PACKED)}"), "a layer is missing"),
        ({"index.json": {"manifests": ["x"]}}, "not as Docker or OCI say"),
        ({"index.json": {"manifests": [descriptor(b"{}")]}, **blobs(b"{}")}, "not as Docker or OCI say"),
        ({"index.json": {"manifests": [{}]}}, "not as Docker or OCI say"),
        ({"index.json": {"manifests": [{"digest": 5}]}}, "not as Docker or OCI say"),
        ({"index.json": {"manifests": [{"annotations": None}]}}, "not as Docker or OCI say"),
        ({**LEGACY, "manifest.json": [{**MANIFESTS[0], "RepoTags": ["x:1 $(id)"]}]}, "no image's name"),
        ({**LEGACY, "manifest.json": [{**MANIFESTS[0], "RepoTags": ["--help"]}]}, "no image's name"),
        ({**INDEX_ONLY, "index.json": {"manifests": [descriptor(MANIFEST, name="x\x1b[2J")]}}, "no image's name"),
    ],
)
def test_bad_archive_is_a_problem_of_the_setting(tmp_path: Path, files: Mapping[str, object], said: str) -> None:
    found = read_archive(write(tmp_path / "images.tar", files))
    assert isinstance(found, Problem)
    assert found.setting == "images_archives"
    assert said in found.reason
    assert "images.tar" in found.reason


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive_that_was_cut_off(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "images.tar", LAYOUT, mode=mode)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    found = read_archive(path)
    assert isinstance(found, Problem)
    assert "docker save" in found.reason


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100])
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    found = read_archive(tmp_path / "x")
    assert isinstance(found, Problem)
    assert "no tar file" in found.reason


def test_file_is_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "images.tar", LEGACY)
    first = read_archive(path)
    assert read_archive(path) is first
    (tmp_path / "new").write_bytes(b"no tar at all" * 100)
    (tmp_path / "new").replace(path)
    assert isinstance(read_archive(path), Problem)


def test_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    found = read_archive(tmp_path / "x")
    assert isinstance(found, Problem)
    assert "no file" in found.reason


def test_file_that_is_not_there(tmp_path: Path) -> None:
    found = read_archive(tmp_path / "none.tar")
    assert isinstance(found, Problem)
    assert "No such file" in found.reason
