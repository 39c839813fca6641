"""The SSH server's X11 settings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..model import Sshd
from .answer import Answer

MAIN = "/etc/ssh/sshd_config"
OPTIONS = ("x11forwarding", "x11displayoffset", "printmotd", "printlastlog", "tcpkeepalive")


@dataclass(frozen=True)
class ConfigLine:
    """A line of sshd's configuration, keyword in lower case."""

    path: str
    number: int
    keyword: str
    rest: str


def read_sshd(answer: Answer) -> Sshd:
    """The SSH server: version, effective options, and which files set them."""
    versions = (re.search(r"OpenSSH_([^\s,]+)", text) for text in answer.all("sshd", "version"))
    version = next(filter(None, versions), None)
    effective = tuple(split_option(text) for text in answer.all("sshd", "effective"))
    lines = global_lines(answer)
    return Sshd(
        version=version[1] if version else None,
        includes_drop_ins=includes_drop_ins(lines) if answer.first("sshd", "main") else None,
        effective=tuple(option for option in effective if option[0] in OPTIONS) or None,
        sources=tuple((line.keyword, f"{line.path}:{line.number}") for line in in_reading_order(lines)),
        pending=answer.marked("/var/lib/gpu-hosts/sshd/pending"),
        xauth=answer.first("sshd", "xauth"),
    )


def split_option(text: str) -> tuple[str, str]:
    """``x11forwarding yes`` into its two words."""
    name, _, value = text.partition(" ")
    return name, value.strip()


def global_lines(answer: Answer) -> tuple[ConfigLine, ...]:
    """The lines that hold for every connection: those above the first ``Match`` of their own file."""
    lines: list[ConfigLine] = []
    matched: set[str] = set()
    for text in answer.all("sshd", "config"):
        found = re.match(r"([^:]+):(\d{1,9}):\s*([A-Za-z0-9]+)[\s=]*(.*)$", text)
        if not found:
            continue
        line = ConfigLine(f"/{found[1]}", int(found[2]), found[3].lower(), found[4].strip())
        if line.keyword == "match":
            matched.add(line.path)
        elif line.path not in matched:
            lines.append(line)
    return tuple(lines)


def includes_drop_ins(lines: tuple[ConfigLine, ...]) -> bool:
    """Whether the main file includes sshd_config.d above any Match and any of the options.

    sshd takes the first value it meets (sshd_config(5)), so only then does a drop-in have the last word.
    """
    for line in lines:
        if line.path == MAIN and line.keyword == "include" and "sshd_config.d" in line.rest:
            return True
        if line.path == MAIN and line.keyword in OPTIONS:
            return False
    return False


def in_reading_order(lines: tuple[ConfigLine, ...]) -> tuple[ConfigLine, ...]:
    """The lines that set an option, in the order sshd reads them; drop-ins only where they are included."""
    options = [line for line in lines if line.keyword in OPTIONS]
    main = [line for line in options if line.path == MAIN]
    drop_ins = sorted((line for line in options if line.path != MAIN), key=lambda line: (line.path, line.number))
    if includes_drop_ins(lines):
        return (*drop_ins, *main)
    included = any(line.path == MAIN and line.keyword == "include" for line in lines)
    return (*main, *drop_ins) if included else tuple(main)
