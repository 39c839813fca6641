"""NVIDIA Container Toolkit: one version, without known holes; L4T's; old names; removal."""

from dataclasses import replace

import pytest

from deploys.planning.advisories import describe, toolkit_advisories
from deploys.planning.catalogue import load_catalogue
from deploys.planning.records import ToolkitPlan
from deploys.planning.settings import Settings
from deploys.planning.toolkit import plan_toolkit
from facts.model import Host, Toolkit
from tests.planning.hosts import (
    BARE,
    DOCKER_DESKTOP,
    JETSON,
    READY,
    TOOLKIT_PACKAGES,
    WSL,
    on,
    with_jetson,
    with_sources,
)

CATALOGUE = load_catalogue()
DEFAULTS = Settings()
ABSENT = Settings(nvidia_toolkit="absent")
UPGRADE = Settings(nvidia_toolkit_jetson="upgrade")
# NVIDIA Container Toolkit installation guide: these four, of one version.
FOUR = {
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
}
RUNTIME = "/usr/bin/nvidia-container-runtime"


def plan(host: Host, settings: Settings = DEFAULTS) -> ToolkitPlan:
    """The plan for the toolkit with these settings."""
    return plan_toolkit(settings, host, CATALOGUE)


def said(found: ToolkitPlan) -> str:
    """All notes, as people read them."""
    return "\n".join(f"{note.choice} ({note.because})" for note in found.notes)


def with_toolkit(host: Host, version: str, *more: tuple[str, str], runtime: str | None = RUNTIME) -> Host:
    """The host with the four packages of a version, and others."""
    packages = tuple(sorted(((name, version) for name in FOUR), key=lambda one: one[0]))
    return replace(host, toolkit=Toolkit((*packages, *more), runtime, ()))


def with_packages(host: Host, *packages: tuple[str, str]) -> Host:
    """The host with these toolkit packages and no runtime."""
    return replace(host, toolkit=Toolkit(packages, None, ()))


@pytest.mark.parametrize("host", [BARE, on("debian-12"), on("ubuntu-26.04"), on("rocky-8.10"), on("rhel-10.0"), WSL])
def test_missing_toolkit_is_installed_as_four_packages(host: Host) -> None:
    found = plan(host)
    assert set(found.packages) == set(found.hold) == set(found.expected) == FOUR
    assert found.packages[0] == "nvidia-container-toolkit"
    # CVE-2026-24260 is fixed in 1.19.1.
    assert (found.release, found.floor) == ("", "1.19.1")
    assert found.repository
    assert found.repository.fingerprint == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"


def test_whole_toolkit_is_kept() -> None:
    found = plan(READY)
    assert found == ToolkitPlan(expected=found.expected, notes=found.notes)
    assert set(found.expected) == FOUR
    assert "1.19.1-1" in found.notes[0].choice


@pytest.mark.parametrize(
    ("packages", "because"),
    [
        (TOOLKIT_PACKAGES[1:], "missing: libnvidia-container-tools"),
        ((("libnvidia-container1", "1.17.8-1"), *TOOLKIT_PACKAGES[2:], TOOLKIT_PACKAGES[0]), "mixed versions"),
    ],
)
def test_partial_or_mixed_toolkit_is_made_whole(packages: tuple[tuple[str, str], ...], because: str) -> None:
    found = plan(with_packages(BARE, *packages))
    assert len(found.packages) == 4
    assert because in found.notes[0].because


@pytest.mark.parametrize(
    ("version", "first_cve"),
    [
        # First fixed releases: 1.16.2, 1.17.0, 1.17.3, 1.17.4 by NVIDIA's release notes, 1.17.8, 1.19.1 by bulletins.
        ("1.16.1-1", "CVE-2024-0132"),
        ("1.16.2-1", "CVE-2024-0134"),
        ("1.17.3-1", "CVE-2025-23359"),
        ("1.17.7-1", "CVE-2025-23266"),
        ("1.17.8-1", "CVE-2026-24260"),
        ("1.19.0-1", "CVE-2026-24260"),
        ("1.19.1~rc.1-1", "CVE-2026-24260"),
        ("1.19.1-0.1.rc.1", "CVE-2026-24260"),
        ("1.19.1-1", None),
        ("1.20.0-1", None),
        # A distribution's own build is not judged by its number.
        ("1.17.4-1.fc43", None),
        ("1.18.0-0ubuntu1", None),
    ],
)
@pytest.mark.parametrize("host", [READY, WSL], ids=["server", "wsl"])
def test_known_holes_are_closed(version: str, first_cve: str | None, host: Host) -> None:
    there = with_toolkit(host, version)
    found, advisories = plan(there), toolkit_advisories(there, CATALOGUE)
    assert bool(found.packages) is bool(first_cve)
    assert (advisories[0].name if advisories else None) == first_cve
    if first_cve:
        assert (found.floor, found.release) == ("1.19.1", "")
        assert first_cve in found.notes[0].because


@pytest.mark.parametrize(
    ("installed", "wished", "changes", "hole"),
    [
        ("1.19.1-1", "1.19.1", False, False),
        ("1.19.1-1", "1.20.0", True, False),
        ("1.20.0-1", "1.19.1", True, False),
        # What is asked for by its number is installed and kept, and its holes are said.
        ("1.17.8-1", "1.17.8", False, True),
        ("1.19.1-1", "1.17.8", True, True),
    ],
)
def test_a_wished_version_is_honoured(installed: str, wished: str, changes: bool, hole: bool) -> None:
    found = plan(with_toolkit(READY, installed), Settings(nvidia_toolkit_version=wished))
    assert bool(found.packages) is changes
    if changes:
        assert (found.release, found.floor) == (wished, "")
    assert ("security holes" in said(found) or "CVE-" in said(found)) is hole


def test_toolkit_repository_of_somebody_else_is_used() -> None:
    line = "deb [signed-by=/k.gpg] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /"
    found = plan(with_sources(BARE, line))
    assert found.packages
    assert found.repository is None


def test_older_names_go_in_the_same_transaction() -> None:
    old = (("nvidia-container-runtime", "3.13.0-1"), ("nvidia-docker2", "2.13.0-1"))
    found = plan(with_toolkit(READY, "1.13.5-1", *old))
    assert found.remove == ("nvidia-docker2", "nvidia-container-runtime")
    assert "removes nvidia-docker2, nvidia-container-runtime" in said(found)
    kept = plan(with_toolkit(READY, "1.19.1-1", ("nvidia-docker2", "2.14.0-1")))
    assert (kept.remove, kept.packages) == ((), ())
    assert "nvidia-docker2 stays" in said(kept)


@pytest.mark.parametrize(
    ("version", "refused"), [("2.0.3-1.docker18.09.0.ce", True), ("2.13.0-1", True), ("2.14.0-1", False)]
)
@pytest.mark.parametrize("wish", ["present", "absent"])
def test_an_rpm_that_owns_daemon_json_is_not_removed(version: str, refused: bool, wish: str) -> None:
    """nvidia-docker2.spec: %config /etc/docker/daemon.json, up to 2.13."""
    host = with_toolkit(on("rocky-9.6"), "1.13.5-1", ("nvidia-docker2", version))
    found = plan(host, Settings.model_validate({"nvidia_toolkit": wish}))
    assert bool(found.refusal) is refused
    if found.refusal:
        assert found == ToolkitPlan(refusal=found.refusal)
        assert version in found.refusal.seen
        assert "cp -p /etc/docker/daemon.json" in found.refusal.remedy
    else:
        assert "nvidia-docker2" in (*found.remove, *found.uninstall)


def test_absent_removes_exactly_what_is_installed() -> None:
    host = with_toolkit(READY, "1.19.1-1", ("nvidia-container-toolkit-operator-extensions", "1.19.1-1"))
    found = plan(host, ABSENT)
    assert set(found.uninstall) == FOUR | {"nvidia-container-toolkit-operator-extensions"}
    assert (found.absent, found.packages, found.repository, found.hold) == (True, (), None, ())


def test_absent_where_there_is_none_is_right() -> None:
    found = plan(BARE, ABSENT)
    assert found == ToolkitPlan(absent=True, notes=found.notes)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (with_toolkit(JETSON, "1.16.2-1"), "belongs to L4T"),
        (
            replace(READY, toolkit=Toolkit((), "/usr/local/bin/nvidia-container-runtime", ())),
            "not installed as packages",
        ),
        (with_toolkit(replace(BARE, packages=replace(BARE.packages, manager="zypper")), "1.19.1-1"), "apt or dnf"),
    ],
)
def test_absent_is_refused_where_it_is_not_ours(host: Host, says: str) -> None:
    found = plan(host, ABSENT)
    assert found.refusal
    assert found == ToolkitPlan(refusal=found.refusal)
    assert says in found.refusal.brief


@pytest.mark.parametrize("l4t", ["32.7.3", "35.4.1", "36.4.4", "38.2.0", None])
@pytest.mark.parametrize("version", ["1.14.2-1", "1.19.1-1"])
def test_runtime_that_came_with_l4t_is_kept(l4t: str | None, version: str) -> None:
    found = plan(with_toolkit(with_jetson(JETSON, l4t=l4t), version))
    assert found == ToolkitPlan(notes=found.notes)
    assert "L4T" in found.notes[0].because
    assert ("CVE-2026-24260" in said(found)) is (version == "1.14.2-1")


def test_a_runtime_of_l4t_without_packages_is_kept() -> None:
    found = plan(replace(JETSON, toolkit=Toolkit((), RUNTIME, ())), UPGRADE)
    assert found == ToolkitPlan(notes=found.notes)


@pytest.mark.parametrize(
    ("l4t", "version", "outcome"),
    [
        # JetPack 6 has 1.16.2; JetPack 5 1.11.0~rc.1 with its libnvidia-container0.
        ("36.4.4", "1.16.2-1", "upgraded"),
        ("38.2.0", "1.18.0~rc.4-1", "upgraded"),
        ("39.2.1", "1.19.1-1", "kept"),
        ("35.4.1", "1.11.0~rc.1-1", "refused"),
        ("32.7.3", "1.7.0-1", "refused"),
        (None, "1.16.2-1", "refused"),
    ],
)
def test_l4ts_toolkit_is_upgraded_only_where_wished_and_possible(l4t: str | None, version: str, outcome: str) -> None:
    host = with_toolkit(with_jetson(JETSON, l4t=l4t), version)
    assert plan(host).packages == ()
    found = plan(host, UPGRADE)
    assert (bool(found.packages), bool(found.refusal)) == (outcome == "upgraded", outcome == "refused")
    if found.packages:
        assert found.floor == "1.19.1"
        assert found.repository
        assert found.repository.uri.endswith("/arm64/")
        assert not [name for name in (*found.packages, *found.remove) if "l4t" in name or "jetpack" in name]
    if found.refusal:
        assert "libnvidia-container0" in found.refusal.brief
        assert "CVE-2026-24260" in found.refusal.seen


def test_a_jetpacks_holes_are_told_with_its_name() -> None:
    host = with_toolkit(with_jetson(JETSON, l4t="36.4.4"), "1.16.2-1")
    assert host.jetson
    named = replace(host, jetson=replace(host.jetson, jetpack="6.2.1+b38"))
    told = describe(toolkit_advisories(named, CATALOGUE))
    assert "1.16.2 of JetPack 6.2.1+b38 (L4T 36.4.4) has CVE-2024-0134 (" in told
    assert "CVE-2026-24260" in told
    assert told.endswith("; 1.19.1 has none of them")
    assert "the JetPack of L4T 36.4.4" in describe(toolkit_advisories(host, CATALOGUE))


def test_a_jetsons_toolkit_of_a_version_that_was_asked_for_is_kept_holes_and_all() -> None:
    wish = Settings(nvidia_toolkit_jetson="upgrade", nvidia_toolkit_version="1.17.8")
    assert plan(with_toolkit(JETSON, "1.16.2-1"), wish).release == "1.17.8"
    found = plan(with_toolkit(JETSON, "1.17.8-1"), wish)
    assert (found.refusal, found.packages) == (None, ())
    assert "it has CVE-2026-24260 (nvidia_toolkit_version asks for this version)" in said(found)


@pytest.mark.parametrize("l4t", ["32.7.3", "35.4.1"])
def test_missing_runtime_of_an_old_l4t_is_not_nvidias_newest(l4t: str) -> None:
    found = plan(with_packages(with_jetson(JETSON, l4t=l4t), ("nvidia-container-toolkit", "1.14.2-1")))
    assert found.refusal
    assert found == ToolkitPlan(refusal=found.refusal)
    assert l4t in found.refusal.seen
    assert "nvidia-container" in found.refusal.remedy


@pytest.mark.parametrize("l4t", ["36.4.4", "38.2.0", "39.2.1"])
def test_toolkit_is_installed_on_a_jetson_without_any_and_l4t_stays(l4t: str) -> None:
    found = plan(with_jetson(JETSON, l4t=l4t))
    assert found.repository
    assert "arm64" in found.repository.uri
    assert not any(name.startswith("nvidia-l4t") for name in found.packages)


def test_docker_desktop_brings_its_own_toolkit() -> None:
    for wish in ("present", "absent"):
        found = plan(DOCKER_DESKTOP, Settings.model_validate({"nvidia_toolkit": wish}))
        assert (found.packages, found.uninstall) == ((), ())


@pytest.mark.parametrize(("mode", "is_said"), [("auto", False), (None, False), ("legacy", True), ("cdi", True)])
def test_a_mode_that_somebody_chose_stays_and_is_said(mode: str | None, is_said: bool) -> None:
    found = plan(replace(READY, toolkit=replace(READY.toolkit, mode=mode)))
    assert (f"mode {mode}, and stays so" in said(found)) is is_said
    assert found.packages == ()


@pytest.mark.parametrize("manager", ["zypper", None])
def test_other_package_managers_are_refused(manager: str | None) -> None:
    host = replace(BARE, packages=replace(BARE.packages, manager=manager))
    found = plan_toolkit(Settings(), host, CATALOGUE)
    assert found.refusal
    assert "by hand" in found.refusal.remedy
