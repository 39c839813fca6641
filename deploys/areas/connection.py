"""The SSH connection beneath a host: tuned at the start, closed and opened again around a reboot."""

from __future__ import annotations

import socket
import time

from paramiko import Transport
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.connectors.base import BaseConnector

KEEPALIVE = 15  # seconds; a silent build or pull of many minutes must not look dead to a NAT router


def transport_of(connector: BaseConnector) -> Transport | None:
    """paramiko's end of the connection; None where there is none, as on connectors without one."""
    client = getattr(connector, "client", None)
    return client.get_transport() if client else None


def tune(connector: BaseConnector) -> None:
    """Send small packets at once and keep the connection alive. Nothing to do on connectors without a socket.

    paramiko leaves Nagle's algorithm on, and each command then waits about 43 ms for a delayed acknowledgement.
    """
    transport = transport_of(connector)
    if transport is None:
        return
    transport.set_keepalive(KEEPALIVE)
    if hasattr(transport.sock, "setsockopt"):  # a jump host's channel has no socket options
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def address_of(host: Host) -> str | None:
    """The IP address that the SSH connection goes to; None where there is none, or it goes through a jump host."""
    transport = transport_of(host.connector)
    # A channel through a jump host gives that one's address for the host's.
    if transport is None or not hasattr(transport.sock, "setsockopt"):
        return None
    try:
        return str(transport.sock.getpeername()[0])
    except OSError:
        return None


def close(connector: BaseConnector) -> None:
    """Close the connection for good: pyinfra's own disconnect leaves the socket open.

    The transport alone is closed: a client that is closed as a whole has none any more.
    """
    connector.disconnect()
    transport = transport_of(connector)
    if transport:
        transport.close()


def connect(connector: BaseConnector, *, within: float) -> None:
    """Open a connection, trying for ``within`` seconds: a starting sshd refuses at first. Raises ConnectError."""
    deadline = time.monotonic() + within
    while True:
        try:
            connector.connect()
            return
        except ConnectError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)


def reconnect(host: Host, *, within: float) -> bool:
    """Close the connection and try to open it again for ``within`` seconds. Returns whether it stands."""
    before = getattr(host.connector, "client", None)
    close(host.connector)
    try:
        connect(host.connector, within=within)
    except ConnectError:
        # pyinfra fails a command over a dead transport, and the whole run over a client that has never had one.
        host.connector.client = before  # type: ignore[attr-defined]
        return False
    tune(host.connector)
    return True
