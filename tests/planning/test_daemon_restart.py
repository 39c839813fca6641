"""daemon.json and what is at work: restarts, containers, NVIDIA's hook, the runtime and the data root in use."""

import json
from dataclasses import replace
from typing import Literal

import pytest

from deploys.planning.records import Action, DockerPlan, ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import Attempt, Container, Docker, Host
from tests.planning.daemon_files import ASKED, on, plan, refusal, said
from tests.planning.hosts import BARE, DAEMON_JSON, DOCKER, JETSON, READY

TRAINING = Container("1f2e", "training", "cuda", "nvidia", running=True)
STOPPED = Container("3d4c", "old", "cuda", "nvidia", running=False)
INSTALLS = ToolkitPlan(packages=("nvidia-container-toolkit",))
ABSENT = ToolkitPlan(absent=True)


# Restarts.


def test_a_restart_with_running_containers_is_refused_with_their_names() -> None:
    text = refusal(plan(on(replace(ASKED, containers=(TRAINING, STOPPED))), Settings(docker_log_driver="local")))
    for part in ("log-driver", "training", "docker_live_restore = True", 'docker_restart = "when-needed"'):
        assert part in text
    assert "old" not in text


def test_live_restore_is_no_cure_for_another_data_root() -> None:
    host = on(replace(ASKED, containers=(TRAINING,)))
    assert "docker_live_restore" not in refusal(plan(host, Settings(docker_daemon_json={"bip": "172.18.0.1/16"})))


def test_when_needed_containers_are_stopped() -> None:
    found = plan(
        on(replace(ASKED, containers=(TRAINING,))), Settings(docker_log_driver="local", docker_restart="when-needed")
    )
    assert (found.action, found.stops_containers) == (Action.RESTART, True)
    assert "stops training" in said(found)


@pytest.mark.parametrize("restart", ["when-idle", "when-needed"])
def test_live_restore_is_switched_on_before_the_restart(restart: Literal["when-idle", "when-needed"]) -> None:
    host = on(replace(ASKED, containers=(TRAINING,)))
    found = plan(host, Settings(docker_log_driver="local", docker_live_restore=True, docker_restart=restart))
    assert (found.action, found.stops_containers) == (Action.RESTART, False)
    assert found.bridge
    assert json.loads(found.bridge) == json.loads(DAEMON_JSON) | {"live-restore": True}


@pytest.mark.parametrize(
    ("text", "flags", "in_force"),
    [
        (json.dumps(json.loads(DAEMON_JSON) | {"live-restore": True}), "-H fd://", "live-restore=true"),
        (DAEMON_JSON, "-H fd:// --live-restore", "live-restore=true"),
    ],
)
def test_with_live_restore_on_nothing_is_bridged(text: str, flags: str, in_force: str) -> None:
    host = on(replace(ASKED, containers=(TRAINING,), daemon_json=text, daemon_flags=flags, in_force=(in_force,)))
    found = plan(host, Settings(docker_log_driver="local"))
    assert (found.action, found.bridge, found.refusal) == (Action.RESTART, None, None)
    assert "live-restore keeps training running" in said(found)


def test_live_restore_that_only_the_daemon_has_is_written_down_first() -> None:
    # If the new file turns out bad, the old one is what Docker starts with again.
    docker = replace(ASKED, containers=(TRAINING,), in_force=("live-restore=true",))
    found = plan(on(docker), Settings(docker_log_driver="local", docker_live_restore=True))
    assert (found.action, bool(found.bridge)) == (Action.RESTART, True)


def test_a_docker_that_systemd_does_not_run_is_not_restarted() -> None:
    host = replace(on(ASKED), init="init")
    assert "PID 1 is init" in refusal(plan(host, Settings(docker_log_driver="local")))
    found = plan(replace(unseen(), init="init"))
    assert found.text is None
    assert "PID 1 is init" in said(found)


def test_in_a_swarm_live_restore_is_no_way() -> None:
    docker = replace(ASKED, containers=(TRAINING,), swarm=True)
    assert "docker_live_restore" not in refusal(plan(on(docker), Settings(docker_log_driver="local")))


def test_live_restore_that_is_switched_off_keeps_nothing() -> None:
    host = on(replace(ASKED, containers=(TRAINING,), in_force=("live-restore=true",)))
    assert "training" in refusal(plan(host, Settings(docker_log_driver="local", docker_live_restore=False)))


def test_never_is_never() -> None:
    assert "never" in refusal(plan(on(ASKED), Settings(docker_log_driver="local", docker_restart="never")))
    assert plan(on(ASKED), Settings(docker_live_restore=True, docker_restart="never")).action is Action.RELOAD


def test_a_docker_that_this_run_installs_may_start_once_more() -> None:
    found = plan(
        BARE, Settings(docker_log_driver="local", docker_restart="never"), docker=DockerPlan(packages=("docker-ce",))
    )
    assert found.action is Action.RESTART


# What `--gpus` needs.


def unseen(docker: Docker = ASKED) -> Host:
    """The ready server whose toolkit is younger than its daemon."""
    host = on(replace(docker, started=1000))
    return replace(host, toolkit=replace(host.toolkit, hook_since=2000), proof=None)


def test_a_new_hook_needs_a_restart_where_nothing_runs() -> None:
    for found in (plan(unseen()), plan(on(ASKED), toolkit=INSTALLS)):
        assert (found.text, found.action, found.for_gpus) == (DAEMON_JSON, Action.RELOAD, True)
    assert plan(on(replace(ASKED, daemon_json=None, runtimes=())), toolkit=INSTALLS).for_gpus


def test_a_new_hook_waits_for_running_containers_and_says_so() -> None:
    found = plan(unseen(replace(ASKED, containers=(TRAINING,))))
    assert (found.text, found.action) == (None, Action.NONE)
    assert "works after the next restart" in said(found)
    assert 'docker_restart = "when-needed"' in said(found)


def test_a_new_hook_comes_with_a_restart_that_is_allowed_or_harms_nothing() -> None:
    stops = plan(unseen(replace(ASKED, containers=(TRAINING,))), Settings(docker_restart="when-needed"))
    assert (stops.action, stops.stops_containers) == (Action.RESTART, True)
    live = json.dumps(json.loads(DAEMON_JSON) | {"live-restore": True})
    keeps = plan(unseen(replace(ASKED, containers=(TRAINING,), daemon_json=live, in_force=("live-restore=true",))))
    assert (keeps.action, keeps.for_gpus, keeps.stops_containers, keeps.bridge) == (Action.RELOAD, True, False, None)
    assert "live-restore keeps training running" in said(keeps)
    switched_on = plan(unseen(replace(ASKED, containers=(TRAINING,))), Settings(docker_live_restore=True))
    assert (switched_on.action, switched_on.for_gpus, bool(switched_on.bridge)) == (Action.RELOAD, True, True)


def test_a_seen_hook_needs_nothing() -> None:
    host = unseen()
    assert plan(replace(host, toolkit=replace(host.toolkit, hook_since=500))).text is None
    never = plan(unseen(), Settings(docker_restart="never"))
    assert (never.text, never.for_gpus) == (None, False)
    assert "next restart" in said(never)


def test_a_hook_that_an_update_changes_is_not_looked_for_again_where_gpus_have_worked() -> None:
    """dockerd keeps the hook's path from its start on: moby daemon/nvidia_linux.go."""
    seen = replace(unseen(replace(ASKED, containers=(TRAINING,))), proof=READY.proof)
    assert seen.proof
    wish = Settings(docker_restart="when-needed")
    before = replace(seen, toolkit=replace(seen.toolkit, hook_since=500))
    assert plan(before, wish, toolkit=INSTALLS).action is Action.NONE
    for time, result, is_restarted in ((1500, "ok", False), (900, "ok", True), (1500, "docker run: no", True)):
        proof = replace(seen.proof, time=time, others=(Attempt("--gpus all", result, ""),))
        assert (plan(replace(seen, proof=proof), wish).action is Action.RESTART) is is_restarted


def test_with_a_mistake_in_the_file_docker_is_not_restarted() -> None:
    text = json.dumps(json.loads(DAEMON_JSON) | {"default-runtime": "gone"})
    found = plan(unseen(replace(ASKED, daemon_json=text)))
    assert found.text is None
    assert "default-runtime" in said(found)


@pytest.mark.parametrize(("mode", "for_gpus"), [(None, False), ("auto", False), ("csv", False), ("cdi", True)])
def test_csv_mode_does_without_the_hook(mode: str | None, for_gpus: bool) -> None:
    host = replace(JETSON, docker=DOCKER, toolkit=replace(READY.toolkit, mode=mode))
    assert plan(host, toolkit=INSTALLS).for_gpus is for_gpus


# Without the toolkit.


def test_an_absent_toolkit_takes_the_runtime_out_whoever_wrote_it() -> None:
    text = '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/opt/n"}}, "debug": true}'
    found = plan(on(replace(ASKED, daemon_json=text, in_force=("default-runtime=nvidia",))), toolkit=ABSENT)
    assert json.loads(found.text or "") == {"default-runtime": "runc", "runtimes": {}, "debug": True}
    assert (found.action, found.runtimes) == (Action.RELOAD, ())
    assert set(found.expected) == {"!runtime=nvidia", "default-runtime=runc"}
    host = on(replace(ASKED, daemon_json=found.text, runtimes=("runc",), in_force=("default-runtime=runc",)))
    assert plan(host, toolkit=ABSENT).text is None


def test_a_runtime_that_containers_use_is_not_taken_out() -> None:
    text = refusal(plan(on(replace(ASKED, containers=(TRAINING, STOPPED))), toolkit=ABSENT))
    assert "training, old" in text
    assert "asked" in refusal(plan(on(replace(ASKED, containers=None)), toolkit=ABSENT))
    # Out of the file already, and the daemon does not know yet.
    sticky = replace(ASKED, daemon_json='{"runtimes": {}}', containers=(STOPPED,))
    assert "old" in refusal(plan(on(sticky), toolkit=ABSENT))
    runc = replace(TRAINING, runtime="runc")
    assert plan(on(replace(ASKED, containers=(runc,))), toolkit=ABSENT).action is Action.RELOAD


def test_a_runtime_of_the_settings_stays_while_containers_use_it() -> None:
    kata = Settings(docker_daemon_json={"runtimes": {"kata": {"path": "kata"}}})
    once = plan(on(ASKED), kata)
    docker = replace(ASKED, daemon_json=once.text, ledger=once.ledger, containers=(replace(STOPPED, runtime="kata"),))
    assert "kata" in refusal(plan(on(docker)))
    back = plan(on(replace(docker, containers=())))
    assert (json.loads(back.text or ""), back.expected[-1]) == (json.loads(DAEMON_JSON), "!runtime=kata")


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        (Settings(docker_default_runtime="nvidia"), ""),
        (Settings(docker_daemon_json={"runtimes": {"nvidia": {"path": "/opt/n"}}}), ""),
        (Settings(), "--add-runtime=nvidia=/usr/bin/nvidia-container-runtime"),
    ],
)
def test_an_absent_toolkits_runtime_cannot_be_asked_for(settings: Settings, flags: str) -> None:
    text = refusal(plan(on(replace(ASKED, daemon_flags=flags)), settings, toolkit=ABSENT))
    assert 'nvidia_toolkit = "present"' in text


# The data root.


@pytest.mark.parametrize(
    ("docker", "remedy"),
    [
        (replace(ASKED, images=(), containers=()), ""),
        (replace(ASKED, containers=()), "rsync"),  # the ready server has an image
        (replace(ASKED, images=(), containers=(STOPPED,)), "rsync"),
        (replace(ASKED, images=None, containers=None), "see that Docker runs"),
        (replace(ASKED, data_root="/data/docker"), ""),  # it is there already
    ],
)
def test_another_data_root_only_where_there_is_nothing(docker: Docker, remedy: str) -> None:
    found = plan(on(docker), Settings(docker_data_root="/data/docker"))
    assert bool(found.refusal) is bool(remedy)
    assert remedy in (found.refusal.remedy if found.refusal else "")
    assert plan(BARE, Settings(docker_data_root="/data/docker"), docker=DockerPlan(packages=("docker-ce",))).text


@pytest.mark.parametrize(
    "wish",
    [
        Settings(docker_data_root="/var/lib/docker"),
        Settings(docker_log_driver="json-file"),
        Settings(docker_cgroup_driver="systemd"),
    ],
)
def test_what_docker_does_already_needs_no_restart(wish: Settings) -> None:
    docker = replace(ASKED, containers=(TRAINING,), in_force=(*ASKED.in_force, "cgroup-driver=systemd"))
    found = plan(on(docker), wish)
    assert (found.refusal, found.action) == (None, Action.RELOAD)
    other = Settings(docker_cgroup_driver="cgroupfs")
    assert "a restart of Docker, for exec-opts" in refusal(plan(on(docker), other))


@pytest.mark.parametrize("text", ['{"runtimes": {}}', '{"runtimes": {"nvidia": {"path": "n"}}}'])
def test_a_reload_that_would_lose_a_runtime_of_the_flags_is_a_restart(text: str) -> None:
    """moby daemon/reload_unix.go: the file's runtimes take the place of all."""
    docker = replace(ASKED, daemon_json=text, daemon_flags="--add-runtime=kata=/k", runtimes=("kata", "nvidia", "runc"))
    wish = Settings(docker_live_restore=False)
    found = plan(on(docker), wish)
    assert (found.refusal, found.action) == (None, Action.RESTART)
    in_the_way = plan(on(replace(docker, containers=(TRAINING,))), wish)
    assert "a restart of Docker, for runtimes" in refusal(in_the_way)
    # They are gone already.
    assert plan(on(replace(docker, runtimes=("nvidia", "runc"))), wish).action is Action.RELOAD


@pytest.mark.parametrize(("driver", "is_told"), [("overlay2", False), ("overlayfs", True)])
def test_images_of_containerd_do_not_move_with_the_data_root(driver: str, is_told: bool) -> None:
    docker = replace(ASKED, images=(), containers=(), storage_driver=driver)
    found = plan(on(docker), Settings(docker_data_root="/data/docker"))
    assert ("containerd" in said(found)) is is_told
