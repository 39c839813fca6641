"""The framing of the probe's answer: ``@@ SECTION`` lines, ``KEY=VALUE`` lines, files in base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

HEADER = re.compile(r"^@@ gpu-host-probe (\d{1,6})\r?$", re.MULTILINE)

Section = dict[str, list[str]]


@dataclass(frozen=True)
class Answer:
    """An answer taken apart. Reading what is not there gives nothing, never an error."""

    version: int  # 0: there is no header
    complete: bool  # the closing line is there
    sections: Mapping[str, Section]
    files: Mapping[str, str]  # path on the host -> text

    def has(self, section: str) -> bool:
        """Whether the section came through whole."""
        return section in self.sections

    def all(self, section: str, key: str) -> tuple[str, ...]:
        """Every value of a key, in the probe's order."""
        return tuple(self.sections.get(section, {}).get(key, ()))

    def first(self, section: str, key: str) -> str | None:
        """The first value of a key that is not blank."""
        return next((value for value in self.all(section, key) if value.strip()), None)

    def number(self, section: str, key: str) -> int | None:
        """The first value of a key as a whole number."""
        return to_int(self.first(section, key))

    def everywhere(self, key: str) -> tuple[str, ...]:
        """The values of a key in all sections."""
        return tuple(value for section in self.sections.values() for value in section.get(key, ()))

    def marked(self, path: str) -> bool:
        """Whether a path that the probe looks for exists."""
        return path in self.all("marks", "mark")


def read_answer(text: str) -> Answer:
    """Take the last answer in ``text`` apart: a first attempt may have died half way.

    A section counts only when another ``@@`` line follows it: half a list of packages would be a wrong list.
    """
    headers = list(HEADER.finditer(text))
    if not headers:
        return Answer(0, False, {}, {})
    body = text[headers[-1].end() :]
    chunks = re.split(r"^@@ ", body, flags=re.MULTILINE)[1:]
    sections: dict[str, Section] = {}
    for chunk in chunks[:-1]:
        name, _, lines = chunk.partition("\n")
        sections[name.strip()] = read_section(lines)
    complete = bool(chunks) and chunks[-1].strip() == "end"
    return Answer(int(headers[-1][1]), complete, sections, read_files(sections))


def read_section(lines: str) -> Section:
    """``KEY=VALUE`` lines into lists of values; other lines are skipped."""
    section: Section = {}
    for line in lines.split("\n"):
        key, separator, value = line.rstrip("\r").partition("=")
        if separator:
            section.setdefault(key, []).append(value)
    return section


def read_files(sections: Mapping[str, Section]) -> dict[str, str]:
    """The files that travelled: path -> text. Bytes that are not UTF-8 become U+FFFD."""
    files: dict[str, str] = {}
    for section in sections.values():
        for value in section.get("file", ()):
            encoded, _, path = value.partition(" ")
            try:
                files[path] = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                continue
    return files


def to_int(text: str | None, base: int = 10) -> int | None:
    """A whole number of reasonable length, or None."""
    if text is None or not re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,20}", text.strip()):
        return None
    try:
        return int(text.strip(), base)
    except ValueError:
        return None
