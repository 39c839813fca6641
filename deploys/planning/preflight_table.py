"""The table of what is to be pulled and loaded, before anything is. Pure text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploys.planning.disk import format_size
from deploys.planning.images import parse_reference
from deploys.planning.report import align

TITLES = ("image", "digest", "platform", "hosts", "download", "on disk", "free", "verdict")
NAMED_HOSTS = 3


@dataclass(frozen=True)
class Row:
    """An image that a host lacks. Sizes are bytes, None where nothing is known of them."""

    image: str
    platform: str  # linux/arm64
    host: str
    download: int | None
    on_disk: int | None
    free: int | None
    verdict: str  # ok, or what is wrong
    digest: str = ""  # of what the image's name stands for now: sha256:…; "": not known


def render_preflight(rows: Iterable[Row]) -> list[str]:
    """The table's lines, none without rows. Hosts for which all is the same share a line, with the least free space."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.image, row.digest, row.platform, row.download, row.on_disk, row.verdict), []).append(row)
    if not groups:
        return []
    images = {row.image: None for group in groups.values() for row in group}
    order = {image: place for place, image in enumerate(images)}
    sorted_groups = sorted(groups.values(), key=lambda group: order[group[0].image])
    return align([TITLES, *map(_cells, sorted_groups)])


def _cells(group: list[Row]) -> tuple[str, ...]:
    first, names = group[0], [row.host for row in group]
    free = min((row.free for row in group if row.free is not None), default=None)
    return (
        parse_reference(first.image).short,
        first.digest.removeprefix("sha256:")[:12] or "unknown",
        first.platform,
        ", ".join(names) if len(names) <= NAMED_HOSTS else f"{len(names)} hosts",
        _size(first.download),
        _size(first.on_disk),
        _size(free),
        first.verdict,
    )


def _size(size: int | None) -> str:
    return "unknown" if size is None else format_size(size)
