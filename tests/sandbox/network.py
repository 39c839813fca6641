"""The sandbox's own Docker network, on a subnet that this machine does not use."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.sandbox.engine import LABEL, PREFIX, docker, does_exist
from tests.sandbox.errors import SandboxError

SUBNETS = tuple(IPv4Network(subnet) for subnet in ("172.30.97.0/24", "10.213.97.0/24", "192.168.213.0/24"))


def ensure_network() -> str:
    """Make the sandbox's network where it is missing; return its subnet."""
    if does_exist("network", PREFIX):
        return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", PREFIX)
    # Docker refuses a subnet that another of its networks has, but not one that this machine itself has a route to.
    routes = parse_routes(Path("/proc/net/route").read_text())
    complaints = [f"this machine's routes: {', '.join(map(str, routes))}"]
    for subnet in SUBNETS:
        if any(subnet.overlaps(route) for route in routes):
            continue
        command = ["docker", "network", "create", "--label", LABEL, "--subnet", str(subnet), PREFIX]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode == 0:
            return str(subnet)
        complaints.append(made.stderr.strip())
    remedy = f"free one of {', '.join(map(str, SUBNETS))}"
    raise SandboxError("no subnet is left for the sandbox", seen="; ".join(complaints), remedy=remedy)


def parse_routes(text: str) -> list[IPv4Network]:
    """The networks of /proc/net/route (hexadecimal, least significant byte first), without the default route."""
    rows = [line.split() for line in text.splitlines()[1:]]
    pairs = [(_address(row[1]), _address(row[7])) for row in rows]
    return [IPv4Network(f"{network}/{mask}") for network, mask in pairs if int(mask)]


def _address(text: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(text)[::-1])
