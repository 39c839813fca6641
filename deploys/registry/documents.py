"""The documents that registries give: indexes, manifests, configurations, lists of tags, tokens, errors.

Sources: OCI image-spec (image-index.md, manifest.md, config.md), OCI distribution-spec, Docker's manifest schema 2.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

# Both kinds of index and of manifest. A registry answers others with what older clients understood.
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# Words of others for Go's: containerd/platforms, normalizeArch.
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
# These come before people: on a terminal control characters would act.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{0,64}$")]
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)  # OCI distribution-spec, "Pulling manifests"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Platform(_Document):
    """What an image runs on, in Go's words."""

    os: Word
    architecture: Word
    variant: Word | None = None

    @property
    def go_architecture(self) -> str:
        """amd64, arm64."""
        return _ARCHITECTURES.get(self.architecture, self.architecture)


class Descriptor(_Document):
    """A pointer to something: its digest, its size in bytes, and in an index its platform."""

    digest: Digest
    size: NonNegativeInt
    platform: Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def is_attestation(self) -> bool:
        """Whether it is about an image and none itself, as BuildKit puts them beside."""
        about = "vnd.docker.reference.type" in (self.annotations or {})
        return about or (self.platform is not None and self.platform.os == "unknown")


class ManifestDocument(_Document):
    """An index, which has ``manifests``, or the manifest of one image, which has ``config`` and ``layers``."""

    manifests: tuple[Descriptor, ...] | None = None
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None


class _RootFs(_Document):
    diff_ids: tuple[Digest, ...]


class ImageConfig(Platform):
    """The configuration of an image: its platform, and the digests of its unpacked layers."""

    rootfs: _RootFs


class TagList(_Document):
    """One page of a repository's tags. Empty repositories have null."""

    tags: tuple[str, ...] | None


class TokenAnswer(_Document):
    """A token, by either of its names."""

    token: str | None = None
    access_token: str | None = None


class _Error(_Document):
    code: str = ""
    message: str = ""


class Errors(_Document):
    """Why not, in the registry's words."""

    errors: Annotated[tuple[_Error, ...], Field(min_length=1)]


Document = TypeVar("Document", bound=BaseModel)


def read(kind: type[Document], body: bytes) -> Document | None:
    """A document of that kind, or None where this is none."""
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None
