"""The SSH server: what is in force, which file and line set it, and what of that is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from ..sshd import MatchBlock, Sshd
from .answer import Answer, to_int

FOLDER = "/etc/ssh"
MAIN = f"{FOLDER}/sshd_config"
# deploys/planning/sshd.py writes it.
DROP_IN = f"{FOLDER}/sshd_config.d/00-gpu-hosts-x11.conf"
# deploys/templates/sshd_x11.sh puts these around our lines in the main file.
BEGIN, END = "# BEGIN pyinfra-gpu-hosts", "# END pyinfra-gpu-hosts"
X11 = ("x11forwarding", "x11displayoffset", "printmotd", "printlastlog", "tcpkeepalive")
OURS = (*X11, "addressfamily")
OPTIONS = (*OURS, "disableforwarding")


@dataclass(frozen=True)
class ConfigLine:
    """A line of sshd's configuration, keyword in lower case."""

    path: str
    number: int
    keyword: str
    rest: str
    match: int | None = None  # number of the Match line above it in its file, which it holds under
    ours: bool = False

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.path}:{self.number}"

    @property
    def value(self) -> str:
        """Its first word as ``sshd -T`` gives it: without quotes, in lower case."""
        return next(iter(self.rest.split()), "").strip('"').lower()

    def includes(self, path: str) -> bool:
        """Whether this line includes that file. A pattern that is not absolute is below /etc/ssh (sshd_config(5))."""
        patterns = (PurePosixPath(FOLDER, word) for word in self.rest.replace('"', "").split())
        return any(PurePosixPath(path).match(str(pattern)) for pattern in patterns)


def read_sshd(answer: Answer) -> Sshd:
    """The SSH server: version, options in force, which lines set them, and how sshd is started and reached."""
    versions = (re.search(r"OpenSSH_([^\s,]+)", text) for text in answer.all("sshd", "version"))
    version = next(filter(None, versions), None)
    digest = re.match(r"[0-9a-f]{64}\b", answer.first("sshd", "main") or "")
    lines = config_lines(answer)
    everybodys = tuple(line for line in lines if line.match is None)
    marked = answer.first("sshd", "ipv6")
    units = read_units(answer)
    return Sshd(
        version=version[1] if version else None,
        includes_drop_ins=includes_drop_ins(everybodys) if answer.first("sshd", "main") else None,
        effective=read_options(answer, "effective"),
        sources=tuple((line.keyword, line.place) for line in in_reading_order(everybodys) if line.keyword in OPTIONS),
        pending=answer.marked("/var/lib/gpu-hosts/sshd/pending"),
        xauth=answer.first("sshd", "xauth"),
        login=read_options(answer, "login"),
        matches=match_blocks(lines),
        ours=our_options(everybodys),
        block=any(line.ours and line.path == MAIN for line in lines),
        main=digest[0] if digest else None,
        complaint="; ".join(answer.all("sshd", "complaint")),
        unapplied=changed_since(answer, last_read(answer, units)),
        listens=tuple((line.value, line.place) for line in everybodys if line.keyword == "listenaddress"),
        socket=listening_sockets(units),
        makes_socket=bool(answer.first("sshd", "generator")),
        session=([*(answer.first("sshd", "connection") or "").split(), "", "", ""])[2],
        ipv6_loopback={"loopback": True, "no loopback": False}.get(marked or ""),
    )


def read_options(answer: Answer, key: str) -> tuple[tuple[str, str], ...] | None:
    """``x11forwarding yes`` and its like as pairs; None where sshd gave none."""
    pairs = (text.partition(" ") for text in answer.all("sshd", key))
    return tuple((name, value.strip()) for name, _, value in pairs if name in OPTIONS) or None


def config_lines(answer: Answer) -> tuple[ConfigLine, ...]:
    """The lines that the probe found, each with the Match line and the marks that it stands under."""
    lines: list[ConfigLine] = []
    match: dict[str, int] = {}
    in_block = False
    for text in answer.all("sshd", "config"):
        found = re.match(r"([^:]+):(\d{1,9}):\s*(#.*|[A-Za-z0-9]+)[\s=]*(.*)$", text)
        if not found:
            continue
        path, number = f"/{found[1]}", int(found[2])
        if found[3].startswith("#"):
            in_block = found[3].rstrip() == BEGIN
            continue
        keyword = found[3].lower()
        if keyword == "match":
            match[path] = number
        ours = path == DROP_IN or (in_block and path == MAIN)
        lines.append(ConfigLine(path, number, keyword, found[4].strip(), match.get(path), ours))
    return tuple(lines)


def includes_drop_ins(lines: tuple[ConfigLine, ...]) -> bool:
    """Whether our drop-in is read, or would be, before any file but other drop-ins sets one of our options.

    sshd takes the first value it meets (sshd_config(5)), so only then does a drop-in have the last word.
    """
    ours = ConfigLine(DROP_IN, 0, "", "")
    for line in in_reading_order((ours, *lines)):
        if line == ours:
            return True
        if line.keyword in OURS and PurePosixPath(line.path).parent != PurePosixPath(DROP_IN).parent:
            return False
    return False


def in_reading_order(lines: tuple[ConfigLine, ...], path: str = MAIN, level: int = 1) -> Iterator[ConfigLine]:
    """The lines of a file as sshd reads them: what an Include names stands in its place, sorted by path."""
    # sshd goes 16 levels down (servconf.c, SERVCONF_MAX_DEPTH); a file that includes itself must not keep us here.
    others = sorted({line.path for line in lines}) if level < 4 else []
    for line in (line for line in lines if line.path == path):
        if line.keyword != "include":
            yield line
            continue
        for other in filter(line.includes, others):
            yield from in_reading_order(lines, other, level + 1)


def match_blocks(lines: tuple[ConfigLine, ...]) -> tuple[MatchBlock, ...]:
    """The Match blocks that set one of the options."""
    blocks = []
    for head in (line for line in lines if line.keyword == "match"):
        options = tuple(
            (line.keyword, line.value)
            for line in lines
            if (line.path, line.match) == (head.path, head.number) and line.keyword in OPTIONS
        )
        if options:
            blocks.append(MatchBlock(head.place, head.rest, options))
    return tuple(blocks)


def our_options(lines: Iterable[ConfigLine]) -> tuple[tuple[str, str], ...] | None:
    """What our block sets or, where there is none, our drop-in."""
    ours = [line for line in lines if line.ours and line.keyword in OPTIONS]
    block = [line for line in ours if line.path == MAIN]
    return tuple((line.keyword, line.value) for line in block or ours) or None


def read_units(answer: Answer) -> dict[str, dict[str, list[str]]]:
    """systemd's properties of sshd's units: unit -> property -> values."""
    units: dict[str, dict[str, list[str]]] = {}
    unit: dict[str, list[str]] = {}
    for text in answer.all("sshd", "unit"):
        name, separator, value = text.partition("=")
        # An empty line ends a unit; its name is not always its first property.
        if not separator:
            unit = {}
            continue
        unit.setdefault(name, []).append(value)
        if name == "Id":
            units[value] = unit
    return units


def last_read(answer: Answer, units: dict[str, dict[str, list[str]]]) -> int | None:
    """When sshd started or was reloaded last, in seconds since the epoch; None where systemd does not run it.

    The later of two readings: that of the clock was early where a Jetson without a battery booted in 1970, and that by
    the uptime is where a machine has slept.
    """
    for name in ("ssh.service", "sshd.service"):
        unit = units.get(name, {})
        if unit.get("ActiveState") == ["active"]:
            clock = read_clock(" ".join(unit.get("StateChangeTimestamp", [])))
            since_boot = to_int(" ".join(unit.get("StateChangeTimestampMonotonic", [])))
            uptime = to_int((answer.first("sshd", "uptime") or "").partition(".")[0])
            now = answer.number("host", "time")
            if clock is None or since_boot is None or uptime is None or now is None:
                return clock
            return max(clock, now - uptime + since_boot // 1_000_000)
    return None


def read_clock(text: str) -> int | None:
    """systemd's ``Sun 2026-11-22 08:36:20 UTC`` in seconds since the epoch."""
    found = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= UTC)", text)
    try:
        return int(datetime.fromisoformat(found[0]).replace(tzinfo=UTC).timestamp()) if found else None
    except ValueError:
        return None


def changed_since(answer: Answer, moment: int | None) -> tuple[str, ...]:
    """Files of sshd's configuration, but for our own drop-in, that came or changed after ``moment``."""
    pairs = (text.partition(" ") for text in answer.all("sshd", "changed"))
    changes = [(to_int(seconds), f"/{path}") for seconds, _, path in pairs]
    if moment is None:
        return ()
    return tuple(dict.fromkeys(path for seconds, path in changes if seconds and seconds > moment and path != DROP_IN))


def listening_sockets(units: dict[str, dict[str, list[str]]]) -> tuple[str, ...]:
    """What systemd listens on in sshd's place."""
    active = (units.get(name, {}) for name in ("ssh.socket", "sshd.socket"))
    listens = (text for unit in active if unit.get("ActiveState") == ["active"] for text in unit.get("Listen", []))
    return tuple(text.removesuffix(" (Stream)") for text in listens)
