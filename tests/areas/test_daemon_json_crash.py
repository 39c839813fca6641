"""What a crash, a full disk or a kill in the middle of daemon.json's transaction leaves, and the run after it."""

from dataclasses import replace

import pytest

from deploys.planning.records import DaemonPlan
from tests.areas.daemon_host import (
    BRIDGE,
    BRIDGED,
    EDITED,
    FAILING,
    LEDGER,
    LOCAL,
    OLD_LEDGER,
    OURS,
    REGISTER,
    ROTATE,
    THEIRS,
    DaemonHost,
    digest,
    is_as_before,
    refused,
)
from tests.areas.shell import KILLED, Finished, start_daemon


def interrupt(host: DaemonHost, plan: DaemonPlan = REGISTER, was: str = THEIRS) -> None:
    """The host as a power failure leaves it between the swap and Docker's word."""
    host.backup.write_text(was)
    (host.state / "ledger.new").write_text(plan.ledger)
    lines = {"was": digest(was), "new": digest(plan.text or ""), "bridge": digest(plan.bridge or "")}
    lines["ledger"] = digest(plan.ledger)
    (host.state / "pending").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    host.file.write_text(plan.text or "")


@pytest.mark.parametrize("read", [THEIRS, OURS], ids=["the file as it was", "the file as it was left"])
def test_interrupted_change_is_settled_and_made_in_one_run(host: DaemonHost, read: str) -> None:
    interrupt(host)
    # Who has read our own text as the file takes it for somebody else's: the ledger is the interrupted change's.
    ledger = LEDGER if read == THEIRS else OLD_LEDGER
    assert host.change(replace(REGISTER, found=digest(read), ledger=ledger)) == Finished(0, "")
    assert (host.text, host.ledger.read_text(), host.is_settled) == (OURS, LEDGER, True)
    assert host.backup.read_text() == THEIRS


def test_interrupted_change_is_settled_before_another_is_made(host: DaemonHost) -> None:
    interrupt(host)
    assert host.change(ROTATE) == Finished(0, "")
    assert (host.text, host.backup.read_text()) == (LOCAL, THEIRS)


def test_interrupted_change_is_taken_back_where_the_plan_was_made_from_it(host: DaemonHost) -> None:
    interrupt(host)
    done = host.change(replace(ROTATE, found=digest(OURS)))
    assert refused(done, "an earlier change of daemon.json had not finished; it was settled")
    assert is_as_before(host)


def test_file_that_somebody_edited_after_the_crash_is_what_is_changed(host: DaemonHost) -> None:
    interrupt(host)
    host.file.write_text(EDITED)
    assert host.change(replace(REGISTER, found=digest(EDITED))) == Finished(0, "")
    assert (host.text, host.backup.read_text(), host.is_settled) == (OURS, EDITED, True)


def test_change_that_was_at_its_end_is_not_taken_back(host: DaemonHost) -> None:
    interrupt(host)
    (host.state / "ledger.new").rename(host.ledger)
    assert host.change(replace(REGISTER, found=digest(OURS))) == Finished(0, "")
    assert (host.text, host.ledger.read_text(), host.is_settled) == (OURS, LEDGER, True)


def test_mark_alone_changes_nothing(host: DaemonHost) -> None:
    # The power went before the mark was on the disk, and so before the file was touched; or just before the mark went.
    (host.state / "pending").touch()
    assert host.change(REGISTER) == Finished(0, "")
    assert (host.text, host.is_settled) == (OURS, True)


def test_daemon_that_died_in_an_interrupted_change_is_started_with_the_old_file(host: DaemonHost) -> None:
    interrupt(host, FAILING)
    (host.place.root / "up").write_text("no\n")
    assert host.change(REGISTER) == Finished(0, "")
    assert (host.text, host.starts) == (OURS, 1)


def test_containers_that_outlived_a_bridged_daemon_outlive_the_settling(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    interrupt(host, replace(FAILING, bridge=BRIDGE))
    (host.state / "bridge").write_text(BRIDGE)
    (host.place.root / "up").write_text("no\n")
    assert host.change(REGISTER) == Finished(0, "")
    assert (host.text, host.containers) == (OURS, {"job": 4711})


def test_daemon_that_does_not_come_up_again_does_not_keep_the_mark(host: DaemonHost) -> None:
    interrupt(host)
    (host.place.root / "up").write_text("no\n")
    host.place.stand_in("systemctl", "exit 1")
    assert refused(host.change(REGISTER), "docker daemon: not done, because Docker does not answer")
    assert (host.text, (host.state / "pending").exists()) == (THEIRS, False)


def test_backup_that_is_not_the_old_file_is_not_put_back(host: DaemonHost) -> None:
    interrupt(host)
    host.backup.write_text("{")
    assert refused(host.change(REGISTER), "daemon.json is ours still, and the old one cannot be put back")
    assert (host.text, (host.state / "pending").exists()) == (OURS, True)


@pytest.mark.parametrize("to", [".bak", ".new", "/bridge"])
def test_full_disk_leaves_everything_as_it_was(host: DaemonHost, to: str) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    host.place.fill_disk_at(to)
    done = host.change(BRIDGED)
    assert refused(done, "daemon.json cannot be written, so it was left alone")
    assert is_as_before(host)
    assert host.containers == {"job": 4711}


def test_disk_that_fills_up_between_bridge_and_new_file(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    host.place.stand_in(
        "cp", f'case "$1" in */new) echo "No space left on device" >&2; exit 1 ;; esac; {host.place.tools}/cp "$@"'
    )
    assert refused(host.change(BRIDGED), "daemon.json cannot be written, so it was left alone")
    assert is_as_before(host)


def test_disk_that_is_full_does_not_keep_the_old_file_from_coming_back(host: DaemonHost) -> None:
    interrupt(host)
    host.place.fill_disk_at("")
    assert refused(
        host.change(replace(ROTATE, found=digest(OURS))), "an earlier change of daemon.json had not finished"
    )
    assert is_as_before(host)


def test_mark_that_is_not_on_the_disk_for_sure_stops_the_change(host: DaemonHost) -> None:
    host.place.stand_in("sync", "case $1 in */pending) exit 1 ;; esac")
    assert refused(host.change(REGISTER), "daemon.json cannot be written, so it was left alone")
    assert is_as_before(host)


def test_daemon_that_is_killed_and_comes_back_with_the_new_file_has_taken_it(host: DaemonHost) -> None:
    with start_daemon() as next_one:
        model = (host.place.bin / "docker").read_text()
        again = f'sed -i "s/echo [0-9][0-9]*;/echo {next_one.pid};/" "$here/bin/systemctl"'
        killed = f"  events) dockerd-model start; {again}; exit 0 ;;"
        (host.place.bin / "docker").write_text(
            "\n".join(killed if line.startswith("  events)") else line for line in model.split("\n"))
        )
        assert host.change(REGISTER) == Finished(0, "")
        next_one.kill()
    assert (host.text, host.is_settled, host.starts) == (OURS, True, 0)


def crash(host: DaemonHost, plan: DaemonPlan, step: int) -> bool:
    """Begin from the old file and a running container, end before the ``step``-th change of the disk, if any."""
    host.begin(THEIRS, containers={"job": 4711})
    host.backup.unlink(missing_ok=True)
    host.place.kill_at(step)
    is_killed = host.change(plan).status == KILLED
    host.place.kill_no_more()
    return is_killed


@pytest.mark.parametrize(
    ("begun", "again", "step"),
    # A failing start is another one only from the swap on.
    [(REGISTER, REGISTER, 1), (BRIDGED, BRIDGED, 1), (replace(FAILING, bridge=BRIDGE), BRIDGED, 13)],
    ids=["reload", "bridge", "failing start"],
)
def test_wherever_it_is_killed_one_more_run_makes_it_right(
    host: DaemonHost, begun: DaemonPlan, again: DaemonPlan, step: int
) -> None:
    while crash(host, begun, step):
        assert host.text in (THEIRS, begun.text, begun.bridge), step
        # Another change is planned from the old file, the same one from what was found.
        found = digest(host.text if begun is again else THEIRS)
        assert host.change(replace(again, found=found)) == Finished(0, ""), step
        assert (host.text, host.ledger.read_text(), host.is_settled) == (again.text, LEDGER, True), step
        assert (host.is_up, host.containers) == (True, {"job": 4711}), step
        step += 1
    assert step > 10


def test_ledger_goes_with_the_change_that_empties_it(host: DaemonHost) -> None:
    """Killed while it is taken away: ours without a ledger, or theirs with the old one."""
    host.ledger.write_text(OLD_LEDGER)
    kill = f'*/ledger | */ledger\\ *) {host.place.tools}/rm -f "$2"; kill -KILL 0 ;;'
    host.place.stand_in("rm", f'case $* in {kill} esac\nexec {host.place.tools}/rm "$@"')
    plan = replace(REGISTER, ledger="")
    assert host.change(plan).status == KILLED
    (host.place.bin / "rm").unlink()
    assert host.change(replace(plan, found=digest(host.text))) == Finished(0, "")
    assert (host.text, host.ledger.exists(), host.is_settled) == (OURS, False, True)
