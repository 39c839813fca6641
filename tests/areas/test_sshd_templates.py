"""sshd's transaction in a real shell, with a stand-in sshd, and waits that end when the test says so."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.areas.shell import KILLED, Finished, Place, three_parts, wait_until

TEXT = "# ours\nX11Forwarding yes\nPrintMotd no\n"
EXPECTED = ("x11forwarding=yes", "printmotd=no")
NO_SOCKET = '[ "$2" != is-active ]'  # everything is done as asked, and ssh.socket is off
IN_FORCE = 'case "$1" in -T) printf "port 22\\nx11forwarding yes\\nprintmotd no\\n" ;; esac'


@pytest.fixture
def sshd(place: Place) -> Iterator[Place]:
    """A host with an sshd that takes the options."""
    place.stand_in("sshd", IN_FORCE)
    place.stand_in("systemctl", NO_SOCKET)
    place.stand_in("service", "")
    # A wait for confirmation ends when the test says so, and says itself when all is done that follows it.
    place.stand_in("sleep", 'while [ ! -e "$here/after-$1" ]; do /bin/sleep 0.01; done')
    place.stand_in("setsid", 'for seconds; do :; done; "$@"; : >"$here/over-$seconds"')
    state(place).mkdir()
    yield place
    for seconds in (60, 90):
        (place.root / f"after-{seconds}").touch()


def state(place: Place) -> Path:
    """The folder of the change's mark and of the earlier drop-in's copy."""
    return place.path("/var/lib/gpu-hosts/sshd")


def drop_in(place: Place) -> Path:
    """Our drop-in."""
    return place.root / "00-ours.conf"


def put(place: Place, text: str | None) -> None:
    """The drop-in with that text, or none."""
    drop_in(place).unlink(missing_ok=True)
    if text is not None:
        drop_in(place).write_text(text)


def content(place: Place) -> str | None:
    """The drop-in's text, or None where there is none."""
    return drop_in(place).read_text() if drop_in(place).exists() else None


def is_pending(place: Place) -> bool:
    """Whether the change waits for its confirmation."""
    return (state(place) / "pending").exists()


def write(place: Place, token: str = "first", *, seconds: int = 60) -> Finished:
    """Write the drop-in, to be confirmed by a token."""
    return place.run("sshd_x11", arguments=(str(drop_in(place)), "", str(seconds), token, *EXPECTED), payload=TEXT)


def main_file(place: Place) -> Path:
    """sshd's main file."""
    return place.root / "sshd_config"


def write_block(place: Place, text: str = TEXT, *, read: bytes | None = None, token: str = "first") -> Finished:
    """Write our block into the main file, which was ``read`` before; "" for the lines takes the block away."""
    digest = hashlib.sha256(main_file(place).read_bytes() if read is None else read).hexdigest()
    arguments = (str(main_file(place)), digest, "60", token, *(EXPECTED if text else ()))
    return place.run("sshd_x11", arguments=arguments, payload=text)


def confirm(place: Place, token: str = "first") -> Finished:
    """Confirm over a new login."""
    return place.run("sshd_confirm", arguments=(token,))


def end_patience(place: Place, seconds: int = 60) -> None:
    """Let the wait for a confirming login end, and what follows it."""
    (place.root / f"after-{seconds}").touch()
    wait_until((place.root / f"over-{seconds}").exists)


def test_confirmed_change_stays(sshd: Place) -> None:
    assert write(sshd) == Finished(0, "")
    assert is_pending(sshd)
    assert confirm(sshd) == Finished(0, "")
    end_patience(sshd)
    assert drop_in(sshd).read_text() == TEXT
    assert drop_in(sshd).stat().st_mode & 0o777 == 0o644
    assert not is_pending(sshd)


def test_timer_of_a_confirmed_change_leaves_no_trace(sshd: Place) -> None:
    write(sshd)
    confirm(sshd)
    long_ago = (1, 1)
    for path in (state(sshd), *state(sshd).iterdir()):
        os.utime(path, long_ago)
    end_patience(sshd)
    assert {path.name: path.stat().st_mtime for path in state(sshd).iterdir()} == {"lock": 1, "take_back": 1}
    assert state(sshd).stat().st_mtime == 1


@pytest.mark.parametrize("before", [None, "X11Forwarding no\n"])
def test_unconfirmed_change_is_taken_back(sshd: Place, before: str | None) -> None:
    put(sshd, before)
    (state(sshd) / "before").write_text("left by a confirmation that was killed at its end")
    write(sshd)
    assert content(sshd) == TEXT
    end_patience(sshd)
    assert (content(sshd), is_pending(sshd)) == (before, False)
    assert sshd.calls("systemctl")[-1] == "try-reload-or-restart ssh.service"


def test_confirmation_that_comes_too_late_says_so(sshd: Place) -> None:
    write(sshd)
    end_patience(sshd)
    done = confirm(sshd)
    assert done.status == 1
    assert three_parts(done.output)


def test_second_confirmation_says_so_and_changes_nothing(sshd: Place) -> None:
    write(sshd)
    confirm(sshd)
    done = confirm(sshd)
    assert done.status == 1
    assert three_parts(done.output)
    assert content(sshd) == TEXT


def test_confirmation_of_an_earlier_change_does_not_confirm_a_later_one(sshd: Place) -> None:
    write(sshd)
    write(sshd, "second", seconds=90)
    assert confirm(sshd).status == 1
    end_patience(sshd, 90)
    assert (content(sshd), is_pending(sshd)) == (None, False)


@pytest.mark.parametrize("confirmed_first", [True, False])
def test_timer_of_an_earlier_change_leaves_a_later_one(sshd: Place, confirmed_first: bool) -> None:
    write(sshd)
    write(sshd, "second", seconds=90)
    if confirmed_first:
        confirm(sshd, "second")
    end_patience(sshd)
    assert content(sshd) == TEXT
    assert confirmed_first or confirm(sshd, "second") == Finished(0, "")
    end_patience(sshd, 90)
    assert (content(sshd), is_pending(sshd)) == (TEXT, False)


def test_timer_waits_while_another_run_is_at_work(sshd: Place) -> None:
    # The next run settles the first change itself; a timer between its steps would take away that run's mark.
    write(sshd)
    with (state(sshd) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (sshd.root / "after-60").touch()
        write(sshd, "second", seconds=90)
        assert not (sshd.root / "over-60").exists()
    end_patience(sshd)
    assert confirm(sshd, "second") == Finished(0, "")
    assert content(sshd) == TEXT


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


def test_timer_runs_before_sshd_reads_the_file(sshd: Place) -> None:
    killing = 'read -r _ _ _ script _ </proc/$PPID/stat; kill -KILL "$script" "$PPID"'
    sshd.stand_in("systemctl", f"case $* in cat*) ;; *is-active*) exit 3 ;; *) {killing} ;; esac")
    assert write(sshd).status == KILLED
    sshd.stand_in("systemctl", "")
    end_patience(sshd)
    assert (content(sshd), is_pending(sshd)) == (None, False)


def test_an_interrupted_change_is_taken_back_before_the_next(sshd: Place) -> None:
    put(sshd, "X11Forwarding no\n")
    write(sshd)
    drop_in(sshd).write_text("half\n")
    write(sshd, "second")
    assert (state(sshd) / "before").read_text() == "X11Forwarding no\n"
    assert content(sshd) == TEXT


def test_an_interrupted_change_of_another_file_is_taken_back_in_that_file(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    write(sshd)
    assert write_block(sshd, token="second") == Finished(0, "")
    assert content(sshd) is None
    assert main_file(sshd).read_bytes() == BLOCK + OTHERS


def test_run_whose_login_failed_takes_its_own_change_back_at_once(sshd: Place) -> None:
    write(sshd)
    assert sshd.run("sshd_take_back", arguments=("another",)) == Finished(0, "")
    assert content(sshd) == TEXT
    assert sshd.run("sshd_take_back", arguments=("first",)) == Finished(0, "")
    assert (content(sshd), is_pending(sshd)) == (None, False)
    assert sshd.calls("systemctl")[-1] == "try-reload-or-restart ssh.service"


# Somebody's main file: bytes that are no UTF-8, other line ends, a Match block, and no end of the last line.
OTHERS = b"Port 22\r\n# f\xfcr uns\nMatch User bob\n  X11Forwarding no"
BLOCK = b"# BEGIN pyinfra-gpu-hosts\n" + TEXT.encode() + b"# END pyinfra-gpu-hosts\n"


def test_block_goes_to_the_top_and_every_other_byte_stays(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    main_file(sshd).chmod(0o600)
    assert write_block(sshd) == Finished(0, "")
    assert confirm(sshd) == Finished(0, "")
    end_patience(sshd)
    assert main_file(sshd).read_bytes() == BLOCK + OTHERS
    assert main_file(sshd).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("text", "block"), [(TEXT, BLOCK), ("", b"")], ids=["renewed", "taken away"])
@pytest.mark.parametrize("before", [b"", b"# somebody's own\n"])
def test_earlier_block_makes_way(sshd: Place, text: str, block: bytes, before: bytes) -> None:
    old = b"# BEGIN pyinfra-gpu-hosts\nX11Forwarding no\n# END pyinfra-gpu-hosts\n"
    main_file(sshd).write_bytes(before + old + OTHERS)
    assert write_block(sshd, text) == Finished(0, "")
    assert main_file(sshd).read_bytes() == block + before + OTHERS


def test_unconfirmed_block_is_taken_back(sshd: Place) -> None:
    main_file(sshd).write_bytes(OTHERS)
    write_block(sshd)
    end_patience(sshd)
    assert main_file(sshd).read_bytes() == OTHERS
    assert not is_pending(sshd)


def test_main_file_behind_a_link_stays_behind_it(sshd: Place) -> None:
    (sshd.root / "real").write_bytes(OTHERS)
    main_file(sshd).symlink_to("real")
    write_block(sshd)
    assert main_file(sshd).is_symlink()
    assert (sshd.root / "real").read_bytes() == BLOCK + OTHERS


@pytest.mark.parametrize(
    ("now", "read"),
    [
        (OTHERS + b"\n", OTHERS),
        (b"# END pyinfra-gpu-hosts\n" + OTHERS, None),
        (BLOCK + BLOCK + OTHERS, None),
        (b"# BEGIN pyinfra-gpu-hosts\n" + OTHERS, None),
    ],
    ids=["changed since", "no begin", "twice", "no end"],
)
def test_main_file_that_is_not_as_expected_is_left_alone(sshd: Place, now: bytes, read: bytes | None) -> None:
    main_file(sshd).write_bytes(now)
    done = write_block(sshd, read=read)
    assert done.status == 1
    assert three_parts(done.output)
    assert main_file(sshd).read_bytes() == now
    assert not is_pending(sshd)


def test_drop_in_is_taken_away_when_nothing_is_wished(sshd: Place) -> None:
    put(sshd, TEXT)
    assert sshd.run("sshd_x11", arguments=(str(drop_in(sshd)), "", "60", "first"), payload="") == Finished(0, "")
    assert content(sshd) is None
    end_patience(sshd)
    assert content(sshd) == TEXT


@pytest.mark.parametrize(
    ("kill_mode", "status", "last"),
    [("process", 0, "try-restart ssh.service"), ("control-group", 1, "show --property=KillMode ssh.service")],
)
def test_sshd_whose_socket_is_systemds_is_restarted_where_sessions_outlive_that(
    sshd: Place, kill_mode: str, status: int, last: str
) -> None:
    sshd.stand_in("systemctl", f'[ "$1" != show ] || echo KillMode={kill_mode}')
    done = write(sshd)
    assert (done.status, sshd.calls("systemctl")[-1]) == (status, last)
    assert not status or three_parts(done.output)
    assert content(sshd) == (None if status else TEXT)


@pytest.mark.parametrize("name", ["ssh", "sshd"])
def test_service_is_reloaded_without_systemd_under_either_name(sshd: Place, name: str) -> None:
    sshd.stand_in("systemctl", "exit 1")
    sshd.stand_in("service", f"[ $1 = {name} ]")
    assert write(sshd) == Finished(0, "")
    assert sshd.calls("service")[-1] == f"{name} reload"


def test_missing_folder_of_drop_ins_is_an_error(sshd: Place) -> None:
    done = sshd.run("sshd_x11", arguments=(str(sshd.root / "none/00.conf"), "", "60", "t", *EXPECTED), payload=TEXT)
    assert done.status == 1
    assert three_parts(done.output)
    assert not is_pending(sshd)


@pytest.mark.parametrize("to", ["/before", "/take_back", ".new"])
def test_full_disk_leaves_the_earlier_drop_in(sshd: Place, to: str) -> None:
    put(sshd, "X11Forwarding no\n")
    sshd.fill_disk_at(to)
    done = write(sshd)
    assert done.status == 1
    assert three_parts(done.output)
    assert (content(sshd), is_pending(sshd)) == ("X11Forwarding no\n", False)


def test_disk_that_fills_up_before_the_earlier_drop_in_is_back_keeps_mark_and_copy(sshd: Place) -> None:
    put(sshd, "X11Forwarding no\n")
    write(sshd)
    sshd.fill_disk_at(".new")
    end_patience(sshd)
    assert (content(sshd), is_pending(sshd)) == (TEXT, True)
    done = write(sshd, "second", seconds=90)
    assert done.status == 1
    assert three_parts(done.output)
    assert (state(sshd) / "before").read_text() == "X11Forwarding no\n"


def crash(place: Place, step: int) -> bool:
    """Begin from an earlier drop-in and end at the ``step``-th change of the disk. False where there are fewer."""
    put(place, "X11Forwarding no\n")
    for left in state(place).iterdir():
        left.unlink()
    place.stand_in("systemctl", "[ $1 = cat ]")  # the reload fails, so that the change is taken back
    place.kill_at(step)
    is_killed = write(place).status == KILLED
    place.kill_no_more()
    place.stand_in("systemctl", NO_SOCKET)
    return is_killed


def test_wherever_it_is_killed_the_next_run_begins_with_the_earlier_drop_in(sshd: Place) -> None:
    sshd.stand_in("setsid", "")  # without a timer, as after a power failure
    step = 1
    while crash(sshd, step):
        assert content(sshd) in ("X11Forwarding no\n", TEXT), step
        assert write(sshd, "second") == Finished(0, ""), step
        assert (content(sshd), is_pending(sshd)) == (TEXT, True), step
        assert (state(sshd) / "before").read_text() == "X11Forwarding no\n", step
        step += 1
    # The copies; write and rename; the same again to take it back, and the mark and the copy go.
    assert step > 8
