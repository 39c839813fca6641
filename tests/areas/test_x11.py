"""Asking for a forwarded display: a connection that breaks or is slow is an answer, never an error of ours."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Any, cast

import pytest
from paramiko import SSHException

from deploys.areas.x11 import ASK, try_x11_forwarding


@dataclass
class Connection:
    """A connector, its client and their transport, over which no channel opens."""

    error: Exception

    @property
    def client(self) -> Connection:
        """The client."""
        return self

    def get_transport(self) -> Connection:
        """The transport."""
        return self

    def open_session(self, timeout: float) -> None:
        """What paramiko raises."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (SSHException("Channel closed."), "refused"),
        (EOFError(), "refused"),
        (TimeoutError(), "no answer within 15 s"),
    ],
)
def test_connection_that_breaks_is_an_answer(error: Exception, seen: str) -> None:
    result = try_x11_forwarding(cast(Any, Connection(error)))
    assert result
    assert not result.works
    assert seen in result.seen


def test_question_leaves_nothing_to_the_login_shell() -> None:
    """csh takes `2>/dev/null` for a word 2 and the standard output."""
    assert ASK.startswith("sh -c '")
    assert ASK.endswith("'")
    environment = {"DISPLAY": "localhost:10.0"}
    done = subprocess.run(ASK, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("localhost:10.0\n", "")
