"""dnf's repository files: what each section gives, and switching one off (dnf.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from facts.model import SourceFile

OFF = ("0", "no", "false", "off")


@dataclass(frozen=True)
class Section:
    """One section of a .repo file, and the numbers, from 0, of its lines."""

    path: str
    lines: tuple[int, ...]
    base_url: str  # as it is written, with $releasever and $basearch
    enabled: bool


def read_sections(file: SourceFile) -> tuple[Section, ...]:
    """Every section of the file."""
    return tuple(_sections(file))


def _sections(file: SourceFile) -> Iterator[Section]:
    lines = file.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("[")]
    for start, end in pairwise([*starts, len(lines)]):
        pairs = (line.split("=", 1) for line in lines[start:end] if "=" in line and not line.startswith("#"))
        values = {name.strip(): value.strip() for name, value in pairs}
        enabled = values.get("enabled", "1").lower() not in OFF
        yield Section(file.path, tuple(range(start, end)), values.get("baseurl", ""), enabled)


def switch_off(file: SourceFile, sections: Collection[Section]) -> str:
    """The file's text with ``enabled=0`` in these sections."""
    off = {number for section in sections for number in section.lines}
    first = {section.lines[0] for section in sections}
    kept = (
        f"{line}\n" + ("enabled=0\n" if i in first else "")
        for i, line in enumerate(file.text.splitlines())
        if i not in off or not re.match(r"enabled\s*=", line)
    )
    return "".join(kept)
