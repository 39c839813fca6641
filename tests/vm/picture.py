"""Pictures as the tests look at them: a page as a browser shows it, and the colours in it."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import zlib
from collections import Counter
from pathlib import Path

from tests.e2e.harness import LIMIT

Colour = tuple[int, int, int]  # red, green, blue: 0 to 255


def take_screenshot(page: Path, picture: Path) -> None:
    """Have headless Chromium draw a page into a PNG file."""
    with tempfile.TemporaryDirectory() as profile:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,1000")
        chromium = ["chromium", *options, f"--user-data-dir={profile}", f"--screenshot={picture}", page.as_uri()]
        done = subprocess.run(chromium, capture_output=True, text=True, timeout=LIMIT)
    assert picture.exists(), done.stderr


def share_of(colour: Colour, counts: Counter[Colour], *, within: int) -> float:
    """How much of a picture is that colour, give or take ``within``: 0 to 1."""
    near = sum(
        number
        for one, number in counts.items()
        if all(abs(mine - other) <= within for mine, other in zip(one, colour, strict=True))
    )
    return near / counts.total()


def count_colours(png: bytes) -> Counter[Colour]:
    """How many pixels of each colour a PNG of 8 bits a channel has, not interlaced (RFC 2083)."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    channels = {2: 3, 6: 4}[kind]
    assert (depth, interlaced) == (8, 0)
    data, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        if name == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, stride = zlib.decompress(data), width * channels
    counts: Counter[Colour] = Counter()
    above = bytes(stride)
    for row in range(height):
        start = row * (stride + 1)
        above = _unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        counts.update(zip(above[0::channels], above[1::channels], above[2::channels], strict=True))
    return counts


def _unfilter(kind: int, line: bytearray, above: bytes, channels: int) -> bytes:
    """Undo a line's filter: none, left, up, average, Paeth."""
    for at in range(len(line) if kind else 0):
        left = line[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        up = above[at]
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda one: abs(guess - one))
        line[at] = (line[at] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255
    return bytes(line)
