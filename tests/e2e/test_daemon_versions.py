"""The transaction around daemon.json with a real Docker 26.1 and 28.5, which the product has installed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from deploys.planning.records import Action, DaemonPlan
from tests.e2e.daemon_change import (
    FAILING,
    FOLDER,
    TAKEN_BACK,
    daemon,
    digest,
    in_force,
    kill_daemon_in_the_middle,
    refused,
    text_of,
)
from tests.e2e.fleet import DAEMON_JSON
from tests.e2e.harness import Controller, Machine, apply, machine, wish
from tests.e2e.snapshot import keep_me_pid

DOCKER, TOOLKIT = "deploys/docker.py", "deploys/container_toolkit.py"
FEATURES = {"buildkit": True, "containerd-snapshotter": False}
SITE: dict[str, object] = {"labels": ["site=lab-2"], "features": FEATURES}
WITH_RUNTIME: dict[str, object] = SITE | {
    "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}
}
KEEP_ME = "docker run --detach --name keep-me --network none python:3.12-slim sleep 100000"
# systemd counts three starts in a minute (docker.service), whoever made them.
RESET = "systemctl reset-failed docker.service docker.socket"


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    """A bare server with the administrator's daemon.json."""
    with machine("server", "t-daemons") as bare:
        bare.sh("mkdir -p /etc/docker")
        bare.write(DAEMON_JSON, text_of(SITE))
        yield bare


@pytest.fixture(scope="module", params=["26.1", "28.5"])
def version(request: pytest.FixtureRequest) -> str:
    """A wish for Docker's version."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module")
def host(server: Machine, version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The server with that Docker, the administrator's file and his container. The tests use it in order."""
    run = wish(Controller(tmp_path_factory.mktemp("docker")), server, DOCKER, {"docker_version": version})
    assert run.status == 0, run.text
    assert server.sh("docker version --format '{{.Server.Version}}'").startswith(f"{version}.")
    # Where the toolkit is there already, that run has registered its runtime.
    server.sh(f"rm -rf {DAEMON_JSON}.gpu-hosts.bak {FOLDER}")
    server.write(DAEMON_JSON, text_of(SITE))
    server.sh(f"{RESET}; systemctl restart docker && {KEEP_ME}")
    yield server
    server.sh(f"rm -f /usr/local/bin/docker; docker rm --force keep-me; {RESET}")


def test_runtime_is_registered_without_restart(host: Machine, version: str, controller: Controller) -> None:
    """The daemon's process and the container's are the ones from before."""
    before = keep_me_pid(host), daemon(host)
    apply(controller, host, TOOLKIT, {"docker_version": version})
    assert (keep_me_pid(host), daemon(host)) == before
    assert "nvidia" in in_force(host, "{{.Runtimes}}")
    assert json.loads(host.read(DAEMON_JSON)) == WITH_RUNTIME
    assert host.read(f"{DAEMON_JSON}.gpu-hosts.bak") == text_of(SITE)


def test_restart_behind_live_restore_keeps_the_container(host: Machine, version: str, controller: Controller) -> None:
    """The daemon is another one, with the setting in force."""
    before, process = keep_me_pid(host), daemon(host)
    wishes = {"docker_version": version, "docker_live_restore": True, "docker_log_driver": "local"}
    apply(controller, host, DOCKER, wishes)
    assert keep_me_pid(host) == before
    assert daemon(host) != process
    assert in_force(host, "{{.LoggingDriver}} {{.LiveRestoreEnabled}}") == "local true"


def test_withdrawn_settings_leave_what_was_before(host: Machine, version: str, controller: Controller) -> None:
    """The log driver by a restart, while live-restore is there; then live-restore itself."""
    before = keep_me_pid(host)
    apply(controller, host, DOCKER, {"docker_version": version, "docker_live_restore": True})
    assert in_force(host, "{{.LoggingDriver}}") == "json-file"
    apply(controller, host, DOCKER, {"docker_version": version})
    # A reload puts a default back only where the file says so.
    assert json.loads(host.read(DAEMON_JSON)) == WITH_RUNTIME | {"live-restore": False}
    assert in_force(host, "{{.LiveRestoreEnabled}}") == "false"
    assert keep_me_pid(host) == before


def test_one_feature_is_set_and_the_others_stay(host: Machine, version: str, controller: Controller) -> None:
    """CDI, which 28.5 has switched on by itself and 26.1 switches on at a start only."""
    before, process = keep_me_pid(host), daemon(host)
    wishes = {"docker_version": version, "docker_live_restore": True, "docker_features": {"cdi": True}}
    apply(controller, host, DOCKER, wishes)
    assert json.loads(host.read(DAEMON_JSON))["features"] == FEATURES | {"cdi": True}
    assert in_force(host, "{{.CDISpecDirs}}") == "[/etc/cdi /var/run/cdi]"
    assert (keep_me_pid(host) == before, daemon(host) == process) == (True, version == "28.5")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [*FAILING, ({"runtimes": {"nvidia": {}}}, "either a runtimeType or a path must be configured")],
)
def test_file_with_which_the_daemon_does_not_start_is_taken_back(
    host: Machine, version: str, keys: dict[str, object], reason: str
) -> None:
    """Where its own check sees it, there is nothing to take back. live-restore is in the file since the test before."""
    found = host.read(DAEMON_JSON)
    plan = DaemonPlan(text_of(json.loads(found) | keys), digest(found), Action.RESTART, ledger="{}")
    said = refused(host, plan)
    is_checked = version == "28.5" and "registry-mirrors" in keys
    assert said.startswith("dockerd does not accept the new daemon.json" if is_checked else TAKEN_BACK), said
    assert reason in said


def test_daemon_killed_in_the_middle(host: Machine) -> None:
    """The container lives on behind live-restore."""
    before, found = keep_me_pid(host), host.read(DAEMON_JSON)
    text = text_of(json.loads(found) | {"log-driver": "local"})
    plan = DaemonPlan(text, digest(found), Action.RESTART, expected=("log-driver=local",), ledger="{}")
    kill_daemon_in_the_middle(host, plan)
    assert keep_me_pid(host) == before
