"""Vendors' apt repositories: which one serves a host, and whether the host has it already."""

from __future__ import annotations

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
    key_path = f"{KEYRINGS}/{row.name}.asc"
    lines = ["Types: deb", f"URIs: {uri}", f"Suites: {row.suite.format(**words)}"]
    if row.components:
        lines.append(f"Components: {row.components}")
    lines.append(f"Signed-By: {key_path}")
    return Repository(
        name=row.name,
        uri=uri,
        source_path=f"{SOURCES}/{row.name}.sources",
        source="\n".join(lines) + "\n",
        key_path=key_path,
        key_url=row.key_url.format(**words),
        fingerprint=fingerprint.upper(),
    )


def _is_present(repository: Repository, host: Host) -> bool:
    """Whether any source of the host names the URI: ours, or one that somebody else wrote. That one is kept."""
    uri = repository.uri.rstrip("/")
    words = (word.rstrip("/") for file in host.packages.sources for word in _active_words(file.text))
    return uri in words


def _active_words(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [word for line in lines for word in line.split()]
