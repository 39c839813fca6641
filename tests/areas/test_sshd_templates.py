"""sshd's transaction in a real shell, with a stand-in sshd, and waits that end when the test says so."""

import fcntl
import os

import pytest

from tests.areas.shell import KILLED, Finished, Place, three_parts, wait_until
from tests.areas.sshd_host import (
    EXPECTED,
    IN_FORCE,
    NO_SOCKET,
    TEXT,
    confirm,
    content,
    drop_in,
    end_patience,
    is_pending,
    put,
    state,
    write,
)


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
    assert sshd.calls("systemctl")[-1] == "reload-or-restart ssh.service"


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
    sshd.stand_in("flock", f': >"$here/at-the-lock"; exec {sshd.tools}/flock "$@"')
    write(sshd)
    with (state(sshd) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (sshd.root / "after-60").touch()
        wait_until((sshd.root / "at-the-lock").exists)
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
            f'if [ "$1" = -t ] && [ -e "$here"/*/00-ours.conf ]; then echo "line 2: bad" >&2; exit 1; fi; {IN_FORCE}',
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


def test_run_whose_login_failed_takes_its_own_change_back_at_once(sshd: Place) -> None:
    write(sshd)
    assert sshd.run("sshd_take_back", arguments=("another",)) == Finished(0, "")
    assert content(sshd) == TEXT
    assert sshd.run("sshd_take_back", arguments=("first",)) == Finished(0, "")
    assert (content(sshd), is_pending(sshd)) == (None, False)
    assert sshd.calls("systemctl")[-1] == "reload-or-restart ssh.service"


def test_drop_in_is_taken_away_when_nothing_is_wished(sshd: Place) -> None:
    put(sshd, TEXT)
    assert sshd.run("sshd_x11", arguments=(str(drop_in(sshd)), "", "60", "first"), payload="") == Finished(0, "")
    assert content(sshd) is None
    end_patience(sshd)
    assert content(sshd) == TEXT


@pytest.mark.parametrize(
    ("kill_mode", "status", "last"),
    [("process", 0, "restart ssh.service"), ("control-group", 1, "show --property=KillMode ssh.service")],
)
def test_sshd_whose_socket_is_systemds_is_restarted_where_sessions_outlive_that(
    sshd: Place, kill_mode: str, status: int, last: str
) -> None:
    sshd.stand_in("systemctl", f'[ "$1" != show ] || echo KillMode={kill_mode}')
    done = write(sshd)
    assert (done.status, sshd.calls("systemctl")[-1]) == (status, last)
    assert not status or three_parts(done.output)
    assert content(sshd) == (None if status else TEXT)


@pytest.mark.parametrize(("was_running", "verb"), [(True, "reload-or-restart"), (False, "try-reload-or-restart")])
def test_sshd_that_ended_when_it_read_ours_runs_again(sshd: Place, was_running: bool, verb: str) -> None:
    """It exits with 255 then, which Debian's ssh.service does not restart, and `try-` starts nothing."""
    runs = sshd.root / "runs"
    runs.touch(exist_ok=True)
    reload = f'if [ -e {drop_in(sshd)} ]; then rm "$here/runs"; else : >"$here/runs"; fi'
    sshd.stand_in(
        "systemctl",
        f"case $* in *is-active*socket) exit 3 ;; *is-active*) {'' if was_running else 'exit 3'} ;; "
        f"try-*) [ ! -e $here/runs ] || {{ {reload}; }} ;; reload-*) {reload} ;; esac",
    )
    sshd.stand_in("service", "exit 1")
    write(sshd)
    assert not runs.exists()
    end_patience(sshd)
    assert runs.exists() is was_running
    assert sshd.calls("systemctl")[-1] == f"{verb} ssh.service"


def test_sshd_whose_files_somebody_broke_meanwhile_is_left_running(sshd: Place) -> None:
    write(sshd)
    asked = sshd.calls("systemctl")
    sshd.stand_in("sshd", "exit 255")
    end_patience(sshd)
    assert (content(sshd), is_pending(sshd)) == (None, False)
    assert sshd.calls("systemctl") == asked


@pytest.mark.parametrize("name", ["ssh", "sshd"])
def test_service_is_reloaded_without_systemd_under_either_name(sshd: Place, name: str) -> None:
    sshd.stand_in("systemctl", "exit 1")
    sshd.stand_in("service", f"[ $1 = {name} ]")
    assert write(sshd) == Finished(0, "")
    assert sshd.calls("service")[-1] == f"{name} reload"


def test_sshd_that_ended_without_systemd_is_started_again(sshd: Place) -> None:
    sshd.stand_in("systemctl", "exit 1")
    sshd.stand_in("service", '[ ! -e "$here/ended" ] || [ "$2" = start ]')
    write(sshd)
    (sshd.root / "ended").touch()
    end_patience(sshd)
    assert sshd.calls("service")[-1] == "ssh start"


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
    done = write(sshd, "second", seconds=90)
    assert done.status == 1
    assert three_parts(done.output)
    assert (content(sshd), is_pending(sshd)) == (TEXT, True)
    assert (state(sshd) / "before").read_text() == "X11Forwarding no\n"


def test_timer_tries_again_while_the_disk_is_full(sshd: Place) -> None:
    put(sshd, "X11Forwarding no\n")
    write(sshd)
    sshd.stand_in("cp", f'[ -e "$here/over-full" ] && exec {sshd.tools}/cp "$@"; : >"$here/over-full"; exit 1')
    end_patience(sshd)
    assert (content(sshd), is_pending(sshd)) == ("X11Forwarding no\n", False)


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
