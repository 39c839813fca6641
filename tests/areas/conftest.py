"""A made-up host for the tests that run templates."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.areas.daemon_host import THEIRS, DaemonHost
from tests.areas.shell import PLAIN_TOOLS, Place, start_daemon
from tests.areas.sshd_host import IN_FORCE, NO_SOCKET, drop_in, state
from tests.facts.machines import link_tools


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the plain tools."""
    return link_tools(tmp_path_factory.mktemp("tools"), PLAIN_TOOLS)


@pytest.fixture
def place(tmp_path: Path, tools: Path) -> Place:
    """A fresh made-up host."""
    return Place(tmp_path, tools)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes SIGHUP like a daemon does."""
    daemon = start_daemon()
    yield daemon
    daemon.kill()
    daemon.wait()


@pytest.fixture
def host(place: Place, process: subprocess.Popen[bytes]) -> DaemonHost:
    """A host whose Docker runs with an administrator's file."""
    place.path("/run/systemd/system").mkdir(parents=True)
    return DaemonHost(place, process, THEIRS)


@pytest.fixture
def sshd(place: Place) -> Iterator[Place]:
    """A host with an sshd that takes the options."""
    place.stand_in("sshd", IN_FORCE)
    place.stand_in("systemctl", NO_SOCKET)
    place.stand_in("service", "")
    # A wait for confirmation ends when the test says so, and says itself when all is done that follows it.
    place.stand_in("sleep", 'while [ ! -e "$here/after-$1" ]; do /bin/sleep 0.01; done')
    place.stand_in("setsid", 'for seconds; do :; done; "$@"; : >"$here/over-$seconds"')
    state(place).mkdir()
    drop_in(place).parent.mkdir()
    yield place
    (state(place) / "pending").unlink(missing_ok=True)  # a timer that cannot take it back would go on
    for seconds in (60, 90):
        (place.root / f"after-{seconds}").touch()
