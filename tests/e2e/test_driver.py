"""The driver that was wished for: a branch by name, an exact version; and what is said where it cannot go in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Controller, Machine, data_of, machine

DEPLOY = "deploys/driver.py"


@pytest.fixture
def server() -> Iterator[Machine]:
    """A bare server."""
    with machine("server", "t-driver") as fresh:
        yield fresh


@pytest.mark.parametrize(
    ("wish", "version", "pinning"),
    [
        ("production", "595.91.07", "nvidia-driver-pinning-595"),
        ("580.95.05", "580.95.05", "nvidia-driver-pinning-580.95.05"),
    ],
)
def test_wished_driver_is_installed_and_loaded(
    server: Machine, controller: Controller, wish: str, version: str, pinning: str
) -> None:
    """Neither is the newest of the repository; the second run needs nothing; another wish is refused."""
    inventory = data_of(server)
    inventory[server.name]["nvidia_driver_branch"] = wish
    first = controller.run(inventory, DEPLOY, "-y")
    assert first.table[server.name]["driver loaded/on disk"] == f"{version}/{version}", first.text
    assert (first.status, first.verdicts) == (0, {server.name: "good"}), first.text
    assert server.does(f"dpkg --status {pinning}")
    assert server.does("grep -qx 'blacklist nova_core' /etc/modprobe.d/gpu-hosts-nouveau.conf")
    assert server.restarts == 1
    second = controller.run(inventory, DEPLOY, "-y")
    assert (second.status, second.counts, second.operations) == (0, {server.name: 1}, []), second.text
    inventory[server.name]["nvidia_driver_branch"] = "lts" if wish == "production" else "580.178.04"
    third = controller.run(inventory, DEPLOY, "-y")
    assert third.status == 1
    assert third.is_three_part(server.name, "driver: refused: another driver is installed"), third.text
    assert server.sh("modinfo -F version nvidia") == version


SITE_PACKAGE = """
mkdir -p /run/site/DEBIAN
cat >/run/site/DEBIAN/control <<END
Package: site-cuda
Version: 1
Architecture: all
Maintainer: site
Conflicts: libcuda1
Description: ours
END
dpkg-deb --build /run/site /run/site.deb && dpkg --install /run/site.deb
"""


def test_package_in_the_drivers_way_is_named_and_stays(server: Machine, controller: Controller) -> None:
    server.sh(SITE_PACKAGE)
    run = controller.run(data_of(server), DEPLOY, "-y")
    assert (run.status, run.verdicts) == (1, {server.name: "bad"}), run.text
    assert run.is_three_part(server.name, "driver: other packages would be removed for it"), run.text
    assert "would remove site-cuda" in run.said_of(server.name), run.text
    assert server.does("dpkg --status site-cuda")
    assert server.restarts == 0
