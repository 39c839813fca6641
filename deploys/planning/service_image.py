"""The image of a service of our own: one that is built on the host, or one that is pulled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploys.planning.catalogue import Catalogue
from deploys.planning.image_choice import choose_image
from deploys.planning.images import parse_reference
from deploys.planning.records import Area, Note, Refusal
from facts.model import Host

FOLDER = Path(__file__).parents[1] / "dockerfiles"
# What our Dockerfiles start from; there for amd64 and arm64.
BASE = "docker.io/library/debian:trixie-slim"


@dataclass(frozen=True)
class ServiceImage:
    """What a compose service and its project need for an image."""

    service: Mapping[str, object]  # keys to merge into the service
    needs: tuple[str, ...]  # references that must be on the host before
    files: tuple[tuple[str, str], ...] = ()  # of the project
    build: bool = False
    notes: tuple[Note, ...] = ()


@cache
def read_file(kind: str, name: str) -> str:
    """The text of a file that we ship for a kind of container."""
    return (FOLDER / kind / name).read_text()


def built_image(kind: str) -> ServiceImage:
    """The image of our Dockerfile of a kind. Its tag changes with the Dockerfile, which copies nothing."""
    dockerfile = read_file(kind, "Dockerfile")
    digest = hashlib.sha256(dockerfile.encode()).hexdigest()[:12]
    name = f"gpu-hosts-{kind.replace('_', '-')}:{digest}"
    return ServiceImage(_service(name), (BASE,), (("Dockerfile", dockerfile),), build=True)


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
    chose = [] if chosen.reference == wish else [Note(f"takes {parsed.short}", chosen.because)]
    warned = [Note(f"beware of {parsed.short}", warning) for warning in chosen.warnings]
    return ServiceImage(_service(name), (chosen.reference,), notes=(*chose, *warned))


def _service(image: str) -> Mapping[str, object]:
    """The images area pulls, after it has asked the registry; Compose is not to."""
    return {"image": image, "pull_policy": "never"}
