"""Image references, and whether a host has them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from facts.model import Host

# distribution/reference, regexp.go. A host without a port is written as parts of names are; digests are sha256's.
REFERENCE = re.compile(
    r"(?:[a-z0-9]+(?:[.-]+[a-z0-9]+)*:\d+/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True)
class Reference:
    """A parsed image reference, with Docker Hub's defaults taken off as Docker itself prints names."""

    name: str  # nvidia/cuda, python, nvcr.io/nvidia/l4t-base
    tag: str | None
    digest: str | None  # sha256:…

    @property
    def pinned(self) -> str:
        """What is pulled, and how the host's Docker lists it: by digest where there is one."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag or 'latest'}"

    @property
    def short(self) -> str:
        """What people call it: without the digest where there is a tag, else with the digest's first twelve digits."""
        if self.tag or not self.digest:
            return f"{self.name}:{self.tag}" if self.tag else self.name
        return f"{self.name}@{self.digest[:19]}"

    @property
    def registry(self) -> str:
        """Who has it: docker.io, nvcr.io, registry.lab:5000. Docker's rule: distribution/reference, normalize.go."""
        first, slash, _ = self.name.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"

    @property
    def repository(self) -> str:
        """What that registry calls it: library/python, nvidia/l4t-base."""
        if self.registry != "docker.io":
            return self.name.removeprefix(f"{self.registry}/")
        return self.name if "/" in self.name else f"library/{self.name}"


def is_reference(text: str) -> bool:
    """Whether Docker can read it as the name of an image."""
    return bool(REFERENCE.fullmatch(text)) and len(parse_reference(text).name) <= 255


def parse_reference(text: str) -> Reference:
    """Split `[registry/]name[:tag][@digest]`. The registry's port is not taken for a tag."""
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.rpartition("/")
    tail, _, tag = tail.partition(":")
    name = head + slash + tail
    for prefix in ("docker.io/", "index.docker.io/"):
        name = name.removeprefix(prefix)
    return Reference(name.removeprefix("library/"), tag or None, digest or None)


def registry_of(reference: str) -> str:
    """Whose image it is: docker.io, nvcr.io, cache.lab:5001."""
    return parse_reference(reference).registry


def identity(text: str) -> tuple[str, str | None]:
    """What an image is known by, however it is written: python, docker.io/library/python:latest."""
    parsed = parse_reference(text)
    return parsed.pinned, parsed.digest and parsed.tag


def is_present(text: str, host: Host, *, by_tag: bool = False) -> bool:
    """Whether the host's Docker has the image, by digest where the reference has one.

    ``by_tag``: it must go by the reference's tag as well, which another image of that name may have.
    What came by another name from a mirror has the digest with that name alone, and goes by its own name and tag.
    """
    wanted = parse_reference(text)
    if not wanted.digest:
        return any(wanted.pinned in image.names for image in host.docker.images or ())
    tagged = {f"{wanted.name}:{wanted.tag}"} if wanted.tag else set()
    own_names = tagged if by_tag and tagged else {wanted.pinned} | tagged
    return any(
        own_names.intersection(image.names) and any(name.endswith(f"@{wanted.digest}") for name in image.names)
        for image in host.docker.images or ()
    )


def go_architecture(host: Host) -> str:
    """The host's architecture in Go's words, which manifests use: amd64, arm64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(host.platform.architecture, host.platform.architecture)
