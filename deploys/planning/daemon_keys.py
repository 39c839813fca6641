"""What is known of daemon.json's keys in one Docker version: types, how a change is taken up, how it shows."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploys.planning.catalogue import Catalogue, DaemonKey
from deploys.planning.records import Action
from deploys.planning.versions import numbers

Path = tuple[str, ...]

# What `docker info` calls the items of exec-opts.
CGROUP_DRIVER = "native.cgroupdriver"


@dataclass(frozen=True)
class Keys:
    """The catalogue's rows that hold for a Docker version."""

    version: tuple[int, ...]
    rows: dict[str, DaemonKey]
    log_options: dict[str, frozenset[str]]  # by log driver
    storage_drivers: frozenset[str]
    is_covered: bool  # the catalogue knows every key of this version

    @classmethod
    def of(cls, catalogue: Catalogue, version: str) -> Keys:
        """Those of a version; "28" is its newest 28.x, and "" the newest Docker of all."""
        known = catalogue.daemon_versions
        asked = numbers(version) or numbers(known.newest)
        # A version that is only begun stands for the newest of its line.
        exact = (*asked, *(999,) * (3 - len(asked)))

        def holds(since: str, until: str) -> bool:
            """Whether the version is in a row's range."""
            return numbers(since) <= exact and (not until or exact < numbers(until))

        options: dict[str, frozenset[str]] = {}
        for row in catalogue.log_option:
            for driver in row.drivers:
                names = frozenset(row.names) if holds(row.since, row.until) else frozenset()
                options[driver] = options.get(driver, frozenset()) | names
        return cls(
            exact,
            {name: row for row in catalogue.daemon_key if holds(row.since, row.until) for name in row.names},
            options,
            frozenset(name for row in catalogue.storage_driver if holds(row.since, row.until) for name in row.names),
            numbers(known.oldest) <= exact and exact[:2] <= numbers(known.newest),
        )

    def is_before(self, version: str) -> bool:
        """Whether this Docker is older than a version."""
        return self.version < numbers(version)

    def row(self, path: Path) -> DaemonKey | None:
        """The row of the longest beginning of a path that has one."""
        names = (".".join(path[:length]) for length in range(len(path), 0, -1))
        return next((self.rows[name] for name in names if name in self.rows), None)

    def neutral(self, path: Path) -> object:
        """The value that undoes a key by SIGHUP where its absence would not; None where there is none."""
        row = self.rows.get(path[0]) if len(path) == 1 else None
        return row.neutral if row and row.reload and not row.forgotten else None

    def item_key(self, path: Path, item: object) -> str:
        """What makes two items of a list one: a list of options has one of a name."""
        row = self.row(path)
        if not isinstance(item, str):
            return json.dumps(item, sort_keys=True)
        if row and row.items == "url":
            return item.rstrip("/")
        return item.partition("=")[0] if row and row.items == "name" else item

    def is_same_item(self, path: Path, one: object, other: object) -> bool:
        """Whether an item needs no change to be another."""
        row = self.row(path)
        if row and row.items == "url" and isinstance(one, str) and isinstance(other, str):
            return one.rstrip("/") == other.rstrip("/")
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    def changed(self, old: dict[str, object], new: dict[str, object]) -> tuple[Path, ...]:
        """Paths of what differs for the daemon: top-level keys, and keys within objects that have rows of their own."""
        found: list[Path] = []
        for name in dict.fromkeys((*old, *new)):
            inner = [row_name.split(".")[1] for row_name in self.rows if row_name.startswith(f"{name}.")]
            one, other = old.get(name), new.get(name)
            if inner and isinstance(one or {}, dict) and isinstance(other or {}, dict):
                one, other = dict(one or {}), dict(other or {})  # type: ignore[call-overload]
                for key in inner:
                    row = self.rows[f"{name}.{key}"]
                    if _differs(one.pop(key, row.neutral), other.pop(key, row.neutral)):
                        found.append((name, key))
                if _differs(one, other):
                    found.append((name,))
            elif _differs(old.get(name), new.get(name)) or (name in old) != (name in new):
                row_or_none = self.rows.get(name)
                default = row_or_none.neutral if row_or_none and not row_or_none.reload else None
                if default is None or _differs(old.get(name, default), new.get(name, default)):
                    found.append((name,))
        return tuple(found)

    def action(self, path: Path, new: dict[str, object]) -> Action:
        """How the daemon takes up a change at a path: by SIGHUP, or only when it starts."""
        row = self.row(path)
        if row is None or not row.reload:
            return Action.RESTART
        # A key that is gone keeps its old value through a reload, unless the daemon forgets it.
        return Action.RELOAD if path[0] in new or row.forgotten else Action.RESTART

    def survives(self, path: Path) -> bool:
        """Whether live-restore carries containers over a restart that changes what is at a path."""
        row = self.row(path)
        return bool(row and row.survives)

    def has_default(self, path: Path) -> bool:
        """Whether `docker info` shows one value all the same where nothing is set: a default, which may be any."""
        row = self.row(path)
        return row is None or row.type in ("text", "bool") or row.line == "cgroup-driver"

    def lines(self, path: Path, value: object) -> Iterator[str]:
        """How `docker info` shows a key's value, as lines of Docker.in_force."""
        row = self.row(path)
        if row is None or not row.line:
            return
        if row.type == "runtimes":
            names = path[1:2] or (tuple(value) if isinstance(value, dict) else ())
            yield from (f"{row.line}={name}" for name in names)
        elif len(path) > 1:
            return
        elif isinstance(value, bool):
            yield f"{row.line}={str(value).lower()}"
        elif isinstance(value, str):
            yield f"{row.line}={value}"
        elif isinstance(value, list):
            yield from (f"{row.line}={shown}" for shown in _shown(row, value))


def _differs(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def _shown(row: DaemonKey, items: Iterable[object]) -> Iterator[str]:
    for item in items:
        if row.type == "pools" and isinstance(item, dict):
            yield f"{item.get('base')} {item.get('size')}"
        elif not isinstance(item, str):
            continue
        elif row.items == "url":
            yield item.rstrip("/") + "/"
        elif row.line == "cgroup-driver":
            name, _, value = item.partition("=")
            yield from (value,) * (name == CGROUP_DRIVER)
        elif row.line == "insecure-registry":
            yield from _registry_shown(item)
        else:
            yield item


def _registry_shown(item: str) -> Iterator[str]:
    """An insecure registry without its scheme, a network by its address. Loopback is insecure, asked for or not."""
    host = re.sub("^https?://", "", item, flags=re.IGNORECASE)
    try:
        network = ipaddress.ip_network(host, strict=False) if "/" in host else None
    except ValueError:
        network = None
    if network is None:
        yield host
    elif str(network) not in ("127.0.0.0/8", "::1/128"):
        yield str(network)
