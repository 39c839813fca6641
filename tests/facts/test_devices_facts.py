"""Cameras, USB, sound cards and who may use them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from facts.devices import Camera, CameraFormat, Devices, Group, SoundCard, UsbDevice
from facts.parse import parse_probe
from tests.facts.answers import host_of
from tests.facts.machines import link_tools, run_probe

NODE = "cameras.camera=/dev/video0 0 - - - Cam"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of links to the plain tools."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return link_tools(folder)


def write(root: Path, path: str, content: str = "") -> None:
    """A file below ``root`` with its folders."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


def camera_of(*lines: str) -> Camera:
    """The camera /dev/video0 of which v4l2-ctl printed these lines, indented as it does."""
    return host_of(NODE, *(f"cameras.camera_v4l=/dev/video0 {line.strip()}" for line in lines)).cameras[0]


@pytest.mark.parametrize(
    ("abilities", "lines", "captures"),
    [
        # What udev's v4l_id makes of VIDIOC_QUERYCAP (systemd, src/udev/v4l_id/v4l_id.c).
        (":capture:", [], True),
        (":", [], False),
        (":video_output:", [], False),
        (":capture:video_output:", [], True),
        ("-", [], None),
        # V4L2_CAP_META_CAPTURE 0x00800000; V4L2_CAP_VIDEO_M2M_MPLANE 0x4000 of a codec; MPLANE 0x1000.
        ("-", ["Device Caps      : 0x04200001"], True),
        ("-", ["Device Caps      : 0x04a00000"], False),
        ("-", ["Device Caps      : 0x04201000"], True),
        ("-", ["Device Caps      : 0x04204000"], False),
        # A loopback device changes sides; what it says now counts.
        (":video_output:", ["Device Caps      : 0x85200001"], True),
    ],
)
def test_nodes_that_give_pictures(abilities: str, lines: list[str], captures: bool | None) -> None:
    said = (f"cameras.camera_v4l=/dev/video0 {line}" for line in lines)
    assert host_of(f"cameras.camera=/dev/video0 0 {abilities} - - Cam", *said).cameras[0].captures is captures


# https://github.com/Motion-Project/motion/issues/940, as v4l-utils before 1.16 writes it.
OLDER = """
Pixel Format: 'YU12'
    Size: Stepwise 32x32 - 2592x1944 with step 2/2
Pixel Format: 'JPEG' (compressed)
    Size: Stepwise 32x32 - 2592x1944 with step 2/2
"""
# https://github.com/soyersoyer/cameractrls/issues/30
NEWER = """
[0]: 'MJPG' (Motion-JPEG, compressed)
    Size: Discrete 640x480
    Size: Discrete 1280x720
    Size: Discrete 640x480
"""
# The forms of v4l2-ctl.cpp that the reports do not have: continuous sizes, none, a code that ends in a space.
RARE = """
[0]: 'YUYV' (YUYV 4:2:2)
    Size: Continuous 48x32 - 4096x2160
[1]: 'Y10 ' (10-bit Greyscale)
"""


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        (OLDER, (CameraFormat("YU12", ((32, 32), (2592, 1944))), CameraFormat("JPEG", ((32, 32), (2592, 1944))))),
        (NEWER, (CameraFormat("MJPG", ((640, 480), (1280, 720))),)),
        (RARE, (CameraFormat("YUYV", ((48, 32), (4096, 2160))), CameraFormat("Y10", ()))),
        ("Driver name      : uvcvideo", ()),
        ("", None),
    ],
)
def test_formats(text: str, formats: tuple[CameraFormat, ...] | None) -> None:
    assert camera_of(*text.strip().splitlines()).formats == formats


@pytest.mark.parametrize(
    ("codes", "raw"),
    [
        (("RG10",), True),
        (("GB10", "RG12", "BA81", "RGGB"), True),
        (("pRAA",), True),
        # Codes that begin like those of Bayer data: grey, and bare RGB.
        (("GREY",), False),
        (("GREY", "RG10"), False),
        (("RGB3", "BGR3", "BA24", "RGBP"), False),
        (("MJPG", "YUYV"), False),
        ((), False),
    ],
)
def test_sensors_that_give_bayer_data_only(codes: tuple[str, ...], raw: bool) -> None:
    formats = tuple(CameraFormat(code, ()) for code in codes)
    assert Camera("/dev/video0", None, None, formats=formats).is_raw is raw


def test_driver_is_what_the_camera_says() -> None:
    """v4l2-ctl prints the media device's driver below the camera's own (vc_mipi_nvidia, issue 66)."""
    assert camera_of("Driver name      : tegra-video", "Driver name      : tegra-camrtc-ca").driver == "tegra-video"
    assert host_of("cameras.camera=/dev/video0 0 - - vivid Cam").cameras[0].driver == "vivid"


@pytest.mark.parametrize(("said", "mode"), [("660", "660"), ("0", "000"), ("60", "060"), ("6x0", "")])
def test_permissions_have_three_digits(said: str, mode: str) -> None:
    """`chmod 0` is what people do who want no camera, and stat(1) then says 0."""
    assert host_of(NODE, f"cameras.camera_node=51:0 {said} video /dev/video0").cameras[0].mode == mode


def test_cameras_are_in_the_order_of_their_numbers_with_links_and_owners() -> None:
    found = host_of(
        "cameras.camera=/dev/video10 - - -: - ",
        "cameras.camera=/dev/video2 1 : 046d:082d uvcvideo HD Pro Webcam C920",
        "cameras.camera_node=51:2 660 video /dev/video2",
        "cameras.camera_link=../../video2 /dev/v4l/by-id/usb-046d-video-index1",
        "cameras.camera_link=../../video2 /dev/v4l/by-path/platform-usb-0:4.2:1.0-video-index1",
        "cameras.camera_link=../../video2 /dev/v4l/by-path/platform-usbv2-0:4.2:1.0-video-index1",
        "cameras.camera_user=51:2 812 two words",
        "cameras.camera_user=51:2 812 two words",
        "cameras.camera_user=51:3 813 other",
    ).cameras
    second = Camera(
        device="/dev/video2",
        name="HD Pro Webcam C920",
        by_id="/dev/v4l/by-id/usb-046d-video-index1",
        index=1,
        by_path="/dev/v4l/by-path/platform-usb-0:4.2:1.0-video-index1",
        captures=False,
        driver="uvcvideo",
        usb="046d:082d",
        users=("two words (pid 812)",),
        group="video",
        mode="660",
    )
    assert found == (second, Camera("/dev/video10", None, None))


def test_a_node_that_gives_no_pictures_is_not_opened(tmp_path: Path, tools: Path) -> None:
    for number, abilities in enumerate((":capture:", ":", None)):
        write(tmp_path, f"dev/video{number}")
        write(tmp_path, f"sys/class/video4linux/video{number}/dev", f"81:{number}\n")
        if abilities:
            write(tmp_path, f"run/udev/data/c81:{number}", f"E:ID_V4L_VERSION=2\nE:ID_V4L_CAPABILITIES={abilities}\n")
    asked = tmp_path / "asked"
    (tools / "v4l2-ctl").write_text(f'#!/bin/sh\necho "$*" >>{asked}\necho "\tDriver name      : uvcvideo"\n')
    (tools / "v4l2-ctl").chmod(0o755)
    cameras = parse_probe(run_probe(tmp_path, [tools])).cameras
    assert [camera.captures for camera in cameras] == [True, False, None]
    assert [camera.formats for camera in cameras] == [(), None, ()]
    assert asked.read_text() == "".join(f"-d /dev/video{n} --info --list-formats-ext\n" for n in (0, 2))


def test_who_has_a_camera_open_is_told_by_its_number(tmp_path: Path, tools: Path) -> None:
    """Process 813 is in a container, where the camera has another name; ``stat`` is a stand-in that knows numbers."""
    for number in (0, 1):
        write(tmp_path, f"dev/video{number}")
    for pid, name, opened in (
        (812, "ffmpeg", "/dev/video0"),
        (813, "hello video", "/dev/video0"),
        (814, "sh", "/dev/null"),
    ):
        write(tmp_path, f"proc/{pid}/comm", f"{name}\n")
        (tmp_path / f"proc/{pid}/fd").mkdir()
        (tmp_path / f"proc/{pid}/fd/3").symlink_to(opened)
    said = {
        "-c": ["51:0 660 video /dev/video0", "51:1 660 video /dev/video1"],
        "-L": ["51:0 proc/812/fd/3", "51:1 proc/813/fd/3", "1:3 proc/814/fd/3"],
    }
    (tools / "stat").unlink()
    cases = "".join(f"{key}) printf '%s\\n' {' '.join(map(repr, lines))} ;;\n" for key, lines in said.items())
    (tools / "stat").write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\n")
    (tools / "stat").chmod(0o755)
    link_tools(tools, ["find"])
    cameras = parse_probe(run_probe(tmp_path, [tools])).cameras
    assert [camera.users for camera in cameras] == [("ffmpeg (pid 812)",), ("hello video (pid 813)",)]


# Files of /sys/bus/usb/devices as grep prints them. Classes, of usb.org's "Defined Class Codes": 01 audio, 03 input,
# 09 hub, 0e video, ef miscellaneous.
USB = """
./1-10/idVendor:0bda
./1-2.1/idVendor:04f2
./1-2/idVendor:046d
./usb1/idVendor:1d6b
./1-10/idProduct:8153
./1-2.1/idProduct:b71b
./1-2/idProduct:082d
./usb1/idProduct:0002
./1-2.1/manufacturer:Chicony
./usb1/manufacturer:Linux
./1-2.1/product:Chicony HD
./1-2/product:HD Webcam C920
./usb1/product:xHCI = a: b
./1-10/speed:10000
./1-2.1/speed:1.5
./1-2/speed:480
./1-10/bDeviceClass:00
./1-2/bDeviceClass:ef
./usb1/bDeviceClass:09
./1-0:1.0/bInterfaceClass:09
./1-2.1:1.0/bInterfaceClass:03
./1-2:1.0/bInterfaceClass:0e
./1-2:1.1/bInterfaceClass:0e
./1-2:1.2/bInterfaceClass:01
./1-0:1.0/uevent:DRIVER=hub
./1-2/uevent:DRIVER=usb
./1-2:1.0/uevent:DRIVER=uvcvideo
./1-2:1.1/uevent:DRIVER=uvcvideo
./1-2:1.2/uevent:DRIVER=snd-usb-audio
"""


def test_usb_devices_with_their_interfaces() -> None:
    lines = (f"devices.usb={line}" for line in USB.strip().splitlines())
    assert host_of("devices.bus=usb", *lines).devices.usb == (
        UsbDevice("usb1", "1d6b:0002", "Linux xHCI = a: b", None, ("09",), ("hub",)),
        UsbDevice("1-2", "046d:082d", "HD Webcam C920", 480, ("01", "0e", "ef"), ("snd-usb-audio", "uvcvideo")),
        UsbDevice("1-2.1", "04f2:b71b", "Chicony HD", 1, ("03",), ()),
        UsbDevice("1-10", "0bda:8153", "", 10000, (), ()),
    )


def test_no_usb_is_not_an_empty_usb() -> None:
    assert host_of().devices.usb is None
    assert host_of("devices.bus=usb").devices.usb == ()


CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xa1338000 irq 146
 1 [C920           ]: USB-Audio - HD Pro Webcam C920
                      HD Pro Webcam C920 at usb-0000:00:14.0-2, high speed
12 [Empty          ]: Dummy - Dummy
"""
PCM = """\
00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1
00-03: HDMI 0 : HDMI 0 : playback 1
01-00: USB Audio : USB : capture device : capture 1
"""


def test_sound_cards() -> None:
    cards = (f"devices.sound_card={line}" for line in CARDS.splitlines())
    pcm = (f"devices.sound_pcm={line}" for line in PCM.splitlines())
    assert host_of(*cards, *pcm).devices.sound_cards == (
        SoundCard(0, "PCH", "HDA Intel PCH", plays=True, records=True),
        SoundCard(1, "C920", "HD Pro Webcam C920", plays=False, records=True),
        SoundCard(12, "Empty", "Dummy", plays=False, records=False),
    )


def test_a_kernel_without_sound_cards() -> None:
    assert host_of("devices.sound_card=--- no soundcards ---").devices.sound_cards == ()


@pytest.mark.parametrize(
    ("line", "groups"),
    [
        ("audio:x:29:pulse,ann", (Group("audio", 29, ("pulse", "ann")),)),
        ("render:x:993:", (Group("render", 993, ()),)),
        ("video:x::", ()),
        ("video", ()),
    ],
)
def test_groups_that_own_devices(line: str, groups: tuple[Group, ...]) -> None:
    assert host_of(f"devices.group={line}").devices.groups == groups


UVC = "kernel/drivers/media/usb/uvc/uvcvideo.ko"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"lib/modules/6.1/modules.dep": "", "lib/modules/6.1/modules.builtin": f"{UVC}\n"}, True),
        ({"lib/modules/6.1/modules.dep": "kernel/drivers/media/usb/gspca/gspca_main.ko:\n"}, False),
        # Of another kernel than the one that runs
        ({"lib/modules/6.2/modules.dep": f"{UVC}.xz:\n"}, None),
    ],
)
def test_driver_of_usb_cameras(tmp_path: Path, tools: Path, files: dict[str, str], found: bool | None) -> None:
    (tools / "uname").write_text("#!/bin/sh\necho 6.1\n")
    (tools / "uname").chmod(0o755)
    for path, text in files.items():
        write(tmp_path, path, text)
    assert parse_probe(run_probe(tmp_path, [tools])).devices.uvcvideo is found


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("CONFIG_USB=y\n# CONFIG_USB_VIDEO_CLASS is not set\n", False),
        # A module that may be anywhere
        ("CONFIG_USB_VIDEO_CLASS=m\nCONFIG_USB_VIDEO_CLASS_INPUT_EVDEV=y\n", None),
    ],
)
def test_a_kernel_that_tells_its_configuration(tmp_path: Path, tools: Path, config: str, found: bool | None) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(config.encode()))
    link_tools(tools, ["gzip"])
    assert parse_probe(run_probe(tmp_path, [tools])).devices.uvcvideo is found


def test_what_is_there_and_what_looks_like_it(tmp_path: Path, tools: Path) -> None:
    for name in ("davinci10", "davinci2", "davinci_manager"):
        write(tmp_path, f"dev/{name}")
    for name in ("video-dec0", "video_crop"):
        write(tmp_path, f"dev/{name}")
    host = parse_probe(run_probe(tmp_path, [tools]))
    assert host.devices == Devices(ascend=("/dev/davinci2", "/dev/davinci10"))
    assert host.cameras == ()
