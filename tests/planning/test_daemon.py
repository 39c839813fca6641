"""The plan for daemon.json: what is set and taken back, and what is refused."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.daemon import digest
from deploys.planning.daemon_config import Entry, write_ledger
from deploys.planning.records import Action, DaemonPlan, DockerPlan, ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import Container, Host
from tests.planning.daemon_files import ASKED, IN_FORCE, merge_runtime, on, plan, said
from tests.planning.hosts import BARE, DAEMON_JSON, DOCKER_DESKTOP, READY, with_daemon_json

TRAINING = Container("1f2e", "training", "cuda", "nvidia", running=True)


def config(found: DaemonPlan) -> Any:
    """The planned file."""
    assert found.text is not None
    return json.loads(found.text)


def after(found: DaemonPlan, host: Host, *, in_force: tuple[str, ...]) -> Host:
    """The host as the plan's run leaves it."""
    docker = replace(host.docker, daemon_json=found.text, ledger=found.ledger, in_force=in_force, pending=False)
    return replace(host, docker=docker)


# The nvidia runtime.


def test_digest_is_sha256_of_the_file_or_absent() -> None:
    # SHA-256 of no bytes at all, and of "abc": FIPS 180-4's examples.
    assert digest(None) == "absent"
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_registered_runtime_is_left_alone() -> None:
    found = plan()
    assert (found.text, found.runtimes) == (None, ("nvidia",))


@pytest.mark.parametrize(
    ("text", "runtimes", "says"),
    [
        (None, ("runc",), "no daemon.json yet"),
        ('{"debug": true}', ("runc",), "stay as they are"),
        (DAEMON_JSON, ("runc",), "the daemon does not"),
    ],
)
def test_missing_runtime_is_planned_with_its_reason(text: str | None, runtimes: tuple[str, ...], says: str) -> None:
    found = plan(with_daemon_json(READY, text, runtimes=runtimes))
    assert found.text == (merge_runtime(text) if text != DAEMON_JSON else text)
    assert (found.found, found.action) == (digest(text), Action.RELOAD)
    assert (found.runtimes, found.expected) == (("nvidia",), ("runtime=nvidia",))
    assert says in found.notes[0].because


def test_the_runtimes_executable_must_be_there() -> None:
    assert plan(with_daemon_json(READY, None)).executables == ("nvidia-container-runtime",)


@pytest.mark.parametrize("flag", ["--add-runtime=nvidia=", "--add-runtime nvidia="])
def test_runtime_registered_by_a_flag_is_not_registered_twice(flag: str) -> None:
    flags = f"-H fd:// {flag}/usr/bin/nvidia-container-runtime"
    found = plan(on(replace(ASKED, daemon_json="{}", daemon_flags=flags)))
    assert (found.text, found.runtimes) == (None, ("nvidia",))
    assert "flags" in found.notes[0].because


def test_a_reload_would_forget_the_flags_runtimes() -> None:
    found = plan(
        on(replace(ASKED, daemon_json=None, runtimes=("kata",), daemon_flags="--add-runtime=kata=/usr/bin/kata"))
    )
    assert (found.action, config(found)["runtimes"].keys()) == (Action.RESTART, {"nvidia"})


def test_a_snaps_daemon_json_is_not_the_hosts() -> None:
    found = plan(on(replace(ASKED, origin="snap", daemon_json=None, runtimes=("runc",))))
    assert found.text is None
    assert found.refusal
    assert "snap" in found.refusal.seen


@pytest.mark.parametrize("host", [DOCKER_DESKTOP, on(replace(ASKED, origin="docker-desktop"))])
def test_docker_desktops_daemon_is_not_ours(host: Host) -> None:
    found = plan(host, Settings(docker_log_driver="local"))
    assert (found.text, found.runtimes) == (None, ())
    assert "Docker Desktop" in found.notes[0].because


def test_a_daemon_that_reads_another_file_is_not_ours_to_configure() -> None:
    found = plan(on(replace(ASKED, daemon_flags="-H fd:// --config-file=/srv/daemon.json")))
    assert found.refusal
    assert "/srv/daemon.json" in found.refusal.seen
    assert plan(on(replace(ASKED, daemon_flags="--config-file /etc/docker/daemon.json"))).refusal is None


def test_an_interrupted_change_is_settled_even_where_all_looks_right() -> None:
    found = plan(on(replace(ASKED, pending=True)))
    assert (found.text, found.action) == (DAEMON_JSON, Action.RELOAD)
    assert "interrupted" in found.notes[0].choice


def test_a_host_without_docker_yet_gets_the_file_it_will_need() -> None:
    assert plan(BARE, docker=DockerPlan(packages=("docker-ce",))).text == merge_runtime(None)


def test_an_absent_driver_asks_for_no_runtime_and_takes_none_away() -> None:
    assert (
        plan(on(replace(ASKED, daemon_json=None, runtimes=("runc",))), Settings(nvidia_driver="absent")) == DaemonPlan()
    )
    ours = write_ledger((Entry(("runtimes", "nvidia"), {"path": "nvidia-container-runtime"}),))
    assert plan(on(replace(ASKED, ledger=ours)), Settings(nvidia_driver="absent")).text is None


def test_a_runtime_that_somebody_changed_since_is_theirs() -> None:
    ours = write_ledger((Entry(("runtimes", "nvidia"), {"path": "nvidia-container-runtime", "runtimeArgs": []}),))
    assert plan(on(replace(ASKED, ledger=ours))).text is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "Expecting"), ("[]", "list"), ('{"runtimes": 1}', "a number"), ('{"a": 1, "a": 2}', "twice")],
)
def test_what_cannot_be_merged_into_is_refused_with_the_reason(text: str, reason: str) -> None:
    found = plan(with_daemon_json(READY, text))
    assert found.text is None
    assert found.refusal
    assert re.search(f"/etc/docker/daemon.json: .*({reason})", found.refusal.seen)


def test_refusal_of_a_broken_file_quotes_no_password_of_it() -> None:
    found = plan(with_daemon_json(READY, '{"proxies": {"http-proxy": "http://user:secret@proxy.lab:3128"},}'))
    assert found.refusal
    assert "line 1 column" in found.refusal.seen
    assert "secret" not in str(found.refusal)


# Settings.

EVERYTHING = Settings(
    docker_live_restore=True,
    docker_log_driver="local",
    docker_log_opts={"max-size": "10m"},
    docker_default_address_pools=({"base": "172.30.0.0/16", "size": 24},),
    docker_registry_mirrors=("https://mirror.lab",),
    docker_insecure_registries=("10.0.0.0/8",),
    docker_cgroup_driver="systemd",
    docker_default_runtime="nvidia",
    docker_features={"cdi": True},
    docker_http_proxy="http://user:secret@proxy.lab:3128",
    docker_https_proxy="http://proxy.lab:3128",
    docker_no_proxy="localhost,.lab",
    docker_daemon_json={"max-concurrent-downloads": 1, "labels": ["rack=7"], "log-opts": {"max-file": "3"}},
)
DONE = (
    "runtime=nvidia",
    "live-restore=true",
    "log-driver=local",
    "address-pool=172.30.0.0/16 24",
    "registry-mirror=https://mirror.lab/",
    "insecure-registry=10.0.0.0/8",
    "cgroup-driver=systemd",
    "default-runtime=nvidia",
    "label=rack=7",
)


def test_every_setting_goes_into_the_file() -> None:
    found = plan(on(replace(ASKED, daemon_json="{}", runtimes=("runc",))), EVERYTHING)
    assert config(found) == {
        "live-restore": True,
        "log-driver": "local",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}],
        "registry-mirrors": ["https://mirror.lab"],
        "insecure-registries": ["10.0.0.0/8"],
        "exec-opts": ["native.cgroupdriver=systemd"],
        "default-runtime": "nvidia",
        "features": {"cdi": True},
        "proxies": {
            "http-proxy": "http://user:secret@proxy.lab:3128",
            "https-proxy": "http://proxy.lab:3128",
            "no-proxy": "localhost,.lab",
        },
        "max-concurrent-downloads": 1,
        "labels": ["rack=7"],
        "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}},
    }
    assert found.action is Action.RESTART
    assert set(found.expected) == set(DONE)
    assert "secret" not in repr((found.diff, found.notes, found.expected))
    assert any('+    "log-driver": "local",' in line for line in found.diff)


def test_the_second_run_finds_everything_right() -> None:
    host = on(replace(ASKED, daemon_json=None, runtimes=("runc",)))
    again = plan(after(plan(host, EVERYTHING), host, in_force=DONE), EVERYTHING)
    assert (again.text, again.refusal, again.action) == (None, None, Action.NONE)
    assert "as the settings have it" in said(again)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (Settings(docker_cgroup_driver="systemd"), "cgroup-driver=systemd"),
        (Settings(docker_log_driver="json-file"), "log-driver=json-file"),
    ],
)
def test_what_was_dockers_own_default_may_go_on_when_the_setting_goes(settings: Settings, line: str) -> None:
    """It is in force before, with and after the setting: were its absence waited for, the change would be undone."""
    host = on(replace(ASKED, in_force=(*ASKED.in_force, line)))
    left = after(plan(host, settings), host, in_force=host.docker.in_force)
    back = plan(left)
    assert (back.refusal, back.text is None, f"!{line}" in back.expected) == (None, False, False)
    assert plan(after(back, left, in_force=left.docker.in_force)).text is None


def test_an_absent_toolkit_is_refused_where_a_stopped_daemon_has_the_runtime_by_its_flags() -> None:
    stopped = replace(ASKED, running=False, runtimes=(), in_force=(), daemon_flags="--add-runtime nvidia=/n -H fd://")
    found = plan(on(stopped), Settings(nvidia_toolkit="absent"), toolkit=ToolkitPlan(absent=True))
    assert found.refusal
    assert "flags" in found.refusal.seen


def test_a_default_runtime_that_a_refused_toolkit_would_bring_waits_for_it() -> None:
    wish, no_toolkit = Settings(docker_default_runtime="nvidia"), ToolkitPlan(skipped="toolkit, which is refused")
    found = plan(on(replace(ASKED, daemon_json=None, runtimes=("runc",))), wish, toolkit=no_toolkit)
    assert found == DaemonPlan(skipped="toolkit, which is refused")
    assert config(plan(READY, wish, toolkit=no_toolkit))["default-runtime"] == "nvidia"


def test_settings_withdrawn_are_undone_and_left_alone_then() -> None:
    host = on(ASKED)
    done = after(plan(host, EVERYTHING), host, in_force=DONE)
    back = plan(done)
    assert config(back) == json.loads(DAEMON_JSON) | {
        "live-restore": False,
        "registry-mirrors": [],
        "insecure-registries": [],
        "default-runtime": "runc",
        "labels": [],
    }
    assert {"live-restore=false", "default-runtime=runc", "!registry-mirror=https://mirror.lab/"} <= set(back.expected)
    assert "takes back" in said(back)
    again = plan(after(back, done, in_force=IN_FORCE))
    assert (again.text, again.action) == (None, Action.NONE)


def test_a_reload_is_enough_for_what_can_be_reloaded() -> None:
    found = plan(
        on(replace(ASKED, containers=(TRAINING,))),
        Settings(docker_live_restore=True, docker_registry_mirrors=("https://m.lab",)),
    )
    assert (found.action, found.stops_containers, found.bridge) == (Action.RELOAD, False, None)
    assert "by SIGHUP, without a restart" in said(found)


def test_what_the_daemon_does_not_heed_is_taken_up() -> None:
    found = plan(on(replace(ASKED, daemon_json='{"log-driver": "local"}')), Settings(docker_log_driver="local"))
    assert (found.action, set(found.expected)) == (Action.RESTART, {"runtime=nvidia", "log-driver=local"})
    only = json.dumps(json.loads(DAEMON_JSON) | {"live-restore": True})
    found = plan(on(replace(ASKED, daemon_json=only)), Settings(docker_live_restore=True))
    assert (found.text, found.action) == (only, Action.RELOAD)
    assert "the daemon does not heed live-restore" in said(found)


def test_a_silent_daemon_tells_nothing() -> None:
    stopped = on(replace(ASKED, running=False, server_version=None, in_force=(), runtimes=()))
    assert plan(stopped).text is None


@pytest.mark.parametrize(
    "settings",
    [
        Settings(docker_log_driver="local", docker_daemon_json={"log-driver": "journald"}),
        Settings(docker_live_restore=True, docker_daemon_json={"live-restore": False}),
        Settings(docker_log_opts={"max-size": "1m"}, docker_daemon_json={"log-opts": "none"}),
        Settings(docker_cgroup_driver="systemd", docker_daemon_json={"exec-opts": ["native.cgroupdriver=cgroupfs"]}),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: Settings) -> None:
    found = plan(READY, settings)
    assert found.refusal
    assert "contradicts" in found.refusal.seen
    assert "docker_daemon_json" in found.refusal.seen


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"x"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    found = plan(READY, Settings(docker_daemon_json={"labels": value}))
    assert found.refusal
    assert "JSON" in found.refusal.seen


def test_a_tuple_is_a_list() -> None:
    found = plan(
        on(replace(ASKED, daemon_json='{"dns": ["1.1.1.1"]}')), Settings(docker_daemon_json={"dns": ("9.9.9.9",)})
    )
    assert config(found)["dns"] == ["1.1.1.1", "9.9.9.9"]


def test_settings_may_say_the_same_thing_twice() -> None:
    both = {"log-driver": "local", "registry-mirrors": ["https://m.lab/"], "log-opts": {}}
    found = plan(
        READY,
        Settings(
            docker_daemon_json=both,
            docker_log_driver="local",
            docker_registry_mirrors=("https://m.lab",),
            docker_log_opts={"max-file": "2"},
        ),
    )
    assert config(found)["registry-mirrors"] == ["https://m.lab"]


@pytest.mark.parametrize(
    ("version", "settings", "names"),
    [
        ("20.10.24+dfsg1", Settings(docker_http_proxy="http://secret@proxy.lab"), "proxies"),
        ("26.1.5+dfsg1", Settings(docker_default_runtime="kata"), "default-runtime"),
        ("26.1.5+dfsg1", Settings(docker_registry_mirrors=("mirror.lab",)), "registry-mirrors[0]"),
        (
            "26.1.5+dfsg1",
            Settings(docker_log_driver="journald", docker_log_opts={"max-size": "1m"}),
            "log-opts.max-size",
        ),
        ("29.4.3", Settings(docker_daemon_json={"log-drivers": "local"}), "did you mean log-driver?"),
    ],
)
def test_what_docker_would_not_start_with_is_refused(version: str, settings: Settings, names: str) -> None:
    found = plan(on(replace(ASKED, server_version=version)), settings)
    assert found.text is None
    assert found.refusal
    assert names in str(found.refusal)
    assert "secret" not in str(found.refusal)


def test_log_options_alone_are_judged_by_the_driver_in_force() -> None:
    assert plan(
        on(replace(ASKED, in_force=("log-driver=journald",))), Settings(docker_log_opts={"max-size": "1m"})
    ).refusal


def test_a_mistake_of_others_is_told_where_nothing_is_to_be_done() -> None:
    text = json.dumps(json.loads(DAEMON_JSON) | {"default-runtime": "gone"})
    found = plan(on(replace(ASKED, daemon_json=text)))
    assert (found.text, found.refusal) == (None, None)
    assert "default-runtime" in said(found)


def test_the_version_to_be_installed_judges() -> None:
    proxy = Settings(docker_http_proxy="http://proxy.lab")
    assert plan(BARE, proxy, docker=DockerPlan(packages=("docker-ce",), release="20.10")).refusal
    assert plan(BARE, proxy, docker=DockerPlan(packages=("docker-ce",), release="28")).text
    assert plan(
        BARE, Settings(docker_daemon_json={"min-api-version": "1.40"}), docker=DockerPlan(packages=("docker-ce",))
    ).text


def test_a_ledger_that_cannot_be_read_is_told() -> None:
    assert "cannot be read" in said(plan(on(replace(ASKED, ledger="{"))))
