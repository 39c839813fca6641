"""A camera's bytes as a picture, and what can be told of it without looking: black, dark, one colour, frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO

from PIL import Image, ImageStat

from deploys.planning.camera_capture import COMPRESSED, Shot

# Brightness and its standard deviation, 0 to 255. The limits are our own choice: behind a lens cap there is a sensor's
# noise alone, and whatever light falls on makes a picture deviate by more.
BLACK, DARK, FLAT = 12, 30, 3
QUALITY = 85  # of JPEGs in the sheet


class Look(StrEnum):
    """What a picture looks like."""

    FINE = "fine"
    DARK = "very dark"
    BLACK = "black"
    FLAT = "one colour"
    FROZEN = "frozen"


@dataclass(frozen=True)
class Picture:
    """A camera's picture, as a JPEG of ours."""

    jpeg: bytes = field(repr=False)
    code: str  # the format that it came in
    width: int
    height: int
    brightness: float  # mean of its pixels' brightness, 0 to 255
    deviation: float  # standard deviation of that
    look: Look


WORDS = {
    Look.FINE: "has light and detail",
    Look.DARK: "is very dark: is there light, and is the lens clean?",
    Look.BLACK: "is black: is the lens cap on, a shutter closed, or the light out?",
    Look.FLAT: "has one colour all over: the lens may be covered, or the camera gives no signal",
    Look.FROZEN: "is frozen: two pictures in a row are the same to the last pixel",
}


def make_picture(shot: Shot) -> Picture:
    """The first frame as a picture, judged by both. Raises ValueError, in words for people, where there is none."""
    frames = split_frames(shot)
    if not frames:
        raise ValueError(f"what came is no whole picture: {len(shot.data)} bytes of {shot.code or 'no known format'}")
    decoded = _decode_whole(frames[:2], shot)
    first = decoded[0]
    grey = first.convert("L")
    statistics = ImageStat.Stat(grey)
    brightness, deviation = statistics.mean[0], statistics.stddev[0]
    is_frozen = len(decoded) == 2 and decoded[0].tobytes() == decoded[1].tobytes()
    look = _judge(brightness, deviation, is_frozen=is_frozen)
    return Picture(_encode(first), shot.code, first.width, first.height, brightness, deviation, look)


def _decode_whole(frames: list[bytes], shot: Shot) -> list[Image.Image]:
    """Those that are not damaged: a camera's one may be, and the next one whole."""
    decoded, trouble = [], ValueError()
    for frame in frames:
        try:
            decoded.append(decode(frame, shot))
        except ValueError as error:
            trouble = error
    if not decoded:
        raise trouble
    return decoded


def _judge(brightness: float, deviation: float, *, is_frozen: bool) -> Look:
    """Where there is nothing to be seen, two frames may well be the same: JPEG leaves no noise in the dark."""
    if brightness < BLACK and deviation < BLACK:
        return Look.BLACK
    if deviation < FLAT:
        return Look.FLAT
    if brightness < DARK:
        return Look.DARK
    return Look.FROZEN if is_frozen else Look.FINE


def _encode(picture: Image.Image) -> bytes:
    written = BytesIO()
    try:
        picture.save(written, "JPEG", quality=QUALITY, optimize=True)
    except OSError:  # libjpeg takes 65500 pixels a side (jmorecfg.h, JPEG_MAX_DIMENSION)
        raise ValueError(f"its picture of {picture.width}x{picture.height} pixels cannot be shown") from None
    return written.getvalue()


def split_frames(shot: Shot) -> list[bytes]:
    """The whole frames in what came."""
    if shot.code in COMPRESSED:
        return _split_jpegs(shot.data)
    shape = PLAIN.get(shot.code)
    if shape is None:
        raise ValueError(f"its format {shot.code} cannot be shown" if shot.code else "its driver names no format")
    size, half = shape.size(shot), len(shot.data) // 2
    if half >= size > 0:  # a driver may fill up behind each
        return [shot.data[:size], shot.data[half : half + size]]
    return [shot.data[:size]] if len(shot.data) >= size > 0 else []


def _split_jpegs(data: bytes) -> list[bytes]:
    """JPEGs one after another; some cameras fill up with zeros behind each."""
    found = []
    start = data.find(b"\xff\xd8")
    while start >= 0:
        end = _end_of_jpeg(data, start)
        if not end:
            break
        found.append(data[start:end])
        start = data.find(b"\xff\xd8", end)
    return found


def _end_of_jpeg(data: bytes, start: int) -> int:
    """Where the JPEG that begins there ends; 0 where it does not. ITU-T T.81, B.1.1: markers, and segments' lengths."""
    at = start + 2
    while at + 4 <= len(data) or data[at : at + 2] == b"\xff\xd9":
        if data[at] != 0xFF:
            return 0
        kind = data[at + 1]
        if kind == 0xD9:  # end of image
            return at + 2
        if kind == 0xFF:  # fill
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:  # start of scan: coded data up to the next marker that is none of restart or stuffing
            at = _end_of_scan(data, at)
    return 0


def _end_of_scan(data: bytes, at: int) -> int:
    while (at := data.find(b"\xff", at)) >= 0:
        if at + 1 >= len(data):
            return at
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return len(data)


def decode(frame: bytes, shot: Shot) -> Image.Image:
    """One frame as a picture in RGB. Raises ValueError where it is damaged."""
    if shot.code not in COMPRESSED:
        return PLAIN[shot.code].decode(frame, shot)
    try:
        with Image.open(BytesIO(frame), formats=("JPEG",)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"its JPEG is damaged ({error})") from None


@dataclass(frozen=True)
class _Plain:
    """A format without compression: bytes of a frame, and how it is read. Lines may be longer than their pixels."""

    size: Callable[[Shot], int]
    decode: Callable[[bytes, Shot], Image.Image]


def _stride(shot: Shot, bits: int) -> int:
    return max(shot.stride, shot.width * bits // 8)


def _plane(data: bytes, size: tuple[int, int], *, start: int, stride: int, step: int, first: int) -> Image.Image:
    """A picture of single values: from ``start`` on, lines ``stride`` bytes apart, every ``step``-th byte of each."""
    width, height = size
    end = first + width * step
    lines = (data[start + y * stride :][:stride][first:end:step] for y in range(height))
    return Image.frombytes("L", size, b"".join(lines))


def _to_rgb(luma: Image.Image, blue: Image.Image, red: Image.Image, shot: Shot) -> Image.Image:
    """Of ITU-R BT.601: black is 16, white 235 and colours are 128 ± 112, unless the driver says that all are used."""
    planes = [luma, *(plane.resize(luma.size, Image.Resampling.NEAREST) for plane in (blue, red))]
    if not shot.full_range:
        bright = [_clip((value - 16) * 255 / 219) for value in range(256)]
        coloured = [_clip(128 + (value - 128) * 255 / 224) for value in range(256)]
        planes = [plane.point(table) for plane, table in zip(planes, (bright, coloured, coloured), strict=True)]
    return Image.merge("YCbCr", planes).convert("RGB")


def _clip(value: float) -> int:
    return min(255, max(0, round(value)))


def _packed(luma: int, blue: int, red: int) -> _Plain:
    """Four bytes for two pixels; the arguments say where in these the first brightness and both colours are."""

    def read_packed(frame: bytes, shot: Shot) -> Image.Image:
        """The picture in colour; both colours are half as wide."""
        stride, half = _stride(shot, 16), (shot.width // 2, shot.height)
        full = (half[0] * 2, shot.height)
        return _to_rgb(
            _plane(frame, full, start=0, stride=stride, step=2, first=luma),
            _plane(frame, half, start=0, stride=stride, step=4, first=blue),
            _plane(frame, half, start=0, stride=stride, step=4, first=red),
            shot,
        )

    return _Plain(lambda shot: _stride(shot, 16) * shot.height, read_packed)


def _read_nv12(frame: bytes, shot: Shot) -> Image.Image:
    stride, half = _stride(shot, 8), (shot.width // 2, shot.height // 2)
    start = stride * shot.height
    return _to_rgb(
        _plane(frame, (half[0] * 2, half[1] * 2), start=0, stride=stride, step=1, first=0),
        _plane(frame, half, start=start, stride=stride, step=2, first=0),
        _plane(frame, half, start=start, stride=stride, step=2, first=1),
        shot,
    )


def _read_yu12(frame: bytes, shot: Shot) -> Image.Image:
    stride, half = _stride(shot, 8), (shot.width // 2, shot.height // 2)
    start = stride * shot.height
    narrow = stride // 2
    return _to_rgb(
        _plane(frame, (half[0] * 2, half[1] * 2), start=0, stride=stride, step=1, first=0),
        _plane(frame, half, start=start, stride=narrow, step=1, first=0),
        _plane(frame, half, start=start + narrow * half[1], stride=narrow, step=1, first=0),
        shot,
    )


def _coloured(order: str) -> _Plain:
    """Three bytes a pixel."""

    def read_coloured(frame: bytes, shot: Shot) -> Image.Image:
        """The picture, its rows without what pads them."""
        size = (shot.width, shot.height)
        return Image.frombytes("RGB", size, frame, "raw", order, _stride(shot, 24))

    return _Plain(lambda shot: _stride(shot, 24) * shot.height, read_coloured)


def _read_grey(frame: bytes, shot: Shot) -> Image.Image:
    size = (shot.width, shot.height)
    return _plane(frame, size, start=0, stride=_stride(shot, 8), step=1, first=0).convert("RGB")


def _half_more(shot: Shot) -> int:
    return _stride(shot, 8) * (shot.height + shot.height // 2)


# https://docs.kernel.org/userspace-api/media/v4l/pixfmt.html says where each has what.
PLAIN = {
    "YUYV": _packed(luma=0, blue=1, red=3),
    "UYVY": _packed(luma=1, blue=0, red=2),
    "NV12": _Plain(_half_more, _read_nv12),
    "YU12": _Plain(_half_more, _read_yu12),
    "RGB3": _coloured("RGB"),
    "BGR3": _coloured("BGR"),
    "GREY": _Plain(lambda shot: _stride(shot, 8) * shot.height, _read_grey),
}
