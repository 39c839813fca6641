"""The script that makes users members of the group docker."""

import pytest

from tests.areas.shell import Finished, Place, three_parts

GETENT = 'case "$*" in "group docker" | "passwd alice" | "passwd bob") ;; *) exit 2 ;; esac'


@pytest.fixture
def host(place: Place) -> Place:
    """A host with a group docker and two users."""
    place.stand_in("getent", GETENT)
    place.stand_in("usermod", "")
    return place


def add(place: Place, *users: str) -> Finished:
    """Make them members."""
    return place.run("docker_users", arguments=users)


def test_each_becomes_a_member_of_that_group_besides_their_own(host: Place) -> None:
    assert add(host, "alice", "bob") == Finished(0, "")
    assert host.calls("usermod") == ["-aG docker alice", "-aG docker bob"]


def test_unknown_users_are_named_and_not_made_and_the_others_are_done(host: Place) -> None:
    done = add(host, "eve", "alice", "mallory")
    assert done.status == 1
    assert three_parts(done.output)
    assert "unknown here: eve mallory\n" in done.output
    assert host.calls("usermod") == ["-aG docker alice"]


def test_why_usermod_fails_is_said(host: Place) -> None:
    host.stand_in("usermod", 'echo "usermod: cannot lock /etc/group; try again later." >&2; exit 10')
    done = add(host, "alice")
    assert done.status == 1
    assert three_parts(done.output)
    assert "alice (usermod: cannot lock /etc/group" in done.output


def test_without_the_group_nobody_is_touched(host: Place) -> None:
    host.stand_in("getent", "exit 2")
    done = add(host, "alice")
    assert done.status == 1
    assert three_parts(done.output)
    assert host.calls("usermod") == []
