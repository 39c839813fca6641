"""What the SSH connection tells of the host, with paramiko's own channel and a socket of this machine."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

from paramiko import Channel
from pyinfra.api.host import Host

from deploys.areas.connection import address_of


def connected_by(sock: object) -> Host:
    """A host whose connection goes over that: as much of one as is asked."""
    client = SimpleNamespace(get_transport=lambda: SimpleNamespace(sock=sock))
    return cast(Host, SimpleNamespace(connector=SimpleNamespace(client=client)))


def test_the_address_is_the_hosts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        assert address_of(connected_by(sock)) == "127.0.0.1"


def test_a_jump_hosts_address_is_not_the_hosts() -> None:
    channel: Any = Channel(1)
    channel.transport = SimpleNamespace(getpeername=lambda: ("192.0.2.1", 22))
    assert channel.getpeername()[0] == "192.0.2.1"
    assert address_of(connected_by(channel)) is None


def test_without_ssh_there_is_no_address() -> None:
    assert address_of(cast(Host, SimpleNamespace(connector=object()))) is None
