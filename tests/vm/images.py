"""Container images for the guest, as files of ``docker save``: no registry answers there."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.sandbox.base_image import PACKAGES
from tests.sandbox.modelbox_image import TEMPLATES
from tests.sandbox.registry_images import CREATED, MODELBOX
from tests.vm.debian import VM, install_debian, make_once


def debian_archive() -> Path:
    """What our Dockerfiles start from: Debian 13, with the machine's own mirror as its source."""
    path = VM / "debian.tar"

    def make() -> None:
        layer = VM / "debian-layer.tar"
        install_debian("trixie", layer, ("ca-certificates",), ())
        _save(path, "debian:trixie-slim", layer, {"Cmd": ["bash"]})

    make_once(path, (Path(__file__),), make)
    return path


def modelbox_archive() -> Path:
    """The stand-in of ModelBox' development image."""
    path = VM / "modelbox.tar"

    def make() -> None:
        layer = VM / "modelbox-layer.tar"
        hooks = (f'mkdir "$1/build" && cp {TEMPLATES}/* "$1/build"', 'chroot "$1" sh /build/setup')
        install_debian("bookworm", layer, PACKAGES, hooks)
        _save(path, MODELBOX.reference, layer, MODELBOX.settings)

    make_once(path, (Path(__file__), *sorted(TEMPLATES.iterdir())), make)
    return path


def _save(path: Path, reference: str, layer: Path, settings: Mapping[str, Any]) -> None:
    """An archive with one image of one layer, as Docker before 25 wrote it (moby, image/tarexport); the layer goes."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": CREATED}],
    }
    text = json.dumps(config).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        for member, content in ((name, text), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        archive.add(layer, "layer.tar")
    layer.unlink()
