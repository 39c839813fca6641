"""sshd's options: ours when a new login confirms them, else as they were; and nobody is locked out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from deploys.areas.access import Access, load_detached
from deploys.planning.sshd import DROP_IN
from tests.e2e.harness import LIMIT, Controller, Machine, data_of, machine

SSHD_X11 = "deploys/sshd_x11.py"
RIVAL = "/etc/ssh/sshd_config.d/00-a.conf"
PENDING = "/var/lib/gpu-hosts/sshd/pending"


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host whose administrator has switched X11 forwarding off. The tests of this module use it in order."""
    with machine("wsl", "t-sshd") as fresh:
        yield fresh


def x11_forwarding(one: Machine) -> str:
    """The value in force for a new login."""
    return one.sh("sshd -T | sed -n 's/^x11forwarding //p'")


def change_without_confirming(one: Machine) -> None:
    """Send the change as a run would, with a second of patience, and never log in to confirm it."""
    words = ("sshd", DROP_IN, "1", "a-token", "x11forwarding=yes")
    command = Access(root=False).command(load_detached("sshd_x11"), *words, stdin="X11Forwarding yes\n")
    lines = "\n".join(command.connector_arguments["_stdin"]) + "\n"
    client = one.ssh(command.get_raw_value())
    done = subprocess.run(client, input=lines, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rival_that_comes_first_wins(wsl: Machine, controller: Controller) -> None:
    """Ours is taken back, and the message names the option."""
    wsl.write(RIVAL, "X11Forwarding no\n")
    run = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "the X11 options did not come into force; ours were taken back"), run.text
    assert "x11forwarding is otherwise in sshd -T" in run.text
    assert not wsl.does(f"[ -e {DROP_IN} ] || [ -e {PENDING} ]")
    assert wsl.can_log_in()
    wsl.sh(f"rm {RIVAL}")


def test_unconfirmed_change_is_taken_back_by_itself(wsl: Machine) -> None:
    """Its script had seen the option in force; then the patience ran out."""
    change_without_confirming(wsl)
    wsl.wait_for(f"[ ! -e {PENDING} ]", "the taking back")
    assert not wsl.does(f"[ -e {DROP_IN} ]")
    assert x11_forwarding(wsl) == "no"
    assert wsl.can_log_in()


def test_confirmed_change_stays(wsl: Machine, controller: Controller) -> None:
    """And the next run has nothing to do."""
    run = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text
    assert x11_forwarding(wsl) == "yes"
    assert not wsl.does(f"[ -e {PENDING} ]")
    assert wsl.can_log_in()
    second = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (second.status, second.operations, second.counts) == (0, [], {wsl.name: 1}), second.text


def test_unconfirmed_change_puts_the_former_drop_in_back(wsl: Machine) -> None:
    """Ours of an earlier run, byte for byte."""
    before = wsl.read(DROP_IN)
    change_without_confirming(wsl)
    wsl.wait_for(f"[ ! -e {PENDING} ]", "the taking back")
    assert wsl.read(DROP_IN) == before
    assert wsl.can_log_in()
