"""Docker Engine and NVIDIA Container Toolkit: keep what is there, install what is missing."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.docker import plan_docker
from deploys.planning.records import DockerPlan, ToolkitPlan
from deploys.planning.settings import Settings
from deploys.planning.toolkit import plan_toolkit
from facts.model import Host, Toolkit
from tests.planning.hosts import (
    BARE,
    DOCKER,
    DOCKER_DESKTOP,
    JETSON,
    READY,
    ROCKY_9,
    TOOLKIT_PACKAGES,
    WSL,
    on_ubuntu,
    with_jetson,
    with_sources,
)

CATALOGUE = load_catalogue()


def docker(host: Host, settings: Settings | None = None) -> DockerPlan:
    """The plan for Docker."""
    return plan_docker(settings or Settings(), host, CATALOGUE)


def toolkit(host: Host) -> ToolkitPlan:
    """The plan for the toolkit."""
    return plan_toolkit(Settings(), host, CATALOGUE)


def with_toolkit(host: Host, *packages: tuple[str, str]) -> Host:
    """The host with these toolkit packages."""
    return replace(host, toolkit=Toolkit(packages, None, ()))


@pytest.mark.parametrize("host", [BARE, on_ubuntu("6.8.0-45-generic"), WSL, JETSON])
def test_missing_docker_comes_from_docker(host: Host) -> None:
    plan = docker(host)
    # docs.docker.com/engine/install: the five packages of its own command line.
    assert set(plan.packages) == {
        "docker-ce",
        "docker-ce-cli",
        "containerd.io",
        "docker-buildx-plugin",
        "docker-compose-plugin",
    }
    assert plan.repository
    assert not plan.start


def test_missing_docker_comes_from_the_distribution_where_wished() -> None:
    plan = docker(BARE, Settings(docker_source="distribution"))
    assert (plan.packages, plan.repository) == (("docker.io",), None)
    assert "Debian GNU/Linux 13" in plan.notes[0].choice


@pytest.mark.parametrize("origin", ["docker-ce", "docker.io", "moby-engine", "snap"])
@pytest.mark.parametrize("source", ["auto", "docker", "distribution"])
def test_installed_docker_is_kept_whatever_its_origin(origin: str, source: str) -> None:
    settings = Settings.model_validate({"docker_source": source})
    plan = docker(replace(BARE, docker=replace(DOCKER, origin=origin)), settings)
    assert plan == DockerPlan(notes=plan.notes)
    assert origin in plan.notes[0].because


def test_stopped_docker_is_started() -> None:
    plan = docker(replace(READY, docker=replace(DOCKER, running=False, server_version=None)))
    assert (plan.start, plan.packages) == (True, ())


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        (replace(WSL, init="init(Ubuntu)", docker=replace(DOCKER, running=False)), "init(Ubuntu)"),
        (replace(READY, docker=replace(DOCKER, origin="snap", running=False)), "snap"),
    ],
)
def test_stopped_docker_that_systemd_does_not_start_is_refused(host: Host, seen: str) -> None:
    plan = docker(host)
    assert plan.refusal
    assert plan == DockerPlan(refusal=plan.refusal)
    assert seen in plan.refusal.seen


def test_docker_that_did_not_answer_is_not_started_over() -> None:
    assert not docker(replace(READY, docker=replace(DOCKER, running=None, server_version=None))).start


def test_docker_desktop_is_used_as_it_is() -> None:
    assert docker(replace(DOCKER_DESKTOP, docker=BARE.docker)).packages == ()


@pytest.mark.parametrize(
    ("l4t", "refused"),
    [
        # moby issues 49505, 49508, 49557; JetPack 6.2.1 release notes: L4T 36.4.4 has the iptables raw table.
        ("36.3.0", True),
        ("36.4", True),
        ("36.4.3", True),
        ("36.4.4", False),
        ("36.4.7", False),
        ("36.5.0", False),
        (None, False),
    ],
)
def test_docker_is_refused_on_an_l4t_kernel_it_does_not_start_on(l4t: str | None, refused: bool) -> None:
    plan = docker(with_jetson(JETSON, l4t=l4t))
    assert bool(plan.refusal) is refused
    assert bool(plan.packages) is not refused
    if plan.refusal:
        assert "36.4.4" in plan.refusal.remedy


def test_docker_that_runs_on_such_a_kernel_is_kept() -> None:
    assert docker(replace(with_jetson(JETSON, l4t="36.4.3"), docker=DOCKER)).refusal is None


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (replace(BARE, os=ROCKY_9, packages=replace(BARE.packages, manager="dnf")), "dnf"),
        (replace(BARE, packages=replace(BARE.packages, half_configured=("linux-image-amd64",))), "linux-image-amd64"),
        (replace(WSL, init="init(Ubuntu)"), "init(Ubuntu)"),
        (replace(BARE, os=replace(BARE.os, version="11", pretty_name="Debian 11")), "Debian 11"),
    ],
)
def test_what_keeps_packages_out_refuses_docker_and_says_what_was_seen(host: Host, says: str) -> None:
    plan = docker(host)
    assert plan.refusal
    assert plan == DockerPlan(refusal=plan.refusal)
    assert says in plan.refusal.seen


def test_unreadable_dpkg_state_is_not_taken_for_broken() -> None:
    assert docker(replace(BARE, packages=replace(BARE.packages, half_configured=None))).refusal is None


def test_missing_toolkit_is_installed_as_four_packages() -> None:
    plan = toolkit(BARE)
    # NVIDIA Container Toolkit installation guide: these four, of one version.
    assert set(plan.packages) == {name for name, _ in TOOLKIT_PACKAGES}
    assert plan.repository
    assert plan.repository.fingerprint == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"


def test_whole_toolkit_is_kept() -> None:
    plan = toolkit(READY)
    assert plan == ToolkitPlan(expected=plan.expected, notes=plan.notes)
    assert set(plan.expected) == {name for name, _ in TOOLKIT_PACKAGES}
    assert "1.19.1-1" in plan.notes[0].choice


@pytest.mark.parametrize(
    ("packages", "because"),
    [
        (TOOLKIT_PACKAGES[1:], "missing: libnvidia-container-tools"),
        ((("libnvidia-container1", "1.17.8-1"), *TOOLKIT_PACKAGES[2:], TOOLKIT_PACKAGES[0]), "mixed versions"),
    ],
)
def test_partial_or_mixed_toolkit_is_made_whole(packages: tuple[tuple[str, str], ...], because: str) -> None:
    plan = toolkit(with_toolkit(BARE, *packages))
    assert len(plan.packages) == 4
    assert because in plan.notes[0].because


def test_toolkit_repository_of_somebody_else_is_used() -> None:
    line = "deb [signed-by=/k.gpg] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /"
    plan = toolkit(with_sources(BARE, line))
    assert plan.packages
    assert plan.repository is None


@pytest.mark.parametrize("l4t", ["32.7.3", "35.4.1", "36.4.4", "38.2.0", None])
@pytest.mark.parametrize("packages", [(), (("nvidia-container-toolkit", "1.14.2-1"),), TOOLKIT_PACKAGES])
def test_runtime_that_came_with_l4t_is_kept(l4t: str | None, packages: tuple[tuple[str, str], ...]) -> None:
    found = Toolkit(packages, "/usr/bin/nvidia-container-runtime", ())
    plan = toolkit(replace(with_jetson(JETSON, l4t=l4t), toolkit=found))
    assert plan == ToolkitPlan(notes=plan.notes)
    assert "L4T" in plan.notes[0].because


@pytest.mark.parametrize("l4t", ["32.7.3", "35.4.1"])
def test_missing_runtime_of_an_old_l4t_is_not_nvidias_newest(l4t: str) -> None:
    plan = toolkit(with_toolkit(with_jetson(JETSON, l4t=l4t), ("nvidia-container-toolkit", "1.14.2-1")))
    assert plan.refusal
    assert plan == ToolkitPlan(refusal=plan.refusal)
    assert l4t in plan.refusal.seen
    assert "nvidia-container" in plan.refusal.remedy


@pytest.mark.parametrize("l4t", ["36.4.4", "38.2.0", None])
def test_toolkit_is_installed_on_a_jetson_without_any_and_l4t_stays(l4t: str | None) -> None:
    plan = toolkit(with_jetson(JETSON, l4t=l4t))
    assert plan.repository
    assert "arm64" in plan.repository.uri
    assert not any(name.startswith("nvidia-l4t") for name in plan.packages)


def test_docker_desktop_brings_its_own_toolkit() -> None:
    assert toolkit(DOCKER_DESKTOP).packages == ()
