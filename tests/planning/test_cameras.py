"""Cameras: what their hosts get, who may use them, and why there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.cameras import (
    camera_faults,
    camera_name,
    camera_trouble,
    describe_formats,
    plan_cameras,
    why_no_camera,
)
from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Verdict, check
from deploys.planning.plan import make_plan
from deploys.planning.records import Area, CamerasPlan
from deploys.planning.settings import Settings
from facts.devices import Camera, CameraFormat, Devices, Group, UsbDevice
from facts.model import Host
from tests.planning.camera_frames import C920
from tests.planning.hosts import BARE, JETSON, WSL, on, on_ubuntu

METADATA = replace(C920, device="/dev/video1", by_id=None, index=1, captures=False, formats=None)
HUB = UsbDevice("1-2", "1d6b:0002", "Linux Foundation 2.0 root hub", 480, ("09",), ("hub",))
PLUGGED = UsbDevice("1-2.4", "046d:082d", "Logitech HD Pro Webcam C920", 480, ("0e", "01"), ())
GROUPS = (Group("video", 44, ("bob",)), Group("audio", 29, ()))


def with_cameras(*cameras: Camera, host: Host = BARE, tools: tuple[str, ...] = (), usb: UsbDevice = PLUGGED) -> Host:
    """A host with these cameras and its groups, and these commands."""
    packages = replace(host.packages, tools=(*host.packages.tools, *tools))
    return replace(host, cameras=cameras, devices=Devices((usb,), groups=GROUPS), packages=packages)


def with_usb(*usb: UsbDevice, host: Host = BARE, uvcvideo: bool | None = True) -> Host:
    """A host with these USB devices and no video device."""
    return replace(host, devices=Devices(usb, groups=GROUPS, uvcvideo=uvcvideo))


DEFAULT, VIEWER, ALICE, BOTH = (
    Settings(),
    Settings(camera_viewer=True),
    Settings(camera_users=("alice",)),
    Settings(camera_users=("alice", "bob")),
)


def plan(host: Host, settings: Settings = DEFAULT) -> CamerasPlan:
    """The plan for these settings."""
    return plan_cameras(settings, host, load_catalogue())


def said(found: CamerasPlan) -> str:
    """All notes as text."""
    return "\n".join(f"{note.choice} ({note.because})" for note in found.notes)


def test_server_without_cameras_gets_no_package_and_one_quiet_line() -> None:
    found = plan(with_usb(HUB))
    assert (found.tools, found.memberships, found.expected) == ((), (), ())
    assert said(found) == "there is no camera (no video device gives pictures)"


def test_camera_brings_its_tools_and_is_named() -> None:
    found = plan(with_cameras(C920, METADATA))
    assert found.tools == ("v4l-utils",)
    [named, _] = found.notes
    assert named.choice == ("HD Pro Webcam C920 is at /dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_5A1B2C3F-video-index0")
    assert named.because == (
        "/dev/video0, driver uvcvideo, USB 046d:082d, YUYV up to 2304x1536; H264, MJPG up to 1920x1080"
    )


def test_second_run_installs_nothing() -> None:
    assert plan(with_cameras(C920, tools=("v4l2-ctl",))).tools == ()
    done = with_cameras(C920, tools=("v4l2-ctl", "guvcview"))
    assert plan(done, VIEWER).tools == ()


def test_usb_camera_without_a_video_device_brings_the_tools_and_the_reason() -> None:
    found = plan(with_usb(PLUGGED, uvcvideo=False))
    assert found.tools == ("v4l-utils",)
    assert "lacks uvcvideo" in said(found)


def test_tools_that_are_not_wished_for_are_left() -> None:
    assert plan(with_cameras(C920), Settings(camera_tools=False)).tools == ()


def test_viewer_is_installed_where_there_is_a_camera() -> None:
    assert plan(with_cameras(C920), VIEWER).tools == ("v4l-utils", "guvcview")
    without = plan(with_usb(HUB), VIEWER)
    assert without.tools == ()
    assert "cable and hub" in said(without)


def test_nothing_is_known_for_dnf() -> None:
    found = plan(with_cameras(C920, host=on("rocky-9.6")), VIEWER)
    assert found.tools == ()
    assert "v4l2-ctl is missing: install it yourself (no package of it is known here, for Rocky Linux 9.6" in said(
        found
    )
    assert "a viewer is missing" in said(found)
    assert "v4l2-ctl" not in said(plan(with_cameras(C920, host=on("rocky-9.6"), tools=("v4l2-ctl",))))


def test_packages_that_are_refused_are_told_and_not_planned() -> None:
    host = with_cameras(C920)
    host = replace(host, packages=replace(host.packages, half_configured=("broken",)))
    found = plan(host)
    assert found.tools == ()
    assert "v4l2-ctl is missing and cannot be installed" in said(found)


def test_users_become_members_of_video_and_on_a_jetson_of_render() -> None:
    host = with_cameras(C920, tools=("v4l2-ctl",))
    found = plan(host, BOTH)
    assert found.memberships == (("alice", "video"),)
    assert found.expected == (("alice", "video"), ("bob", "video"))
    groups = (*GROUPS, Group("render", 104, ()))
    jetson = replace(JETSON, cameras=(C920,), devices=Devices(groups=groups))
    assert plan(jetson, Settings(camera_users=("bob",))).memberships == (("bob", "render"),)
    assert plan(replace(host, devices=Devices(groups=groups)), Settings(camera_users=("bob",))).memberships == ()


def test_host_without_the_group_is_told() -> None:
    found = plan(BARE, ALICE)
    assert (found.expected, found.memberships) == ((), ())
    assert "there is no group video on this host" in said(found)


def test_faults_are_what_did_not_come() -> None:
    host = with_cameras(C920)
    made = plan(host, BOTH)
    assert camera_faults(made, host) == ("v4l-utils is not installed", "alice is not a member of video")
    groups = (Group("video", 44, ("bob", "alice")),)
    done = replace(with_cameras(C920, tools=("v4l2-ctl",)), devices=Devices(groups=groups))
    assert camera_faults(made, done) == ()
    assert camera_faults(plan(done, ALICE), done) == ()


@pytest.mark.parametrize(
    ("host", "areas", "verdict", "told"),
    [
        (with_cameras(C920, tools=("v4l2-ctl",)), {Area.CAMERAS}, Verdict.GOOD, "cameras: HD Pro Webcam C920"),
        (with_cameras(C920), {Area.CAMERAS}, Verdict.BAD, "cameras: v4l-utils is not installed"),
        (with_usb(HUB), {Area.CAMERAS}, Verdict.GOOD, "cameras: there is none"),
        # A server without cameras hears nothing of them.
        (with_usb(HUB), {Area.CAMERAS, Area.SSHD}, Verdict.GOOD, "sshd X11: all five X11 options are in force"),
    ],
)
def test_verdict(host: Host, areas: set[Area], verdict: Verdict, told: str) -> None:
    made = make_plan(Settings(), host, load_catalogue(), areas=frozenset(areas))
    [finding] = check(made, host, load_catalogue())
    assert finding.verdict is verdict
    assert str(finding).startswith(told)


def test_node_of_which_nothing_is_known_is_a_camera_where_it_is_the_first_of_its_device() -> None:
    first = replace(C920, captures=None)
    assert why_no_camera(with_cameras(first)) is None
    assert why_no_camera(with_cameras(replace(first, index=1))) is not None


@pytest.mark.parametrize(
    ("host", "seen", "remedy"),
    [
        (with_usb(HUB), "no USB device is of class video", "cable and hub"),
        (replace(BARE, devices=Devices(None)), "no USB", "pass the camera through"),
        (with_usb(PLUGGED), "Logitech HD Pro Webcam C920 (046d:082d) at USB 1-2.4", "modprobe uvcvideo"),
        (with_usb(PLUGGED, uvcvideo=None), "made no video device", "modprobe uvcvideo"),
        # `linux-image-6.12.107+deb13-cloud-amd64` has neither uvcvideo nor vivid.
        (
            with_usb(PLUGGED, host=on("debian-13", kernel="6.12.107+deb13-cloud-amd64"), uvcvideo=False),
            "the kernel 6.12.107+deb13-cloud-amd64 lacks uvcvideo",
            "install linux-image-amd64",
        ),
        (
            with_usb(PLUGGED, host=on_ubuntu("6.8.0-45-generic"), uvcvideo=False),
            "lacks uvcvideo",
            "linux-modules-extra-6.8.0-45-generic",
        ),
        (with_usb(PLUGGED, host=WSL, uvcvideo=False), "6.6.87.2-microsoft", "wsl --update"),
        (with_usb(HUB, host=WSL), "Windows has the USB devices", "usbipd attach --wsl"),
        (with_usb(HUB, host=WSL), "Windows has the USB devices", "before 6.18"),
        (with_usb(PLUGGED, host=on("rocky-9.6"), uvcvideo=False), "lacks uvcvideo", "its module is uvcvideo"),
        (with_usb(HUB, host=JETSON), "no sensor on CSI", "jetson-io"),
        (with_cameras(METADATA), "/dev/video1 (HD Pro Webcam C920)", "metadata"),
    ],
)
def test_why_there_is_no_camera(host: Host, seen: str, remedy: str) -> None:
    why = why_no_camera(host)
    assert why is not None
    assert seen in why.seen
    assert remedy in why.remedy


def test_newer_wsl_has_the_driver() -> None:
    newer = replace(WSL, kernel=replace(WSL.kernel, running="6.18.33.2-microsoft-standard-WSL2"))
    why = why_no_camera(with_usb(HUB, host=newer))
    assert why is not None
    assert "6.18" not in why.remedy


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        # As Linux 5.11 and 6.14 had them of real cameras.
        ("USB2.0 PC CAMERA: USB2.0 PC CAM", "USB2.0 PC CAMERA"),
        ("CREALITY CAM: CREALITY CAM", "CREALITY CAM"),
        ("UVC Camera (534d:2109): USB Vid", "UVC Camera (534d:2109): USB Vid"),
        ("HD Pro Webcam C920", "HD Pro Webcam C920"),
        (None, "camera without a name"),
    ],
)
def test_name_is_said_once(name: str | None, shown: str) -> None:
    assert camera_name(replace(C920, name=name)) == shown


@pytest.mark.parametrize("mode", ["666", "660", "006"])
def test_node_that_members_of_video_can_open(mode: str) -> None:
    assert camera_trouble(replace(C920, mode=mode, group="video" if mode == "660" else "root"), BARE) is None


@pytest.mark.parametrize(("group", "mode"), [("root", "660"), ("video", "600"), ("video", "640"), ("video", "000")])
def test_node_that_members_of_video_cannot_open_is_told(group: str, mode: str) -> None:
    trouble = camera_trouble(replace(C920, group=group, mode=mode), BARE)
    assert trouble is not None
    assert f"it belongs to {group}, with mode {mode}" in trouble.seen


def test_virtual_camera_with_fifty_formats_is_told_in_a_line() -> None:
    """vivid: all of them up to one size."""
    many = replace(C920, formats=tuple(CameraFormat(f"F{number:03}", ((3840, 2160),)) for number in range(50)))
    assert describe_formats(many) == "F000, F001, F002, F003, F004, F005 and 44 more up to 3840x2160"
    assert describe_formats(replace(C920, formats=(CameraFormat("GREY", ()),))) == "GREY"


def test_camera_in_use_names_who_has_it() -> None:
    found = plan(with_cameras(replace(C920, users=("ffmpeg (pid 812)",))))
    assert "ffmpeg (pid 812) has it open" in said(found)
