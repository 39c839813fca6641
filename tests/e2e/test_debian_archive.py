"""Debian's own driver packages, the real ones: DKMS builds the module for a real kernel, and nothing loads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Controller, Machine, data_of, machine

DEPLOY = "deploys/driver.py"
SOURCE = "/etc/apt/sources.list.d/gpu-hosts-debian.sources"


@pytest.fixture
def debian() -> Iterator[Machine]:
    """A bare Debian 12 whose sources name main alone."""
    with machine("debian", "t-debian") as fresh:
        yield fresh


def test_archives_driver_is_built_for_the_kernel_and_not_called_loaded(debian: Machine, controller: Controller) -> None:
    """No GPU is behind this host's PCI tree: installed is all that can be had, and that is not good."""
    inventory = data_of(debian)
    inventory[debian.name]["nvidia_driver_source"] = "distribution"
    first = controller.run(inventory, DEPLOY, "-y")
    installed = debian.sh("dpkg-query -W -f '${Version}' nvidia-kernel-dkms").split("-")[0]
    assert first.table[debian.name]["driver loaded/on disk"] == f"none/{installed}", first.text
    assert (first.status, first.verdicts) == (1, {debian.name: "bad"}), first.text
    assert f"{installed} is installed, none is loaded" in first.said_of(debian.name), first.text
    assert debian.sh("modinfo -k $(uname -r) -F vermagic nvidia-current").startswith(debian.sh("uname -r"))
    assert debian.does(f"grep -qx 'Components: contrib non-free non-free-firmware' {SOURCE}")
    assert debian.sh("dpkg --audit") == ""
    assert debian.does("grep -qx 'blacklist nouveau' /etc/modprobe.d/gpu-hosts-nouveau.conf")
    assert debian.does("systemctl is-enabled nvidia-persistenced")
    packages = debian.sh("dpkg-query -W")
    second = controller.run(inventory, DEPLOY, "-y")
    assert (second.status, second.verdicts) == (1, {debian.name: "bad"}), second.text
    assert f"{installed} is installed, none is loaded" in second.said_of(debian.name), second.text
    assert debian.sh("dpkg-query -W") == packages
