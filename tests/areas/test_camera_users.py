"""The script that makes users members of the groups that own the cameras."""

import pytest

from tests.areas.shell import Finished, Place, three_parts


@pytest.fixture
def host(place: Place) -> Place:
    """A host with two users."""
    place.stand_in("getent", 'case "$*" in "passwd alice" | "passwd bob") ;; *) exit 2 ;; esac')
    place.stand_in("usermod", "")
    return place


def add(place: Place, *words: str) -> Finished:
    """Make them members."""
    return place.run("camera_users", arguments=words)


def test_each_becomes_a_member_of_each_group_besides_their_own(host: Place) -> None:
    assert add(host, "alice=video", "alice=render", "bob=video") == Finished(0, "")
    assert host.calls("usermod") == ["-aG video alice", "-aG render alice", "-aG video bob"]


def test_unknown_users_are_named_once_and_the_others_are_done(host: Place) -> None:
    done = add(host, "eve=video", "eve=render", "alice=video")
    assert done.status == 1
    assert three_parts(done.output)
    assert "unknown here: eve\n" in done.output
    assert host.calls("usermod") == ["-aG video alice"]


def test_why_usermod_fails_is_said(host: Place) -> None:
    host.stand_in("usermod", 'echo "usermod: cannot lock /etc/group; try again later." >&2; exit 10')
    done = add(host, "alice=video")
    assert done.status == 1
    assert three_parts(done.output)
    assert "alice of video (usermod: cannot lock /etc/group" in done.output
