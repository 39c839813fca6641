"""How far a pull is: what templates/images_pull.sh and Docker itself print, read and put into words."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from deploys.planning.images import parse_reference
from deploys.planning.records import Pull

# docker/cli and moby, pkg/jsonmessage: a line begins with the layer's digest, 12 digits of it. On a terminal what went
# before is "cursor up, clear the line, carriage return"; "cursor down" follows.
CURSOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LAYER = re.compile(r"(?P<digest>[0-9a-f]{12}): (?P<said>[A-Z][A-Za-z ]*[a-z])(?: +(?:\[.*?\] +)?(?P<sizes>[\d.].*))?")
NUMBER = r"\d+(?:\.\d+)?"
SIZES = re.compile(rf"(?P<done>{NUMBER})(?P<done_unit>[kMGT]?B)/(?P<size>{NUMBER})(?P<unit>[kMGT]?B)")
# github.com/docker/go-units, HumanSize: powers of 1000.
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
ARRIVED = ("Verifying Checksum", "Download complete", "Extracting", "Pull complete", "Already exists")
# Words for an architecture in names of images, Docker Hub's (arm64v8/ubuntu) and NVIDIA's (-igpu, -sbsa) among them.
ARCHITECTURES = {"amd64": {"amd64", "x86"}, "arm64": {"arm64", "aarch64", "arm64v8", "sbsa", "igpu"}}


class Stage(StrEnum):
    """What a pull on a host is at."""

    WAITING = "waiting"
    PULLING = "pulling"
    RETRYING = "retrying"
    PULLED = "pulled"
    FAILED = "failed"


@dataclass(frozen=True)
class PullState:
    """One pull, as the host tells it."""

    stage: Stage = Stage.WAITING
    token: str = ""  # of the start that does it; "": none has begun
    attempt: int = 1
    kind: str = ""  # of the last failure: network, rate, unauthorized …
    seen: str = ""  # Docker's own words of it
    seconds: int = 0  # until the next attempt
    architecture: str = ""  # of what was pulled
    server: str = ""  # of the host's Docker
    log: str = ""  # its end


@dataclass(frozen=True)
class Watched:
    """An answer of the host: whether the pulls of our start are still at work, and each pull by its key."""

    is_working: bool
    pulls: Mapping[str, PullState]


def read_watched(text: str) -> Watched | None:
    """Read what `watch` of templates/images_pull.sh prints. None: it is not whole."""
    first, *lines = text.splitlines() or [""]
    if not first.startswith("working=") or not lines or lines[-1] != "end":
        return None
    pulls = {}
    for line in lines[:-1]:
        key, _, coded = line.partition(" ")
        try:
            pulls[key] = _read_state(base64.b64decode(coded).decode(errors="replace"))
        except (binascii.Error, ValueError):
            return None
    return Watched(first == "working=yes", pulls)


def _read_state(text: str) -> PullState:
    head, _, log = text.partition("\n\n")
    # Not splitlines: what a registry says may have other ends of lines in it, and would say a state of its own.
    said = dict(line.split("=", 1) for line in head.split("\n") if "=" in line)
    return PullState(
        Stage(said.get("state", "waiting")),
        token=said.get("token", ""),
        attempt=int(said.get("attempt", "1")),
        kind=said.get("kind", ""),
        seen="".join(letter if letter.isprintable() else " " for letter in said.get("seen", "")).strip(),
        seconds=int(said.get("seconds", "0")),
        architecture=said.get("architecture", ""),
        server=said.get("server", ""),
        log=log,
    )


@dataclass(frozen=True)
class LayerProgress:
    """A layer, as Docker tells it: bytes that have arrived of how many; None where it does not say."""

    has_arrived: bool
    done: int | None = None
    size: int | None = None


def read_layers(log: str) -> dict[str, LayerProgress]:
    """The newest word on each layer, by the first 12 digits of its digest, in (the end of) what `docker pull` prints.

    On a terminal Docker counts bytes; without one it only says what begins and ends.
    """
    found = {}
    for line in re.split(r"[\r\n]+", CURSOR.sub("", log)):
        match = LAYER.fullmatch(line.strip())
        if not match:
            continue
        sizes = SIZES.match(match["sizes"] or "")
        done = round(float(sizes["done"]) * UNITS[sizes["done_unit"]]) if sizes else None
        size = round(float(sizes["size"]) * UNITS[sizes["unit"]]) if sizes else None
        has_arrived = match["said"].startswith(ARRIVED)
        # While it is extracted the count is of bytes unpacked from it.
        found[match["digest"]] = LayerProgress(has_arrived, size if has_arrived else done, size)
    return found


@dataclass(frozen=True)
class PullProgress:
    """Bytes of a pull that have arrived, layer by layer. Never less than before: a retried layer begins again."""

    sizes: Mapping[str, int]  # by the first 12 digits; empty: no registry was asked
    arrived: Mapping[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return sum(self.arrived.values())

    @property
    def total(self) -> int:
        """Bytes of all; 0 where it is not known."""
        return sum(self.sizes.values())

    def advance(self, log: str) -> PullProgress:
        """The progress after Docker has printed (what ends with) ``log``."""
        arrived = dict(self.arrived)
        for digest, layer in read_layers(log).items():
            if self.sizes and digest not in self.sizes:
                continue  # the host has it already
            size = self.sizes.get(digest, layer.size or 0)
            now = size if layer.has_arrived else min(layer.done or 0, size)
            arrived[digest] = max(now, arrived.get(digest, 0))
        return PullProgress(self.sizes, arrived)

    def finish(self) -> PullProgress:
        """The progress when all is there."""
        return PullProgress(self.sizes, {**self.arrived, **self.sizes})


def begin_progress(pull: Pull) -> PullProgress:
    """Nothing has arrived yet."""
    return PullProgress({digest.rpartition(":")[2][:12]: size for digest, size in pull.layers})


def describe_bytes(done: int, total: int) -> str:
    """`1.2 of 5.9 GB`; without a total what has come: `1.2 GB`."""
    unit = next((name for name in ("GB", "MB") if max(done, total) >= UNITS[name]), "kB")
    return f"{done / UNITS[unit]:.1f}{f' of {total / UNITS[unit]:.1f}' if total else ''} {unit}"


def describe_rate(rate: float) -> str:
    """Bytes a second: `96 MB/s`, `2.4 MB/s`, `38 kB/s`."""
    unit = "MB" if rate >= UNITS["MB"] else "kB"
    amount = rate / UNITS[unit]
    return f"{amount:.{0 if unit == 'kB' or amount >= 10 else 1}f} {unit}/s"


def short_name(pull: Pull) -> str:
    """What people call it."""
    return parse_reference(pull.reference).short


@dataclass(frozen=True)
class Line:
    """The last line that was logged of a progress: when (seconds of some clock), at how many bytes."""

    time: float
    done: int


SHORTEST, LONGEST = 10, 60  # seconds between two lines


def is_due(last: Line, now: float, done: int, total: int) -> bool:
    """Whether another line is due: at each tenth, not more often than each 10 s, and once a minute at least."""
    passed = now - last.time
    tenth = bool(total) and done * 10 // total > last.done * 10 // total
    return passed >= LONGEST or (passed >= SHORTEST and tenth)


def add_up(progress: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Bytes done and in all; the latter 0 where it is not known of one."""
    done, total = (sum(column) for column in zip(*progress, strict=True))
    return done, total if all(size for _, size in progress) else 0


def describe_fleet(progress: Sequence[tuple[int, int]], last: Line, now: float) -> str:
    """`images: 8 hosts, 14.2 of 47.2 GB, 96 MB/s`, of each host's bytes done and in all."""
    done, total = add_up(progress)
    rate = (done - last.done) / max(now - last.time, 1e-3)
    hosts = f"{len(progress)} host{'s' if len(progress) > 1 else ''}"
    return f"images: {hosts}, {describe_bytes(done, total)}, {describe_rate(rate)}"


def named_architectures(pull: Pull) -> tuple[str, ...]:
    """The architectures that the reference itself names: such an image may differ from its host on purpose."""
    parsed = parse_reference(pull.reference)
    words = set(re.split(r"[/:._-]", f"{parsed.name}:{parsed.tag}".lower()))
    return tuple(name for name, said in ARCHITECTURES.items() if said & words)
