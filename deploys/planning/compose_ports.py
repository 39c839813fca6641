"""Ports of the host that compose files publish: those that others have already, and those that others can reach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from deploys.planning.addresses import before_port, read_address
from deploys.planning.records import Area, Note, Refusal
from facts.devices import Listener
from facts.model import Host

# The short form of the Compose specification: [HOST:]PUBLISHED:CONTAINER, each of the two a port or a range of them.
SHORT = re.compile(
    r"- +[\"']?(?:(?P<address>\d+(?:\.\d+){3}|\[[0-9a-fA-F:.]+\]):)?(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?:"
    r"\d+(?P<inside>-\d+)?(?:/tcp)?[\"']?(?: +#.*)?"
)
EVERYWHERE = "0.0.0.0"
# Who listens on what Docker publishes: a proxy for each port, dockerd itself where userland-proxy is false (moby,
# libnetwork: newDummyProxy, later listenBoundPorts), or somebody who could not be told.
DOCKERS = ("docker-proxy", "dockerd", "")


@dataclass(frozen=True)
class Published:
    """TCP ports of the host: one, or a range of them."""

    address: str  # 127.0.0.1; 0.0.0.0 and :: are all of the host's
    first: int
    last: int

    def __str__(self) -> str:
        to = f"-{self.last}" if self.last > self.first else ""
        return f"{before_port(self.address)}:{self.first}{to}"

    @property
    def is_loopback(self) -> bool:
        """Whether this host alone reaches it."""
        return ip_address(self.address).is_loopback

    def meets(self, other: Published) -> bool:
        """Whether they have a port on which only one of them can listen."""
        is_same = self.address == other.address or any(_is_any(one.address) for one in (self, other))
        return self.first <= other.last and other.first <= self.last and is_same


# What each of our projects that run publishes, by its name; None where its file cannot be read here.
Held = Mapping[str, tuple[Published, ...] | None]
ANOTHER = "choose another port, or stop what listens there"


def refuse_address(address: str) -> Refusal | None:
    """Why ports cannot be published there: Docker takes IP addresses alone."""
    if read_address(address):
        return None
    remedy = "set address to 127.0.0.1, or to an IP address of the host"
    return Refusal(Area.CONTAINERS, "the ports are published on an IP address", f"address is {address!r}", remedy)


def _is_any(address: str) -> bool:
    return address in ("", "*", EVERYWHERE, "::")


def read_published(text: str) -> tuple[Published, ...]:
    """The ports that a compose file publishes, as far as its lines have the short form, without variables in it."""
    found = (SHORT.fullmatch(item) for line in text.splitlines() for item in _items(line.strip()))
    return tuple(ports for ports in (_read(one) for one in found if one) if ports)


def _read(found: re.Match[str]) -> Published | None:
    """The ports of one item; none of what Docker does not take, or of a range of which it takes one that is free."""
    address = (found["address"] or EVERYWHERE).strip("[]")
    if read_address(address) is None or bool(found["last"]) is not bool(found["inside"]):
        return None
    first, last = int(found["first"]), int(found["last"] or found["first"])
    return Published(address, first, last) if first <= last else None


def _items(line: str) -> list[str]:
    """What a line has of a list: an item, or all of `ports: [...]`."""
    flow = re.fullmatch(r"ports: *\[(.*)\](?: +#.*)?", line)
    return [f"- {item.strip()}" for item in flow[1].split(",")] if flow else [line]


def share_ports(
    wanted: Mapping[str, tuple[Published, ...]], held: Held, host: Host
) -> tuple[list[str], dict[str, Refusal]]:
    """The names of those that can have what they want, whoever leaves a port before who takes it; why others cannot."""
    refused: dict[str, Refusal] = {}
    waiting: dict[str, tuple[Published, ...]] = {}
    for name, ports in wanted.items():
        if refusal := _refuse_twice(name, ports, waiting) or _refuse_taken(ports, host, held):
            refused[name] = refusal
        else:
            waiting[name] = ports
    # Where the holder is not known, it may be one that leaves for what nobody has: those come before.
    listening = [Published(one.address, one.port, one.port) for one in host.listeners]
    later = {name for name, ports in waiting.items() if any(one.meets(there) for one in ports for there in listening)}
    order: list[str] = []
    staying = dict(held)
    while ready := [name for name, ports in waiting.items() if not _refuse_held(name, ports, staying)]:
        name = min(ready, key=later.__contains__)
        order.append(name)
        staying.pop(name, None)
        del waiting[name]
    # Those that are left wait for each other, or for one that stays as it is.
    stuck = ((name, _refuse_held(name, ports, staying)) for name, ports in waiting.items())
    return order, refused | {name: refusal for name, refusal in stuck if refusal}


def _find_other(name: str, ports: Iterable[Published], others: Held) -> tuple[str, int] | None:
    """Another container that has one of the ports, and which one."""
    found = (
        (other, max(one.first, their.first))
        for one in ports
        for other, theirs in others.items()
        for their in theirs or ()
        if other != name and one.meets(their)
    )
    return next(found, None)


def _refuse_twice(name: str, ports: Iterable[Published], wished: Held) -> Refusal | None:
    found = _find_other(name, ports, wished)
    return _refuse(found[1], f"container {found[0]} has it as well", ANOTHER) if found else None


def _refuse_held(name: str, ports: Iterable[Published], staying: Held) -> Refusal | None:
    found = _find_other(name, ports, staying)
    if found is None:
        return None
    other, port = found
    seen = f"container {other} runs with it, and nothing frees it before"
    return _refuse(port, seen, f"choose another port, or let {other} have one that is free in a run before this")


def _refuse_taken(wanted: Iterable[Published], host: Host, held: Held) -> Refusal | None:
    """Why the ports cannot be had: something listens there that cannot be ours."""
    for one in wanted:
        for listener in host.listeners:
            there = Published(listener.address, listener.port, listener.port)
            if there.meets(one) and not _may_be_ours(there, listener, held):
                what = "; docker ps on the host names the container" if listener.process.startswith("docker") else ""
                return _refuse(there.first, f"{listener.process or 'a process'} listens on {there}{what}", ANOTHER)
    return None


def _may_be_ours(there: Published, listener: Listener, held: Held) -> bool:
    """Whether it becomes free or stays."""
    if listener.process.split(" (")[0] not in DOCKERS:
        return False
    return any(ports is None or any(map(there.meets, ports)) for ports in held.values())


def _refuse(port: int, seen: str, remedy: str) -> Refusal:
    return Refusal(Area.CONTAINERS, f"port {port} is taken", seen, remedy)


def note_reachable(ports: Iterable[Published]) -> tuple[Note, ...]:
    """What is published to others. Docker's rules in the nat table come before those of ufw (docs.docker.com/engine/\
network/packet-filtering-firewalls)."""
    return tuple(
        Note(f"others reach {one}", "ufw does not keep them out of ports that Docker publishes; 127.0.0.1 would")
        for one in ports
        if not one.is_loopback
    )
