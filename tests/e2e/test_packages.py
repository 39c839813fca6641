"""Package managers that are busy or broken, and a driver that cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, data_of, machine

TOOLKIT_SOURCE = "/etc/apt/sources.list.d/gpu-hosts-nvidia-container-toolkit.sources"
# Holds dpkg's lock, as dpkg and apt do, while /run/holds-lock is there. fcntl(2), struct flock on x86_64.
HOLD_LOCK = """
use Fcntl;
open(LOCK, '>>', '/var/lib/dpkg/lock-frontend') or die;
my $lock = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl(LOCK, F_SETLK, $lock) or die;
open(MARK, '>', '/run/holds-lock');
select(undef, undef, undef, 0.1) while -e '/run/holds-lock';
"""
FAILING_PACKAGE = """
mkdir -p /run/failing/DEBIAN
printf 'Package: site-agent\\nVersion: 1\\nArchitecture: all\\nMaintainer: site\\nDescription: fails\\n' \
    >/run/failing/DEBIAN/control
printf '#!/bin/sh\\nexit 1\\n' >/run/failing/DEBIAN/postinst
chmod 0755 /run/failing/DEBIAN/postinst
dpkg-deb --build /run/failing /run/failing.deb
dpkg --install /run/failing.deb || true
"""


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host that lacks the toolkit's packages. The tests of this module use it in order."""
    with machine("wsl", "t-packages") as fresh:
        yield fresh


def test_half_configured_package_is_refused_by_name(wsl: Machine, controller: Controller) -> None:
    """In the dry run already."""
    wsl.sh(FAILING_PACKAGE)
    run = controller.run(data_of(wsl), DEPLOY, "--dry")
    assert run.verdicts == {wsl.name: "refused"}, run.text
    assert run.is_three_part(wsl.name, "packages are half configured, and apt would trip over them"), run.text
    assert "dpkg --audit names site-agent" in run.said_of(wsl.name)
    wsl.sh("dpkg --purge site-agent")


def test_busy_package_manager_is_waited_for(wsl: Machine, controller: Controller) -> None:
    """Nothing is installed while the lock is held; when it is free the run goes through."""
    wsl.write("/run/hold-lock", HOLD_LOCK)
    wsl.sh("setsid perl /run/hold-lock >/dev/null 2>&1 </dev/null &")
    wsl.wait_for("[ -e /run/holds-lock ]", "the lock")
    with controller.start(data_of(wsl), DEPLOY, "-y") as process:
        wsl.wait_for("ls -d /var/lib/gpu-hosts/repositories/run.*", "the first step that uses apt")
        assert not wsl.does(f"[ -e {TOOLKIT_SOURCE} ]")
        assert process.poll() is None
        wsl.sh("rm /run/holds-lock")
        run = controller.finish(process)
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text


def test_without_a_driver_docker_still_goes_in(controller: Controller) -> None:
    """A server whose card is gone: the driver is refused, what needs it is skipped by name, Docker runs."""
    with machine("server", "t-no-gpu") as server:
        server.sh("rm -r /sys/bus/pci/devices/0000:17:00.0")
        run = controller.run(data_of(server), DEPLOY, "-y")
        assert (run.status, run.verdicts) == (1, {server.name: "bad"}), run.text
        said = run.said_of(server.name)
        assert run.is_three_part(server.name, "driver: refused: there is no NVIDIA GPU in this machine"), run.text
        assert "toolkit: skipped: it needs driver, which is refused" in said
        assert server.does("docker info")
        assert not server.does("command -v nvidia-container-runtime")
        assert "nvidia" not in server.sh("dpkg-query -W -f '${Package} '")
        assert server.restarts == 0
