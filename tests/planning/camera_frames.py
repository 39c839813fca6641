"""Made-up frames of known colours, in the bytes of each pixel format, and a camera to have given them.

The colours are those of ITU-R BT.601 with 16 to 235 (white is 235, 128, 128; red 81, 90, 240; blue 41, 240, 110), as
the tables of colour bars have them.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from facts.devices import Camera, CameraFormat

WHITE, RED, BLUE, BLACK = (235, 128, 128), (81, 90, 240), (41, 240, 110), (16, 128, 128)
Yuv = tuple[int, int, int]

C920 = Camera(
    device="/dev/video0",
    name="HD Pro Webcam C920",
    by_id="/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_5A1B2C3F-video-index0",
    index=0,
    captures=True,
    driver="uvcvideo",
    usb="046d:082d",
    formats=(
        CameraFormat("YUYV", ((640, 480), (160, 90), (1280, 720), (2304, 1536))),
        CameraFormat("H264", ((640, 480), (1920, 1080))),
        CameraFormat("MJPG", ((640, 480), (1280, 720), (800, 600), (1920, 1080))),
    ),
    group="video",
    mode="660",
)


def yuyv(left: Yuv, right: Yuv, width: int, height: int) -> bytes:
    """YUYV: the left half of one colour, the right half of another."""
    pairs = [bytes((y, u, y, v)) * (width // 4) for y, u, v in (left, right)]
    return b"".join(pairs) * height


def uyvy(left: Yuv, right: Yuv, width: int, height: int) -> bytes:
    """The same as UYVY."""
    pairs = [bytes((u, y, v, y)) * (width // 4) for y, u, v in (left, right)]
    return b"".join(pairs) * height


def nv12(left: Yuv, right: Yuv, width: int, height: int) -> bytes:
    """The same as NV12: brightness, then both colours in turn at half the size."""
    luma = b"".join(bytes((y,)) * (width // 2) for y, _, _ in (left, right)) * height
    return luma + b"".join(bytes((u, v)) * (width // 4) for _, u, v in (left, right)) * (height // 2)


def yu12(left: Yuv, right: Yuv, width: int, height: int) -> bytes:
    """The same as YU12: brightness, then one colour after the other."""
    luma = b"".join(bytes((y,)) * (width // 2) for y, _, _ in (left, right)) * height
    planes = [b"".join(bytes((one[part],)) * (width // 4) for one in (left, right)) * (height // 2) for part in (1, 2)]
    return luma + planes[0] + planes[1]


def jpeg(picture: Image.Image) -> bytes:
    """As a camera's own JPEG."""
    written = BytesIO()
    picture.save(written, "JPEG", quality=90)
    return written.getvalue()


def scene(seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture with light and detail; another one for each ``seed``."""
    picture = Image.new("RGB", size, (200, 180, 60))
    picture.paste((20, 60, 160), (8 + seed, 8, 40 + seed, 36))
    return picture
