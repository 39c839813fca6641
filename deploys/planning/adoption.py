"""Somebody's own source of a vendor's repository: used as it is, or switched off for ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from deploys.planning import apt_sources, yum_sources
from deploys.planning.apt_sources import Entry, read_entries
from deploys.planning.catalogue import RepositoryRow
from deploys.planning.records import Area, Note, Refusal, Repository
from deploys.planning.yum_sources import Section, read_sections
from facts.model import Host, SourceFile
from facts.printing import printable

# The folders whose keyrings the probe lists.
KEYRING_FOLDERS = ("/etc/apt/keyrings/", "/usr/share/keyrings/")


def adopt(repository: Repository, row: RepositoryRow, host: Host, area: Area) -> Repository | Refusal | None:
    """None where the host has the repository in a form that can be used, else ours, with what it takes the place of."""
    if host.packages.manager == "dnf":
        return _adopt_dnf(repository, row, host)
    return _adopt_apt(repository, row, host, area)


def _adopt_apt(repository: Repository, row: RepositoryRow, host: Host, area: Area) -> Repository | Refusal | None:
    """None where one keyring that is there signs all of the host's entries of this repository, else ours.

    Entries of one address and suite with different keyrings make apt read no source at all; one without a keyring is
    signed by any key of apt's. Where ours is added, such entries are switched off, and those of older addresses too.
    """
    entries = [entry for file in host.packages.sources for entry in read_entries(file) if entry.enabled]
    same = [entry for entry in entries if _gives(entry, repository, host)]
    older = [entry for entry in entries if _is_older(entry.source.uris, row)]
    keys = {" ".join(entry.source.signed_by.split()) for entry in same}
    is_there = any("deb" in entry.types for entry in same) and not older and len(keys) == 1
    if is_there and _is_usable(keys.pop(), host):
        return None
    theirs = [entry for entry in (*same, *older) if entry.path != repository.source_path]
    shared = [entry for entry in theirs if len(entry.source.uris) > 1]
    if shared:
        return _refuse_shared(repository, shared[0], area)
    return replace(repository, migrated=_switched_off_apt(host.packages.sources, theirs))


def _adopt_dnf(repository: Repository, row: RepositoryRow, host: Host) -> Repository | None:
    """None where a section of the host gives the repository and none its predecessors, else ours."""
    sections = [one for file in host.packages.sources for one in read_sections(file) if one.enabled]
    urls = {one: _expand(one.base_url, host) for one in sections}
    same = [one for one in sections if _is_same(urls[one], repository, row)]
    older = [one for one in sections if _is_older((urls[one],), row)]
    if same and not older:
        return None
    theirs = [one for one in (*same, *older) if one.path != repository.source_path]
    return replace(repository, migrated=_switched_off_dnf(host.packages.sources, theirs))


def describe_sources(repository: Repository | None, host: Host) -> tuple[Note, ...]:
    """What becomes of somebody's source files where ours is added: switched off, or left over from another release."""
    if repository is None:
        return ()
    notes = [
        Note(f"{'switches off a source in' if rest else 'takes away'} {path}, and keeps a copy", "ours takes its place")
        for path, _, rest in repository.migrated
    ]
    if host.packages.manager == "apt":
        notes += [_describe_left_over(entry) for entry in _left_over(repository, host)]
    return tuple(notes)


def _left_over(repository: Repository, host: Host) -> list[Entry]:
    """Entries of the same address that count for nothing: switched off, or of another suite."""
    switched_off = [path for path, _, _ in repository.migrated]
    files = (file for file in host.packages.sources if file.path not in (*switched_off, repository.source_path))
    entries = (entry for file in files for entry in read_entries(file))
    return [one for one in entries if _has_address(one, repository, host)]


def _describe_left_over(entry: Entry) -> Note:
    state = "on" if entry.enabled else "off"
    because = f"it gives {' '.join(entry.source.suites)}, and is switched {state}"
    return Note(f"{entry.path} is left as it is", because)


def _has_address(entry: Entry, repository: Repository, host: Host) -> bool:
    return repository.uri.rstrip("/") in {_expand(uri, host).rstrip("/") for uri in entry.source.uris}


def _gives(entry: Entry, repository: Repository, host: Host) -> bool:
    suites = {_expand(suite, host).rstrip("/") for suite in entry.source.suites}
    return _has_address(entry, repository, host) and repository.suite.rstrip("/") in suites


def _is_same(url: str, repository: Repository, row: RepositoryRow) -> bool:
    return url.rstrip("/") == repository.uri.rstrip("/") or bool(row.same and re.fullmatch(row.same, url.rstrip("/")))


def _is_older(urls: Iterable[str], row: RepositoryRow) -> bool:
    return bool(row.older) and any(re.fullmatch(row.older, url) for url in urls)


def _expand(word: str, host: Host) -> str:
    """apt's $(ARCH), as NVIDIA's own .list has it; dnf's variables, as docker-ce.repo has them."""
    for name, value in (
        ("$(ARCH)", host.os.package_architecture or ""),
        ("$releasever", host.os.version.split(".")[0]),
        ("$basearch", host.platform.architecture),
    ):
        word = word.replace(name, value)
    return word


def _is_usable(signed_by: str, host: Host) -> bool:
    """Whether it names a keyring that is there, or one of a folder that was not looked into, or is a key itself."""
    if not signed_by:
        return False
    there = {path for path, _ in host.packages.keyrings}
    return any(word in there for word in signed_by.split()) or not signed_by.startswith(KEYRING_FOLDERS)


def _refuse_shared(repository: Repository, entry: Entry, area: Area) -> Refusal:
    return Refusal(
        area,
        f"a source of somebody names the {repository.name} repository among others, and apt cannot use it as it is",
        f"{entry.path}: {printable(' '.join(entry.source.uris))}; Signed-By: {_signer(entry.source.signed_by)}",
        f"take {repository.uri} out of that entry, then run this again: it is added as a source of its own",
    )


def _signer(signed_by: str) -> str:
    return "a key in the entry itself" if "BEGIN PGP" in signed_by else signed_by or "none"


def _switched_off_apt(files: Iterable[SourceFile], entries: list[Entry]) -> tuple[tuple[str, str, str], ...]:
    by_file = ((file, [entry for entry in entries if entry.path == file.path]) for file in files)
    return tuple((file.path, _digest(file), apt_sources.switch_off(file, those)) for file, those in by_file if those)


def _switched_off_dnf(files: Iterable[SourceFile], sections: list[Section]) -> tuple[tuple[str, str, str], ...]:
    by_file = ((file, [section for section in sections if section.path == file.path]) for file in files)
    return tuple((file.path, _digest(file), yum_sources.switch_off(file, those)) for file, those in by_file if those)


def _digest(file: SourceFile) -> str:
    return sha256(file.text.encode()).hexdigest()
