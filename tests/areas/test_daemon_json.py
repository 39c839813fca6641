"""daemon.json's transaction, in a real shell with a small Docker that takes the file up or does not."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.areas.daemon_host import (
    BRIDGE,
    BRIDGED,
    EDITED,
    FAILING,
    LEDGER,
    LOCAL,
    NVIDIA,
    OLD_LEDGER,
    OURS,
    REGISTER,
    ROTATE,
    THEIRS,
    DaemonHost,
    digest,
    is_as_before,
    refused,
    text_of,
)
from tests.areas.shell import Finished, Place, three_parts


def test_reload_is_committed_with_backup_and_ledger(host: DaemonHost) -> None:
    host.file.chmod(0o600)
    assert host.change(REGISTER) == Finished(0, "")
    assert (host.text, host.is_settled, host.starts) == (OURS, True, 0)
    assert "runtime=nvidia" in host.in_force
    assert host.file.stat().st_mode & 0o777 == 0o600
    assert host.backup.read_text() == THEIRS
    assert host.ledger.read_text() == LEDGER
    assert host.ledger.stat().st_mode & 0o777 == 0o600


def test_nothing_secret_is_in_a_process_list_or_for_others_to_read(host: DaemonHost) -> None:
    for name in ("chown", "chmod"):
        host.place.stand_in(name, f'{host.place.tools / name} "$@"; stat -c %a "$2" >>"$here/modes"')
    assert host.change(BRIDGED).status == 0
    assert set((host.place.root / "modes").read_text().split()) == {"600"}
    assert "Wj7vQ" not in (host.place.root / "calls").read_text()


def test_empty_ledger_takes_the_old_one_away(host: DaemonHost) -> None:
    host.ledger.write_text(OLD_LEDGER)
    assert host.change(replace(REGISTER, ledger="")).status == 0
    assert not host.ledger.exists()


def test_symlink_to_a_managed_file_stays_one(host: DaemonHost) -> None:
    managed = host.place.root / "managed.json"
    host.file.rename(managed)
    host.file.symlink_to(managed)
    assert host.change(REGISTER) == Finished(0, "")
    assert (host.file.readlink(), managed.read_text()) == (managed, OURS)
    managed.write_text(THEIRS)
    assert host.change(replace(REGISTER, text=text_of({"unknown": True}))).status == 1
    assert (host.file.readlink(), managed.read_text()) == (managed, THEIRS)


def test_first_file_is_readable_by_all_like_dockers_own(host: DaemonHost) -> None:
    host.file.unlink()
    assert host.change(replace(REGISTER, text=text_of({"runtimes": NVIDIA}), found="absent")).status == 0
    assert host.file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("proxy", ["http://user:Wj7vQ@proxy.lab:3128", "user:Wj7vQ@proxy.lab:3128"])
@pytest.mark.parametrize("is_there", [True, False])
def test_file_with_a_proxys_password_is_roots_alone(host: DaemonHost, is_there: bool, proxy: str) -> None:
    if not is_there:
        host.file.unlink()
    plan = replace(REGISTER, text=text_of({"proxies": {"http-proxy": proxy}, "runtimes": NVIDIA}))
    assert host.change(plan if is_there else replace(plan, found="absent")).status == 0
    assert host.file.stat().st_mode & 0o777 == 0o600


def test_first_file_that_does_not_work_is_taken_away(host: DaemonHost) -> None:
    host.file.unlink()
    assert host.change(replace(REGISTER, found="absent", expected=("runtime=kata",))).status == 1
    assert not host.file.exists()
    assert host.is_settled


def test_file_that_changed_since_it_was_read_is_left_alone(host: DaemonHost) -> None:
    host.file.write_text(EDITED)
    assert refused(host.change(REGISTER), "daemon.json has changed since it was read")
    assert is_as_before(host, EDITED)


def test_file_that_the_daemon_calls_invalid_is_not_put_in_place(host: DaemonHost) -> None:
    host.place.stand_in(
        "dockerd", 'case "$*" in --help) echo "  --validate" ;; *) echo "unknown key: x"; exit 1 ;; esac'
    )
    done = host.change(REGISTER)
    assert refused(done, "dockerd does not accept the new daemon.json; the old one stays")
    assert "unknown key: x" in done.output
    assert is_as_before(host)


def test_runtime_without_its_command_is_not_registered(host: DaemonHost) -> None:
    assert refused(host.change(replace(REGISTER, executables=("/opt/kata/bin/kata",))), "/opt/kata/bin/kata is not")
    assert is_as_before(host)


def test_reload_without_acknowledgement_is_taken_back(host: DaemonHost) -> None:
    host.place.stand_in(
        "journalctl",
        "echo one; echo 'msg=\"unable to configure the Docker daemon with file x: not: unknown\"'; echo two",
    )
    done = host.change(replace(REGISTER, text=text_of({"unknown": True, "runtimes": NVIDIA})))
    assert refused(done, "Docker did not take the new daemon.json; the old one is back and Docker runs\n")
    assert "not: unknown" in done.output
    assert "two" not in done.output
    assert is_as_before(host)
    assert ("runtime=nvidia" in host.in_force, host.starts) == (False, 0)


@pytest.mark.parametrize("expected", ["default-runtime=nvidia", "!runtime=nvidia"])
def test_reload_that_does_not_bring_what_is_expected_says_what_remains(host: DaemonHost, expected: str) -> None:
    done = host.change(replace(REGISTER, expected=(expected,)))
    assert refused(done, "Docker did not take the new daemon.json; the old one is back and Docker runs\n")
    assert f"not in force: {expected}" in done.output
    # What the old file does not mention stays as the daemon has it: a reload deletes nothing.
    assert "in force until Docker is started again: runtime=nvidia" in done.output
    assert is_as_before(host)
    assert host.starts == 0


@pytest.mark.parametrize("when", ["info", "events"])
def test_edit_made_while_docker_is_asked_is_not_lost(host: DaemonHost, when: str) -> None:
    host.place.stand_in("docker", f"[ $1 != {when} ] || mv $here/edited $here/etc/docker/daemon.json; echo server=1")
    (host.place.root / "edited").write_text(EDITED)
    assert three_parts(host.change(REGISTER).output)
    assert host.text == EDITED
    assert host.is_settled


def test_address_pools_are_asked_for_only_where_they_are_expected(host: DaemonHost) -> None:
    # Docker 19.03 does not know the field.
    host.change(REGISTER)
    assert "DefaultAddressPools" not in (host.place.root / "calls").read_text()
    host.begin(THEIRS)
    host.change(replace(REGISTER, expected=("address-pool=172.30.0.0/16 24",)))
    assert "DefaultAddressPools" in (host.place.root / "calls").read_text()


# Restart.


def test_restart_while_no_container_runs(host: DaemonHost) -> None:
    assert host.change(BRIDGED) == Finished(0, "")
    assert (host.text, host.starts, host.is_settled) == (LOCAL, 1, True)
    assert "log-driver=local" in host.in_force
    changing = [call for call in host.place.calls("systemctl") if not call.startswith(("show", "is-active"))]
    assert changing == ["reset-failed docker.service docker.socket", "restart docker.service"]


def test_restart_that_would_stop_containers_is_refused(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711, "web": 4712})
    done = host.change(ROTATE)
    assert refused(done, "Docker would have to be restarted for the new daemon.json, which stops containers")
    assert "running: job web" in done.output
    assert is_as_before(host)
    assert (host.containers, host.starts, host.backup.exists()) == ({"job": 4711, "web": 4712}, 0, False)


def test_restart_that_may_stop_containers(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    assert host.change(replace(ROTATE, stops_containers=True)) == Finished(0, "")
    assert (host.text, host.containers) == (LOCAL, {})


def test_restart_with_live_restore_in_force_keeps_containers(host: DaemonHost) -> None:
    host.begin(BRIDGE, containers={"job": 4711})
    assert host.change(replace(ROTATE, found=digest(BRIDGE))) == Finished(0, "")
    assert (host.text, host.containers, host.starts) == (LOCAL, {"job": 4711}, 1)


def test_live_restore_that_the_new_file_does_not_have_does_not_keep_containers(host: DaemonHost) -> None:
    host.begin(BRIDGE, containers={"job": 4711})
    without = replace(ROTATE, text=text_of({"log-driver": "local"}), found=digest(BRIDGE), bridge=BRIDGE)
    assert refused(host.change(without), "Docker would have to be restarted for the new daemon.json, which stops")
    assert is_as_before(host, BRIDGE)


@pytest.mark.parametrize("bridge", [None, BRIDGE])
def test_live_restore_that_is_in_force_but_not_in_the_file_needs_the_bridge(
    host: DaemonHost, bridge: str | None
) -> None:
    # As it is after a bridge was taken back: a reload deletes nothing.
    host.begin(BRIDGE, containers={"job": 4711})
    host.file.write_text(THEIRS)
    done = host.change(replace(ROTATE, bridge=bridge))
    assert (done.status, host.containers, host.starts) == ((0, {"job": 4711}, 1) if bridge else (1, {"job": 4711}, 0))


def test_live_restore_as_a_flag_of_the_daemon_keeps_containers(host: DaemonHost, place: Place) -> None:
    (place.root / "live-restore-flag").touch()
    host.begin(THEIRS, containers={"job": 4711})
    place.stand_in("tr", f'[ "$1" != "\\0" ] || {{ echo "dockerd --live-restore "; exit; }}; {place.tools}/tr "$@"')
    assert host.change(replace(REGISTER, for_gpus=True)) == Finished(0, "")
    assert (host.text, host.starts, host.containers) == (OURS, 1, {"job": 4711})


def test_bridge_keeps_containers_over_the_restart(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    assert host.change(BRIDGED) == Finished(0, "")
    assert (host.text, host.containers, host.starts) == (LOCAL, {"job": 4711}, 1)
    assert (host.backup.read_text(), host.is_settled) == (THEIRS, True)


def test_bridge_that_does_not_switch_live_restore_on_is_taken_back(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    done = host.change(replace(BRIDGED, bridge=text_of({"debug": True})))
    assert refused(done, "Docker did not take the new daemon.json")
    assert "not in force: live-restore=true" in done.output
    assert is_as_before(host)
    assert (host.containers, host.starts) == ({"job": 4711}, 0)


def test_container_that_does_not_outlive_live_restore_is_told(host: DaemonHost) -> None:
    host.begin(BRIDGE, containers={"job": 4711, "web": 4712})
    model = (host.place.bin / "systemctl").read_text()
    another = 'case $1 in restart) sed -i s/4712/5712/ "$here/containers" ;; esac'
    (host.place.bin / "systemctl").write_text(f"{model}\n{another}\n")
    done = host.change(replace(ROTATE, found=digest(BRIDGE)))
    assert refused(done, "Docker runs with the new daemon.json, but containers did not outlive its restart")
    assert "not in the process of before: web" in done.output
    assert (host.text, host.is_settled, host.ledger.read_text()) == (LOCAL, True, LEDGER)


def test_failing_start_is_taken_back_by_another_start(host: DaemonHost) -> None:
    host.place.stand_in("journalctl", "echo 'failed to start daemon: it is fatal'; echo 'Scheduled restart job'")
    done = host.change(FAILING)
    assert refused(done, "Docker did not take the new daemon.json; the old one is back and Docker runs\n")
    assert "seen: failed to start daemon: it is fatal" in done.output
    assert is_as_before(host)
    assert host.starts == 2


def test_failing_start_behind_a_bridge_keeps_containers(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    done = host.change(replace(FAILING, bridge=BRIDGE))
    assert refused(done, "Docker did not take the new daemon.json; the old one is back and Docker runs\n")
    assert "in force until Docker is started again: live-restore=true" in done.output
    assert is_as_before(host)
    assert (host.containers, host.starts) == ({"job": 4711}, 2)


def test_start_without_what_is_expected_is_taken_back_with_live_restore_on(host: DaemonHost) -> None:
    # The new file switches live-restore off, the old one has it on: it has to be on again before the second start.
    host.begin(BRIDGE)
    host.place.stand_in("docker", (host.place.bin / "docker").read_text().replace("ps)", 'ps) echo x >>"$here/asked";'))
    done = host.change(replace(ROTATE, text=text_of({"live-restore": False}), found=digest(BRIDGE)))
    assert refused(done, "Docker did not take the new daemon.json; the old one is back and Docker runs\n")
    assert is_as_before(host, BRIDGE)
    calls = [call.split()[0] for call in host.place.calls("docker")]
    assert "events" in calls
    assert "live-restore=true" in host.in_force


def test_daemon_that_starts_with_neither_file_is_told(host: DaemonHost) -> None:
    neither = text_of({"fatal": False})
    host.file.write_text(neither)
    done = host.change(replace(FAILING, found=digest(neither)))
    assert refused(
        done, "Docker does not run: it did not take the new daemon.json; the old one is back, and it does not"
    )
    assert (host.text, host.is_up, host.is_settled) == (neither, False, True)


@pytest.mark.parametrize(
    ("text", "bridge", "containers", "starts"),
    [
        (THEIRS, None, {}, 1),
        (THEIRS, None, {"job": 4711}, 0),
        (BRIDGE, None, {"job": 4711}, 1),
        (THEIRS, BRIDGE, {"job": 4711}, 1),
    ],
    ids=["no container", "a container", "live-restore", "bridge"],
)
def test_for_gpus_a_reload_becomes_a_restart_where_it_stops_nothing(
    host: DaemonHost, text: str, bridge: str | None, containers: dict[str, int], starts: int
) -> None:
    host.begin(text, containers=containers)
    new = text_of({"runtimes": NVIDIA, "live-restore": True})
    plan = replace(REGISTER, text=new, found=digest(text), bridge=bridge, for_gpus=True)
    assert host.change(plan) == Finished(0, "")
    assert (host.text, host.starts, host.containers) == (new, starts, containers)


LATE = 'case $1 in */pending) echo "id-late /late 4712" >"$here/containers" ;; esac'


def test_container_that_starts_while_the_disk_is_written_is_not_stopped(host: DaemonHost) -> None:
    host.place.stand_in("sync", LATE)
    done = host.change(ROTATE)
    assert refused(done, "Docker would have to be restarted for the new daemon.json, which stops containers")
    assert "running: late" in done.output
    assert is_as_before(host)
    assert (host.containers, host.starts) == ({"late": 4712}, 0)


def test_container_that_starts_meanwhile_makes_a_restart_for_gpus_a_reload(host: DaemonHost) -> None:
    host.place.stand_in("sync", LATE)
    assert host.change(replace(REGISTER, for_gpus=True)) == Finished(0, "")
    assert (host.text, host.containers, host.starts) == (OURS, {"late": 4712}, 0)


def test_restart_is_refused_where_docker_does_not_say_again_what_runs(host: DaemonHost) -> None:
    host.place.stand_in("sync", 'case $1 in */pending) mv "$here/containers" "$here/gone" ;; esac')
    done = host.change(ROTATE)
    assert refused(done, "Docker would have to be restarted for the new daemon.json, which stops containers")
    assert "seen: docker ps fails" in done.output
    assert is_as_before(host)
    assert host.starts == 0


def test_edit_made_while_the_bridge_is_taken_up_is_not_lost(host: DaemonHost) -> None:
    host.begin(THEIRS, containers={"job": 4711})
    (host.place.root / "edited").write_text(EDITED)
    model = (host.place.bin / "docker").read_text()
    edit = '[ "$1" != events ] || [ ! -e "$here/edited" ] || mv "$here/edited" "$here/etc/docker/daemon.json"'
    host.place.stand_in("docker", model.replace("; exit 0 ;;", " ;;") + edit)
    assert refused(host.change(BRIDGED), "daemon.json has changed since it was read")
    assert (host.text, host.starts, host.containers, host.is_settled) == (EDITED, 0, {"job": 4711}, True)


@pytest.fixture
def without_systemd(host: DaemonHost) -> Iterator[DaemonHost]:
    """The host with a dockerd of its own, known by its pid file."""
    shutil.copy("/bin/sleep", host.place.root / "dockerd")
    with subprocess.Popen(["nohup", str(host.place.root / "dockerd"), "60"]) as dockerd:
        (host.place.bin / "systemctl").unlink()
        host.place.path("/run/docker.pid").write_text(f"{dockerd.pid}\n")
        yield host
        dockerd.kill()


def test_without_systemd_a_reload_works(without_systemd: DaemonHost) -> None:
    assert without_systemd.change(replace(REGISTER, for_gpus=True)) == Finished(0, "")
    assert without_systemd.text == OURS


def test_without_systemd_a_restart_is_refused(without_systemd: DaemonHost) -> None:
    assert refused(without_systemd.change(ROTATE), "Docker would have to be restarted for the new daemon.json; the old")
    assert is_as_before(without_systemd)


def test_daemon_that_does_not_answer_after_its_start_is_not_waited_for_without_end(host: DaemonHost) -> None:
    # Each question takes half a minute, as it does where the daemon accepts it and says nothing.
    start = (host.place.bin / "systemctl").read_text()
    host.place.stand_in("systemctl", f'{start}\n[ "$1" != restart ] || : >"$here/hung"')
    docker = (host.place.bin / "docker").read_text()
    host.place.stand_in("docker", f'if [ "$1" = info ] && [ -e "$here/hung" ]; then exit 1; fi\n{docker}')
    tick = 'printf x >>"$here/clock"; read -r ticks <"$here/clock"; echo $((1700000000 + 30 * ${#ticks}))'
    host.place.stand_in("date", f'case $* in +%s) {tick} ;; *) {host.place.tools}/date "$@" ;; esac')
    assert refused(host.change(ROTATE), "Docker does not run: it did not take the new daemon.json")
    assert len([call for call in host.place.calls("docker") if call.startswith("info")]) < 20
