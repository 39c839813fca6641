"""Hosts and runs that several test modules share. A provisioned host takes its time, so it is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet, start_fleet
from tests.e2e.harness import DEPLOY, Controller, Machine, data_of, machine


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
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A WSL2 host of the module's own, with everything on it and the administrator's container running."""
    with machine("wsl", "t-provisioned") as wsl:
        run = Controller(tmp_path_factory.mktemp("provisioned")).run(data_of(wsl), DEPLOY, "-y")
        assert run.verdicts == {wsl.name: "good"}, run.text
        yield wsl
