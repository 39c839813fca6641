"""Whether a display is really forwarded through a connection. No display is needed for that."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gevent import Timeout  # type: ignore[import-untyped]
from paramiko import Channel, SSHException, Transport
from pyinfra.connectors.base import BaseConnector

from deploys.areas.connection import transport_of

PATIENCE = 15  # seconds for the whole question
# As the user who logs in would have it, whose shell may be any. sshd runs xauth before the command.
ASK = 'sh -c \'exec 2>/dev/null; echo "$DISPLAY"; xauth list "$DISPLAY"\''


@dataclass(frozen=True)
class Forwarding:
    """What came of asking for a forwarded display; ``advice`` is where to look when no other cause is known."""

    works: bool
    seen: str
    advice: str = ""


def try_x11_forwarding(connector: BaseConnector) -> Forwarding | None:
    """Ask for a forwarded display with a cookie of ours, and look whether it is there on the far side.

    None: the connector is none over SSH. Raises nothing of SSH's own: a connection that breaks is a refusal.
    """
    transport = transport_of(connector)
    if transport is None:
        return None
    cookie = secrets.token_hex(16)
    try:
        # Nothing else bounds request_x11 and exec_command: paramiko waits for their answers without end.
        with Timeout(PATIENCE, TimeoutError):
            display, _, said = _ask(transport, cookie).partition("\n")
    except TimeoutError:
        # xauth asks for its lock ten times, 2 s apart (xauth's process.c, XAUTH_DEFAULT_RETRIES).
        return Forwarding(False, f"no answer within {PATIENCE} s", "see whether ~/.Xauthority-c is left from long ago")
    except (SSHException, EOFError, OSError):
        advice = "`journalctl -u ssh` on the host says why; xauth must be there, and lo must have its addresses"
        return Forwarding(False, "the host's sshd refused it", advice)
    if cookie in said:
        return Forwarding(True, f"DISPLAY is {display}, and xauth there has our cookie")
    advice = "see that the user's home can be written to, and whether ~/.ssh/rc or /etc/ssh/sshrc leaves xauth out"
    return Forwarding(False, f"DISPLAY is {display or 'not set'}, and xauth there has no cookie of ours", advice)


def _ask(transport: Transport, cookie: str) -> str:
    channel = transport.open_session(timeout=PATIENCE)
    channel.settimeout(PATIENCE)
    channel.request_x11(auth_protocol="MIT-MAGIC-COOKIE-1", auth_cookie=cookie)
    channel.exec_command(ASK)
    return _read(channel)


def _read(channel: Channel) -> str:
    """Everything it says until it is closed."""
    parts: list[bytes] = []
    while part := channel.recv(4096):
        parts.append(part)
    return b"".join(parts).decode(errors="replace")
