"""A camera of the kernel's own, vivid: found, its tools installed, its picture taken and shown."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from tests.vm.conftest import CAMERA, Pyinfra
from tests.vm.debian import VM
from tests.vm.guest import Guest
from tests.vm.picture import count_colours, share_of, take_screenshot

# Bars of 75 % (the kernel's v4l2-tpg-colors.c). White and black are the page's own colours, too.
BARS = {
    "yellow": (191, 191, 0),
    "cyan": (0, 191, 191),
    "green": (0, 191, 0),
    "magenta": (191, 0, 191),
    "red": (191, 0, 0),
    "blue": (0, 0, 191),
}


def test_capture_node_is_told_from_metadata(webcam: Guest, pyinfra: Pyinfra) -> None:
    """By what udev knows of them."""
    run = pyinfra.run({webcam.name: webcam.data}, "fact", "facts.host.Cameras")
    found = _answer(run.text)[webcam.name]
    seen = [(one["by_path"], one["captures"], one["driver"], one["group"]) for one in found]
    assert seen == [
        (CAMERA, True, "vivid", "video"),
        (CAMERA.replace("index0", "index1"), False, "vivid", "video"),
    ], run.text


def _answer(text: str) -> dict[str, Any]:
    """The JSON among the lines of the log."""
    found, _ = json.JSONDecoder().raw_decode(text[text.index("{\n") :])
    assert isinstance(found, dict)
    return found


def test_picture_is_on_the_sheet(webcam: Guest, pyinfra: Pyinfra) -> None:
    """v4l-utils comes by the same run. The sheet shows vivid's bars, and says so in words."""
    sheet, screenshot = VM / "cameras.html", VM / "cameras.png"  # kept, for people to look at
    sheet.unlink(missing_ok=True)
    screenshot.unlink(missing_ok=True)
    run = pyinfra.wish(webcam, "deploys/cameras.py", {"camera_sheet": str(sheet)})
    assert (run.status, run.verdicts) == (0, {webcam.name: "good"}), run.text
    assert webcam.does("dpkg -s v4l-utils && ! dpkg -s camorama")
    text = unescape(re.sub(r"<[^>]*>", " ", sheet.read_text()))
    for words in ("guest", "good: has light and detail", CAMERA, "1 host, 1 picture.", "YUYV, 640x480 pixels"):
        assert words in text
    take_screenshot(sheet, screenshot)
    counts = count_colours(screenshot.read_bytes())
    shares = {name: share_of(colour, counts, within=40) for name, colour in BARS.items()}
    assert all(share > 0.01 for share in shares.values()), shares
