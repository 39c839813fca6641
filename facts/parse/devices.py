"""Cameras, USB, sound, and the groups that may use them.

Sources of the forms: v4l-utils' v4l2-ctl.cpp (``print_video_formats_ext``, ``print_frmsize``) and, for versions before
1.16 (L4T r32 has one), public reports; Linux, sound/core/init.c and pcm.c (/proc/asound), Documentation/ABI (sysfs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..devices import Camera, CameraFormat, Devices, Group, SoundCard, UsbDevice
from .answer import Answer, to_int

# V4L2_CAP_VIDEO_CAPTURE and V4L2_CAP_VIDEO_CAPTURE_MPLANE (Linux, include/uapi/linux/videodev2.h).
CAPTURE = 0x1 | 0x1000
# A class of 00 means that the interfaces have their own (USB 2.0, table 9-8).
OF_INTERFACES = "00"

Fields = Mapping[str, str]


def read_cameras(answer: Answer) -> tuple[Camera, ...]:
    """Video device nodes in the order of their numbers."""
    said = lines_by_device(answer.all("cameras", "camera_v4l"))
    nodes = {row[3]: row for value in answer.all("cameras", "camera_node") if len(row := value.split(" ", 3)) == 4}
    rows = ([*value.split(" ", 5), *[""] * 5][:6] for value in answer.all("cameras", "camera"))
    return tuple(
        Camera(
            device=device,
            name=name.strip() or None,
            by_id=find_link(answer, device, "/dev/v4l/by-id/"),
            index=to_int(index),
            by_path=find_link(answer, device, "/dev/v4l/by-path/"),
            captures=gives_pictures(abilities, said.get(device, ())),
            driver=v4l_driver(said.get(device, ())) or (driver if driver.strip("-") else None),
            usb=usb if re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", usb) else None,
            formats=read_formats(said[device]) if device in said else None,
            users=read_users(answer, nodes[device][0]) if device in nodes else (),
            group=nodes[device][2] if device in nodes else "",
            mode=permissions(nodes[device][1]) if device in nodes else "",
        )
        for device, index, abilities, usb, driver, name in sorted(rows, key=lambda row: numbers(row[0]))
    )


def permissions(text: str) -> str:
    """Three digits, which stat(1) shortens: 0 is 000, as who wants no camera sets it. "" where it is no number."""
    return text.zfill(3) if re.fullmatch("[0-7]{1,4}", text) else ""


def numbers(text: str) -> tuple[int, ...]:
    """The numbers in a name, to sort by: video10 comes after video2."""
    return tuple(map(int, re.findall(r"[0-9]{1,9}", text)))


def lines_by_device(values: Iterable[str]) -> dict[str, list[str]]:
    """``/dev/video0 Size: …`` by the device."""
    lines: dict[str, list[str]] = {}
    for value in values:
        device, _, line = value.partition(" ")
        lines.setdefault(device, []).append(line)
    return lines


def find_link(answer: Answer, device: str, folder: str) -> str | None:
    """The first of udev's links in ``folder`` that lead to the device."""
    pairs = (value.partition(" ") for value in answer.all("cameras", "camera_link"))
    links = (link for target, _, link in pairs if f"/dev/{target.rsplit('/', 1)[-1]}" == device)
    return next((link for link in links if link.startswith(folder)), None)


def gives_pictures(abilities: str, lines: Iterable[str]) -> bool | None:
    """Whether a node captures video: as v4l2-ctl was told now, else as udev was when the node came."""
    found = (re.match(r"Device Caps\s*: (0x[0-9a-fA-F]{1,8})$", line) for line in lines)
    device_caps = next(filter(None, found), None)
    if device_caps:
        return bool(int(device_caps[1], 16) & CAPTURE)
    return ":capture:" in abilities if abilities.startswith(":") else None


def v4l_driver(lines: Iterable[str]) -> str | None:
    """The driver as it names itself to V4L2: CSI cameras of a Jetson say tegra-video."""
    found = (re.match(r"Driver name\s*: (\S.*)$", line) for line in lines)
    driver = next(filter(None, found), None)
    return driver[1].strip() if driver else None


def read_formats(lines: Iterable[str]) -> tuple[CameraFormat, ...]:
    """The pixel formats and sizes of ``v4l2-ctl --list-formats-ext``, as listed, each once."""
    formats: dict[str, dict[tuple[int, int], None]] = {}
    sizes: dict[tuple[int, int], None] = {}
    for line in lines:
        code = re.match(r"(?:\[\d+\]:|Pixel Format\s*:) '([^']+)'", line)
        if code:
            sizes = formats.setdefault(code[1].strip(), {})
        elif line.startswith("Size:"):
            pairs = re.findall(r"\b([0-9]{1,6})x([0-9]{1,6})\b", line)
            sizes.update(dict.fromkeys((int(width), int(height)) for width, height in pairs))
    return tuple(CameraFormat(code, tuple(sizes)) for code, sizes in formats.items())


def read_users(answer: Answer, number: str) -> tuple[str, ...]:
    """Processes that have the device of this number open: "ffmpeg (pid 812)"."""
    rows = ([*value.split(" ", 2), "", ""] for value in answer.all("cameras", "camera_user"))
    return tuple(dict.fromkeys(f"{row[2] or '?'} (pid {row[1]})" for row in rows if row[0] == number))


def read_devices(answer: Answer) -> Devices:
    """What is plugged in besides GPUs."""
    return Devices(
        usb=read_usb(answer),
        sound_cards=read_sound_cards(answer),
        groups=read_groups(answer),
        uvcvideo={"yes": True, "no": False}.get(answer.first("devices", "uvcvideo") or ""),
        argus=(answer.first("devices", "argus") or "").partition(" ")[2] or None,
        argus_socket=answer.marked("/tmp/argus_socket"),
        ascend=tuple(sorted(answer.all("devices", "ascend"), key=numbers)),
    )


def read_usb(answer: Answer) -> tuple[UsbDevice, ...] | None:
    """The devices on USB with their interfaces, from files of sysfs; None where the kernel has no USB."""
    if "usb" not in answer.all("devices", "bus"):
        return None
    entries: dict[str, dict[str, str]] = {}
    for value in answer.all("devices", "usb"):
        file = re.fullmatch(r"(?:\./)?([^/]+)/(\w+):(.*)", value)
        if file:
            entries.setdefault(file[1], {})[file[2]] = file[3].strip()
    devices = sorted((place for place in entries if "idVendor" in entries[place]), key=numbers)
    return tuple(
        usb_device(place, entries[place], [entries[name] for name in entries if name.startswith(interfaces_of(place))])
        for place in devices
    )


def interfaces_of(place: str) -> str:
    """How the names of a device's interfaces begin: ``1-2.4:``; ``1-0:`` for the root hub ``usb1``."""
    return f"{place.removeprefix('usb')}-0:" if place.startswith("usb") else f"{place}:"


def usb_device(place: str, about: Fields, interfaces: Iterable[Fields]) -> UsbDevice:
    """A device of the files of its own folder and of its interfaces' folders."""
    maker, product = about.get("manufacturer", ""), about.get("product", "")
    classes = {about.get("bDeviceClass", ""), *(one.get("bInterfaceClass", "") for one in interfaces)}
    drivers = (one.get("uevent", "").removeprefix("DRIVER=") for one in interfaces)
    return UsbDevice(
        place=place,
        id=f"{about.get('idVendor', '')}:{about.get('idProduct', '')}",
        name=product if product.startswith(maker) else f"{maker} {product}".strip(),
        speed=to_int(about.get("speed", "").partition(".")[0]),
        classes=tuple(sorted(classes - {OF_INTERFACES, ""})),
        drivers=tuple(sorted(set(filter(None, drivers)))),
    )


def read_sound_cards(answer: Answer) -> tuple[SoundCard, ...]:
    """ALSA's cards; each plays or records where one of its PCM devices does."""
    devices = [re.match(r"(\d{2,3})-\d+: ", value) for value in answer.all("devices", "sound_pcm")]
    streams = [(int(device[1]), device.string[device.end() :]) for device in devices if device]
    rows = (re.match(r"\s*(\d{1,3}) \[(\S*)\s*\]: (.*)$", value) for value in answer.all("devices", "sound_card"))
    return tuple(
        SoundCard(
            number=int(row[1]),
            id=row[2],
            name=row[3].partition(" - ")[2].strip() or row[3].strip(),
            plays=any(re.search(r" : playback \d", text) for number, text in streams if number == int(row[1])),
            records=any(re.search(r" : capture \d", text) for number, text in streams if number == int(row[1])),
        )
        for row in rows
        if row
    )


def read_groups(answer: Answer) -> tuple[Group, ...]:
    """The groups that own devices, as /etc/group lists them: without those whose primary group it is."""
    rows = (value.split(":") for value in answer.all("devices", "group"))
    return tuple(
        Group(row[0], int(row[2]), tuple(filter(None, row[3].split(","))))
        for row in rows
        if len(row) == 4 and re.fullmatch(r"[0-9]{1,10}", row[2])
    )
