"""How a picture is taken: which format and size a camera is asked for, and what came back from the host."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from deploys.planning.cameras import Trouble, camera_trouble, cameras_of, holders_of
from facts.devices import Camera, CameraFormat
from facts.model import Host

COMPRESSED = ("MJPG", "JPEG")
# In order of preference: a camera's own JPEG is small; then those that most cameras have.
SHOWN = (*COMPRESSED, "YUYV", "UYVY", "NV12", "YU12", "RGB3", "BGR3", "GREY")
# Pixels. What is not compressed is twice to three times as many bytes, and two frames of it travel.
LARGEST, LARGEST_PLAIN = (1280, 720), (800, 600)
SMALLEST = (160, 120)


@dataclass(frozen=True)
class Capture:
    """What a camera is asked for. A driver takes the nearest size that it has."""

    device: str  # /dev/video0
    tool: str  # "v4l2", or "argus": by the image processor of a Jetson
    code: str = ""  # "": the format that it is set to, as nothing is known of its formats
    width: int = 0
    height: int = 0
    sensor: int = 0  # argus' number


@dataclass(frozen=True)
class Shot:
    """What came of a camera: two frames, or why there are none."""

    device: str
    time: int = 0  # seconds, by the host's clock
    status: int | None = None  # exit status of what took them; None: it was not tried, or did not come to its end
    said: str = ""  # its last words
    holder: str = ""  # "ffmpeg (pid 812)": who has the camera, which was then left alone
    code: str = ""  # as the driver says it was set: MJPG
    width: int = 0
    height: int = 0
    stride: int = 0  # bytes a line; 0 where that means nothing
    full_range: bool = False  # its brightness and colours take all of 0 to 255
    data: bytes = field(default=b"", repr=False)


def choose_captures(host: Host) -> tuple[Capture | Trouble, ...]:
    """For each camera of ``cameras_of``, in that order: what to ask it for, or why not."""
    sensors = [camera.device for camera in cameras_of(host) if camera.is_raw]
    return tuple(
        _choose(camera, host, sensors.index(camera.device) if camera.is_raw else 0) for camera in cameras_of(host)
    )


def _choose(camera: Camera, host: Host, sensor: int) -> Capture | Trouble:
    trouble = camera_trouble(camera, host)
    if holders_of(camera) and trouble:
        return trouble
    if camera.is_raw:
        return trouble or Capture(camera.device, "argus", "JPEG", *LARGEST, sensor)
    if not camera.formats:
        return Capture(camera.device, "v4l2")
    known = {one.code: one for one in camera.formats}
    code = next((code for code in SHOWN if code in known), None)
    if code is None:
        return Trouble(
            f"it gives {', '.join(known)} only, and this format cannot be shown",
            "look at it with a program that can",
            is_fault=False,
        )
    return Capture(camera.device, "v4l2", code, *_choose_size(known[code]))


def _choose_size(wanted: CameraFormat) -> tuple[int, int]:
    """The largest that is sensible. Where none is, that may be a range: its driver will take the nearest."""
    width, height = LARGEST if wanted.code in COMPRESSED else LARGEST_PLAIN
    least_width, least_height = SMALLEST
    sensible = [size for size in wanted.sizes if least_width <= size[0] <= width and least_height <= size[1] <= height]
    return max(sensible, key=lambda size: size[0] * size[1], default=(width, height))


def encode_capture(capture: Capture) -> tuple[str, ...]:
    """The arguments of templates/camera_pictures.sh for one camera."""
    numbers = (capture.width, capture.height, capture.sensor)
    return (capture.device, capture.tool, capture.code or "-", *(str(number) for number in numbers))


def read_shots(lines: Iterable[str]) -> tuple[Shot, ...]:
    """Read what templates/camera_pictures.sh says. What was cut off counts as not there."""
    shots: list[Shot] = []
    about: dict[str, list[str]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "camera":
            about = {"camera": [rest]}
        elif word == "end" and about:
            shots.append(_read_shot(about))
            about = {}
        else:
            about.setdefault(word, []).append(rest)
    if "camera" in about:  # it did not come to its end
        shots.append(Shot(about["camera"][0], said="the connection ended before its picture had come"))
    return tuple(shots)


def _read_shot(about: dict[str, list[str]]) -> Shot:
    settings = "\n".join(about.get("format", ()))
    size = re.search(r"Width/Height\s*:\s*(\d{1,10})/(\d{1,10})\b", settings)
    code = re.search(r"Pixel Format\s*:\s*'(....)'", settings)
    return Shot(
        device=about["camera"][0],
        time=_number(about.get("time")) or 0,
        status=_number(about.get("status")),
        said=" ".join(about.get("said", ())).strip()[:400],
        holder=" ".join(about.get("holder", ())),
        code=code[1].strip() if code else "",
        width=int(size[1]) if size else 0,
        height=int(size[2]) if size else 0,
        stride=_number(re.findall(r"Bytes per Line\s*:\s*(\d+)", settings)) or 0,
        full_range=bool(re.search(r"Quantization\s*:.*Full Range", settings)),
        data=_decode("".join(about.get("data", ()))),
    )


def _number(found: list[str] | None) -> int | None:
    """None where it is none, or has more than ten digits: with those a time may be one that Python cannot tell."""
    return int(found[0]) if found and re.fullmatch("[0-9]{1,10}", found[0]) else None


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:  # binascii.Error is one; text that is not ASCII is another
        return b""


# What tools say, in the kernel's words (strerror(3)), and what that means of a camera.
CAUSES = (
    (("Device or resource busy",), "something else streams from it", "stop that; a container may be it: `docker ps`"),
    (
        ("No space left on device",),  # uvcvideo's for a bus whose bandwidth is taken
        "the USB bus has no bandwidth left for it",
        "plug it into another controller's port, or let fewer cameras stream at a time",
    ),
    (
        ("Operation not permitted", "Permission denied"),
        "even root may not open it",
        "where this machine is a container, give it the device",
    ),
    (
        ("Unable to detect what device",),  # v4l2-ctl's, of a node without a driver behind it
        "no driver is behind its node",
        "plug it in anew; `dmesg` on the host tells what the kernel found",
    ),
    (
        ("No such device", "No such file", "Cannot open device"),
        "it went away meanwhile",
        "check its cable and its power",
    ),
    (
        ("Protocol error", "Input/output error", "Connection timed out", "Broken pipe"),
        "it does not answer as it should on its bus",
        "check its cable, hub and power; plug it in anew",
    ),
    (
        ("nvargus-daemon", "No cameras available", "Failed to create CameraProvider"),
        "nvargus-daemon has no picture of it",
        "systemctl restart nvargus-daemon; check the ribbon cable",
    ),
)
MISSING, TIMED_OUT = 127, (124, 137)  # of sh, and of timeout(1), which may have to kill


def explain_failure(shot: Shot, tool: str) -> Trouble:
    """Why there is no picture. ``tool`` is the capture's."""
    if shot.holder:
        return Trouble(f"{shot.holder} has it open; it was left alone", "stop that, then run this again")
    if shot.status == MISSING:
        program, package = ("v4l2-ctl", "v4l-utils") if tool == "v4l2" else ("gst-launch-1.0", "gstreamer1.0-tools")
        return Trouble(f"{program} is not there", f"install the package {package}; see above what became of it")
    said = f" ({shot.said})" if shot.said else ""
    for words, cause, remedy in CAUSES:
        if any(word in shot.said for word in words):
            return Trouble(f"{cause}{said}", remedy)
    if shot.status in TIMED_OUT:
        remedy = "plug it in anew, without a hub; `dmesg` on the host may tell more"
        return Trouble(f"nothing came in time{said}", remedy)
    return Trouble(f"nothing came{said or ', and no reason'}", "see `dmesg` on the host; plug it in anew")
