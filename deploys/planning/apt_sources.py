"""apt's source files, one-line and deb822: what entries name, writing and switching them off (sources.list(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from facts.model import SourceFile

# Options of the one-line format whose deb822 field is not the same word.
FIELDS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
OFF = ("no", "false", "without", "off", "disable", "0")  # what apt takes for no


@dataclass(frozen=True)
class AptSource:
    """What one entry gives. ``options`` are its other fields, as deb822 has them."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @property
    def signed_by(self) -> str:
        """The keyrings, or the key itself; "" where every key that apt trusts will do."""
        return next((value for name, value in self.options if name.lower() == "signed-by"), "")

    def text(self) -> str:
        """The entry as a deb822 stanza.

        All entries of one address and suite need the same options: else apt reads no source at all (apt 3.0:
        "Conflicting values set for option").
        """
        lists = (("URIs", self.uris), ("Suites", self.suites), ("Components", self.components))
        fields = [("Types", "deb"), *((name, " ".join(words)) for name, words in lists), *self.options]
        return "".join(f"{name}:{value}\n" if value[:1] == "\n" else f"{name}: {value}\n" for name, value in fields)


@dataclass(frozen=True)
class Entry:
    """One entry of a file: a line, or a stanza. ``lines`` are their numbers, from 0, comments between them left out."""

    path: str
    lines: tuple[int, ...]
    types: tuple[str, ...]  # deb, deb-src
    enabled: bool
    source: AptSource


def read_sources(files: Iterable[SourceFile]) -> tuple[AptSource, ...]:
    """Every entry that is understood, switched on and gives binary packages, in the order of the files."""
    entries = (entry for file in files for entry in read_entries(file))
    return tuple(entry.source for entry in entries if entry.enabled and "deb" in entry.types)


def read_entries(file: SourceFile) -> tuple[Entry, ...]:
    """Every entry that is understood, those that are switched off in a deb822 file too."""
    return tuple(_stanzas(file) if file.path.endswith(".sources") else _one_line(file))


def switch_off(file: SourceFile, entries: Collection[Entry]) -> str:
    """The file's text once these entries count no more; "" where it has nothing else, and can go."""
    off = {number for entry in entries for number in entry.lines}
    lines = file.text.splitlines()
    if not any(line.strip() and not line.lstrip().startswith("#") for i, line in enumerate(lines) if i not in off):
        return ""
    if not file.path.endswith(".sources"):
        return "".join(f"# {line}\n" if i in off else f"{line}\n" for i, line in enumerate(lines))
    first = {entry.lines[0] for entry in entries}
    kept = (
        ("Enabled: no\n" if i in first else "")
        + ("" if i in off and line.lower().startswith("enabled:") else f"{line}\n")
        for i, line in enumerate(lines)
    )
    return "".join(kept)


def _one_line(file: SourceFile) -> Iterator[Entry]:
    """``deb [arch=amd64 signed-by=/path] URI SUITE COMPONENT …``"""
    for number, line in enumerate(file.text.splitlines()):
        found = re.fullmatch(r"\s*(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?([^\s\[]+)\s+(\S+)\s*(.*)", line.partition("#")[0])
        if found is None:
            continue
        pairs = [option.split("=", 1) for option in (found[2] or "").split()]
        # `arch+=` and `arch-=` change apt's own list; entries with them are nobody's ordinary ones.
        if any(len(pair) != 2 or pair[0].endswith(("+", "-")) for pair in pairs):
            continue
        options = tuple((FIELDS.get(name, name.title()), value.replace(",", " ")) for name, value in pairs)
        source = AptSource((found[3],), (found[4],), tuple(found[5].split()), options)
        yield Entry(file.path, (number,), (found[1],), True, source)


def _stanzas(file: SourceFile) -> Iterator[Entry]:
    """Fields of a deb822 file; a line that begins with a blank goes on with the field before it."""
    lines = file.text.splitlines()
    stanza: list[int] = []
    for number, line in enumerate([*lines, ""]):
        if line.startswith("#"):
            continue
        if line.strip():
            stanza.append(number)
        elif stanza:
            yield _stanza(file.path, tuple(stanza), "\n".join(lines[i] for i in stanza))
            stanza = []


def _stanza(path: str, numbers: tuple[int, ...], text: str) -> Entry:
    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", text, re.MULTILINE))
    lower = {name.lower(): value for name, value in fields.items()}
    source = AptSource(_words(lower, "uris"), _words(lower, "suites"), _words(lower, "components"), _options(fields))
    enabled = lower.get("enabled", "yes").strip().lower() not in OFF
    return Entry(path, numbers, _words(lower, "types"), enabled, source)


def _words(fields: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(fields.get(name, "").split())


def _options(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    ours = ("types", "uris", "suites", "components", "enabled")
    return tuple((name, value) for name, value in fields.items() if name.lower() not in ours)
