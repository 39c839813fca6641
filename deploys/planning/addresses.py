"""IP addresses as settings have them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that ``text`` is; None where it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def before_port(address: str) -> str:
    """The address as it stands before a colon and a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
