"""The transaction around daemon.json with a real Docker 20.10: committed or taken back, whatever is killed in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.planning.records import Action, DaemonPlan
from tests.e2e.daemon_change import (
    FAILING,
    FOLDER,
    PENDING,
    TAKEN_BACK,
    change,
    changing,
    daemon,
    digest,
    in_force,
    is_settled,
    kill_daemon_in_the_middle,
    let_docker_answer,
    refused,
    slow_docker_down,
    text_of,
    wait_for_the_middle,
)
from tests.e2e.fleet import DAEMON_JSON
from tests.e2e.harness import Controller, Machine, data_of, machine
from tests.e2e.snapshot import keep_me_pid

TOOLKIT = "deploys/container_toolkit.py"
KEYS: dict[str, object] = {"log-driver": "json-file", "labels": ["site=lab-2"]}
RUNTIMES: dict[str, object] = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}}
LIVE: dict[str, object] = {"live-restore": True}
SITE, BRIDGE, OURS = text_of(KEYS), text_of(KEYS | LIVE), text_of(KEYS | RUNTIMES)
LOCAL = text_of(KEYS | LIVE | {"log-driver": "local"})
# A key that a newer Docker may know. The daemon that runs has started without it, and will not take it.
NEWER = text_of(KEYS | RUNTIMES | {"key-of-a-newer-docker": True})
REGISTER = DaemonPlan(OURS, digest(SITE), Action.RELOAD, expected=("runtime=nvidia",), ledger="{}")
RESTART = DaemonPlan(LOCAL, digest(SITE), Action.RESTART, bridge=BRIDGE, expected=("log-driver=local",), ledger="{}")
# The same where the file has live-restore already.
KEPT = replace(RESTART, found=digest(BRIDGE), bridge=None)


@pytest.fixture
def wsl(provisioned: Machine) -> Iterator[Machine]:
    """The host as before the runtime was registered, in the file and in the daemon, with the toolkit there.

    live-restore may be in force: a reload that takes it back does not switch it off.
    """
    asked = "/usr/bin/docker info --format '{{.LoggingDriver}} {{.Runtimes.nvidia}}'"
    was = provisioned.read(DAEMON_JSON), provisioned.sh(f"rm -rf {DAEMON_JSON}.gpu-hosts.bak {FOLDER}; {asked}")
    if was != (SITE, "json-file <no value>"):
        provisioned.write(DAEMON_JSON, SITE)
        provisioned.sh("docker kill keep-me; systemctl reset-failed docker docker.socket; systemctl restart docker")
    provisioned.wait_for("docker ps --quiet --filter name=keep-me | grep -q .", "the administrator's container")
    yield provisioned
    provisioned.sh("rm -f /usr/local/bin/docker /run/docker-asked; touch /run/docker-answers")


def is_as_before(machine: Machine, text: str = SITE) -> bool:
    """Whether the file is the old one, byte for byte, nothing is left of the transaction, and the daemon answers."""
    assert machine.read(DAEMON_JSON) == text
    assert is_settled(machine)
    return in_force(machine, "{{.LoggingDriver}} {{.Labels}}") == "json-file [site=lab-2]"


def test_runtime_is_registered_without_restart(wsl: Machine, controller: Controller) -> None:
    """The daemon's process and the container's are the ones from before."""
    before = keep_me_pid(wsl), daemon(wsl)
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert run.status == 0, run.text
    assert (keep_me_pid(wsl), daemon(wsl)) == before
    assert "nvidia" in in_force(wsl, "{{.Runtimes}}")
    assert wsl.read(f"{DAEMON_JSON}.gpu-hosts.bak") == SITE
    assert is_settled(wsl)


def test_restart_with_a_bridge_keeps_the_container(wsl: Machine) -> None:
    """live-restore is switched on by a reload first. Daemon and log driver are new ones, the container is the old."""
    before, process = keep_me_pid(wsl), daemon(wsl)
    said = change(wsl, RESTART)
    assert (said.status, said.text) == (0, "")
    assert keep_me_pid(wsl) == before
    assert daemon(wsl) != process
    assert in_force(wsl, "{{.LoggingDriver}} {{.LiveRestoreEnabled}}") == "local true"
    assert wsl.read(DAEMON_JSON) == LOCAL
    # Now that the file has it, a restart needs no bridge.
    back = replace(RESTART, text=BRIDGE, found=digest(LOCAL), bridge=None, expected=("log-driver=json-file",))
    said = change(wsl, back)
    assert (said.status, said.text) == (0, "")
    assert keep_me_pid(wsl) == before
    assert in_force(wsl, "{{.LoggingDriver}}") == "json-file"


def test_restart_that_would_stop_the_container_changes_nothing(wsl: Machine) -> None:
    """It is refused by name."""
    before = keep_me_pid(wsl), daemon(wsl)
    said = change(wsl, replace(RESTART, bridge=None))
    assert said.status == 1
    assert "seen: running: keep-me" in said.text
    assert (keep_me_pid(wsl), daemon(wsl)) == before
    assert is_as_before(wsl)
    assert not wsl.does(f"[ -e {DAEMON_JSON}.gpu-hosts.bak ]")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        *FAILING,
        # 20.10 starts with it; what was expected of it is not in force.
        ({"runtimes": {"nvidia": {}}, "log-driver": "local"}, "not in force: log-driver=json-file"),
    ],
)
def test_file_with_which_the_daemon_does_not_start_is_taken_back(
    wsl: Machine, keys: dict[str, object], reason: str
) -> None:
    """The container does not notice."""
    plan = replace(RESTART, text=text_of(KEYS | LIVE | keys), expected=("log-driver=json-file",))
    said = refused(wsl, plan)
    assert said.startswith(TAKEN_BACK), said
    assert reason in said


@pytest.mark.parametrize("terminal", [False, True])
def test_client_killed_in_the_middle(wsl: Machine, terminal: bool) -> None:
    """The host commits by itself, and the same change again finds it right."""
    slow_docker_down(wsl)
    before = keep_me_pid(wsl)
    with changing(wsl, REGISTER, terminal=terminal):
        wait_for_the_middle(wsl, OURS)
    let_docker_answer(wsl)
    assert is_settled(wsl)
    assert change(wsl, replace(REGISTER, found=digest(OURS))).status == 0
    assert (wsl.read(DAEMON_JSON), keep_me_pid(wsl)) == (OURS, before)
    assert "nvidia" in in_force(wsl, "{{.Runtimes}}")


def test_client_killed_before_the_daemon_refuses(wsl: Machine) -> None:
    """The host takes the file back by itself."""
    slow_docker_down(wsl)
    before = keep_me_pid(wsl), daemon(wsl)
    with changing(wsl, replace(REGISTER, text=NEWER), terminal=True):
        wait_for_the_middle(wsl, NEWER)
    let_docker_answer(wsl)
    assert (keep_me_pid(wsl), daemon(wsl)) == before
    assert is_as_before(wsl)


def test_client_killed_in_the_middle_of_a_restart(wsl: Machine) -> None:
    """The same, with the container kept."""
    slow_docker_down(wsl, "info")
    before = keep_me_pid(wsl)
    with changing(wsl, RESTART):
        wait_for_the_middle(wsl, BRIDGE)
    let_docker_answer(wsl)
    assert (wsl.read(DAEMON_JSON), keep_me_pid(wsl)) == (LOCAL, before)
    assert in_force(wsl, "{{.LoggingDriver}}") == "local"


def test_pyinfra_killed_in_the_middle(wsl: Machine, controller: Controller) -> None:
    """The host ends the transaction, and a run after it finds nothing to do there."""
    slow_docker_down(wsl)
    before = keep_me_pid(wsl)
    with controller.start(data_of(wsl), TOOLKIT, "-y"):
        wsl.wait_for("[ -e /run/docker-asked ]", "the question whether the daemon has reloaded")
    let_docker_answer(wsl)
    assert "nvidia" in in_force(wsl, "{{.Runtimes}}")
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert (run.status, run.operations) == (0, []), run.text
    assert keep_me_pid(wsl) == before


@pytest.mark.parametrize("plan", [REGISTER, KEPT], ids=["reload", "restart"])
def test_daemon_killed_in_the_middle(wsl: Machine, plan: DaemonPlan) -> None:
    """systemd starts it again, and it reads the new file then."""
    if plan is KEPT:
        wsl.write(DAEMON_JSON, BRIDGE)
        wsl.sh("systemctl reload docker")
        wsl.wait_for("docker info --format '{{.LiveRestoreEnabled}}' | grep true", "live-restore")
    before, is_kept = keep_me_pid(wsl), in_force(wsl, "{{.LiveRestoreEnabled}}") == "true"
    kill_daemon_in_the_middle(wsl, plan)
    # Without live-restore, Docker does not let containers outlive a daemon that was killed.
    assert (keep_me_pid(wsl) == before) is is_kept


@pytest.mark.parametrize("plan", [REGISTER, RESTART], ids=["reload", "restart"])
def test_script_killed_in_the_middle_is_made_right_by_the_next_run(wsl: Machine, plan: DaemonPlan) -> None:
    """One run, whatever file it was planned from; the container goes on."""
    slow_docker_down(wsl, "events" if plan is REGISTER else "info")
    before = keep_me_pid(wsl)
    left = OURS if plan is REGISTER else BRIDGE
    with changing(wsl, plan):
        wait_for_the_middle(wsl, left)
        wsl.sh(f"kill -KILL $(pgrep -f '^sh {FOLDER}')")
    wsl.sh("touch /run/docker-answers")
    assert (wsl.read(DAEMON_JSON), wsl.does(f"[ -e {PENDING} ]")) == (left, True)
    said = change(wsl, replace(plan, found=digest(left)))
    assert (said.status, said.text) == (0, "")
    assert (wsl.read(DAEMON_JSON), is_settled(wsl), keep_me_pid(wsl)) == (plan.text, True, before)


def test_crash_is_settled_in_one_run_of_pyinfra(wsl: Machine, controller: Controller) -> None:
    """A host that lost power between swap and outcome."""
    wsl.write(f"{DAEMON_JSON}.gpu-hosts.bak", SITE)
    wsl.write(DAEMON_JSON, OURS)
    wsl.sh(f"mkdir -p {FOLDER}; echo '{{}}' >{FOLDER}/ledger.new")
    wsl.write(PENDING, f"was={digest(SITE)}\nnew={digest(OURS)}\nbridge=\nledger={digest('{}')}\n")
    run = controller.run(data_of(wsl), TOOLKIT, "-y")
    assert run.status == 0, run.text
    assert "nvidia" in in_force(wsl, "{{.Runtimes}}")
    assert wsl.read(f"{DAEMON_JSON}.gpu-hosts.bak") == SITE
    assert is_settled(wsl)


@pytest.fixture
def small_disk(wsl: Machine) -> Iterator[Machine]:
    """The host with /etc/docker on a disk of 64 KiB, and a command that fills it."""
    wsl.sh("mkdir /run/etc-docker; cp -a /etc/docker/. /run/etc-docker; mount -t tmpfs -o size=64k site /etc/docker")
    wsl.sh("cp -a /run/etc-docker/. /etc/docker")
    yield wsl
    wsl.sh("umount /etc/docker; rm -r /run/etc-docker")


FILL = "cat /dev/zero >/etc/docker/full 2>/dev/null; ! echo full >/etc/docker/more"


def test_full_disk(small_disk: Machine) -> None:
    """Before the change, nothing is changed; in its middle, the old file comes back all the same."""
    small_disk.sh(FILL)
    said = change(small_disk, REGISTER)
    assert (said.status, is_as_before(small_disk)) == (1, True)
    assert "daemon.json cannot be written, so it was left alone" in said.text
    small_disk.sh("rm /etc/docker/full /etc/docker/more")
    slow_docker_down(small_disk)
    with changing(small_disk, replace(REGISTER, expected=("runtime=absent",))) as client:
        wait_for_the_middle(small_disk, OURS)
        small_disk.sh(FILL)
        let_docker_answer(small_disk)
        assert client.wait(60) == 1
    assert is_as_before(small_disk)


DEPLOY = """
from deploys.areas.access import Access
from deploys.areas.docker import change_daemon_json
from tests.e2e.test_daemon_json import REGISTER
change_daemon_json(name="Change daemon.json", plan=REGISTER, access=Access(root=False))
"""


def test_beside_a_host_that_takes_longer_than_any_timer(wsl: Machine, controller: Controller, tmp_path: Path) -> None:
    """pyinfra waits for the slowest host after each operation. The other's change has ended long before."""
    deploy = tmp_path / "deploy.py"
    deploy.write_text(DEPLOY)
    with machine("wsl", "t-slow") as slow:
        slow.write(DAEMON_JSON, SITE)
        slow_docker_down(slow)
        before = keep_me_pid(wsl), keep_me_pid(slow)
        with controller.start(data_of(wsl, slow), str(deploy), "-y") as process:
            wait_for_the_middle(slow, OURS)
            asked = time.monotonic()
            wsl.wait_for(f"[ -e {FOLDER}/ledger ]", "the change of the other host")
            assert is_settled(wsl)
            time.sleep(max(0.0, asked + 20 - time.monotonic()))  # longer than a reload is waited for
            let_docker_answer(slow)
            run = controller.finish(process)
        assert run.status == 0, run.text
        for one in (wsl, slow):
            assert (one.read(DAEMON_JSON), is_settled(one)) == (OURS, True)
            assert "nvidia" in in_force(one, "{{.Runtimes}}")
        assert (keep_me_pid(wsl), keep_me_pid(slow)) == before


def test_session_that_ends_in_the_middle_with_all_its_processes(wsl: Machine) -> None:
    """With KillUserProcesses=yes, logind stops the scope of a session at its end. The host commits by itself."""
    slow_docker_down(wsl)
    with changing(wsl, REGISTER, scope="session-gpu") as client:
        wait_for_the_middle(wsl, OURS)
        wsl.sh("systemctl stop session-gpu.scope")
        client.wait(60)
    let_docker_answer(wsl)
    assert (wsl.read(DAEMON_JSON), is_settled(wsl)) == (OURS, True)
