"""A vendor's repository that does not work costs the host that needs it, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, Run, data_of, machine
from tests.sandbox import vendors
from tests.sandbox.state import FOLDER

NOTHING: Mapping[str, Any] = {}
SOURCES = "ls /etc/apt/sources.list.d /etc/apt/keyrings /usr/share/keyrings 2>/dev/null; true"


@pytest.fixture(scope="module")
def jetson() -> Iterator[Machine]:
    """A host that needs Docker from Docker's repository."""
    with machine("jetson", "t-needs-docker") as fresh:
        yield fresh


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host that has Docker, and needs the toolkit from NVIDIA's repository."""
    with machine("wsl", "t-has-docker") as fresh:
        yield fresh


@contextmanager
def fault(name: str, machine: Machine) -> Iterator[None]:
    """Docker's repository misbehaves towards this host. Others, of tests that run at the same time, do not notice."""
    client = machine.host.address
    vendors.set_fault(FOLDER, name, vendor="docker", client=client)
    try:
        yield
    finally:
        vendors.set_fault(FOLDER, None, vendor="docker", client=client)


def run_both(controller: Controller, jetson: Machine, wsl: Machine, own: Mapping[str, Any] = NOTHING) -> Run:
    """A run over both (``own``: further data of the first), in which the first must fail and the second finish."""
    run = controller.run({jetson.name: {**jetson.data, **own}, wsl.name: wsl.data}, DEPLOY, "-y")
    assert (run.status, run.verdicts) == (1, {jetson.name: "bad", wsl.name: "good"}), run.text
    # NVIDIA's repository, which works, is added.
    assert "docker" not in jetson.sh(SOURCES)
    assert jetson.does("apt-get update --error-on=any")
    assert not jetson.does("command -v dockerd")
    return run


@pytest.mark.parametrize(
    ("name", "brief"),
    [
        ("404", "the key of the docker repository cannot be fetched"),
        ("wrong-signature", "apt does not accept the docker repository, so it was taken away again"),
    ],
)
def test_broken_repository(controller: Controller, jetson: Machine, wsl: Machine, name: str, brief: str) -> None:
    """Its host fails in three parts, the other one finishes."""
    with fault(name, jetson):
        run = run_both(controller, jetson, wsl)
    assert run.is_three_part(jetson.name, brief), run.text


def test_key_of_somebody_else(controller: Controller, jetson: Machine, wsl: Machine) -> None:
    """The key that is served is not the one whose fingerprint is known: it is not taken."""
    run = run_both(controller, jetson, wsl, {"docker_key_fingerprint": "0123456789ABCDEF" * 2 + "01234567"})
    assert run.is_three_part(jetson.name, "the key of the docker repository is not the one that is known"), run.text
    assert jetson.data["docker_key_fingerprint"] in run.said_of(jetson.name)


def test_once_the_vendor_is_back_the_host_is_finished(controller: Controller, jetson: Machine) -> None:
    """Nothing of the failures is in the way."""
    run = controller.run(data_of(jetson), DEPLOY, "-y")
    assert (run.status, run.verdicts) == (0, {jetson.name: "good"}), run.text
