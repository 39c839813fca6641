"""What a change of the driver keeps of what is there. Package names: packages.ubuntu.com."""

from dataclasses import replace

from deploys.planning.catalogue import load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan
from deploys.planning.settings import Settings
from facts.model import Host
from tests.planning.hosts import DRIVER_580, READY, on_ubuntu


def plan(host: Host, settings: Settings | None = None) -> DriverPlan:
    """The plan with the catalogue that ships."""
    return plan_driver(settings or Settings(), host, load_catalogue())


def with_packages(host: Host, *names: str, version: str = "580.95.05-0ubuntu0.24.04.2") -> Host:
    """The host with driver packages of a version."""
    return replace(host, driver=replace(host.driver, packages=tuple((name, version) for name in names)))


def test_who_has_ubuntus_server_build_keeps_it() -> None:
    names = ("nvidia-utils-580-server", "linux-modules-nvidia-580-server-open-generic")
    found = plan(with_packages(on_ubuntu("6.8.0-45-generic"), *names))
    assert set(names) <= set(found.packages)
    assert found.remove == ()


def test_a_change_keeps_the_display_driver_that_is_there() -> None:
    host = replace(on_ubuntu("6.8.0-45-generic"), driver=DRIVER_580)
    found = plan(with_packages(host, "nvidia-driver-580-open"), Settings(nvidia_driver_branch="595"))
    assert "nvidia-driver-595-open" in found.packages
    assert found.remove == ("nvidia-driver-580-open",)
    compute = plan(with_packages(host, "nvidia-utils-580"), Settings(nvidia_driver_branch="595"))
    assert compute.packages[1] == "nvidia-headless-no-dkms-595-open"


def test_a_screen_that_is_plugged_into_a_working_server_changes_nothing() -> None:
    screen = replace(READY, display=replace(READY.display, connected=("card1-DP-1",)))
    assert (plan(screen).refusal, plan(screen).packages) == (None, ())
    bare = replace(screen, driver=replace(DRIVER_580, disk_version=None, next_boot_version=None, library_version=None))
    assert "nvidia-driver" in plan(replace(bare, driver=replace(bare.driver, packages=()))).packages


def test_a_module_for_the_next_kernel_alone_wants_the_reboot_only() -> None:
    driver = replace(DRIVER_580, library_version="580.178.04", next_boot_version="580.178.04")
    found = plan(replace(READY, driver=driver))
    assert (found.packages, found.reboot_due) == ((), True)
    assert "on disk is 580.178.04" in found.notes[-1].because


def test_a_kernel_that_its_owner_holds_is_not_moved() -> None:
    host = on_ubuntu("6.8.0-45-generic")
    names = ("linux-image-generic", "linux-headers-generic")
    packages = replace(host.packages, installed=tuple((name, "6.8.0-45.45") for name in names), held=names[:1])
    found = plan(replace(host, packages=packages))
    assert "linux-image-generic" not in found.packages
    assert "linux-headers-generic" in found.packages
    assert set(names) <= set(found.hold)
