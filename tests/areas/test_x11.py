"""Asking for a forwarded display: a connection that breaks or is slow is an answer, never an error of ours."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gevent.event import Event  # type: ignore[import-untyped]
from paramiko import SSHException

from deploys.areas import x11
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


@pytest.mark.parametrize("request_", ["request_x11", "exec_command"])
def test_question_ends_though_a_request_has_no_answer(monkeypatch: pytest.MonkeyPatch, request_: str) -> None:
    """paramiko then waits as this does under pyinfra, where its threads are gevent's: other greenlets go on."""
    monkeypatch.setattr(x11, "PATIENCE", 0.01)
    answers = dict.fromkeys(("settimeout", "request_x11", "exec_command"), lambda *_, **__: None)
    channel = SimpleNamespace(**{**answers, request_: lambda *_, **__: Event().wait()})
    connection = SimpleNamespace(open_session=lambda timeout: channel)
    connection.client = SimpleNamespace(get_transport=lambda: connection)
    result = try_x11_forwarding(cast(Any, connection))
    assert result
    assert (result.works, result.seen) == (False, "no answer within 0.01 s")


def test_question_leaves_nothing_to_the_login_shell() -> None:
    """csh takes `2>/dev/null` for a word 2 and the standard output."""
    assert ASK.startswith("sh -c '")
    assert ASK.endswith("'")
    environment = {"DISPLAY": "localhost:10.0"}
    done = subprocess.run(ASK, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("localhost:10.0\n", "")
