"""The one guest of a session, and pyinfra beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.harness import Controller, Run
from tests.sandbox.machine import check_machine
from tests.sandbox.state import locked
from tests.vm import guest as machine
from tests.vm.guest import Guest

SLOW = 3600  # seconds that a run may take: an emulated machine builds images, on one that others use as well
CAMERA = "/dev/v4l/by-path/platform-vivid.0-video-index0"


class Pyinfra(Controller):
    """pyinfra, run from the checkout on the guest alone: no simulated vendor is there, and nothing leads to one."""

    @property
    def environment(self) -> dict[str, str]:
        """That pyinfra runs in."""
        return {**os.environ, **self.further}

    def wish(self, guest: Guest, deploy: str, wishes: Mapping[str, object]) -> Run:
        """Run ``deploy`` with these settings."""
        return self.run({guest.name: {**guest.data, **wishes}}, deploy, "-y")

    def apply(self, guest: Guest, deploy: str, wishes: Mapping[str, object]) -> Run:
        """Wish for it twice: the first run makes it so, the second has nothing to do."""
        first = self.wish(guest, deploy, wishes)
        assert (first.status, first.verdicts) == (0, {guest.name: "good"}), first.text
        second = self.wish(guest, deploy, wishes)
        assert (second.status, second.counts, second.operations) == (0, {guest.name: 1}, []), second.text
        return first


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A guest that has just booted; gone with all that is on it at the end. A second session waits for the first."""
    check_machine()
    with locked("vm-lock"):
        try:
            yield machine.start()
        finally:
            machine.stop()


@pytest.fixture(scope="session")
def webcam(guest: Guest) -> Guest:
    """With a camera: a node that captures and one for metadata (kernel, Documentation/admin-guide/media/vivid.rst)."""
    guest.sh("modprobe vivid n_devs=1 node_types=0x20001 num_inputs=1 input_types=0 && udevadm settle")
    return guest


@pytest.fixture
def pyinfra(tmp_path: Path) -> Pyinfra:
    """pyinfra, with a folder of the test's own."""
    return Pyinfra(tmp_path, SLOW)
