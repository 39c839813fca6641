"""sshd's transaction in a real shell, with a stand-in sshd, and a wait that ends when the test says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.areas.shell import Finished, Place, three_parts, wait_until

TEXT = "# ours\nX11Forwarding yes\nPrintMotd no\n"
EXPECTED = ("x11forwarding=yes", "printmotd=no")
IN_FORCE = 'case "$1" in -T) printf "port 22\\nx11forwarding yes\\nprintmotd no\\n" ;; esac'


@pytest.fixture
def sshd(place: Place) -> Iterator[Place]:
    """A host with an sshd that takes the options."""
    place.stand_in("sshd", IN_FORCE)
    place.stand_in("systemctl", "")
    place.stand_in("service", "")
    place.stand_in("sleep", 'while [ ! -e "$here/patience-ends" ]; do /bin/sleep 0.01; done; echo over >>"$here/waits"')
    place.path("/var/lib/gpu-hosts/sshd").mkdir()
    yield place
    (place.root / "patience-ends").touch()


def drop_in(place: Place) -> Path:
    """Our drop-in."""
    return place.root / "00-ours.conf"


def is_pending(place: Place) -> bool:
    """Whether the change waits for its confirmation."""
    return place.path("/var/lib/gpu-hosts/sshd/pending").exists()


def write(place: Place) -> Finished:
    """Write the drop-in."""
    return place.run("sshd_x11", arguments=(str(drop_in(place)), "60", *EXPECTED), payload=TEXT)


def end_patience(place: Place) -> None:
    """Let the wait for the confirming login end."""
    (place.root / "patience-ends").touch()
    wait_until((place.root / "waits").exists)


def test_confirmed_change_stays(sshd: Place) -> None:
    assert write(sshd) == Finished(0, "")
    assert is_pending(sshd)
    assert sshd.run("sshd_confirm") == Finished(0, "")
    end_patience(sshd)
    assert drop_in(sshd).read_text() == TEXT
    assert drop_in(sshd).stat().st_mode & 0o777 == 0o644
    assert not is_pending(sshd)


def test_unconfirmed_change_is_taken_back(sshd: Place) -> None:
    write(sshd)
    end_patience(sshd)
    wait_until(lambda: not is_pending(sshd))
    assert not drop_in(sshd).exists()


def test_unconfirmed_change_of_an_earlier_drop_in_brings_that_one_back(sshd: Place) -> None:
    drop_in(sshd).write_text("X11Forwarding no\n")
    write(sshd)
    assert drop_in(sshd).read_text() == TEXT
    end_patience(sshd)
    wait_until(lambda: not is_pending(sshd))
    assert drop_in(sshd).read_text() == "X11Forwarding no\n"


def test_confirmation_that_comes_too_late_says_so(sshd: Place) -> None:
    write(sshd)
    end_patience(sshd)
    wait_until(lambda: not is_pending(sshd))
    done = sshd.run("sshd_confirm")
    assert done.status == 1
    assert three_parts(done.output)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ('[ "$1" != -t ] || { echo "no hostkeys available" >&2; exit 1; }', "no hostkeys available"),
        (
            f'if [ "$1" = -t ] && [ -e "$here/00-ours.conf" ]; then echo "line 2: bad" >&2; exit 1; fi; {IN_FORCE}',
            "line 2: bad",
        ),
        (IN_FORCE.replace("printmotd no", "printmotd yes"), "printmotd"),
    ],
    ids=["broken before", "broken by ours", "another file wins"],
)
def test_what_sshd_does_not_take_is_taken_back_at_once(sshd: Place, answers: str, says: str) -> None:
    sshd.stand_in("sshd", answers)
    done = write(sshd)
    assert done.status == 1
    assert three_parts(done.output)
    assert says in done.output
    assert not drop_in(sshd).exists()
    assert not is_pending(sshd)


def test_an_interrupted_change_is_taken_back_before_the_next(sshd: Place) -> None:
    drop_in(sshd).write_text("half\n")
    sshd.path("/var/lib/gpu-hosts/sshd/before").write_text("X11Forwarding no\n")
    sshd.path("/var/lib/gpu-hosts/sshd/pending").touch()
    write(sshd)
    assert sshd.path("/var/lib/gpu-hosts/sshd/before").read_text() == "X11Forwarding no\n"
    assert drop_in(sshd).read_text() == TEXT
