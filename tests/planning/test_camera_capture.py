"""What a camera is asked for, and what is read from the host's answer."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from deploys.planning.camera_capture import (
    Capture,
    Shot,
    choose_captures,
    encode_capture,
    explain_failure,
    read_shots,
)
from deploys.planning.camera_sheet import format_time
from deploys.planning.cameras import Trouble
from facts.devices import Camera, CameraFormat, Devices
from facts.model import Host
from tests.planning.camera_frames import C920
from tests.planning.hosts import BARE, JETSON

IMX219 = Camera("/dev/video0", "vi-output, imx219 9-0010", None, 0, captures=True, driver="tegra-video")
RAW = (CameraFormat("RG10", ((3280, 2464), (1920, 1080))),)
# `v4l2-ctl --all` of a camera under Linux 6.14 and of an image processor (rkisp) under Linux 5.10, as two public
# documents quote them; serial numbers were not in them.
MJPG_SETTINGS = """Format Video Capture:
\tWidth/Height      : 1920/1080
\tPixel Format      : 'MJPG' (Motion-JPEG)
\tField             : None
\tBytes per Line    : 0
\tSize Image        : 4147200
\tColorspace        : sRGB
\tTransfer Function : Default (maps to sRGB)
\tYCbCr/HSV Encoding: Default (maps to ITU-R 601)
\tQuantization      : Default (maps to Full Range)
\tFlags             : """
MULTIPLANAR_SETTINGS = """Format Video Capture Multiplanar:
\tWidth/Height      : 720/480
\tPixel Format      : 'NV12'
\tField             : None
\tNumber of planes  : 1
\tFlags             :
\tColorspace        : Default
\tTransfer Function : Default
\tYCbCr Encoding    : Default
\tQuantization      : Full Range
\tPlane 0           :
\t   Bytes per Line : 768
\t   Size Image     : 259200"""


def host_with(*cameras: Camera, host: Host = BARE, devices: Devices | None = None) -> Host:
    """A host with these cameras."""
    return replace(host, cameras=cameras, devices=devices or Devices())


def chosen(*formats: CameraFormat) -> Capture | Trouble:
    """The choice for a camera with these formats."""
    [choice] = choose_captures(host_with(replace(C920, formats=formats)))
    return choice


def test_cameras_own_jpeg_is_asked_for_at_a_sensible_size() -> None:
    assert choose_captures(host_with(C920)) == (Capture("/dev/video0", "v4l2", "MJPG", 1280, 720),)


@pytest.mark.parametrize(
    ("code", "sizes", "asked"),
    [
        ("YUYV", ((640, 480), (1280, 720), (160, 90)), (640, 480)),
        ("MJPG", ((1920, 1080), (1280, 960), (640, 480), (640, 360)), (640, 480)),
        # `Size: Stepwise 16x16 - 16384x16384 with step 2/1`, told by both ends: the driver takes the nearest.
        ("YUYV", ((16, 16), (16384, 16384)), (800, 600)),
        ("MJPG", ((1920, 1080), (3840, 2160)), (1280, 720)),
        ("NV12", (), (800, 600)),
    ],
)
def test_size(code: str, sizes: tuple[tuple[int, int], ...], asked: tuple[int, int]) -> None:
    assert chosen(CameraFormat(code, sizes)) == Capture("/dev/video0", "v4l2", code, *asked)


def test_order_of_formats_is_not_the_cameras() -> None:
    sizes = ((640, 480),)
    listed = [CameraFormat(code, sizes) for code in ("H264", "GREY", "BGR3", "NV12", "UYVY", "YUYV", "MJPG")]
    choices = [chosen(*listed[:end]) for end in range(2, len(listed) + 1)]
    found = [choice.code for choice in choices if isinstance(choice, Capture)]
    assert found == ["GREY", "BGR3", "NV12", "UYVY", "YUYV", "MJPG"]


def test_format_that_cannot_be_shown_is_told() -> None:
    choice = chosen(CameraFormat("H264", ((640, 480),)), CameraFormat("Z16 ", ()))
    assert isinstance(choice, Trouble)
    assert "H264, Z16" in choice.seen
    assert "this format cannot be shown" in choice.seen


def test_nothing_known_of_its_formats_takes_what_is_set() -> None:
    [choice] = choose_captures(host_with(replace(C920, formats=None)))
    assert choice == Capture("/dev/video0", "v4l2")
    assert encode_capture(choice) == ("/dev/video0", "v4l2", "-", "0", "0", "0")


def test_camera_that_somebody_has_is_not_asked() -> None:
    [choice] = choose_captures(host_with(replace(C920, users=("ffmpeg (pid 812)",))))
    assert isinstance(choice, Trouble)
    assert "ffmpeg (pid 812) has it open" in choice.seen


def test_desktop_that_keeps_its_cameras_open_is_no_holder() -> None:
    users = ("pipewire (pid 2210)", "wireplumber (pid 2212)")
    assert choose_captures(host_with(replace(C920, users=users))) == choose_captures(host_with(C920))
    [choice] = choose_captures(host_with(replace(C920, users=(*users, "zoom (pid 7)"))))
    assert isinstance(choice, Trouble)
    assert choice.seen == "zoom (pid 7) has it open"


def test_sensors_on_csi_are_taken_by_the_image_processor_in_its_numbers() -> None:
    first, usb, second = replace(IMX219, formats=RAW), replace(C920, device="/dev/video1"), "/dev/video2"
    host = host_with(first, usb, replace(first, device=second), host=JETSON, devices=Devices(argus="active"))
    tools = [(one.device, one.tool, one.sensor) for one in choose_captures(host) if isinstance(one, Capture)]
    assert tools == [("/dev/video0", "argus", 0), ("/dev/video1", "v4l2", 0), ("/dev/video2", "argus", 1)]


@pytest.mark.parametrize(("argus", "said"), [(None, "nvidia-l4t-camera"), ("failed", "systemctl restart nvargus")])
def test_sensor_without_its_daemon(argus: str | None, said: str) -> None:
    host = host_with(replace(IMX219, formats=RAW), host=JETSON, devices=Devices(argus=argus))
    [choice] = choose_captures(host)
    assert isinstance(choice, Trouble)
    assert said in choice.remedy


def answer(node: str = "/dev/video0", settings: str = MJPG_SETTINGS, data: bytes = b"picture" * 99) -> list[str]:
    """What the host's script says of one camera, in the lines of templates/camera_pictures.sh."""
    coded = base64.b64encode(data).decode()
    lines = [coded[at : at + 4096] for at in range(0, len(coded), 4096)]
    formats = [f"format {line}" for line in settings.splitlines()]
    about = ["time 1790000000", "status 0", "said 30.00 fps"]
    return [f"camera {node}", *about, *formats, *(f"data {line}" for line in lines), "end"]


def test_answer_of_two_cameras() -> None:
    first, second = read_shots([*answer(), *answer("/dev/video2", MULTIPLANAR_SETTINGS, bytes(range(256)) * 40)])
    assert (first.device, first.code, first.width, first.height, first.stride) == ("/dev/video0", "MJPG", 1920, 1080, 0)
    assert first.data == b"picture" * 99
    assert (first.time, first.status, first.said) == (1_790_000_000, 0, "30.00 fps")
    assert (second.code, second.width, second.height, second.stride) == ("NV12", 720, 480, 768)
    assert second.full_range
    assert second.data == bytes(range(256)) * 40


def test_answer_that_is_cut_off_is_no_picture() -> None:
    whole = answer()
    [shot] = read_shots(whole[:-2])
    assert (shot.device, shot.data) == ("/dev/video0", b"")
    assert "ended before" in explain_failure(shot, "v4l2").seen
    assert read_shots([]) == ()
    for data in ("ab?", "é"):  # neither is base64
        [damaged] = read_shots([*whole[:-2], f"data {data}", "end"])
        assert damaged.data == b""


# The first second of the year 10000, a year that gmtime(3) has no room for, more digits than int() takes, and no digit.
@pytest.mark.parametrize("number", ["253402300800", "999999999999999999", "9" * 5000, "²"])
def test_number_that_is_none_costs_nobody_the_page(number: str) -> None:
    settings = MJPG_SETTINGS.replace("1920/1080", f"{number}/{number}").replace("Line    : 0", f"Line    : {number}")
    [shot] = read_shots(["camera /dev/video0", f"time {number}", f"status {number}", f"format {settings}", "end"])
    assert (shot.time, shot.status, shot.width, shot.height, shot.stride) == (0, None, 0, 0, 0)
    assert "2286-11-20" in format_time(9_999_999_999)  # the last that is read


def failure(said: str = "", *, status: int = 1, tool: str = "v4l2") -> Trouble:
    """The cause of a camera that gave nothing."""
    return explain_failure(Shot("/dev/video0", 0, status, said), tool)


@pytest.mark.parametrize(
    ("said", "status", "cause"),
    [
        ("VIDIOC_STREAMON returned -1 (No space left on device)", 255, "no bandwidth"),
        ("VIDIOC_S_FMT: failed: Device or resource busy", 255, "something else streams from it"),
        ("VIDIOC_STREAMON returned -1 (Connection timed out)", 255, "does not answer as it should on its bus"),
        ("Cannot open device /dev/video0, exiting.", 1, "it went away"),
        ("Failed to open /dev/video0: Operation not permitted", 1, "even root may not open it"),
        ("Unable to detect what device /dev/video0 is, exiting.", 1, "no driver is behind its node"),
        ("", 124, "nothing came in time"),
        ("", 137, "nothing came in time"),
        ("timeout: failed to run command 'v4l2-ctl': No such file or directory", 127, "v4l2-ctl is not there"),
        ("something new", 1, "nothing came (something new)"),
        ("", 1, "nothing came, and no reason"),
    ],
)
def test_causes(said: str, status: int, cause: str) -> None:
    trouble = failure(said, status=status)
    assert cause in trouble.seen
    assert trouble.remedy


def test_cause_of_who_has_it_and_of_a_missing_gstreamer() -> None:
    held = explain_failure(Shot("/dev/video0", 0, holder="zoom (pid 7)"), "v4l2")
    assert held.seen == "zoom (pid 7) has it open; it was left alone"
    assert "gst-launch-1.0 is not there" in failure(status=127, tool="argus").seen
