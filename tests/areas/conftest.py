"""A made-up host for the tests that run templates."""

from pathlib import Path

import pytest

from tests.areas.shell import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh made-up host."""
    return Place(tmp_path)
