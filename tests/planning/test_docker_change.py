"""docker_version on a host that has another: when it is changed, from where, and what stands against it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.planning.catalogue import load_catalogue
from deploys.planning.docker import plan_docker
from deploys.planning.records import DockerPlan
from deploys.planning.settings import Settings
from facts.model import Container, Docker, Host
from tests.planning.hosts import DOCKER, DOCKER_DESKTOP, READY, on

CATALOGUE = load_catalogue()
LIVE_RESTORE = ("runtime=nvidia", "live-restore=true")
PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin")


def engine(version: str = "28.5.1", *, origin: str | None = "docker-ce", running: tuple[str, ...] = ()) -> Docker:
    """An engine of this version with containers of these names."""
    containers = tuple(Container(f"{i}", name, "image", "runc") for i, name in enumerate(running))
    names = PACKAGES if origin == "docker-ce" else ("docker.io", "docker-cli") if origin == "docker.io" else ()
    packages = tuple((name, f"5:{version}-1~debian.13~trixie") for name in names)
    return replace(DOCKER, origin=origin, server_version=version, containers=containers, packages=packages)


def plan(docker: Docker, wish: str, *, restart: str = "when-idle", source: str = "auto") -> DockerPlan:
    """The plan for a Debian 13 with this engine, docker_version, docker_restart and docker_source."""
    data = {"docker_version": wish, "docker_restart": restart, "docker_source": source}
    return plan_docker(Settings.model_validate(data), replace(READY, docker=docker), CATALOGUE)


def said(found: DockerPlan) -> str:
    """All notes, as people read them."""
    return "\n".join(f"{note.choice} ({note.because})" for note in found.notes)


def parts(found: DockerPlan) -> tuple[str, str, str]:
    """The three parts of the refusal, which must be all that is planned."""
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    return found.refusal.brief, found.refusal.seen, found.refusal.remedy


@pytest.mark.parametrize(
    ("version", "wish", "is_met"),
    [
        ("28.5.2", "auto", True),
        ("28.5.2", "28", True),
        ("28.5.2", "28.5", True),
        ("28.5.2", "28.5.2", True),
        ("28.5.2", ">=28.3", True),
        ("28.3.0", ">=28.3", True),
        ("29.4.3", ">=28.3", True),
        ("28.5.2", "28.5.3", False),
        ("28.5.2", "28.6", False),
        ("28.5.2", "29", False),
        ("28.5.2", ">=28.5.3", False),
        ("28.5.2", ">=29", False),
        ("28.10.0", "28.1", False),
        ("28.10.0", ">=28.9", True),
    ],
)
def test_a_version_that_will_do_is_kept(version: str, wish: str, is_met: bool) -> None:
    found = plan(engine(version), wish)
    assert (found.packages == () and not found.refusal) is is_met


def test_dockers_own_is_changed_from_its_own_source() -> None:
    found = plan(engine("28.5.1"), "29.4.3")
    assert (found.packages, found.same_version) == (PACKAGES, ("docker-ce-cli",))
    assert (found.release, found.floor) == ("29.4.3", "")
    assert (found.restarts, found.stops_containers, found.start) == (True, False, False)
    assert found.repository
    # It is installed by us now, in a version that somebody chose.
    assert found.hold == ("docker-ce", "docker-ce-cli", "containerd.io")
    assert "changes Docker 28.5.1 to 29.4.3, which restarts it (docker_version is 29.4.3)" in said(found)


def test_only_what_is_there_is_changed_and_rootless_extras_go_along() -> None:
    docker = replace(
        engine("28.5.1"), packages=tuple((n, "1") for n in ("docker-ce", "docker-ce-cli", "containerd.io"))
    )
    found = plan(docker, "29")
    assert found.packages == ("docker-ce", "docker-ce-cli", "containerd.io")
    extras = (*docker.packages, ("docker-ce-rootless-extras", "1"))
    found = plan(replace(docker, packages=extras), "29")
    assert found.same_version == ("docker-ce-cli", "docker-ce-rootless-extras")
    assert "docker-ce-rootless-extras" in found.packages


def test_a_floor_passes_bad_versions_over() -> None:
    found = plan(engine("28.5.1"), ">=29.0")
    assert (found.release, found.floor) == ("", "29.0")
    assert ("0", "29.3.1") in found.avoid


@pytest.mark.parametrize("source", ["auto", "distribution"])
def test_debians_own_is_changed_from_debian(source: str) -> None:
    found = plan(engine("26.1.4", origin="docker.io"), "26.1.5", source=source)
    assert (found.packages, found.repository, found.restarts) == (("docker.io", "docker-cli"), None, True)
    assert found.avoid == ()


def test_debians_own_does_not_become_dockers() -> None:
    brief, seen, remedy = parts(plan(engine("26.1.5", origin="docker.io"), "29", source="docker"))
    assert "Docker 26.1.5 is there, and it is not exchanged" in brief
    assert "docker.io; docker_version is 29" in seen
    assert "remove docker.io" in remedy


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [("snap", "snap refresh docker"), ("moby-engine", "update it from where it came"), (None, "update it from where")],
)
def test_others_are_not_exchanged(origin: str | None, remedy: str) -> None:
    found = parts(plan(engine("28.5.1", origin=origin), "29"))
    assert (origin or "files that no package owns") in found[1]
    assert remedy in found[2]


def test_docker_desktop_is_not_exchanged() -> None:
    found = plan_docker(Settings(docker_version="28"), DOCKER_DESKTOP, CATALOGUE)
    assert "Windows" in parts(found)[2]


def test_an_unknown_version_is_not_changed() -> None:
    docker = replace(engine(), server_version=None, client_version=None, packages=(), origin=None)
    assert "cannot be told" in parts(plan(docker, "29"))[0]


def test_a_stopped_engine_is_known_by_its_package() -> None:
    stopped = replace(engine("28.5.1"), running=False, server_version=None, containers=None)
    assert plan(stopped, "28.5.1").start
    found = plan(stopped, "29")
    assert (found.restarts, found.start, found.refusal) == (True, True, None)


RUNNING = ("training", "db")


@pytest.mark.parametrize(
    ("restart", "in_force", "wish", "allowed"),
    [
        ("when-idle", (), "28.5.2", False),
        ("when-idle", ("live-restore=false",), "28.5.2", False),
        # docs.docker.com, live-restore: for patch releases only.
        ("when-idle", LIVE_RESTORE, "28.5.2", True),
        ("when-idle", LIVE_RESTORE, ">=28.5.2", True),
        ("when-idle", LIVE_RESTORE, "28.6", False),
        ("when-idle", LIVE_RESTORE, "29", False),
        ("when-idle", LIVE_RESTORE, "29.4.3", False),
        ("when-idle", LIVE_RESTORE, ">=28.6.1", False),
        ("when-idle", LIVE_RESTORE, "28.5.0", False),
        ("when-needed", (), "29", True),
        ("never", LIVE_RESTORE, "28.5.2", False),
    ],
)
def test_containers_that_run(restart: str, in_force: tuple[str, ...], wish: str, allowed: bool) -> None:
    docker = replace(engine("28.5.1", running=RUNNING), in_force=in_force)
    found = plan(docker, wish, restart=restart)
    if allowed:
        assert (found.restarts, found.stops_containers) == (True, restart == "when-needed")
        return
    brief, seen, remedy = parts(found)
    assert "which restarts it" in brief
    assert ("never" in seen) if restart == "never" else (seen == "training, db")
    assert 'docker_restart = "when-' in remedy


def test_a_floor_stays_a_patch_release_while_live_restore_keeps_containers() -> None:
    docker = replace(engine("28.5.1", running=RUNNING), in_force=LIVE_RESTORE)
    found = plan(docker, ">=28.5.2")
    assert (found.release, found.floor) == ("28.5", "28.5.2")
    assert "live-restore is in force" in said(found)
    # All of 28.5 is before the CVE's fix: passed over, nothing would be left to install.
    assert ("0", "29.3.1") not in found.avoid
    assert plan(engine("28.5.1"), ">=28.5.2").release == ""
    assert plan(docker, ">=28.5.2", restart="when-needed").release == ""


def test_a_swarms_containers_are_not_kept_by_live_restore() -> None:
    docker = replace(engine("28.5.1", running=RUNNING), in_force=LIVE_RESTORE, swarm=True)
    assert "swarm" in parts(plan(docker, "28.5.2"))[2]


def test_containers_that_stop_are_named() -> None:
    found = plan(engine("28.5.1", running=RUNNING), "29", restart="when-needed")
    assert "containers stop: training, db" in said(found)


def test_a_daemon_that_does_not_say_what_runs_is_not_restarted() -> None:
    docker = replace(engine("28.5.1"), running=None, containers=None)
    assert "did not say" in parts(plan(docker, "29"))[1]


def test_no_restart_is_no_restart_even_without_containers() -> None:
    brief, seen, _ = parts(plan(engine("28.5.1"), "29", restart="never"))
    assert (brief, seen) == (
        "Docker 28.5.1 is to become 29, which restarts it, and that is not allowed",
        "docker_restart is never",
    )


@pytest.mark.parametrize("wish", ["28", "28.5.2", "27.5"])
def test_there_is_no_way_back_across_major_versions(wish: str) -> None:
    brief, seen, remedy = parts(plan(engine("29.4.3"), wish, restart="when-needed"))
    assert f"29.4.3 is there, {wish} is wished for" in brief
    assert "no way back" in seen
    assert "set docker_version to what is there" in remedy


def test_within_a_major_version_there_is_a_way_back_and_it_is_said() -> None:
    found = plan(engine("29.6.2"), "29.4.3")
    assert found.release == "29.4.3"
    assert "goes back to an older version" in said(found)


def test_enterprise_linux() -> None:
    host: Host = replace(on("rocky-9.6"), docker=engine("28.5.1"))
    found = plan_docker(Settings(docker_version="29"), host, CATALOGUE)
    assert (found.packages, found.restarts) == (PACKAGES, True)
    assert found.repository
    fedora = replace(host, os=replace(host.os, id="fedora", version="43", pretty_name="Fedora Linux 43"))
    brief, seen, _ = parts(plan_docker(Settings(docker_version="29"), fedora, CATALOGUE))
    assert "not known here" in brief
    assert "Fedora Linux 43: Docker 28.5.1 as docker-ce" in seen


VERSIONS = ("19.03.15", "26.1.5", "28.5.1", "28.5.2", "29.1.3", "29.4.3")
WISHES = ("auto", "28", "28.5", "28.5.2", "29", "29.1.3", ">=28.5.2", ">=28.6", ">=29")
OTHERS = st.fixed_dictionaries(
    {
        "origin": st.sampled_from(["docker-ce", "docker.io", "snap", None]),
        "running": st.sampled_from([(), RUNNING]),
    }
)


@given(
    st.sampled_from(VERSIONS),
    st.sampled_from(WISHES),
    OTHERS,
    st.sampled_from([(), LIVE_RESTORE]),
    st.sampled_from(["when-idle", "when-needed", "never"]),
)
def test_nothing_stops_that_was_not_allowed_to(
    version: str, wish: str, other: dict[str, Any], in_force: tuple[str, ...], restart: str
) -> None:
    docker = replace(engine(version, **other), in_force=in_force)
    found = plan(docker, wish, restart=restart)
    if found.refusal:
        assert found == DockerPlan(refusal=found.refusal)
        assert all((found.refusal.brief, found.refusal.seen, found.refusal.remedy))
        return
    assert found.notes
    assert bool(found.packages) is found.restarts
    assert not (found.packages and (wish == "auto" or restart == "never"))
    assert found.stops_containers is (found.restarts and restart == "when-needed")
    if found.restarts and other["running"] and not found.stops_containers:
        # live-restore, and whatever is chosen on the host is a patch release of what is there.
        assert in_force == LIVE_RESTORE
        assert found.release.split(".")[:2] == version.split(".")[:2]
