"""What came of each camera, as an entry of the sheet."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.camera_capture import Capture, Shot, explain_failure
from deploys.planning.camera_picture import WORDS, Look, make_picture
from deploys.planning.camera_sheet import CameraEntry, HostEntry, Mark
from deploys.planning.cameras import Trouble, camera_name, cameras_of, why_no_camera
from facts.devices import Camera
from facts.model import Host

# A frozen picture is a camera in trouble; a dark one may be a dark room.
MARKS = {Look.FINE: Mark.GOOD, Look.FROZEN: Mark.BAD}
RESTART = "plug it in anew, or restart what makes its picture; before a capture card's input, let something move"


def enter_host(name: str, host: Host, cameras: tuple[CameraEntry, ...] = ()) -> HostEntry:
    """A host with what came of its cameras; without any, with the reason why there is none."""
    return HostEntry(
        name,
        f"{host.platform.kind}, {host.os.pretty_name}",
        cameras,
        absence=why_no_camera(host),
        usb=host.devices.usb,
        sound_cards=host.devices.sound_cards,
    )


def enter_cameras(
    host: Host, choices: tuple[Capture | Trouble, ...], shots: tuple[Shot, ...], *, otherwise: Trouble
) -> tuple[CameraEntry, ...]:
    """One entry for each of ``choices``, in the order of ``cameras_of``. ``otherwise``: why a shot is not there."""
    taken = {shot.device: shot for shot in shots}
    return tuple(
        _enter(camera, choice, taken.get(camera.device), otherwise)
        for camera, choice in zip(cameras_of(host), choices, strict=True)
    )


def _enter(camera: Camera, choice: Capture | Trouble, shot: Shot | None, otherwise: Trouble) -> CameraEntry:
    if isinstance(choice, Trouble):
        return _failed(camera, choice)
    if shot is None:
        return _failed(camera, otherwise)
    if not shot.data:
        return _failed(camera, explain_failure(shot, choice.tool), shot.time)
    try:
        # What does not say its format itself gives what it was asked for.
        picture = make_picture(replace(shot, code=shot.code or choice.code))
    except ValueError as error:
        return _failed(camera, Trouble(str(error), "run this again; plug the camera in anew"), shot.time)
    remedy = RESTART if picture.look is Look.FROZEN else ""
    mark = MARKS.get(picture.look, Mark.WARNING)
    return CameraEntry(camera, mark, WORDS[picture.look], remedy, picture, shot.time)


def _failed(camera: Camera, trouble: Trouble, time: int = 0) -> CameraEntry:
    mark = Mark.BAD if trouble.is_fault else Mark.WARNING
    return CameraEntry(camera, mark, f"gave no picture: {trouble.seen}", trouble.remedy, time=time)


def describe_entry(entry: CameraEntry) -> str:
    """Log lines: one, and what to do where something is."""
    camera, picture = entry.camera, entry.picture
    size = f" ({picture.code}, {picture.width}x{picture.height})" if picture else ""
    remedy = f"\n  to do: {entry.remedy}" if entry.remedy else ""
    return f"{camera_name(camera)} at {camera.stable}{size} {entry.words}{remedy}"
