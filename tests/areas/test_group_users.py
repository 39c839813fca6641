"""The script that makes users members of groups: docker, and those that own the cameras."""

import pytest

from tests.areas.shell import Finished, Place, three_parts

GETENT = (
    'case "$*" in "group docker" | "group video" | "group render" | "passwd alice" | "passwd bob") ;; *) exit 2 ;; esac'
)


@pytest.fixture
def host(place: Place) -> Place:
    """A host with three groups and two users."""
    place.stand_in("getent", GETENT)
    place.stand_in("usermod", "")
    return place


def add(place: Place, *words: str) -> Finished:
    """Make them members."""
    return place.run("group_users", arguments=("camera_users", *words))


def test_each_becomes_a_member_of_each_group_besides_their_own(host: Place) -> None:
    assert add(host, "alice=video", "alice=render", "bob=docker") == Finished(0, "")
    assert host.calls("usermod") == ["-aG video alice", "-aG render alice", "-aG docker bob"]


def test_unknown_users_are_named_once_and_not_made_and_the_others_are_done(host: Place) -> None:
    done = add(host, "eve=video", "eve=render", "alice=video", "mallory=video")
    assert done.status == 1
    assert three_parts(done.output)
    assert "unknown here: eve mallory\n" in done.output
    assert "correct camera_users" in done.output
    assert host.calls("usermod") == ["-aG video alice"]


def test_why_usermod_fails_is_said(host: Place) -> None:
    host.stand_in("usermod", 'echo "usermod: cannot lock /etc/group; try again later." >&2; exit 10')
    done = add(host, "alice=video")
    assert done.status == 1
    assert three_parts(done.output)
    assert "alice of video (usermod: cannot lock /etc/group" in done.output


def test_without_the_group_nobody_is_touched(host: Place) -> None:
    done = add(host, "alice=plugdev")
    assert done.status == 1
    assert three_parts(done.output)
    assert "alice of plugdev (there is no such group)" in done.output
    assert host.calls("usermod") == []
