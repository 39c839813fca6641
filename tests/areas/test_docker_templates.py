"""daemon.json's transaction and the pulls, in a real shell with a stand-in Docker."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.planning.daemon import digest, merge_runtime
from tests.areas.shell import KILLED, Finished, Place, start_daemon, three_parts

THEIRS = '{\n  "log-driver": "local",\n  "proxies": {"http-proxy": "http://user:secret@proxy.lab:3128"}\n}\n'
OURS = merge_runtime(THEIRS)
EDITED = '{"debug": true}\n'
TAKEN = 'case $1 in info) echo "nvidia runc " ;; events) echo "daemon reload" ;; esac'
# A Docker that acknowledges a reload and does not know the runtime all the same.
NOT_KNOWN = 'case $1 in info) echo "runc " ;; events) echo "daemon reload" ;; esac'
# A Docker that does not take a file with the runtime in it: it gives no event, and is content with the old file.
REJECTED = (
    'case $1 in info) echo "nvidia runc " ;; '
    'events) grep -q nvidia "$here/etc/docker/daemon.json" || echo "daemon reload" ;; esac'
)


@pytest.fixture
def daemon() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes SIGHUP like a daemon does."""
    process = start_daemon()
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def docker(place: Place, daemon: subprocess.Popen[bytes]) -> Place:
    """A host whose Docker runs, acknowledges a reload and knows the nvidia runtime then."""
    place.stand_in("systemctl", f'case "$*" in *MainPID*) echo {daemon.pid} ;; esac')
    place.stand_in("docker", TAKEN)
    place.stand_in("dockerd", "")
    place.stand_in("nvidia-container-runtime", "")
    place.stand_in("sleep", "")  # the patience of a negative answer is not what is tested
    file(place).write_text(THEIRS)
    state(place).mkdir()
    return place


def swap(place: Place, found: str | None = THEIRS, new: str = OURS) -> Finished:
    """Swap daemon.json for one that was merged from ``found``."""
    return place.run("daemon_json", arguments=(digest(found), "nvidia"), payload=new)


def file(place: Place) -> Path:
    """daemon.json."""
    return place.path("/etc/docker/daemon.json")


def state(place: Place) -> Path:
    """The folder of the transaction's mark and copy."""
    return place.path("/var/lib/gpu-hosts/daemon-json")


def text(place: Place) -> str:
    """daemon.json as it is."""
    return file(place).read_text()


def is_pending(place: Place) -> bool:
    """Whether a transaction's mark stands."""
    return (state(place) / "pending").exists()


def interrupt(place: Place) -> None:
    """The host as a power failure leaves it between the swap and Docker's word."""
    (state(place) / "before").write_text(THEIRS)
    (state(place) / "pending").write_text(f"was={digest(THEIRS)}\nnew={digest(OURS)}\n")
    file(place).write_text(OURS)


def test_accepted_change_is_committed_with_a_backup(docker: Place) -> None:
    file(docker).chmod(0o600)
    done = swap(docker)
    assert (done.status, done.output) == (0, "")
    assert text(docker) == OURS
    assert file(docker).stat().st_mode & 0o777 == 0o600
    assert docker.path("/etc/docker/daemon.json.gpu-hosts.bak").read_text() == THEIRS
    assert not is_pending(docker)
    assert not docker.path("/etc/docker/daemon.json.gpu-hosts.new").exists()


def test_new_text_is_nobody_elses_to_read_on_its_way(docker: Place) -> None:
    docker.stand_in("chown", 'stat -c %a "$2" >"$here/mode"')
    assert swap(docker).status == 0
    assert (docker.root / "mode").read_text() == "600\n"


def test_symlink_to_a_managed_file_stays_one(docker: Place) -> None:
    managed = docker.root / "managed.json"
    file(docker).rename(managed)
    file(docker).symlink_to(managed)
    assert swap(docker) == Finished(0, "")
    assert file(docker).readlink() == managed
    assert managed.read_text() == OURS
    docker.stand_in("docker", NOT_KNOWN)
    managed.write_text(THEIRS)
    assert swap(docker).status == 1
    assert (file(docker).is_symlink(), managed.read_text()) == (True, THEIRS)


def test_first_file_is_readable_by_all_like_dockers_own(docker: Place) -> None:
    file(docker).unlink()
    (state(docker) / "before").write_text("left by a run that was killed at its end")
    assert swap(docker, None, merge_runtime(None)).status == 0
    assert file(docker).stat().st_mode & 0o777 == 0o644


def test_file_that_changed_since_it_was_read_is_left_alone(docker: Place) -> None:
    file(docker).write_text("{}")
    done = swap(docker)
    assert done.status == 1
    assert three_parts(done.output)
    assert text(docker) == "{}"


def test_file_that_the_daemon_calls_invalid_is_not_put_in_place(docker: Place) -> None:
    docker.stand_in("dockerd", 'case "$*" in --help) echo "  --validate" ;; *) echo "unknown key: x"; exit 1 ;; esac')
    done = swap(docker)
    assert done.status == 1
    assert three_parts(done.output)
    assert "unknown key: x" in done.output
    assert (text(docker), is_pending(docker)) == (THEIRS, False)


@pytest.mark.parametrize(
    "answers",
    [REJECTED, NOT_KNOWN],
    ids=["no acknowledgement", "runtime not known"],
)
def test_change_that_does_not_work_is_taken_back(docker: Place, answers: str) -> None:
    docker.stand_in("docker", answers)
    done = swap(docker)
    assert done.status == 1
    assert three_parts(done.output.strip())
    assert (text(docker), is_pending(docker)) == (THEIRS, False)
    assert not [call for call in docker.calls("systemctl") if "restart" in call or call.startswith("start")]


def test_first_file_that_does_not_work_is_taken_away(docker: Place) -> None:
    file(docker).unlink()
    docker.stand_in("docker", NOT_KNOWN)
    assert swap(docker, None).status == 1
    assert not file(docker).exists()


@pytest.mark.parametrize("when", ["info", "events"])
def test_edit_made_while_docker_is_asked_is_not_lost(docker: Place, when: str) -> None:
    docker.stand_in("docker", f"[ $1 != {when} ] || mv $here/edited $here/etc/docker/daemon.json; echo runc")
    (docker.root / "edited").write_text(EDITED)
    done = swap(docker)
    assert done.status == 1
    assert three_parts(done.output)
    assert (text(docker), is_pending(docker)) == (EDITED, False)


@pytest.mark.parametrize("found", [OURS, EDITED], ids=["as it was left", "edited since"])
def test_interrupted_change_is_settled_first(docker: Place, found: str) -> None:
    interrupt(docker)
    file(docker).write_text(found)
    done = swap(docker, found)
    assert done.status == 1
    assert three_parts(done.output)
    assert text(docker) == (THEIRS if found == OURS else EDITED)
    assert list(state(docker).iterdir()) == []


def test_mark_alone_changes_nothing(docker: Place) -> None:
    # The power went before the mark was on the disk, and so before the file was touched; or just before the mark went.
    (state(docker) / "pending").touch()
    assert swap(docker).status == 1
    assert (text(docker), is_pending(docker)) == (THEIRS, False)


def test_copy_that_is_not_the_old_file_is_not_put_back(docker: Place) -> None:
    interrupt(docker)
    (state(docker) / "before").write_text("{")
    done = swap(docker, OURS)
    assert done.status == 1
    assert three_parts(done.output)
    assert (text(docker), is_pending(docker)) == (OURS, True)


@pytest.mark.parametrize("to", ["/before", ".bak", ".new"])
def test_full_disk_leaves_everything_as_it_was(docker: Place, to: str) -> None:
    docker.fill_disk_at(to)
    done = swap(docker)
    assert done.status == 1
    assert three_parts(done.output)
    assert "cannot be written" in done.output
    assert (text(docker), is_pending(docker)) == (THEIRS, False)
    assert not docker.path("/etc/docker/daemon.json.gpu-hosts.new").exists()


def test_mark_that_is_not_on_the_disk_for_sure_stops_the_change(docker: Place) -> None:
    docker.stand_in("sync", "case $1 in */pending) exit 1 ;; esac")
    done = swap(docker)
    assert done.status == 1
    assert "cannot be written" in done.output
    assert (text(docker), is_pending(docker)) == (THEIRS, False)


def test_disk_that_fills_up_before_the_old_file_is_back_keeps_mark_and_copy(docker: Place) -> None:
    interrupt(docker)
    docker.fill_disk_at(".new")
    done = swap(docker, OURS)
    assert done.status == 1
    assert three_parts(done.output)
    assert text(docker) == OURS
    (docker.bin / "cp").unlink()
    swap(docker, OURS)
    assert (text(docker), is_pending(docker)) == (THEIRS, False)


def test_daemon_that_does_not_come_up_again_does_not_keep_the_mark(docker: Place) -> None:
    interrupt(docker)
    docker.stand_in("systemctl", "exit 1")
    assert "settled" in swap(docker, OURS).output
    assert (text(docker), is_pending(docker)) == (THEIRS, False)


def crash(place: Place, step: int) -> bool:
    """Begin from the old file and end at the ``step``-th change of the disk. False where there are fewer."""
    file(place).write_text(THEIRS)
    for left in state(place).iterdir():
        left.unlink()
    place.stand_in("docker", NOT_KNOWN)
    place.kill_at(step)
    is_killed = swap(place).status == KILLED
    place.kill_no_more()
    place.stand_in("docker", TAKEN)
    return is_killed


def test_wherever_it_is_killed_the_next_run_ends_with_the_old_file_or_the_new(docker: Place) -> None:
    step = 1
    while crash(docker, step):
        was_pending = is_pending(docker)
        assert text(docker) in ((THEIRS, OURS) if was_pending else (THEIRS,)), step
        done = swap(docker, text(docker))
        assert done.status == (1 if was_pending else 0), step
        assert (text(docker), is_pending(docker)) == (THEIRS if was_pending else OURS, False), step
        step += 1
    # Copy and backup, swap, put back, and the mark and the copy go.
    assert step > 10


def test_pulled_by_digest_and_tagged_even_where_the_tag_was_another_image(place: Place) -> None:
    place.stand_in("docker", "")
    assert place.run("images_pull", arguments=("python@sha256:1", "python:3", "tools:1", "")) == Finished(0, "")
    calls = [call for call in place.calls("docker") if call.split()[0] in ("pull", "tag")]
    assert calls == ["pull --quiet python@sha256:1", "tag python@sha256:1 python:3", "pull --quiet tools:1"]


def test_one_image_that_cannot_be_pulled_does_not_hold_up_the_next(place: Place) -> None:
    place.stand_in("docker", 'case "$*" in *gone*) echo "manifest unknown" >&2; exit 1 ;; esac')
    done = place.run("images_pull", arguments=("gone:1", "", "tools:1", ""))
    assert done.status == 1
    assert three_parts(done.output)
    assert "manifest unknown" in done.output
    assert any(call == "pull --quiet tools:1" for call in place.calls("docker"))
