"""What listens on TCP: ``ss -ltnp``, else the kernel's own tables."""

from __future__ import annotations

import ipaddress
import re

from ..devices import Listener
from .answer import Answer


def read_listeners(answer: Answer) -> tuple[Listener, ...]:
    """TCP sockets that listen, each once, by port."""
    found = [*map(of_ss, answer.all("listeners", "listener")), *map(of_table, answer.all("listeners", "tcp"))]
    return tuple(sorted(set(filter(None, found)), key=lambda one: (one.port, one.address, one.process)))


def of_ss(line: str) -> Listener | None:
    """``LISTEN 0 128 [::1]:631 [::]:* users:(("cupsd",pid=812,fd=7))``. iproute2 says * for both families at once."""
    row = re.match(r"LISTEN +\d+ +\d+ +(\S+):(\d{1,5}) ", f"{line} ")
    if not row:
        return None
    bare = re.sub(r"%[^\]]*", "", row[1]).strip("[]")
    address = read_address("::" if bare == "*" else bare)
    user = re.search(r'\(\("(.*?)",pid=(\d+)', line)
    return Listener(address, int(row[2]), f"{user[1]} (pid {user[2]})" if user else "") if address else None


def of_table(line: str) -> Listener | None:
    """A row of /proc/net/tcp or tcp6, whose addresses are 32-bit words in the byte order of x86 and ARM (proc(5))."""
    row = re.match(r"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ", line)
    if not row:
        return None
    words = (bytes.fromhex(row[1][at : at + 8])[::-1] for at in range(0, len(row[1]), 8))
    return Listener(str(plain(ipaddress.ip_address(b"".join(words)))), int(row[2], 16), "")


def read_address(text: str) -> str | None:
    """An address in its usual form, or None."""
    try:
        return str(plain(ipaddress.ip_address(text)))
    except ValueError:
        return None


def plain(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """::ffff:127.0.0.1 is 127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
