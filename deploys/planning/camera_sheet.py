"""The contact sheet: one page of HTML with a picture of every camera of the fleet. Pure text; all of it is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from html import escape

from deploys.planning.camera_picture import Picture
from deploys.planning.cameras import Trouble, camera_name, describe_formats
from facts.devices import Camera, SoundCard, UsbDevice


class Mark(StrEnum):
    """How good an entry is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class CameraEntry:
    """A camera on the sheet."""

    camera: Camera
    mark: Mark
    words: str  # the verdict: "has light and detail"
    remedy: str = ""
    picture: Picture | None = None
    time: int = 0  # seconds since the epoch, by the host's clock


@dataclass(frozen=True)
class HostEntry:
    """A host on the sheet."""

    name: str
    platform: str = ""
    cameras: tuple[CameraEntry, ...] = ()
    absence: Trouble | None = None  # why there is no camera, or nothing is known
    usb: tuple[UsbDevice, ...] | None = None
    sound_cards: tuple[SoundCard, ...] = ()


# Nothing on the page runs, and nothing is loaded from anywhere.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cameras</title>
<style>
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --card: #fff; --text: #1a1d21; --dim: #59616b; --line: #d8dde3;
  --good: #17692d; --warning: #8a5300; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --card: #1e2226; --text: #e8eaed; --dim: #a3abb5; --line: #353b42;
    --good: #6dd58c; --warning: #f2b45a; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 0; }
h3 { font-size: 1.05rem; margin: 0 0 .25rem; }
.dim { color: var(--dim); }
.host { border-top: 1px solid var(--line); padding: 1.25rem 0; }
.cameras { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; background: #000; }
.none { display: grid; place-items: center; aspect-ratio: 16 / 9; background: var(--back); color: var(--dim); }
figcaption { padding: .75rem 1rem 1rem; }
.good, .warning, .bad { font-weight: 600; }
.good { color: var(--good); } .warning { color: var(--warning); } .bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .75rem; margin: .5rem 0 0; font-size: .9rem; }
dt { color: var(--dim); } dd { margin: 0; }
summary { cursor: pointer; color: var(--dim); }
ul { margin: .4rem 0 .8rem; padding-left: 1.2rem; font-size: .9rem; }
</style>
</head>
<body>
"""


def render_sheet(hosts: Iterable[HostEntry], *, time: int) -> str:
    """The page. ``time``: when the last host ended, in seconds since the epoch."""
    entries = tuple(hosts)
    cameras = [camera for host in entries for camera in host.cameras]
    counted = [_count(len(entries), "host"), _count(sum(bool(camera.picture) for camera in cameras), "picture")]
    for mark, words in ((Mark.WARNING, "to look at"), (Mark.BAD, "failed")):
        if number := sum(camera.mark is mark for camera in cameras):
            counted.append(f'<span class="{mark}">{number} {words}</span>')
    parts = [
        HEAD,
        f'<h1>Cameras</h1>\n<p class="dim">{", ".join(counted)}. Made {format_time(time)}.</p>\n',
        *(_render_host(host) for host in entries),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def format_time(seconds: int) -> str:
    """2026-11-22 08:45:07 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _render_host(host: HostEntry) -> str:
    platform = f' <span class="dim">{escape(host.platform)}</span>' if host.platform else ""
    lines = [f'<section class="host">\n<h2>{escape(host.name)}</h2>{platform}\n']
    if host.cameras:
        lines += ['<div class="cameras">\n', *(_render_camera(host.name, one) for one in host.cameras), "</div>\n"]
    if host.absence:
        seen, remedy = escape(host.absence.seen), escape(host.absence.remedy)
        lines.append(f'<p>No picture: {seen}. <span class="dim">To do: {remedy}.</span></p>\n')
    lines += [_render_inventory(host), "</section>\n"]
    return "".join(lines)


def _render_camera(host: str, entry: CameraEntry) -> str:
    camera, picture = entry.camera, entry.picture
    name = camera_name(camera)
    verdict = f"{entry.mark}: {entry.words}{f'; to do: {entry.remedy}' if entry.remedy else ''}"
    rows = (
        ("Stable name", camera.stable),
        ("Device", camera.device),
        ("USB", camera.usb or ""),
        ("Driver", camera.driver or ""),
        ("Picture", f"{picture.code}, {picture.width}x{picture.height} pixels" if picture else ""),
        ("Brightness", f"{picture.brightness:.0f} of 255, deviation {picture.deviation:.0f}" if picture else ""),
        ("Formats", describe_formats(camera)),
        ("Taken", format_time(entry.time) if entry.time else ""),
    )
    listed = "".join(f"<dt>{title}</dt><dd>{escape(value)}</dd>" for title, value in rows if value)
    caption = f'<h3>{escape(name)}</h3>\n<p class="{entry.mark}">{escape(verdict)}</p>\n<dl>{listed}</dl>'
    return f"<figure>\n{_render_picture(picture, f'{name} of {host}')}<figcaption>{caption}</figcaption>\n</figure>\n"


def _render_picture(picture: Picture | None, what: str) -> str:
    if picture is None:
        return '<div class="none">no picture</div>\n'
    data = base64.b64encode(picture.jpeg).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img {size} alt="{escape(what)}" src="data:image/jpeg;base64,{data}">\n'


def _render_inventory(host: HostEntry) -> str:
    if host.usb is None and not host.sound_cards:
        return ""
    usb = [describe_usb(one) for one in host.usb or ()] or ["none"]
    sound = [describe_sound(one) for one in host.sound_cards] or ["none"]
    summary = f"{_count(len(host.usb or ()), 'USB device')}, {_count(len(host.sound_cards), 'sound card')}"
    return (
        f"<details>\n<summary>{summary}</summary>\n"
        f"<h3>USB</h3>\n{_list(usb)}<h3>Sound cards</h3>\n{_list(sound)}</details>\n"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _list(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n"


def describe_usb(device: UsbDevice) -> str:
    """A line as `lsusb` has it, with speed and drivers: 1-2.4: ID 046d:082d Logitech C920, 480 Mbit/s, uvcvideo."""
    parts = (
        f"{device.place}: ID {device.id} {device.name}".strip(),
        f"{device.speed} Mbit/s" if device.speed else "",
        " ".join(device.drivers),
    )
    return ", ".join(part for part in parts if part)


def describe_sound(card: SoundCard) -> str:
    """A sound card of ALSA: 1 Webcam: HD Pro Webcam C920, records."""
    does = " and ".join(word for word, can in (("plays", card.plays), ("records", card.records)) if can)
    return f"{card.number} {card.id}: {card.name}{f', {does}' if does else ''}"
