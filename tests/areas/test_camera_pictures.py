"""The script that takes pictures, with a stand-in for v4l2-ctl that gives what a camera would."""

from __future__ import annotations

import os
import shutil

import pytest

from deploys.planning.camera_capture import Shot, read_shots
from deploys.planning.camera_picture import Look, make_picture
from tests.areas.shell import Finished, Place
from tests.planning.camera_frames import BLUE, RED, WHITE, jpeg, scene, yuyv

# For each camera: `video0` has its frames, `video0.format` what --get-fmt-video says, `video0.does` what else it does.
V4L2 = """
node=$2
case "$*" in
    *--get-fmt-video*) cat "$node.format" ;;
    *--stream-mmap*)
        for last; do :; done
        printf '<<<<<<<<<<<<<<<<< 30.00 fps\\n' >&2
        [ ! -e "$node.does" ] || . "$node.does"
        cat "$node" >"${last#--stream-to=}" ;;
esac
"""
SETTINGS = """Format Video Capture:
\tWidth/Height      : 64/48
\tPixel Format      : '{code}' (made up)
\tBytes per Line    : {stride}
\tQuantization      : Default (maps to Limited Range)
"""


@pytest.fixture
def host(place: Place) -> Place:
    """A host with v4l2-ctl."""
    place.stand_in("v4l2-ctl", V4L2)
    return place


def plug_in(place: Place, node: str, data: bytes, code: str = "MJPG", stride: int = 0) -> str:
    """A camera that gives these bytes. Returns its node's path."""
    path = place.root / node
    path.write_bytes(data)
    (place.root / f"{node}.format").write_text(SETTINGS.format(code=code, stride=stride))
    return str(path)


def take(place: Place, *arguments: str) -> tuple[Finished, tuple[Shot, ...]]:
    """Run the script and read its answer."""
    done = place.run("camera_pictures", arguments=arguments)
    return done, read_shots(done.output.splitlines())


FRAMES = jpeg(scene()) + jpeg(scene(2))


def test_two_frames_arrive_byte_for_byte(host: Place) -> None:
    node = plug_in(host, "video0", FRAMES)
    done, [shot] = take(host, node, "v4l2", "MJPG", "1280", "720", "0")
    assert done.status == 0
    assert shot.data == FRAMES
    assert (shot.device, shot.status, shot.code, shot.width, shot.height) == (node, 0, "MJPG", 64, 48)
    assert shot.said == "30.00 fps"
    assert shot.time > 1_700_000_000
    assert make_picture(shot).look is Look.FINE
    first, second = host.calls("v4l2-ctl")
    assert first.startswith(
        f"-d {node} --set-fmt-video=width=1280,height=720,pixelformat=MJPG "
        "--stream-mmap --stream-skip=15 --stream-count=2 --stream-to="
    )
    assert second == f"-d {node} --get-fmt-video"


def test_many_cameras_one_after_another(host: Place) -> None:
    """The second has its own bytes, and the third, which fails, not the ones before."""
    (host.root / "video4.does").write_text("exit 1\n")
    plain = yuyv(RED, BLUE, 64, 48) + yuyv(WHITE, BLUE, 64, 48)
    nodes = (
        plug_in(host, "video0", FRAMES),
        plug_in(host, "video2", plain, "YUYV", 128),
        plug_in(host, "video4", b""),
    )
    words = [word for node in nodes for word in (node, "v4l2", "YUYV", "64", "48", "0")]
    _, shots = take(host, *words)
    assert [shot.device for shot in shots] == list(nodes)
    assert [shot.data for shot in shots] == [FRAMES, plain, b""]
    assert shots[1].stride == 128


def test_format_that_is_set_is_left_where_nothing_is_asked_for(host: Place) -> None:
    node = plug_in(host, "video0", FRAMES)
    take(host, node, "v4l2", "-", "0", "0", "0")
    assert host.calls("v4l2-ctl")[0].startswith(f"-d {node} --stream-mmap --stream-skip")


def test_camera_that_hangs_is_given_up_and_the_next_is_taken(host: Place) -> None:
    slow, good = plug_in(host, "video0", FRAMES), plug_in(host, "video2", FRAMES)
    host.stand_in("timeout", 'case "$*" in *video0*stream-mmap*) exit 124 ;; esac\nshift 3; exec "$@"')
    _, (first, second) = take(host, slow, "v4l2", "MJPG", "640", "480", "0", good, "v4l2", "MJPG", "640", "480", "0")
    assert (first.status, first.data) == (124, b"")
    assert second.data == FRAMES
    assert all(call.startswith("-k 5 ") for call in host.calls("timeout"))


def test_what_the_tool_complains_of_is_passed_on_as_plain_text(host: Place) -> None:
    node = plug_in(host, "video0", b"")
    complaint = "VIDIOC_STREAMON returned -1 (No space left on device)"
    (host.root / "video0.does").write_text(f'printf "{complaint}\\033[31m\\377\\n" >&2; exit 1\n')
    _, [shot] = take(host, node, "v4l2", "MJPG", "640", "480", "0")
    assert shot.status == 1
    assert complaint in shot.said
    assert shot.said.isprintable()


def test_missing_tool_is_told_by_its_status(place: Place) -> None:
    _, [shot] = take(place, "/dev/video99", "v4l2", "MJPG", "640", "480", "0")
    assert shot.status == 127


def test_camera_that_somebody_has_open_is_left_alone(host: Place) -> None:
    """The kernel's device with this number stands in for a camera: nobody else has it open."""
    descriptor = os.open("/dev/full", os.O_RDONLY)
    try:
        _, [shot] = take(host, "/dev/full", "v4l2", "MJPG", "640", "480", "0")
    finally:
        os.close(descriptor)
    assert f"(pid {os.getpid()})" in shot.holder
    assert (shot.status, shot.data) == (None, b"")
    assert host.calls("v4l2-ctl") == []


def name_processes(host: Place, name: str) -> None:
    """Every process of the host has this name."""
    (host.root / "comm").write_text(f"{name}\n")
    cat = shutil.which("cat")
    host.stand_in("cat", f'case "$*" in */comm) exec {cat} "$here/comm" ;; esac; exec {cat} "$@"')


@pytest.mark.parametrize("name", ["pipewire", "wireplumber"])
def test_desktop_that_keeps_its_cameras_open_is_no_holder(host: Place, name: str) -> None:
    name_processes(host, name)
    host.stand_in("v4l2-ctl", "")
    with open("/dev/full", "rb"):
        _, [shot] = take(host, "/dev/full", "v4l2", "MJPG", "640", "480", "0")
    assert shot.holder == ""
    assert len(host.calls("v4l2-ctl")) >= 1


@pytest.mark.parametrize("name", [r"a\nend\ncam", "a\nend\nstatus 0", r"zoom\c"])
def test_name_of_who_has_it_cannot_forge_an_answer(host: Place, name: str) -> None:
    """Anybody may name a process of theirs, and dash's echo reads backslashes."""
    name_processes(host, name)
    descriptor = os.open("/dev/full", os.O_RDONLY)
    try:
        done, [shot] = take(host, "/dev/full", "v4l2", "MJPG", "640", "480", "0")
    finally:
        os.close(descriptor)
    assert f"(pid {os.getpid()})" in shot.holder
    assert done.output.splitlines().count("end") == 1


def test_backslashes_of_the_tool_stay_what_they_are(host: Place) -> None:
    node = plug_in(host, "video0", b"")
    (host.root / "video0.does").write_text("printf '%s' 'odd \\nend\\c' >&2; exit 1\n")
    _, [shot] = take(host, node, "v4l2", "MJPG", "640", "480", "0")
    assert shot.said.endswith(r"odd \nend\c")


def test_sensor_on_csi_is_taken_by_gstreamer(host: Place) -> None:
    last = "for word; do case $word in location=*) folder=${word#location=}; folder=${folder%/*} ;; esac; done"
    (host.root / "one").write_bytes(jpeg(scene()))
    (host.root / "two").write_bytes(jpeg(scene(2)))
    host.stand_in("gst-launch-1.0", f'{last}\ncp "$here/one" "$folder/0015.jpg"; cp "$here/two" "$folder/0016.jpg"')
    _, [shot] = take(host, "/dev/video7", "argus", "JPEG", "1280", "720", "1")
    assert shot.data == FRAMES
    [call] = host.calls("gst-launch-1.0")
    assert "nvarguscamerasrc sensor-id=1 " in call
    assert "video/x-raw(memory:NVMM),width=1280,height=720" in call
    assert host.calls("v4l2-ctl") == []


def test_nothing_is_left_behind(host: Place) -> None:
    host.stand_in("mktemp", 'mkdir "$here/shots"; echo "$here/shots"')
    take(host, plug_in(host, "video0", FRAMES), "v4l2", "MJPG", "640", "480", "0")
    assert not (host.root / "shots").exists()
