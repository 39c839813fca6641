"""The contact sheet, read by a parser: what is on it, and that nothing on it is alive."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from deploys.planning.camera_capture import Capture, Shot, choose_captures
from deploys.planning.camera_sheet import CameraEntry, HostEntry, Mark, describe_sound, describe_usb, render_sheet
from deploys.planning.camera_verdict import describe_entry, enter_cameras, enter_host
from deploys.planning.cameras import Trouble
from facts.devices import CameraFormat, Devices, SoundCard, UsbDevice
from facts.model import Host
from tests.planning.camera_frames import C920, jpeg, scene
from tests.planning.hosts import BARE

TIME = 1_790_000_000  # 2026-09-21 14:13:20 UTC, by `date -u -d @1790000000`
HOSTILE = "<script>alert('1')</script> & \" onerror=x"
NOT_THERE = Trouble("the host gave no answer", "look at it")
USB = UsbDevice("1-2.4", "046d:082d", HOSTILE, 480, ("0e",), ("uvcvideo",))


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that do not end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends: the one that began last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text, but for style sheets."""
        if self.open and self.open[-1] != "style" and data.strip():
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of that name."""
        return [attributes for found, attributes in self.tags if found == tag]


def host_with_c920(*, name: str = "HD Pro Webcam C920") -> Host:
    """A host with one camera, on USB, with a microphone."""
    devices = Devices((USB,), (SoundCard(1, "C920", "HD Pro Webcam C920", plays=False, records=True),))
    return replace(BARE, cameras=(replace(C920, name=name),), devices=devices)


def entries(host: Host, *frames: bytes, status: int = 0) -> tuple[CameraEntry, ...]:
    """What comes of its camera that sends these frames."""
    shot = Shot("/dev/video0", TIME, status, code="MJPG", width=64, height=48, data=b"".join(frames))
    return enter_cameras(host, choose_captures(host), (shot,), otherwise=NOT_THERE)


GOOD = (jpeg(scene()), jpeg(scene(1)))


def page(*hosts: HostEntry) -> Page:
    """The sheet of these hosts."""
    return Page(render_sheet(hosts, time=TIME))


def test_picture_with_all_that_is_known_of_it() -> None:
    host = host_with_c920()
    [entry] = entries(host, *GOOD)
    found = page(enter_host("studio", host, (entry,)))
    [image] = found.all("img")
    assert entry.picture
    assert image["src"] == "data:image/jpeg;base64," + base64.b64encode(entry.picture.jpeg).decode()
    assert (image["width"], image["height"], image["alt"]) == ("64", "48", "HD Pro Webcam C920 of studio")
    told = "\n".join(found.words)
    for text in (
        "studio",
        "HD Pro Webcam C920",
        "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_5A1B2C3F-video-index0",
        "/dev/video0",
        "046d:082d",
        "uvcvideo",
        "MJPG, 64x48 pixels",
        "2026-09-21 14:13:20 UTC",
        "good: has light and detail",
        "1 USB device, 1 sound card",
        "1 C920: HD Pro Webcam C920, records",
    ):
        assert text in told, text


def test_what_hosts_say_is_text_wherever_it_stands() -> None:
    host = host_with_c920(name=HOSTILE)
    failed = entries(host, status=1)
    shown = entries(host, *GOOD)
    refused = HostEntry(HOSTILE, HOSTILE, absence=Trouble(HOSTILE, HOSTILE))
    found = page(enter_host(HOSTILE, host, (*failed, *shown)), refused)
    assert found.all("script") == []
    [image] = found.all("img")
    assert image["alt"] == f"{HOSTILE} of {HOSTILE}"
    assert set(image) == {"alt", "height", "src", "width"}
    assert sum(HOSTILE in words for words in found.words) >= 6


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = render_sheet([enter_host("a", host_with_c920(), entries(host_with_c920(), *GOOD))], time=TIME)
    found = Page(text)
    assert not {"script", "link", "iframe", "object", "form", "a"} & {tag for tag, _ in found.tags}
    assert "http:" not in text
    assert "https:" not in text
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    [policy] = [one["content"] for one in found.all("meta") if "http-equiv" in one]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_host_without_a_camera_is_there_with_the_reason() -> None:
    host = replace(BARE, devices=Devices(()))
    found = page(enter_host("server", host), HostEntry("lost", absence=NOT_THERE))
    told = " ".join(found.words)
    assert "No picture: no USB device is of class video." in told
    assert "To do: check the camera's cable and hub" in told
    assert "lost" in told
    assert "No picture: the host gave no answer." in told


def test_marks() -> None:
    host = host_with_c920()
    still = jpeg(scene())
    [frozen] = entries(host, still, still)
    assert (frozen.mark, "is frozen" in frozen.words, bool(frozen.remedy)) == (Mark.BAD, True, True)
    black = jpeg(scene().point([0] * 768))
    [dark] = entries(host, black, black)
    assert (dark.mark, "is black" in dark.words) == (Mark.WARNING, True)
    [good] = entries(host, *GOOD)
    assert (good.mark, good.remedy) == (Mark.GOOD, "")
    [failed] = entries(host, status=124)
    assert (failed.mark, failed.picture) == (Mark.BAD, None)
    assert failed.words == "gave no picture: nothing came in time"
    [unasked] = enter_cameras(host, (Trouble("ffmpeg (pid 8) has it open", "stop it"),), (), otherwise=NOT_THERE)
    assert unasked.words == "gave no picture: ffmpeg (pid 8) has it open"
    [silent] = enter_cameras(host, (Capture("/dev/video0", "v4l2"),), (), otherwise=NOT_THERE)
    assert silent.words == "gave no picture: the host gave no answer"
    [garbage] = entries(host, b"\xff\xd8 not really")
    assert garbage.words.startswith("gave no picture: what came is no whole picture")


@pytest.mark.parametrize("code", ["Z16", "H264", "RG10"])
def test_node_that_is_not_made_for_pictures_is_no_failure(code: str) -> None:
    """A depth camera's, a camera's second node with H264, a sensor's: the run would end with status 1 for ever."""
    host = replace(BARE, cameras=(replace(C920, formats=(CameraFormat(code, ((640, 480),)),)),))
    [entry] = enter_cameras(host, choose_captures(host), (), otherwise=NOT_THERE)
    assert (entry.mark, entry.picture) == (Mark.WARNING, None)
    assert entry.words.startswith("gave no picture: it gives ")


def test_what_does_not_name_its_format_has_the_one_that_was_asked_for() -> None:
    """The image processor of a Jetson gives a JPEG and says nothing."""
    host = host_with_c920()
    shot = Shot("/dev/video0", TIME, 0, data=b"".join(GOOD))
    [entry] = enter_cameras(host, (Capture("/dev/video0", "argus", "JPEG"),), (shot,), otherwise=NOT_THERE)
    assert entry.mark is Mark.GOOD


def test_summary_counts() -> None:
    host = host_with_c920()
    found = page(
        enter_host("a", host, entries(host, *GOOD)),
        enter_host("b", host, entries(host, status=1)),
        HostEntry("c", absence=NOT_THERE),
    )
    assert "3 hosts, 1 picture," in " ".join(found.words)
    assert "1 failed" in found.words


def test_lines_of_the_inventory() -> None:
    assert describe_usb(replace(USB, name="Logitech HD Pro Webcam C920", drivers=("snd-usb-audio", "uvcvideo"))) == (
        "1-2.4: ID 046d:082d Logitech HD Pro Webcam C920, 480 Mbit/s, snd-usb-audio uvcvideo"
    )
    assert describe_usb(UsbDevice("2-1", "8087:0032", "", None, ("e0",), ())) == "2-1: ID 8087:0032"
    card = SoundCard(0, "PCH", "HDA Intel PCH", plays=True, records=True)
    assert describe_sound(card) == "0 PCH: HDA Intel PCH, plays and records"


def test_log_line() -> None:
    host = host_with_c920()
    [good] = entries(host, *GOOD)
    assert describe_entry(good) == f"HD Pro Webcam C920 at {C920.by_id} (MJPG, 64x48) has light and detail"
    [failed] = entries(host, status=124)
    assert describe_entry(failed).splitlines()[1].startswith("  to do: plug it in anew")
