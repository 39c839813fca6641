"""What a registry said of an image, when it was asked once for the whole fleet. Made by deploys/registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Layer:
    """A packed layer: its digest and its size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """An image of one platform."""

    digest: str
    os: str  # linux
    architecture: str  # amd64, arm64, in Go's words
    variant: str = ""  # v8
    config: Layer | None = None  # the image's configuration; None: not asked for
    layers: tuple[Layer, ...] = ()  # lowest first, packed; empty: not asked for
    diff_ids: tuple[str, ...] = ()  # SHA-256 of the layers unpacked, in the same order

    @property
    def size(self) -> int:
        """Bytes of a download from nothing: every layer once, and the configuration."""
        packed = {layer.digest: layer.size for layer in self.layers}
        return sum(packed.values()) + (self.config.size if self.config else 0)


@dataclass(frozen=True)
class Found:
    """The image exists."""

    reference: str  # as it was asked for
    digest: str  # of what the reference names: an index, or the one manifest
    manifests: tuple[Manifest, ...]  # those of platforms that some host of the fleet has come with layers


class Trouble(StrEnum):
    """Why there is no answer, as people must act on it."""

    UNAUTHORIZED = "credentials are needed"  # 401
    FORBIDDEN = "these credentials may not"  # 403
    NO_TAG = "there is no such tag"
    NO_REPOSITORY = "there is no such repository"
    RATE_LIMIT = "the registry's limit is reached"  # 429
    TLS = "its certificate is not trusted"
    DNS = "its name is not known"
    PROXY = "the proxy refuses"
    UNREACHABLE = "it does not answer"
    BROKEN = "its answer makes no sense"

    @property
    def is_certain(self) -> bool:
        """Whether a host would be told the same. What ails the way from here to a registry need not ail the host's."""
        return self in (Trouble.UNAUTHORIZED, Trouble.FORBIDDEN, Trouble.NO_TAG, Trouble.NO_REPOSITORY)


@dataclass(frozen=True)
class Missing:
    """The registry did not give the image."""

    reference: str
    trouble: Trouble
    seen: str  # status and words of the registry or of the network, without secrets
    close: tuple[str, ...] = ()  # tags that were perhaps meant
    retry_after: int | None = None  # seconds


@dataclass(frozen=True)
class Rate:
    """What a registry still lets us pull."""

    registry: str
    limit: int
    remaining: int
    window: int  # seconds
    source: str  # whom it counts, as it says: an address, a user


@dataclass(frozen=True)
class Question:
    """An image that some host lacks, and the platforms of those hosts, in Go's words: amd64, arm64."""

    reference: str
    architectures: frozenset[str]


@dataclass(frozen=True)
class Answers:
    """Everything that was asked, by reference; and the limits of the registries that have some."""

    images: Mapping[str, Found | Missing]
    rates: Mapping[str, Rate]
