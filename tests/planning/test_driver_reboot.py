"""A reboot that a driver needs, by what runs on the host and what its owner allows; and loading anew in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue
from deploys.planning.host_plan import Plan
from deploys.planning.plan import make_plan
from deploys.planning.records import Area
from deploys.planning.settings import Settings
from facts.model import Container, Display, Host
from tests.planning.hosts import DOCKER, DRIVER_580, READY, on

CATALOGUE: Catalogue = load_catalogue()
# Another module is loaded than the one on disk.
DUE = replace(READY, driver=replace(DRIVER_580, loaded_version="580.65.06"))
CONTAINER = Container("1", "training", "example/training:1", "nvidia")
BUSY = replace(DUE, docker=replace(DOCKER, containers=(CONTAINER,)))
IN_USE = replace(DUE, driver=replace(DUE.driver, users=("python3 (pid 812)",)))
WATCHED = replace(DUE, display=Display(None, None, (), sessions=("alice (wayland)",)))
LOGIN_SCREEN = replace(
    DUE,
    driver=replace(DUE.driver, users=("Xorg (pid 900)", "gnome-shell (pid 950)")),
    display=Display("graphical.target", "gdm3", ("card1-DP-1",)),
)
NOUVEAU = replace(READY, driver=replace(DRIVER_580, loaded_version=None, nouveau_loaded=True))


def plan(
    host: Host, reboot: str | None, *, reload: bool = False, driver: str = "present", branch: str = "auto"
) -> Plan:
    """The plan with the catalogue that ships."""
    values = {"reboot": reboot, "nvidia_driver_reload": reload, "nvidia_driver": driver, "nvidia_driver_branch": branch}
    return make_plan(Settings.model_validate(values), host, CATALOGUE)


# What runs, what is allowed: whether it reboots, even in use, or what the refusal says.
LEAVE: list[tuple[Host, str | None, bool, bool, str]] = [
    (DUE, None, False, False, "a reboot is due, and it was not allowed"),
    (DUE, "when-idle", True, False, ""),
    (DUE, "when-needed", True, True, ""),
    (DUE, "never", False, False, ""),
    (BUSY, None, False, False, "a reboot is due, and it was not allowed"),
    (BUSY, "when-idle", False, False, "seen: container training"),
    (BUSY, "when-needed", True, True, ""),
    (BUSY, "never", False, False, ""),
    (IN_USE, "when-idle", False, False, "seen: python3 (pid 812)"),
    (IN_USE, "when-needed", True, True, ""),
    (IN_USE, "never", False, False, ""),
    (WATCHED, "when-idle", False, False, "seen: alice (wayland)"),
    (LOGIN_SCREEN, "when-idle", True, False, ""),
    (replace(LOGIN_SCREEN, display=WATCHED.display), "when-idle", False, False, "seen: Xorg (pid 900)"),
    (WATCHED, "when-needed", False, False, "to do: run this again when they have logged out"),
    (WATCHED, None, False, False, 'to do: set reboot = "when-idle" (or "when-needed"'),
    (NOUVEAU, None, False, False, "seen: loaded is nouveau, on disk is 580.95.05"),
    (NOUVEAU, "when-idle", True, False, ""),
]


@pytest.mark.parametrize(("host", "reboot", "allowed", "in_use", "says"), LEAVE, ids=range(len(LEAVE)))
def test_a_due_reboot_waits_for_leave_and_for_what_runs(
    host: Host, reboot: str | None, allowed: bool, in_use: bool, says: str
) -> None:
    found = plan(host, reboot)
    assert found.driver.refusal is None
    assert (found.reboot.due, found.reboot.allowed, found.reboot.even_in_use) == (True, allowed, in_use)
    assert bool(found.reboot.refusal) is bool(says)
    assert says in str(found.reboot.refusal or "")
    assert bool(found.proof.skipped) is not allowed
    if found.reboot.refusal:
        assert found.reboot.refusal.area is Area.REBOOT
        assert all((found.reboot.refusal.brief, found.reboot.refusal.seen, found.reboot.refusal.remedy))


@pytest.mark.parametrize("host", [replace(IN_USE, driver=replace(IN_USE.driver, loaded_version="580.95.05"))])
@pytest.mark.parametrize(
    ("reboot", "refused"), [(None, True), ("never", True), ("when-idle", True), ("when-needed", False)]
)
@pytest.mark.parametrize(("driver", "branch"), [("present", "595"), ("absent", "auto")])
def test_a_driver_changes_under_processes_only_where_a_reboot_may_stop_them(
    host: Host, reboot: str | None, refused: bool, driver: str, branch: str
) -> None:
    found = plan(host, reboot, driver=driver, branch=branch)
    assert bool(found.driver.refusal) is refused
    assert found.reboot.due is not refused
    assert found.reboot.allowed is not refused


@pytest.mark.parametrize(
    ("reboot", "refused"), [(None, True), ("never", True), ("when-idle", False), ("when-needed", False)]
)
def test_a_driver_changes_under_a_login_screen_where_the_reboot_follows(reboot: str | None, refused: bool) -> None:
    """Who logged in between would get a black screen; and the screen itself is not at work for ever."""
    found = plan(LOGIN_SCREEN, reboot, branch="595")
    assert bool(found.driver.refusal) is refused
    assert not found.driver.refusal or 'set reboot = "when-idle"' in found.driver.refusal.remedy


@pytest.mark.parametrize("reboot", [None, "never", "when-idle", "when-needed"])
def test_new_modules_are_loaded_in_a_reboots_place_where_old_ones_can_be_unloaded(reboot: str | None) -> None:
    found = plan(DUE, reboot, reload=True)
    assert found.driver.reload
    assert found.reboot.refusal is None
    assert found.reboot.allowed is (reboot in ("when-idle", "when-needed"))
    nouveau = plan(NOUVEAU, reboot, reload=True)
    assert not nouveau.driver.reload
    assert nouveau.reboot.due


def test_an_update_that_may_find_nothing_new_is_not_refused_for_a_reboot() -> None:
    for reboot, host, allowed in (("when-idle", READY, True), ("when-idle", BUSY, False), (None, READY, False)):
        current = replace(host, driver=DRIVER_580)
        found = make_plan(Settings.model_validate({"reboot": reboot}), current, CATALOGUE, update=True)
        assert (found.driver.may_be_there, found.driver.reboot_due) == (True, False)
        assert (found.reboot.refusal, found.reboot.allowed) == (None, allowed)


def test_prebuilt_modules_may_come_for_a_kernel_that_does_not_run_yet() -> None:
    """Ubuntu's come with the newest kernel: the reboot is made where it is allowed, and not called due before."""
    archive = on("ubuntu-24.04", packages="linux-generic linux-image-generic")
    assert (plan(archive, "when-idle").reboot.allowed, plan(archive, "when-idle").reboot.refusal) == (True, None)
    assert (plan(archive, None).reboot.due, plan(archive, None).reboot.refusal) == (False, None)
    assert plan(on("debian-13"), "when-idle").reboot.due is False


def test_a_reboot_is_due_for_a_removed_driver_until_its_module_is_gone() -> None:
    found = plan(READY, "when-idle", driver="absent")
    assert found.driver.uninstall == ("nvidia-driver-cuda",)
    assert (found.reboot.due, found.reboot.allowed) == (True, True)
    gone = replace(DRIVER_580, loaded_version=None, disk_version=None, library_version=None, packages=())
    assert not plan(replace(READY, driver=gone), None, driver="absent").reboot.due
