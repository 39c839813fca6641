"""Answers of the probe, written by hand."""

from __future__ import annotations

import base64

from facts.model import Host
from facts.parse import SECTIONS, parse_probe

HEADER = "@@ gpu-host-probe 1\n"


def answer_text(*lines: str) -> str:
    """A whole answer in which each ``section.key=value`` stands in its section."""
    parts = [HEADER]
    for name in SECTIONS:
        own = (line.removeprefix(f"{name}.") for line in lines if line.startswith(f"{name}."))
        parts += [f"@@ {name}\n", *(f"{line}\n" for line in own)]
    return "".join([*parts, "@@ end\n"])


def file_line(path: str, text: str) -> str:
    """A file as the probe sends it."""
    return f"host.file={base64.b64encode(text.encode()).decode()} {path}"


def host_of(*lines: str) -> Host:
    """The record of an answer with these lines."""
    return parse_probe(answer_text(*lines))
