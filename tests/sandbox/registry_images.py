"""The images of the simulated registries, put there over the registry's HTTP API."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin
from urllib.request import Request, urlopen

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class RegistryImage:
    """An image: reference as users write it, repository and tag at the registry, root file system, architectures."""

    reference: str
    repository: str
    tag: str
    layer: str  # name of the archive that the vendors' container wrote
    architectures: tuple[str, ...]


IMAGES = (
    RegistryImage(
        "docker.io/library/python:3.12-slim", "library/python", "3.12-slim", "python.tar", ("amd64", "arm64")
    ),
    RegistryImage(
        "nvidia/cuda:12.6.3-base-ubuntu24.04",
        "nvidia/cuda",
        "12.6.3-base-ubuntu24.04",
        "base.tar",
        ("amd64", "arm64"),
    ),
    RegistryImage("nvcr.io/nvidia/l4t-base:r36.2.0", "nvidia/l4t-base", "r36.2.0", "base.tar", ("arm64",)),
)


def push_images(address: str, layers: Path) -> dict[str, str]:
    """Put all images into the registry at ``address``; return reference -> digest of what the tag names."""
    return {image.reference: _push(f"http://{address}/v2/{image.repository}", image, layers) for image in IMAGES}


def _push(repository: str, image: RegistryImage, layers: Path) -> str:
    """One image. A single architecture gives a plain manifest, as many l4t-* images have; more give an index."""
    archive = (layers / image.layer).read_bytes()
    layer = _upload(repository, gzip.compress(archive, compresslevel=1, mtime=0), LAYER)
    manifests = [
        _push_manifest(repository, image, architecture, layer, hashlib.sha256(archive).hexdigest())
        for architecture in image.architectures
    ]
    if len(manifests) == 1:
        return str(manifests[0]["digest"])
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return str(_put_manifest(repository, image.tag, index, INDEX)["digest"])


def _push_manifest(
    repository: str, image: RegistryImage, architecture: str, layer: dict[str, Any], diff_id: str
) -> dict[str, Any]:
    """One architecture's manifest and configuration; return its descriptor for an index."""
    config = {
        "created": "2026-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": f"GPU sandbox: plays {image.reference}"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _upload(repository, json.dumps(config).encode(), CONFIG),
        "layers": [layer],
    }
    # Only a tag makes an index's members reachable by name; they are put by digest.
    name = image.tag if len(image.architectures) == 1 else None
    platform = {"architecture": architecture, "os": "linux"}
    return {**_put_manifest(repository, name, manifest, MANIFEST), "platform": platform}


def _upload(repository: str, content: bytes, media_type: str) -> dict[str, Any]:
    """Upload a blob; return its descriptor."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    start = f"{repository}/blobs/uploads/"
    place = urljoin(start, _send("POST", start, b"", "application/octet-stream")["Location"])
    _send("PUT", f"{place}&digest={quote(digest)}", content, "application/octet-stream")
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _put_manifest(repository: str, name: str | None, manifest: dict[str, Any], media_type: str) -> dict[str, Any]:
    """Put a manifest under ``name``, or under its own digest; return its descriptor."""
    content = json.dumps(manifest, indent=2).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _send("PUT", f"{repository}/manifests/{name or digest}", content, media_type)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _send(method: str, url: str, content: bytes, media_type: str) -> Message:
    """Send a request and return the answer's headers; urllib.error.HTTPError where the registry refuses."""
    request = Request(url, content, {"Content-Type": media_type}, method=method)
    with urlopen(request, timeout=60) as answer:
        headers: Message = answer.headers
        return headers
