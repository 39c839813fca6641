"""Hosts and runs that several test modules share. A provisioned host takes its time, so it is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet, start_fleet
from tests.e2e.harness import DEPLOY, Controller, Machine, data_of, machine

# Where modules run side by side, no worker is to be left with a long one in the end. Others come before these.
LONGEST_FIRST = (
    "test_ubuntu.py",
    "test_debian_archive.py",
    "test_fleet.py",
    "test_docker_versions.py",
    "test_registry_cache.py",
    "test_images.py",
    "test_daemon_json.py",
    "test_daemon_versions.py",
    "test_enterprise_linux.py",
    "test_driver.py",
    "test_containers.py",
    "test_sshd.py",
    "test_invocations.py",
    "test_verdicts.py",
    "test_vendors.py",
    "test_sudo_password.py",
    "test_packages.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the modules."""
    order = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, -1))


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """pyinfra, with a folder of the test's own."""
    return Controller(tmp_path)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The three kinds of machine and one that refuses: looked at, dry-run, provisioned, and run again."""
    with start_fleet(Controller(tmp_path_factory.mktemp("fleet"))) as ready:
        yield ready


@pytest.fixture(scope="module")
def provisioned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A WSL2 host of the module's own, with everything on it and the administrator's container running."""
    with machine("wsl", f"t-{request.path.stem.removeprefix('test_').replace('_', '-')}") as wsl:
        run = Controller(tmp_path_factory.mktemp("provisioned")).run(data_of(wsl), DEPLOY, "-y")
        assert run.verdicts == {wsl.name: "good"}, run.text
        yield wsl
