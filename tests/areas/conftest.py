"""A made-up host for the tests that run templates."""

from pathlib import Path

import pytest

from tests.areas.shell import PLAIN_TOOLS, Place
from tests.facts.machines import link_tools


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the plain tools."""
    return link_tools(tmp_path_factory.mktemp("tools"), PLAIN_TOOLS)


@pytest.fixture
def place(tmp_path: Path, tools: Path) -> Place:
    """A fresh made-up host."""
    return Place(tmp_path, tools)
