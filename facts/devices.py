"""The records of what is plugged in besides GPUs, and of what listens on TCP."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Codes of Bayer data, bare, packed and compressed (Linux, include/uapi/linux/videodev2.h, "Bayer formats"). GREY, RGB3
# and BA24 are none.
BAYER = re.compile("BA81|GBRG|GRBG|RGGB|BYR2|BD10|(BG|GB|BA|GR|RG)1[0246]|[ab][BGgR]A8|p[BGgR](AA|CC|EE)")


@dataclass(frozen=True)
class CameraFormat:
    """A pixel format that a camera gives, as a four-character code (MJPG, YUYV, RG10), and its sizes in pixels."""

    code: str
    sizes: tuple[tuple[int, int], ...]  # (width, height), as listed; a range is told by its smallest and its largest


@dataclass(frozen=True)
class Camera:
    """A video device node. A USB camera has at least two: one gives pictures, one metadata (Linux 4.16 and newer)."""

    device: str  # /dev/video0
    name: str | None  # "HD Pro Webcam C920"
    by_id: str | None  # /dev/v4l/by-id/…
    index: int | None = None  # sysfs index: 0 is a device's first node; a USB camera's metadata node is 1
    by_path: str | None = None  # /dev/v4l/by-path/…
    captures: bool | None = None  # it gives pictures; False: metadata, output or a codec; None: could not tell
    driver: str | None = None  # uvcvideo, tegra-video, vivid
    usb: str | None = None  # 046d:082d, where it is on USB
    formats: tuple[CameraFormat, ...] | None = None  # None: v4l2-ctl is not there, was not asked, or could not open it
    users: tuple[str, ...] = ()  # processes that have it open: "ffmpeg (pid 812)"; needs root
    group: str = ""  # group that owns the node: video
    mode: str = ""  # its permissions, three digits or four: 660

    @property
    def stable(self) -> str:
        """The name that stays when cameras are plugged in another order: by id, by path, or else the node's."""
        return self.by_id or self.by_path or self.device

    @property
    def is_raw(self) -> bool:
        """Whether it gives Bayer data only: a sensor on CSI, whose pictures the board's image processor makes."""
        return bool(self.formats) and all(BAYER.fullmatch(one.code) for one in self.formats or ())


@dataclass(frozen=True)
class UsbDevice:
    """A device on USB, as sysfs has it: what `lsusb` lists."""

    place: str  # bus and ports: 1-2.4
    id: str  # vendor and product: 046d:082d
    name: str  # "Logitech HD Pro Webcam C920"; "" where it tells none
    speed: int | None  # Mbit/s: 12, 480, 5000
    classes: tuple[str, ...]  # of the device or its interfaces, two hex digits: 0e is video, 01 audio
    drivers: tuple[str, ...]  # bound to its interfaces: uvcvideo, snd-usb-audio


@dataclass(frozen=True)
class SoundCard:
    """A sound card of ALSA."""

    number: int
    id: str  # PCH, Webcam
    name: str  # HDA Intel PCH
    plays: bool
    records: bool


@dataclass(frozen=True)
class Group:
    """A group of the host that owns devices: video, audio, render."""

    name: str
    gid: int
    members: tuple[str, ...]  # as /etc/group lists them


@dataclass(frozen=True)
class Devices:
    """What is plugged in besides GPUs, and who may use it."""

    usb: tuple[UsbDevice, ...] | None = None  # None: there is no USB here
    sound_cards: tuple[SoundCard, ...] = ()
    groups: tuple[Group, ...] = ()  # video, audio, render: those that exist
    uvcvideo: bool | None = None  # the running kernel has the driver of USB cameras: loaded, built in or on disk
    argus: str | None = None  # state of nvargus-daemon, which makes CSI cameras' pictures: active; None: not there
    argus_socket: bool = False  # /tmp/argus_socket
    ascend: tuple[str, ...] = ()  # Ascend processors: /dev/davinci0


@dataclass(frozen=True)
class Listener:
    """A TCP socket that something listens on."""

    address: str  # 0.0.0.0, ::, 127.0.0.1
    port: int
    process: str  # "sshd (pid 812)"; "" where it could not be told
