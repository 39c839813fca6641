"""What a host's cameras need, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.catalogue import Catalogue
from deploys.planning.obstacles import MANAGERS, refuse_packages
from deploys.planning.records import Area, CamerasPlan, Note
from deploys.planning.settings import Settings
from deploys.planning.versions import numbers
from facts.devices import Camera, UsbDevice
from facts.model import Host

VIDEO_CLASS = "0e"  # USB's, https://www.usb.org/defined-class-codes
# The first kernels of WSL with the drivers of USB cameras are 6.18's (Locietta/xanmod-kernel-WSL2, pull request 154).
WSL_WITH_CAMERAS = (6, 18)
# The commands by which packages are known to be there, where their names differ.
COMMANDS = {"v4l-utils": "v4l2-ctl"}
MOST_NAMED = 6  # formats of one size
# A desktop's PipeWire has every camera open, whether or not somebody looks (github.com/W-Floyd/ha-mqtt-iot/issues/44).
IDLE = ("pipewire (pid ", "wireplumber (pid ")


@dataclass(frozen=True)
class Trouble:
    """Why there is no camera or no picture, and what to do."""

    seen: str
    remedy: str
    is_fault: bool = True  # False: the camera works as it is made, and is none for pictures

    def __str__(self) -> str:
        return f"{self.seen}; to do: {self.remedy}"


def cameras_of(host: Host) -> tuple[Camera, ...]:
    """The nodes that give pictures. Where that could not be told, a device's first node is taken for one that does."""
    return tuple(one for one in host.cameras if one.captures or (one.captures is None and not one.index))


def plan_cameras(settings: Settings, host: Host, catalogue: Catalogue) -> CamerasPlan:
    """Tools for hosts that have a camera, and users who may use it."""
    tools, told = _plan_tools(settings, host, catalogue)
    groups = _groups(host)
    expected = tuple((user, group) for user in settings.camera_users for group in groups)
    lacking = _lacking(host, expected)
    notes = (*_describe_cameras(settings, host), *told, *_describe_users(settings, groups, lacking))
    return CamerasPlan(tools=tools, memberships=lacking, expected=expected, notes=notes)


def camera_faults(plan: CamerasPlan, host: Host) -> tuple[str, ...]:
    """What is not as planned, each a phrase: packages that did not come, users who are in no group."""
    missing = [f"{one} is not installed" for one in plan.tools if COMMANDS.get(one, one) not in host.packages.tools]
    outside = [f"{user} is not a member of {group}" for user, group in _lacking(host, plan.expected)]
    return (*missing, *outside)


def _plan_tools(settings: Settings, host: Host, catalogue: Catalogue) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """The packages to install, and what is said of them."""
    if not cameras_of(host) and not _plugged_in(host):
        return (), ()
    row = next((one for one in catalogue.camera_packages if one.manager == host.packages.manager), None)
    wished = (
        (settings.camera_tools, "v4l2-ctl", row.tools if row else (), "it lists and tries cameras"),
        (settings.camera_viewer, "a viewer", row.viewer if row else (), "camera_viewer is set; it wants `ssh -Y`"),
    )
    there = set(host.packages.tools)
    tools: list[str] = []
    notes: list[Note] = []
    for is_wished, what, packages, because in wished:
        lacking = [one for one in packages if COMMANDS.get(one, one) not in there]
        if not is_wished or (packages and not lacking) or (not packages and what in there):
            continue
        if not packages:
            seen = f"no package of it is known here, for {host.os.pretty_name}"
            notes.append(Note(f"{what} is missing: install it yourself", seen))
        elif refuse_packages(host, Area.CAMERAS, MANAGERS):
            notes.append(Note(f"{what} is missing and cannot be installed", "packages are refused here"))
        else:
            tools += lacking
            notes.append(Note(f"installs {', '.join(lacking)}", because))
    return tuple(tools), tuple(notes)


def _groups(host: Host) -> tuple[str, ...]:
    """The groups that own what cameras need: video, and on a Jetson render, by which its image processor is reached."""
    wanted = ("video", "render") if host.jetson else ("video",)
    there = {group.name for group in host.devices.groups}
    return tuple(group for group in wanted if group in there)


def _lacking(host: Host, expected: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    there = {(user, group.name) for group in host.devices.groups for user in group.members}
    return tuple(one for one in expected if one not in there)


def _describe_users(
    settings: Settings, groups: tuple[str, ...], lacking: tuple[tuple[str, str], ...]
) -> tuple[Note, ...]:
    if settings.camera_users and not groups:
        return (Note("nobody is given access to cameras", "there is no group video on this host"),)
    return tuple(Note(f"makes {user} a member of {group}", "from the next login on") for user, group in lacking)


def _describe_cameras(settings: Settings, host: Host) -> tuple[Note, ...]:
    cameras = cameras_of(host)
    if cameras:
        return tuple(_describe_camera(camera, host) for camera in cameras)
    absence = why_no_camera(host)
    is_wished = settings.camera_users or settings.camera_viewer or _plugged_in(host)
    if absence and is_wished:
        return (Note(f"there is no camera: {absence.seen}", f"to do: {absence.remedy}"),)
    return (Note("there is no camera", "no video device gives pictures"),)


def _describe_camera(camera: Camera, host: Host) -> Note:
    trouble = camera_trouble(camera, host)
    parts = (
        camera.device if camera.device != camera.stable else "",
        f"driver {camera.driver}" if camera.driver else "",
        f"USB {camera.usb}" if camera.usb else "",
        describe_formats(camera),
        str(trouble) if trouble else "",
    )
    told = ", ".join(part for part in parts if part)
    return Note(f"{camera_name(camera)} is at {camera.stable}", told or "it tells no more of itself")


def camera_name(camera: Camera) -> str:
    """Its name for people. uvcvideo gives many twice, the second time cut off: "Integrated Camera: Integrated C"."""
    first, _, second = (camera.name or "").partition(": ")
    return (first if second and first.startswith(second) else camera.name) or "camera without a name"


def describe_formats(camera: Camera) -> str:
    """YUYV up to 640x480; MJPG, H264 up to 1920x1080; "" where they are not known."""
    by_size: dict[tuple[int, int], list[str]] = {}
    for one in camera.formats or ():
        largest = max(one.sizes, key=lambda size: size[0] * size[1], default=(0, 0))
        by_size.setdefault(largest, []).append(one.code)
    return "; ".join(
        _name_few(codes) + (f" up to {width}x{height}" if width else "") for (width, height), codes in by_size.items()
    )


def _name_few(names: list[str]) -> str:
    """The first ones: virtual cameras have some fifty formats."""
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def holders_of(camera: Camera) -> tuple[str, ...]:
    """The processes that use it: "ffmpeg (pid 812)"."""
    return tuple(user for user in camera.users if not user.startswith(IDLE))


def camera_trouble(camera: Camera, host: Host) -> Trouble | None:
    """Why a camera that is there gives no picture, as far as the facts tell."""
    holders = holders_of(camera)
    if holders:
        return Trouble(f"{' and '.join(holders)} has it open", "stop that where it is to be used otherwise")
    if camera.is_raw and not host.jetson:
        return Trouble(
            "it gives a sensor's raw data (Bayer) only",
            "use it by a program for its image processor, as libcamera is",
            is_fault=False,
        )
    if camera.is_raw and host.devices.argus is None:
        return Trouble(
            "it is a sensor on CSI, and nvargus-daemon, which makes the pictures of those, is not there",
            "install L4T's package nvidia-l4t-camera",
        )
    if camera.is_raw and host.devices.argus != "active":
        return Trouble(
            f"it is a sensor on CSI, and nvargus-daemon is {host.devices.argus}", "systemctl restart nvargus-daemon"
        )
    return _permission_trouble(camera)


def _permission_trouble(camera: Camera) -> Trouble | None:
    if not camera.mode or not camera.group:
        return None
    is_groups, is_everybodys = (int(digit) & 6 == 6 for digit in camera.mode[-2:])
    if is_everybodys or (is_groups and camera.group == "video"):
        return None
    return Trouble(
        f"members of video cannot open it: it belongs to {camera.group}, with mode {camera.mode}",
        "look for the udev rule that sets this in /etc/udev/rules.d; systemd's own gives it to video, with 660",
    )


def why_no_camera(host: Host) -> Trouble | None:
    """What is missing between the plug and a picture. None: there is a camera."""
    if cameras_of(host):
        return None
    if host.cameras:
        seen = ", ".join(f"{one.device} ({one.name or one.driver or 'no name'})" for one in host.cameras)
        return Trouble(
            f"no video device gives pictures: {seen}", "they are decoders, outputs or metadata; plug in a camera"
        )
    plugged = _plugged_in(host)
    if plugged:
        names = ", ".join(f"{one.name or 'a camera'} ({one.id}) at USB {one.place}" for one in plugged)
        return _why_no_node(names, host)
    return _why_not_plugged_in(host)


def _plugged_in(host: Host) -> tuple[UsbDevice, ...]:
    return tuple(one for one in host.devices.usb or () if VIDEO_CLASS in one.classes)


def _why_no_node(names: str, host: Host) -> Trouble:
    """A USB camera, and no video device of it."""
    kernel = host.kernel.running
    if host.devices.uvcvideo is not False:
        return Trouble(
            f"{names} is plugged in, and the kernel made no video device of it",
            "modprobe uvcvideo, then see what `dmesg` says; plug it in anew, without a hub",
        )
    lacking = f"{names} is plugged in, and the kernel {kernel} lacks uvcvideo, the driver of USB cameras"
    if host.wsl:
        return Trouble(lacking, "in Windows, run: wsl --update (its kernels from 6.18 on have it), then wsl --shutdown")
    if "-cloud-" in kernel:  # Debian's
        kind = host.os.package_architecture or "amd64"
        return Trouble(lacking, f"install linux-image-{kind}, remove linux-image-cloud-{kind}, and reboot")
    if host.os.id == "ubuntu":
        return Trouble(lacking, f"install linux-modules-extra-{kernel}")
    return Trouble(lacking, "boot a kernel of the distribution that has it: its module is uvcvideo")


def _why_not_plugged_in(host: Host) -> Trouble:
    if host.wsl:
        newer = numbers(host.kernel.running) >= WSL_WITH_CAMERAS
        update = "" if newer else "; and WSL's kernels before 6.18 have no driver of USB cameras: wsl --update first"
        return Trouble(
            "Windows has the USB devices, and none of class video is attached to WSL",
            f"in Windows, with usbipd-win: usbipd bind --busid ID, then usbipd attach --wsl --busid ID{update}",
        )
    if host.jetson:
        return Trouble(
            "no USB device is of class video, and no sensor on CSI was found",
            "check the cable; for CSI, its contacts' side, and the sensor in /opt/nvidia/jetson-io/jetson-io.py",
        )
    if host.devices.usb is None:
        return Trouble(
            "this machine has no USB", "where it is a virtual machine, pass the camera through to it from its host"
        )
    return Trouble("no USB device is of class video", "check the camera's cable and hub; `lsusb` must list it")
