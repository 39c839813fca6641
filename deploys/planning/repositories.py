"""Vendors' apt repositories: which one serves a host, and whether the host has it already."""

from __future__ import annotations

import re

from deploys.planning.catalogue import Catalogue, RepositoryRow
from deploys.planning.records import Area, Refusal, Repository
from facts.model import Host

SOURCES = "/etc/apt/sources.list.d"
KEYRINGS = "/etc/apt/keyrings"


def plan_repository(
    name: str, area: Area, host: Host, catalogue: Catalogue, *, fingerprint: str | None
) -> Repository | Refusal | None:
    """The repository ``name`` for this host: to be added, not to be had (refusal), or there already (None).

    ``fingerprint`` replaces the vendor's, for mirrors signed with a key of their own.
    """
    row = find_repository(name, host, catalogue)
    if row is None:
        return Refusal(
            area,
            f"the {name} repository does not serve this system",
            f"{host.os.pretty_name} ({host.os.package_architecture})",
            "install it by hand, or use a release that the README lists; a later run takes it as found",
        )
    repository = _fill_in(row, host, fingerprint or row.fingerprint)
    return None if _is_present(repository, host) else repository


def find_repository(name: str, host: Host, catalogue: Catalogue) -> RepositoryRow | None:
    """The catalogue's row for this host's distribution, release and architecture, or None."""
    if host.os.package_architecture not in ("amd64", "arm64"):
        return None
    ids = {host.os.id, f"{host.os.id}-{host.os.version}"}
    rows = (row for row in catalogue.repository if row.name == name and ids.intersection(row.distributions))
    return next(rows, None)


def _fill_in(row: RepositoryRow, host: Host, fingerprint: str) -> Repository:
    words = {"os": host.os.id, "codename": host.os.codename, "architecture": host.os.package_architecture or ""}
    uri = row.uri.format(**words)
    # Names of our own: docker.sources and docker.asc are what Docker's guide has people write.
    key_path = f"{KEYRINGS}/gpu-hosts-{row.name}.asc"
    lines = ["Types: deb", f"URIs: {uri}", f"Suites: {row.suite.format(**words)}"]
    if row.components:
        lines.append(f"Components: {row.components}")
    lines.append(f"Signed-By: {key_path}")
    return Repository(
        name=row.name,
        uri=uri,
        suite=row.suite.format(**words),
        source_path=f"{SOURCES}/gpu-hosts-{row.name}.sources",
        source="\n".join(lines) + "\n",
        key_path=key_path,
        key_url=row.key_url.format(**words),
        fingerprint=fingerprint.upper(),
    )


def _is_present(repository: Repository, host: Host) -> bool:
    """Whether a source of the host gives the repository: ours, or one that somebody else wrote. That one is kept."""
    # NVIDIA's own .list leaves the architecture to apt.
    architecture = host.os.package_architecture or ""
    texts = (file.text.replace("$(ARCH)", architecture) for file in host.packages.sources)
    return any(_gives(text, repository) for text in texts)


def _gives(text: str, repository: Repository) -> bool:
    """Whether a `.list` or `.sources` file names both address and suite in lines that count.

    A release upgrade leaves the old suite behind, sometimes switched off with `Enabled: no`: that is not ours.
    """
    words = [word for line in text.splitlines() if not line.lstrip().startswith("#") for word in line.split()]
    is_off = re.search(r"(?mi)^Enabled:\s*(no|false|off)\b", text)
    return not is_off and {repository.uri.rstrip("/"), repository.suite.rstrip("/")} <= {w.rstrip("/") for w in words}
