"""apt's source files, one-line and deb822: what each entry names, and writing an entry again (sources.list(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from facts.model import SourceFile

# Options of the one-line format whose deb822 field is not the same word.
FIELDS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
OFF = ("no", "false", "without", "off", "disable", "0")  # what apt takes for no


@dataclass(frozen=True)
class AptSource:
    """One entry that is switched on and gives binary packages. ``options`` are its other fields, as deb822 has them."""

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


def read_sources(files: Iterable[SourceFile]) -> tuple[AptSource, ...]:
    """Every entry that is understood, in the order of the files. Others, and those that are off, are left out."""
    found: list[AptSource] = []
    for file in files:
        found += _stanzas(file.text) if file.path.endswith(".sources") else _lines(file.text)
    return tuple(found)


def _lines(text: str) -> Iterator[AptSource]:
    """``deb [arch=amd64 signed-by=/path] URI SUITE COMPONENT …``"""
    for line in text.splitlines():
        found = re.fullmatch(r"\s*deb\s+(?:\[([^]]*)\]\s+)?([^\s\[]+)\s+(\S+)\s*(.*)", line.partition("#")[0])
        if found is None:
            continue
        pairs = [option.split("=", 1) for option in (found[1] or "").split()]
        # `arch+=` and `arch-=` change apt's own list; entries with them are nobody's ordinary ones.
        if any(len(pair) != 2 or pair[0].endswith(("+", "-")) for pair in pairs):
            continue
        options = tuple((FIELDS.get(name, name.title()), value.replace(",", " ")) for name, value in pairs)
        yield AptSource((found[2],), (found[3],), tuple(found[4].split()), options)


def _stanzas(text: str) -> Iterator[AptSource]:
    """Fields of a deb822 file; a line that begins with a blank goes on with the field before it."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n(?:[ \t]*\n)+", plain):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
        lower = {name.lower(): value for name, value in fields.items()}
        if "deb" not in lower.get("types", "").split() or lower.get("enabled", "yes").strip().lower() in OFF:
            continue
        yield AptSource(_words(lower, "uris"), _words(lower, "suites"), _words(lower, "components"), _options(fields))


def _words(fields: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(fields.get(name, "").split())


def _options(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    ours = ("types", "uris", "suites", "components", "enabled")
    return tuple((name, value) for name, value in fields.items() if name.lower() not in ours)
