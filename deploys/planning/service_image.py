"""The image of a service of our own, built on the host or pulled, and the program of ours that runs in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from deploys.planning.catalogue import Catalogue
from deploys.planning.image_choice import choose_image
from deploys.planning.images import parse_reference
from deploys.planning.records import Area, Note, Refusal
from facts.model import Host

FOLDER = Path(__file__).parents[1] / "dockerfiles"
PROJECTS = "/etc/gpu-hosts/containers"  # on the host: a folder for each
# What our Dockerfiles start from; there for amd64 and arm64.
BASE = "docker.io/library/debian:trixie-slim"


@dataclass(frozen=True)
class ServiceImage:
    """What a compose service and its project need for an image."""

    service: Mapping[str, object]  # keys to merge into the service
    needs: tuple[str, ...]  # references that must be on the host before
    files: tuple[tuple[str, str], ...] = ()  # of the project
    build: str = ""  # name of the image, where it is built on the host
    # Of the service. With another digest under the same tag Compose makes another container.
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Program:
    """A file of ours that a service runs, at the top of its file system."""

    file: tuple[str, str]  # of the project
    mount: str  # in Compose's short form
    labels: Mapping[str, str]  # of the service: with another program Compose makes another container


@cache
def read_file(kind: str, name: str) -> str:
    """The text of a file that we ship for a kind of container."""
    return (FOLDER / kind / name).read_text()


def program_of(kind: str, name: str, *, project: str) -> Program:
    """A file that we ship for a kind, for the project of that name."""
    text = read_file(kind, name)
    return Program((name, text), f"{PROJECTS}/{project}/{name}:/{name}:ro", {"gpu-hosts.program": short_digest(text)})


def short_digest(text: str) -> str:
    """Twelve hex digits that change with the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def built_image(kind: str) -> ServiceImage:
    """The image of our Dockerfile of a kind. Its tag changes with the Dockerfile, which copies nothing."""
    dockerfile = read_file(kind, "Dockerfile")
    name = f"gpu-hosts-{kind.replace('_', '-')}:{short_digest(dockerfile)}"
    return ServiceImage(_service(name), (BASE,), (("Dockerfile", dockerfile),), build=name)


def pulled_image(wish: str, host: Host, catalogue: Catalogue, *, driver: str | None = None) -> ServiceImage | Refusal:
    """The image that a wish means on this host: a reference, or the name of a family.

    ``driver`` is the driver's version or branch, as in ``choose_image``.
    """
    chosen = choose_image(wish, host, catalogue, driver=driver)
    if isinstance(chosen, Refusal):
        return Refusal(Area.CONTAINERS, chosen.brief, chosen.seen, chosen.remedy)
    parsed = parse_reference(chosen.reference)
    # What comes by another name from a mirror has no digest of its own name, and always its tag.
    name = f"{parsed.name}:{parsed.tag}" if parsed.tag else parsed.pinned
    # Only a digest that the reference has: what a registry says of a tag today is no part of a definition.
    labels = {"gpu-hosts.image": parsed.pinned} if parsed.tag and parsed.digest else {}
    chose = [] if chosen.reference == wish else [Note(f"takes {parsed.short}", chosen.because)]
    warned = [Note(f"beware of {parsed.short}", warning) for warning in chosen.warnings]
    return ServiceImage(_service(name), (chosen.reference,), labels=labels, notes=(*chose, *warned))


def _service(image: str) -> Mapping[str, object]:
    """The images area pulls, after it has asked the registry; Compose is not to."""
    return {"image": image, "pull_policy": "never"}
