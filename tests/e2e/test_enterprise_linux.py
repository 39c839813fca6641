"""Enterprise Linux: the driver's whole life, Docker and the toolkit, by dnf, streams and locks on a Debian stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Controller, Machine, data_of, machine

DEPLOY, WHOLE = "deploys/driver.py", "deploys/gpu_host.py"
LOCKS = "/etc/dnf/plugins/versionlock.list"
COMPUTE = {
    "libnvidia-cfg",
    "libnvidia-ml",
    "nvidia-driver-cuda",
    "nvidia-driver-cuda-libs",
    "nvidia-kmod-common",
    "nvidia-modprobe",
    "nvidia-persistenced",
}
TOOLKIT = {
    "libnvidia-container-tools",
    "libnvidia-container1",
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
}
OPEN, PROPRIETARY = {"kmod-nvidia-open-dkms"}, {"kmod-nvidia-latest-dkms"}


@pytest.fixture
def rocky() -> Iterator[Machine]:
    """A bare Rocky Linux 9 stand-in."""
    with machine("rocky", "t-rocky") as fresh:
        yield fresh


@pytest.fixture
def rocky10() -> Iterator[Machine]:
    """A bare Rocky Linux 10 stand-in: no module streams."""
    with machine("rocky10", "t-rocky10") as fresh:
        yield fresh


def packages(host: Machine) -> dict[str, str]:
    """NVIDIA's installed packages and their versions."""
    lines = host.sh("rpm -qa '*nvidia*' --qf '%{NAME} %{VERSION}\\n'").splitlines()
    return dict(line.split() for line in lines)


def locks(host: Machine) -> set[str]:
    """The names of locked packages that are installed in the locked version."""
    versions = host.sh("rpm -qa --qf '%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.*|%{NAME}\\n'").splitlines()
    installed = dict(line.split("|") for line in versions)
    return {installed[entry] for entry in host.read(LOCKS).splitlines() if entry in installed}


def apply(controller: Controller, host: Machine, wishes: dict[str, Any], *, version: str) -> None:
    """Wish for a driver twice: it is there, loaded and locked; the second run needs nothing."""
    inventory = data_of(host)
    inventory[host.name].update(wishes)
    first = controller.run(inventory, DEPLOY, "-y")
    assert (first.status, first.verdicts) == (0, {host.name: "good"}), first.text
    assert first.table[host.name]["driver loaded/on disk"] == f"{version}/{version}", first.text
    there = packages(host)
    assert set(there.values()) == {version}
    assert locks(host) == set(there)
    second = controller.run(inventory, DEPLOY, "-y")
    assert (second.status, second.counts, second.operations) == (0, {host.name: 1}, []), second.text


def test_driver_is_installed_changed_and_removed(rocky: Machine, controller: Controller) -> None:
    """Each change is one transaction, and leaves what was there before."""
    before = rocky.sh("rpm -qa | sort")
    apply(controller, rocky, {}, version="580.178.04")
    assert packages(rocky).keys() == COMPUTE | OPEN
    assert rocky.does("systemctl is-active nvidia-persistenced")
    assert "stream=580-open" in rocky.read("/etc/dnf/modules.d/nvidia-driver.module")
    assert "grubby --update-kernel=ALL --args=rd.driver.blacklist=" in rocky.read("/var/log/gpu-sandbox/calls")
    rocky.sh("dnf -y upgrade")
    apply(controller, rocky, {"nvidia_driver_branch": "595"}, version="595.91.07")
    apply(controller, rocky, {"nvidia_driver_branch": "580.95.05"}, version="580.95.05")
    rocky.sh("dnf -y upgrade")
    assert set(packages(rocky).values()) == {"580.95.05"}, "what is locked stays"
    exact = {"nvidia_driver_branch": "580.95.05", "nvidia_driver_modules": "proprietary"}
    apply(controller, rocky, exact, version="580.95.05")
    assert packages(rocky).keys() == COMPUTE | PROPRIETARY
    assert rocky.sh("modinfo -F license nvidia") == "NVIDIA"
    inventory = data_of(rocky)
    inventory[rocky.name]["nvidia_driver"] = "absent"
    run = controller.run(inventory, DEPLOY, "-y")
    assert run.status == 0, run.text
    assert packages(rocky) == {}
    assert rocky.read(LOCKS).strip() == ""
    assert set(before.splitlines()) <= set(rocky.sh("rpm -qa").splitlines())
    again = controller.run(inventory, DEPLOY, "-y")
    assert (again.status, again.counts, again.operations) == (0, {rocky.name: 1}, []), again.text


def test_branch_is_changed_without_streams(rocky10: Machine, controller: Controller) -> None:
    apply(controller, rocky10, {"nvidia_driver_branch": "595"}, version="595.91.07")
    apply(controller, rocky10, {"nvidia_driver_branch": "580"}, version="580.178.04")
    assert not rocky10.does("test -e /etc/dnf/modules.d/nvidia-driver.module")


SITE_PACKAGE = """
mkdir -p /run/site
cat >/run/site/site.spec <<END
Name: site-cuda
Version: 1
Release: 1
Summary: ours
License: none
BuildArch: noarch
Requires: nvidia-driver-cuda = 3:580.178.04
%description
%files
END
rpmbuild -bb --quiet --define '_rpmdir /run/site' /run/site/site.spec && rpm --install /run/site/noarch/*.rpm
"""


def test_a_package_that_needs_the_old_driver_is_not_removed_for_the_new_one(
    rocky: Machine, controller: Controller
) -> None:
    inventory = data_of(rocky)
    apply(controller, rocky, {}, version="580.178.04")
    rocky.sh(SITE_PACKAGE)
    state = rocky.sh(f"cat {LOCKS} /etc/dnf/modules.d/*; rpm -qa | sort")
    for wish in ({"nvidia_driver_branch": "580.95.05"}, {"nvidia_driver": "absent"}):
        inventory[rocky.name] = {**rocky.data, **wish}
        run = controller.run(inventory, DEPLOY, "-y")
        assert run.status == 1
        assert run.is_three_part(rocky.name, "driver: other packages would be removed"), run.text
        assert "site-cuda" in run.said_of(rocky.name)
        assert rocky.sh(f"cat {LOCKS} /etc/dnf/modules.d/*; rpm -qa | sort") == state


def test_docker_and_toolkit_are_installed_held_and_proved(rocky: Machine, controller: Controller) -> None:
    """The whole deploy, by dnf from the vendors' repositories; Docker is started, which its packages do not."""
    inventory = data_of(rocky)
    first = controller.run(inventory, WHOLE, "-y")
    assert (first.status, first.verdicts) == (0, {rocky.name: "good"}), first.text
    assert first.table[rocky.name]["GPU proof"].startswith("ok")
    assert {"docker-ce", "docker-ce-cli", "containerd.io", *TOOLKIT} <= locks(rocky)
    assert rocky.does("systemctl is-enabled docker && docker info")
    before = rocky.sh("rpm -qa | sort")
    rocky.sh("dnf -y upgrade")
    assert rocky.sh("rpm -qa | sort") == before
    second = controller.run(inventory, WHOLE, "-y")
    assert (second.status, second.counts, second.operations) == (0, {rocky.name: 1}, []), second.text
