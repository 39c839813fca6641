"""Repositories for apt and dnf: which one of a vendor serves a host, which components of its own a Debian lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from deploys.planning.adoption import adopt
from deploys.planning.apt_sources import AptSource, read_sources
from deploys.planning.catalogue import Catalogue, RepositoryRow
from deploys.planning.records import Area, Note, Refusal, Repository
from facts.model import Host

SOURCES = "/etc/apt/sources.list.d"
KEYRINGS = "/etc/apt/keyrings"
# Where Debian has the driver, beside main: nvidia-open-kernel-dkms, the driver, firmware-nvidia-gsp.
DRIVER_COMPONENTS = ("contrib", "non-free", "non-free-firmware")
YUM_REPOSITORIES = "/etc/yum.repos.d"
RPM_KEYS = "/etc/pki/rpm-gpg"
ENTERPRISE_LINUX = ("rhel", "rocky", "almalinux")
CUDA_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}
VENDOR = re.compile(r"https://[^/]+")  # what a mirror's address takes the place of


def plan_repository(
    name: str, area: Area, host: Host, catalogue: Catalogue, *, fingerprint: str | None, address: str | None
) -> Repository | Refusal | None:
    """The repository ``name`` for this host: to be added, not to be had (refusal), or there already (None).

    ``address`` replaces the vendor's own, up to its first folder, and ``fingerprint`` that of the vendor's key, for
    mirrors; those that sign anew have a key of their own.
    """
    row = find_repository(name, host, catalogue, address=address)
    if row is None:
        return Refusal(
            area,
            f"the {name} repository does not serve this system",
            f"{host.os.pretty_name} ({host.platform.architecture})",
            "install it by hand, or use a release that the README lists; a later run takes it as found",
        )
    if host.packages.manager == "dnf":
        row = row.model_copy(update={"same": row.same.format_map(_words(host))})
    ours = _fill_in(row, host, fingerprint)
    found = adopt(ours, row, host, area)
    if isinstance(found, Repository) and not found.fingerprint:
        return _refuse_unknown_key(found, area)
    return found


def plan_moved(
    name: str, host: Host, catalogue: Catalogue, *, fingerprint: str | None, address: str | None
) -> Repository | None:
    """The source that an earlier run of ours has added, where it is to have another address now; else None.

    What follows the address changes with the system's release, and is looked at when something is installed.
    """
    row = find_repository(name, host, catalogue, address=address)
    if row is None:
        return None
    ours = _fill_in(row, host, fingerprint)
    found = [file.text for file in host.packages.sources if file.path == ours.source_path]
    base = address.rstrip("/") if address else VENDOR.findall(row.uri)[0]
    folder = row.uri.removeprefix(f"{base}/").partition("/")[0]
    return ours if found and ours.fingerprint and f"{base}/{folder}/" not in found[0] else None


def describe_moved(moved: Repository | None, setting: str) -> tuple[Note, ...]:
    """What becomes of our source of a repository whose packages are left as they are."""
    return (Note(f"takes its repository from {moved.uri} from now on", setting),) if moved else ()


def _fill_in(row: RepositoryRow, host: Host, fingerprint: str | None) -> Repository:
    fill_in = _fill_in_dnf if host.packages.manager == "dnf" else _fill_in_apt
    return fill_in(row, host, fingerprint or row.fingerprint)


def _refuse_unknown_key(repository: Repository, area: Area) -> Refusal:
    return Refusal(
        area,
        f"the fingerprint of the {repository.name} repository's key is not known here for this release",
        repository.key_url,
        "fetch that key, look at it (`gpg --show-keys FILE`), have it confirmed by a second source, and set "
        f"{repository.name.replace('-', '_')}_key_fingerprint",
    )


def distribution_of(host: Host) -> str:
    """The system as catalogue rows name it: debian-13, ubuntu-24.04; an Enterprise Linux by its major version."""
    version = host.os.version.split(".")[0] if host.os.id in ENTERPRISE_LINUX else host.os.version
    return f"{host.os.id}-{version}"


def find_repository(name: str, host: Host, catalogue: Catalogue, *, address: str | None) -> RepositoryRow | None:
    """The catalogue's row for this host's distribution, release and architecture, with a mirror's address; or None."""
    if host.platform.architecture not in CUDA_ARCHITECTURES:
        return None
    ids = {host.os.id, distribution_of(host)}
    rows = (row for row in catalogue.repository if row.name == name and ids.intersection(row.distributions))
    row = next(rows, None)
    if row is None or address is None:
        return row
    base = address.rstrip("/")
    moved = {name: VENDOR.sub(lambda _: base, getattr(row, name), count=1) for name in ("uri", "key_url")}
    return row.model_copy(update={**moved, "same": ""})


def _words(host: Host) -> dict[str, str]:
    return {
        "os": host.os.id,
        "codename": host.os.codename,
        "architecture": host.os.package_architecture or "",
        "cuda_architecture": CUDA_ARCHITECTURES.get(host.platform.architecture, ""),
        "machine": host.platform.architecture,
        "major": host.os.version.split(".")[0],
    }


def _fill_in_dnf(row: RepositoryRow, host: Host, fingerprint: str) -> Repository:
    """A .repo file of ours: packages, index or both are checked against the key, whatever the vendor signs."""
    words = _words(host)
    name, uri = f"gpu-hosts-{row.name}", row.uri.format_map(words)
    key_path = f"{RPM_KEYS}/{name}.asc"
    checks = [f"gpgcheck={int(row.signed_packages)}", f"repo_gpgcheck={int(row.signed_index)}"]
    lines = [f"[{name}]", f"name={row.name}", f"baseurl={uri}", "enabled=1", *checks]
    return Repository(
        name=row.name,
        uri=uri,
        suite="",
        source_path=f"{YUM_REPOSITORIES}/{name}.repo",
        source="\n".join([*lines, f"gpgkey=file://{key_path}"]) + "\n",
        key_path=key_path,
        key_url=row.key_url.format_map(words),
        fingerprint=fingerprint.upper() if len(fingerprint) == 40 else fingerprint,
    )


def _fill_in_apt(row: RepositoryRow, host: Host, fingerprint: str) -> Repository:
    words = _words(host)
    uri = row.uri.format_map(words)
    # Names of our own: docker.sources and docker.asc are what Docker's guide has people write.
    key_path = f"{KEYRINGS}/gpu-hosts-{row.name}.asc"
    lines = ["Types: deb", f"URIs: {uri}", f"Suites: {row.suite.format_map(words)}"]
    if row.components:
        lines.append(f"Components: {row.components}")
    lines.append(f"Signed-By: {key_path}")
    return Repository(
        name=row.name,
        uri=uri,
        suite=row.suite.format_map(words),
        source_path=f"{SOURCES}/gpu-hosts-{row.name}.sources",
        source="\n".join(lines) + "\n",
        key_path=key_path,
        key_url=row.key_url.format_map(words),
        fingerprint=fingerprint.upper() if len(fingerprint) == 40 else fingerprint,
    )


def plan_components(host: Host, area: Area) -> Repository | Refusal | None:
    """What this Debian's own sources lack of the components that its driver is in; None where they have all.

    The source is the host's own once more, mirrors, options and key included, with the missing components only. It
    brings no key: Debian's is there.
    """
    sources = [source for source in read_sources(host.packages.sources) if _is_debians(source)]
    own = [source for source in sources if "main" in source.components]
    if not any(_names(host, "") & set(source.suites) for source in own):
        return Refusal(
            area,
            "Debian's own package sources are not recognised, so its components cannot be added to them",
            f"no source of {host.os.codename} main that is signed by Debian in "
            + (", ".join(file.path for file in host.packages.sources) or "/etc/apt"),
            f"add {' '.join(DRIVER_COMPONENTS)} to this host's source of Debian by hand, then run this again",
        )
    missing = list(_missing(own, sources, host))
    if not missing:
        return None
    return Repository(
        name="debian",
        uri=missing[0].uris[0],
        suite=missing[0].suites[0],
        source_path=f"{SOURCES}/gpu-hosts-debian.sources",
        source="\n".join(source.text() for source in missing),
        key_path="",
        key_url="",
        fingerprint="",
    )


def _is_debians(source: AptSource) -> bool:
    """Whether Debian's own key signs it; where none is named, whether it calls itself Debian's.

    Vendors' repositories have suites that are called trixie or stable, too, and some a component main.
    """
    return "debian-archive" in source.signed_by if source.signed_by else "debian" in " ".join(source.uris).lower()


def _names(host: Host, *suffixes: str) -> set[str]:
    return {name + suffix for name in (host.os.codename, "stable", "oldstable") for suffix in suffixes}


def _missing(own: list[AptSource], sources: list[AptSource], host: Host) -> Iterator[AptSource]:
    """For each of the release's suites, its first source that gives main, with the components that no source gives."""
    left = _names(host, "", "-updates", "-security")
    for source in own:
        lacking: dict[tuple[str, ...], list[str]] = {}
        for suite in source.suites:
            if suite not in left:
                continue
            left.remove(suite)
            given = {name for other in sources if suite in other.suites for name in other.components}
            wanted = tuple(name for name in DRIVER_COMPONENTS if name not in given)
            lacking.setdefault(wanted, []).append(suite)
        for components, suites in lacking.items():
            if components:
                yield replace(source, suites=tuple(suites), components=components)
