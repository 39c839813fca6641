"""The step that takes pictures, and the page that it writes: for each host at its end, and whole at any time."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pyinfra.api.host import Host
from pyinfra.api.state import State

from deploys.areas import cameras
from deploys.areas.access import Access
from deploys.areas.cameras import enter_planned, open_sheets, photograph
from deploys.areas.session import Session
from deploys.planning.catalogue import load_catalogue
from deploys.planning.plan import refused_plan
from deploys.planning.records import Area, Refusal
from deploys.planning.settings import Settings
from facts.devices import CameraFormat
from facts.model import Host as Facts
from tests.areas.images_host import Connection
from tests.areas.shell import Place
from tests.areas.test_camera_pictures import FRAMES, V4L2, plug_in
from tests.planning.camera_frames import C920, jpeg, scene
from tests.planning.hosts import BARE, NO_DRIVER

STILL = jpeg(scene()) * 2
MJPG = (CameraFormat("MJPG", ((640, 480),)),)


class Data:
    """pyinfra's data of a host."""

    def __init__(self, sheet: object) -> None:
        self.sheet = sheet

    def dict(self) -> dict[str, object]:
        """pyinfra's own."""
        return {"camera_sheet": self.sheet}


class CameraHost:
    """What the code takes for pyinfra's host: its commands run in a shell, below a temporary folder."""

    def __init__(self, place: Place, name: str, sheet: object) -> None:
        self.name, self.data, self.connector = name, Data(sheet), Connection(place)
        self.said: list[str] = []

    def log(self, message: str, log_func: Callable[[str], Any] | None = None) -> None:
        """pyinfra's own."""
        self.said.append(message)


class Run:
    """A run over these hosts, whose cameras are all below one folder."""

    def __init__(self, place: Place, *names: str) -> None:
        self.place, self.sheet = place, place.root / "out" / "cameras.html"
        self.sheet.parent.mkdir()
        self.hosts = {name: CameraHost(place, name, str(self.sheet)) for name in names}
        self.inventory = self.hosts.values()
        self.is_executing = True
        place.stand_in("v4l2-ctl", V4L2)
        open_sheets(cast(State, self))

    def is_host_in_limit(self, _: Host) -> bool:
        """pyinfra's own."""
        return True

    def facts(self, *nodes: str) -> Facts:
        """Those of a host with these cameras."""
        seen = [replace(C920, device=node, name=f"camera {Path(node).name}", formats=MJPG) for node in nodes]
        return replace(BARE, driver=NO_DRIVER, cameras=tuple(seen))

    def take(self, name: str, *nodes: str) -> bool:
        """The step on one host."""
        session = Session(Settings(), Access(root=True), self.facts(*nodes), load_catalogue())
        return photograph(cast(State, self), cast(Host, self.hosts[name]), session)

    @property
    def page(self) -> str:
        """What was written."""
        return self.sheet.read_text()


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run over two hosts, with sheets of its own."""
    monkeypatch.setattr(atexit, "register", lambda *_: None)
    monkeypatch.setattr(cameras, "_sheets", {})
    return Run(place, "a", "b")


def test_each_host_is_put_on_the_page_when_it_ends(run: Run) -> None:
    good, still = plug_in(run.place, "video0", FRAMES), plug_in(run.place, "video2", STILL)
    assert run.take("a", good)
    assert run.page.count("<img") == 1
    assert "the host has given no answer in this run" in run.page  # b's
    assert run.take("b", good, still) is False
    assert run.page.count("<img") == 3
    assert "no answer" not in run.page
    assert run.page.index("<h2>a</h2>") < run.page.index("<h2>b</h2>")
    assert [line.split(" at ")[0] for line in run.hosts["b"].said] == ["camera video0", "camera video2"]
    assert "is frozen" in run.hosts["b"].said[1]


def test_black_picture_is_no_failure(run: Run) -> None:
    black = jpeg(scene().point([0] * 768)) * 2
    assert run.take("a", plug_in(run.place, "video0", black))
    assert "is black" in run.page


def test_one_command_a_host_whatever_the_number_of_cameras(run: Run) -> None:
    nodes = [plug_in(run.place, f"video{number}", FRAMES) for number in range(4)]
    assert run.take("a", *nodes)
    assert len(run.hosts["a"].connector.commands) == 1


@pytest.mark.parametrize("arrives", [True, False])
def test_lost_host_takes_no_others_picture_with_it(run: Run, arrives: bool) -> None:
    node = plug_in(run.place, "video0", FRAMES)
    assert run.take("a", node)
    run.hosts["b"].connector.lost = [not arrives]
    assert run.take("b", node) is False
    assert run.page.count("<img") == 1
    assert "gave no picture: the connection was lost" in run.page


def test_host_that_does_not_answer_in_time(run: Run) -> None:
    def hang() -> None:
        raise TimeoutError

    run.hosts["a"].connector.on_command = hang
    assert run.take("a", plug_in(run.place, "video0", FRAMES)) is False
    assert "the host gave no answer in 100 s" in run.page


def test_page_is_its_owners_and_replaced_in_one_go(run: Run) -> None:
    node = plug_in(run.place, "video0", FRAMES)
    run.sheet.write_text("an older one")
    with run.sheet.open() as older:
        assert run.take("a", node)
        assert older.read() == "an older one"
    assert run.sheet.stat().st_mode & 0o777 == 0o600
    assert os.listdir(run.sheet.parent) == ["cameras.html"]


def test_page_that_cannot_be_written_fails_the_step_in_three_parts(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    node = plug_in(run.place, "video0", FRAMES)
    run.sheet.parent.rmdir()
    with caplog.at_level("ERROR"):
        assert run.take("a", node) is False
    assert "seen: " in caplog.text
    assert "No such file or directory" in caplog.text
    assert "to do: set camera_sheet" in caplog.text


def test_formats_that_are_not_known_are_asked_for_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lists them may have been installed by this very run."""
    node = plug_in(run.place, "video0", FRAMES)
    now = run.facts(node)
    before = replace(now, cameras=(replace(now.cameras[0], formats=None),))
    session = Session(Settings(), Access(root=True), before, load_catalogue())
    monkeypatch.setattr(cameras, "probe", lambda *_: now)
    assert photograph(cast(State, run), cast(Host, run.hosts["a"]), session)
    assert "pixelformat=MJPG" in run.place.calls("v4l2-ctl")[0]


def test_hosts_without_pictures_to_take_are_on_the_page_with_the_reason(run: Run) -> None:
    session = Session(Settings(), Access(root=True), run.facts(), load_catalogue())
    plan = refused_plan(Refusal(Area.HOST, "root rights are needed", "not root", "allow sudo"))
    host = cast(Host, run.hosts["a"])
    assert enter_planned(host, plan, session) is False
    cameras._close_sheets(cast(State, run))
    assert "No picture: root rights are needed" in run.page
    assert enter_planned(host, replace(plan, host=None), session) is False
    cameras._close_sheets(cast(State, run))
    assert "No picture: this machine has no USB" in run.page


def test_dry_run_writes_nothing(run: Run) -> None:
    run.is_executing = False
    cameras._close_sheets(cast(State, run))
    assert not run.sheet.exists()


def test_home_of_an_unknown_user_ends_no_run(run: Run) -> None:
    odd = CameraHost(run.place, "odd", "~nobody-of-this-name/cameras.html")
    path = cameras._path_for(cast(Host, odd))
    assert path == Path("~nobody-of-this-name/cameras.html").absolute()
    own = CameraHost(run.place, "own", "~/x.html")
    assert cameras._path_for(cast(Host, own)) == Path.home() / "x.html"


def test_host_whose_setting_is_no_text_is_on_the_usual_page(run: Run) -> None:
    odd = CameraHost(run.place, "odd", 7)
    assert cameras._path_for(cast(Host, odd)) == Path("cameras.html").absolute()
