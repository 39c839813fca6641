"""The login that is to confirm a change of sshd: it is kept alive, and not waited for without end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from gevent.event import Event  # type: ignore[import-untyped]
from pyinfra.connectors.util import CommandOutput

from deploys.areas import sshd
from deploys.areas.access import Access
from deploys.planning.records import SshdPlan


class Connection:
    """A connector, its client and their transport. The one that a run opens itself never gets an answer."""

    sock = object()
    keepalive = 0

    def __init__(self, opened: list[Connection], _: object) -> None:
        opened.append(self)

    @property
    def client(self) -> Connection:
        """The client."""
        return self

    def get_transport(self) -> Connection:
        """The transport."""
        return self

    def set_keepalive(self, seconds: int) -> None:
        """Keep alive."""
        self.keepalive = seconds

    def connect(self) -> None:
        """Log in."""

    disconnect = close = connect

    def run_shell_command(self, *_: object, _stdin: list[str]) -> None:
        """Wait as paramiko does under pyinfra, where its threads are gevent's: other greenlets go on."""
        Event().wait()


def test_command_without_an_answer_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd, "ANSWERS_WITHIN", 0.01)
    connections: list[Connection] = []
    first: Any = Connection(connections, None)
    first.run_shell_command = lambda *_, **__: (True, CommandOutput([]))
    said: list[str] = []
    host = SimpleNamespace(name="h", connector=first, log=lambda text, **_: said.append(text))
    confirmed = sshd.confirm_by_new_login(cast(Any, connections), cast(Any, host), Access(root=True), "t", SshdPlan())
    assert not confirmed
    assert "seen: no answer within 0.01 s" in said[0]
    assert "was taken back" in said[0]
    assert [one.keepalive for one in connections] == [0, 15], "the first is kept alive from the run's start"
