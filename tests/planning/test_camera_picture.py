"""Frames as pictures: known colours in, known pixels out; and what is told of them without looking."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from deploys.planning.camera_capture import Shot
from deploys.planning.camera_picture import Look, decode, make_picture, split_frames
from tests.planning.camera_frames import BLACK, BLUE, RED, WHITE, jpeg, nv12, scene, uyvy, yu12, yuyv


def shot(code: str, data: bytes, size: tuple[int, int] = (8, 4), stride: int = 0) -> Shot:
    """What a host has sent."""
    return Shot("/dev/video0", 1_790_000_000, 0, code=code, width=size[0], height=size[1], stride=stride, data=data)


def pixels(found: Image.Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The colours in its left and its right half."""
    corners = found.getpixel((0, found.height - 1)), found.getpixel((found.width - 1, 0))
    assert all(isinstance(one, tuple) for one in corners)
    return corners  # type: ignore[return-value]


def is_close(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether two colours are the same, but for rounding."""
    return all(abs(one - other) <= 3 for one, other in zip(found, wanted, strict=True))


FRAMES = {
    "YUYV": yuyv(RED, BLUE, 8, 4),
    "UYVY": uyvy(RED, BLUE, 8, 4),
    "NV12": nv12(RED, BLUE, 8, 4),
    "YU12": yu12(RED, BLUE, 8, 4),
    "RGB3": (bytes((255, 0, 0)) * 4 + bytes((0, 0, 255)) * 4) * 4,
    "BGR3": (bytes((0, 0, 255)) * 4 + bytes((255, 0, 0)) * 4) * 4,
}


@pytest.mark.parametrize("code", FRAMES)
def test_red_and_blue_are_red_and_blue_in_each_format(code: str) -> None:
    left, right = pixels(decode(FRAMES[code], shot(code, b"")))
    assert is_close(left, (255, 0, 0)), left
    assert is_close(right, (0, 0, 255)), right


def test_white_and_black_are_not_grey() -> None:
    left, right = pixels(decode(yuyv(WHITE, BLACK, 8, 4), shot("YUYV", b"")))
    assert (left, right) == ((255, 255, 255), (0, 0, 0))


def test_driver_that_uses_all_values_is_heeded() -> None:
    frame = yuyv((255, 128, 128), (16, 128, 128), 8, 4)
    full = Shot("/dev/video0", code="YUYV", width=8, height=4, full_range=True)
    assert pixels(decode(frame, full)) == ((255, 255, 255), (16, 16, 16))


def test_grey_is_taken_as_it_is() -> None:
    assert pixels(decode(bytes((200, 200, 16, 16)) * 2, shot("GREY", b"", (4, 2)))) == ((200,) * 3, (16,) * 3)


@pytest.mark.parametrize("code", ["YUYV", "RGB3", "NV12"])
def test_lines_that_are_longer_than_their_pixels(code: str) -> None:
    """Drivers fill lines up to what their hardware wants: bytesperline of the kernel's documents."""
    frame, length = FRAMES[code], {"YUYV": 16, "RGB3": 24, "NV12": 8}[code]
    padded = b"".join(frame[at : at + length] + b"\x77" * 8 for at in range(0, len(frame), length))
    left, right = pixels(decode(padded, shot(code, b"", stride=length + 8)))
    assert is_close(left, (255, 0, 0))
    assert is_close(right, (0, 0, 255))


def test_two_frames_are_told_apart_though_the_driver_fills_up() -> None:
    first, second = yuyv(RED, BLUE, 8, 4), yuyv(WHITE, BLACK, 8, 4)
    assert split_frames(shot("YUYV", first + second)) == [first, second]
    assert split_frames(shot("YUYV", first + bytes(100) + second + bytes(100))) == [first, second]
    assert split_frames(shot("YUYV", first + second[:-1])) == [first]
    assert split_frames(shot("YUYV", first[:-1])) == []


def test_jpegs_one_after_another_with_zeros_between_and_a_picture_within() -> None:
    """A thumbnail in a segment of its own has markers of its own."""
    thumbnail = jpeg(scene(9, (16, 16)))
    first = jpeg(scene())
    within = first[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + first[2:]
    second = jpeg(scene(5))
    assert split_frames(shot("MJPG", within + bytes(64) + second)) == [within, second]
    assert split_frames(shot("MJPG", first + second[:-20])) == [first]


def test_jpeg_with_restart_markers_is_whole() -> None:
    """Cameras put them between the rows of a picture."""
    written = BytesIO()
    scene().save(written, "JPEG", restart_marker_rows=1)
    first = written.getvalue()
    assert b"\xff\xd0" in first
    assert split_frames(shot("MJPG", first + jpeg(scene(3)))) == [first, jpeg(scene(3))]


def test_cameras_jpeg_without_huffman_tables_is_read() -> None:
    """Motion JPEG leaves the standard's own tables out."""
    whole, found = jpeg(scene()), b""
    at = 2
    while whole[at + 1] != 0xDA:
        length = 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        found += b"" if whole[at + 1] == 0xC4 else whole[at : at + length]
        at += length
    bare = b"\xff\xd8" + found + whole[at:]
    assert b"\xff\xc4" not in bare[: len(found)]
    assert decode(bare, shot("MJPG", b"")).tobytes() == decode(whole, shot("MJPG", b"")).tobytes()


def picture_of(*frames: Image.Image) -> Look:
    """What is told of these frames."""
    return make_picture(shot("MJPG", b"".join(jpeg(frame) for frame in frames))).look


def test_looks() -> None:
    black, grey = Image.new("RGB", (64, 48)), Image.new("RGB", (64, 48), (90, 90, 90))
    dim = scene().point([value // 8 for value in range(256)] * 3)
    assert picture_of(scene(), scene(1)) is Look.FINE
    assert picture_of(scene(), scene()) is Look.FROZEN
    # Two black pictures are the same, and no camera is at fault.
    assert picture_of(black, black) is Look.BLACK
    assert picture_of(grey, grey) is Look.FLAT
    assert picture_of(dim, dim) is Look.DARK


def test_noise_behind_a_lens_cap_is_black() -> None:
    noise = bytes(16 + (at * 7 % 5) if at % 2 == 0 else 128 for at in range(64 * 48 * 2))
    made = make_picture(shot("YUYV", noise + bytes(reversed(noise[:-1])) + b"\x10", (64, 48)))
    assert made.look is Look.BLACK


def test_buffers_of_zeros_are_one_colour() -> None:
    """What a driver gives that got nothing from its camera: zeros are green."""
    assert make_picture(shot("YUYV", bytes(64 * 48 * 4), (64, 48))).look is Look.FLAT


def test_picture_is_a_jpeg_of_ours_with_its_size() -> None:
    made = make_picture(shot("YUYV", yuyv(RED, BLUE, 64, 48) + yuyv(BLUE, RED, 64, 48), (64, 48)))
    with Image.open(BytesIO(made.jpeg)) as written:
        assert (written.format, written.size) == ("JPEG", (64, 48))
    assert (made.code, made.width, made.height) == ("YUYV", 64, 48)
    # ITU-R BT.601: 0.299 of red's 255 and 0.114 of blue's, in halves.
    assert made.brightness == pytest.approx(255 * (0.299 + 0.114) / 2, abs=2)


def test_damaged_frame_gives_way_to_the_next() -> None:
    good = jpeg(scene())
    start = good.index(b"\xff\xda")
    damaged = good[:start].replace(b"\xff\xdb", b"\xff\xdd") + good[start:]
    assert make_picture(shot("MJPG", damaged + good)).look is Look.FINE
    with pytest.raises(ValueError, match="damaged"):
        make_picture(shot("MJPG", damaged))


@pytest.mark.parametrize(
    ("code", "data", "said"),
    [
        ("RG10", b"abcd", "its format RG10 cannot be shown"),
        ("", b"abcd", "its driver names no format"),
        ("MJPG", b"no picture", "no whole picture: 10 bytes of MJPG"),
        ("YUYV", b"abcd", "no whole picture: 4 bytes of YUYV"),
    ],
)
def test_what_is_no_picture_is_said(code: str, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        make_picture(shot(code, data))


def test_size_of_nothing_is_no_picture() -> None:
    with pytest.raises(ValueError, match="no whole picture"):
        make_picture(shot("YUYV", b"abcd", (0, 0)))


def test_picture_that_is_too_wide_for_a_jpeg_is_said() -> None:
    with pytest.raises(ValueError, match="its picture of 65535x1 pixels"):
        make_picture(shot("GREY", bytes(range(255)) * 257, (65535, 1)))
