"""Secure Boot: what is let in, and the way to a key that is. Made-up hosts.

Paths of the keys: dkms 3.2.2, dkms.in; only mokutil's menu on the console enrols (shim).
"""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.driver import plan_driver
from deploys.planning.records import DriverPlan
from deploys.planning.settings import Settings
from facts.model import Host
from tests.planning.hosts import BARE, DRIVER_580, READY, on_ubuntu

LOCKED = replace(BARE, secure_boot=True)
WITH_PASSWORD = Settings(nvidia_module_key_password_env="MOK")


def plan(host: Host, settings: Settings | None = None) -> DriverPlan:
    """The plan with the catalogue that ships."""
    return plan_driver(settings or Settings(), host, load_catalogue())


def with_key(host: Host, *, enrolled: bool | None = False, staged: bool = False) -> Host:
    """The host with a key of DKMS."""
    path = "/var/lib/dkms/mok.pub"
    driver = replace(host.driver, module_key=path, module_key_enrolled=enrolled, module_key_staged=staged)
    return replace(host, driver=driver)


def test_modules_that_are_built_here_are_refused_with_the_ways_out() -> None:
    found = plan(LOCKED).refusal
    assert found
    assert "Secure Boot is on; DKMS has no key yet" in found.seen
    assert "nvidia_module_key_password_env" in found.remedy
    refused = plan(with_key(LOCKED)).refusal
    assert refused
    assert "/var/lib/dkms/mok.pub is not enrolled" in refused.seen


def test_with_a_password_the_key_is_staged_and_the_driver_waits_for_the_console() -> None:
    found = plan(LOCKED, WITH_PASSWORD)
    assert found.module_key == ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub")
    assert found.packages == ()
    assert found.refusal
    assert "console" in found.refusal.brief
    assert "Enroll MOK" in found.refusal.remedy
    assert "MOK, Continue, Yes, the password of MOK" in found.refusal.remedy


def test_a_staged_key_is_not_staged_again() -> None:
    for settings in (Settings(), WITH_PASSWORD):
        found = plan(with_key(LOCKED, staged=True), settings)
        assert found.module_key is None
        assert found.refusal
        assert "is staged" in found.refusal.seen


def test_an_enrolled_key_lets_the_driver_in() -> None:
    found = plan(with_key(LOCKED, enrolled=True))
    assert (found.refusal, found.branch) == (None, "580")


def test_ubuntus_key_is_in_ubuntus_place() -> None:
    host = replace(on_ubuntu("6.8.0-45-generic"), secure_boot=True)
    wished = Settings(nvidia_driver_source="nvidia", nvidia_module_key_password_env="MOK")
    assert plan(host, wished).module_key == ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der")


def test_ubuntus_arm_modules_are_unsigned() -> None:
    # gpu-driver-container: no linux-signatures-nvidia for arm64.
    host = replace(on_ubuntu("6.8.0-45-generic", architecture="arm64"), secure_boot=True)
    assert plan(host).refusal


@pytest.mark.parametrize("settings", [Settings(), WITH_PASSWORD])
def test_a_state_that_cannot_be_read_is_refused_and_nothing_is_staged(settings: Settings) -> None:
    found = plan(replace(BARE, secure_boot=None), settings)
    assert found.module_key is None
    assert found.refusal
    assert "cannot be read" in found.refusal.seen
    assert "mount -t efivarfs" in found.refusal.remedy


def test_a_change_that_needs_a_key_stages_it_and_leaves_the_driver() -> None:
    host = replace(READY, secure_boot=True, driver=DRIVER_580)
    found = plan(host, Settings(nvidia_driver_branch="production", nvidia_module_key_password_env="MOK"))
    assert found.module_key
    assert found.packages == ()
