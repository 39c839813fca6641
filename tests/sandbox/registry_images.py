"""The images of the simulated registries, put there over the registry's HTTP API."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin
from urllib.request import Request, urlopen

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CREATED = "2026-01-01T00:00:00Z"
BOTH = ("amd64", "arm64")


@dataclass(frozen=True)
class RegistryImage:
    """An image: reference as users write it, layers (archives that the vendors' container wrote; lowest first)."""

    reference: str
    layers: tuple[str, ...]
    architectures: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)  # of its configuration
    played_by: str = "a stand-in"

    @property
    def registry(self) -> str:
        """Host name of the registry's API."""
        return "nvcr.io" if self.reference.startswith("nvcr.io/") else "registry-1.docker.io"

    @property
    def repository(self) -> str:
        """The repository at the registry."""
        return self.reference.removeprefix("nvcr.io/").removeprefix("docker.io/").rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag there."""
        return self.reference.rpartition(":")[2]


# As the image of github.com/distribution/distribution-library-image has them.
REGISTRY_SETTINGS = {
    "Entrypoint": ["/entrypoint.sh"],
    "Cmd": ["/etc/distribution/config.yml"],
    "ExposedPorts": {"5000/tcp": {}},
    "Volumes": {"/var/lib/registry": {}},
}
CUDA = ("base", "cuda-base")
IMAGES = (
    RegistryImage("docker.io/library/python:3.12-slim", ("base", "python"), BOTH),
    # What images are built from on a host: with apt, and this machine's own mirror among its sources.
    RegistryImage(
        "docker.io/library/debian:trixie-slim", ("debian",), BOTH, played_by="Debian 13, of the hosts' base image"
    ),
    RegistryImage(
        "docker.io/library/registry:3.0.0",
        ("base", "registry"),
        BOTH,
        REGISTRY_SETTINGS,
        "Debian's docker-registry 2.8",
    ),
    RegistryImage("nvidia/cuda:12.6.3-base-ubuntu24.04", CUDA, BOTH),
    RegistryImage("nvidia/cuda:12.6.3-runtime-ubuntu24.04", (*CUDA, "cuda-runtime"), BOTH),
    RegistryImage(
        "modelbox/modelbox-runtime-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest", (*CUDA, "modelbox"), ("amd64",)
    ),
    RegistryImage("docker.io/arm64v8/busybox:1.37", ("base",), ("arm64",)),
    RegistryImage("nvcr.io/nvidia/l4t-base:r35.4.1", ("base", "l4t-base-35"), ("arm64",)),
    RegistryImage("nvcr.io/nvidia/l4t-base:r36.2.0", ("base", "l4t-base"), ("arm64",)),
    # The two that are worth watching: 40 MiB that do not compress.
    RegistryImage("nvcr.io/nvidia/l4t-jetpack:r36.4.0", ("base", "l4t-base", "large"), ("arm64",)),
    RegistryImage("nvcr.io/nvidia/pytorch:24.10-py3", (*CUDA, "large"), BOTH),
    RegistryImage("nvcr.io/nvidia/private-thing:1", ("base", "private"), BOTH),
)

# Settings as of modelbox, docker/Dockerfile.cuda.develop.ubuntu. modelbox_image.py makes it for those who ask.
MODELBOX = RegistryImage(
    "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest",
    ("root",),
    ("amd64",),
    {
        "Env": [
            "PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/lib",
            "NVIDIA_VISIBLE_DEVICES=all",
            "NVIDIA_DRIVER_CAPABILITIES=video,compute,utility",
        ],
        "Cmd": ["/sbin/init", "--log-target=journal"],
        "Volumes": {"/sys/fs/cgroup": {}, "/tmp": {}, "/run": {}, "/run/lock": {}},
        "StopSignal": "SIGRTMIN+3",
        "Labels": {"played-by": "Debian 12 and a stand-in of ModelBox"},
    },
    "Debian 12 and a stand-in of ModelBox",
)


def repositories() -> dict[str, list[str]]:
    """What each registry has: host name of its API -> repositories."""
    images = (*IMAGES, MODELBOX)
    hosts = sorted({image.registry for image in images})
    return {host: sorted({image.repository for image in images if image.registry == host}) for host in hosts}


def push_images(address: str, layers: Path) -> dict[str, str]:
    """Put all images into the registry at ``address``; return reference -> digest of what the tag names."""
    names = {name for image in IMAGES for name in image.layers}
    archives = {name: _read_layer(layers / f"{name}.tar") for name in names}
    return {
        image.reference: _push(f"http://{address}/v2/{image.repository}", image, [archives[n] for n in image.layers])
        for image in IMAGES
    }


def push_image(address: str, image: RegistryImage, archives: Iterable[Path]) -> str:
    """Put one image, whose layers are these archives, into the registry at ``address``; return its digest."""
    return _push(f"http://{address}/v2/{image.repository}", image, [_read_layer(path) for path in archives])


def _read_layer(path: Path) -> tuple[bytes, str]:
    """A layer packed, and its diff ID: the digest of its archive."""
    archive = path.read_bytes()
    return gzip.compress(archive, compresslevel=1, mtime=0), f"sha256:{hashlib.sha256(archive).hexdigest()}"


def _push(repository: str, image: RegistryImage, archives: Iterable[tuple[bytes, str]]) -> str:
    """One image. A single architecture gives a plain manifest, as many l4t-* images have; more give an index."""
    layers = [(_upload(repository, packed, LAYER), diff_id) for packed, diff_id in archives]
    manifests = [_push_manifest(repository, image, architecture, layers) for architecture in image.architectures]
    if len(manifests) == 1:
        return str(manifests[0]["digest"])
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return str(_put_manifest(repository, image.tag, index, INDEX)["digest"])


def _push_manifest(
    repository: str, image: RegistryImage, architecture: str, layers: list[tuple[dict[str, Any], str]]
) -> dict[str, Any]:
    """One architecture's manifest and configuration; return its descriptor for an index."""
    plays = f"GPU sandbox: plays {image.reference} with {image.played_by}"
    environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]}
    config = {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": environment | dict(image.settings),
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
        "history": [
            *({"created": CREATED, "created_by": f"COPY {name}"} for name in image.layers),
            {"created": CREATED, "created_by": plays, "empty_layer": True},
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _upload(repository, json.dumps(config).encode(), CONFIG),
        "layers": [layer for layer, _ in layers],
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
