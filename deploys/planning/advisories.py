"""Known trouble of what is installed: Docker's own packages and NVIDIA's, never a distribution's builds of them.

A distribution mends its packages without raising the number, so that their numbers say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploys.planning.catalogue import Catalogue, VersionAdvisory
from deploys.planning.versions import is_older, numbers, upstream
from facts.model import Host

# NVIDIA's own packages: 1.19.1-1, 1.11.0~rc.1-1, as rpm 1.18.0-0.1.rc.4. Fedora's end in .fc43, Ubuntu's in ubuntu1.
NVIDIAS_VERSION = r"\d+\.\d+\.\d+(~rc\.\d+)?-\d+(\.\d+\.rc\.\d+)?"


@dataclass(frozen=True)
class Advisory:
    """One trouble of an installed version: a CVE or a fault by its name, and the first version without it."""

    product: str  # Docker, NVIDIA Container Toolkit
    version: str
    whose: str  # Docker's packages, JetPack 6.2 (L4T 36.4.3) …
    name: str
    text: str
    fixed: str


def engine_version(host: Host) -> str | None:
    """The engine's version: as the daemon says, else as its package has it; None where neither is known."""
    package = dict(host.docker.packages).get(host.docker.origin or "")
    return host.docker.server_version or (upstream(package) if package else host.docker.client_version)


def docker_advisories(host: Host, catalogue: Catalogue) -> tuple[Advisory, ...]:
    """What is known against the installed engine, if it is made of Docker's own packages."""
    version = engine_version(host)
    if host.docker.origin != "docker-ce" or not version:
        return ()
    rows = (row for row in catalogue.docker_advisory if is_affected(version, row))
    return tuple(Advisory("Docker", version, "Docker's packages", row.name, row.text, row.fixed) for row in rows)


def toolkit_advisories(host: Host, catalogue: Catalogue) -> tuple[Advisory, ...]:
    """What is known against the installed toolkit, if it is of NVIDIA's own packages, JetPack's among them."""
    version = nvidias_toolkit_version(host)
    if version is None:
        return ()
    rows = (row for row in catalogue.toolkit_advisory if is_affected(version, row))
    whose = _jetpack(host) if host.jetson else "NVIDIA's packages"
    shown = upstream(version)
    return tuple(Advisory("NVIDIA Container Toolkit", shown, whose, row.name, row.text, row.fixed) for row in rows)


def nvidias_toolkit_version(host: Host) -> str | None:
    """Version of the toolkit's package, if it is NVIDIA's own build; None where it is not, or there is none."""
    version = dict(host.toolkit.packages).get("nvidia-container-toolkit")
    return version if version and re.fullmatch(NVIDIAS_VERSION, version) else None


def _jetpack(host: Host) -> str:
    l4t = f"L4T {host.jetson.l4t}" if host.jetson and host.jetson.l4t else "an unknown L4T"
    jetpack = host.jetson.jetpack if host.jetson else None
    return f"JetPack {jetpack} ({l4t})" if jetpack else f"the JetPack of {l4t}"


def is_affected(version: str, row: VersionAdvisory) -> bool:
    """Whether a version is in the row's range."""
    return not is_older(version, row.first) and is_older(version, row.fixed)


def covers(row: VersionAdvisory, release: str) -> bool:
    """Whether every version that begins with ``release`` is in the row's range; none does for an empty one."""
    newest = (*numbers(release), float("inf"))
    return bool(release) and not is_older(release, row.first) and newest < numbers(row.fixed)


def toolkit_floor(catalogue: Catalogue) -> str:
    """The oldest version of the toolkit without known security holes."""
    return max((row.fixed for row in catalogue.toolkit_advisory), key=numbers)


def describe(advisories: tuple[Advisory, ...]) -> str:
    """Those of one product in a sentence, with the first version without any of them."""
    one, fixed = advisories[0], max((row.fixed for row in advisories), key=numbers)
    troubles = ", ".join(f"{row.name} ({row.text})" for row in advisories)
    return f"{one.product} {one.version} of {one.whose} has {troubles}; {fixed} has none of them"


def names_of(advisories: Iterable[Advisory | VersionAdvisory]) -> str:
    """Their names, with commas."""
    return ", ".join(one.name for one in advisories)
