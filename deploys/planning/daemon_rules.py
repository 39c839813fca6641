"""What dockerd would not start with, found before it is asked: `dockerd --validate` sees the form, not the sense."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from deploys.planning.daemon_keys import CGROUP_DRIVER, Keys

# moby daemon/runtime_unix.go stockRuntimes; io.containerd.runtime.v1.linux up to 20.10.
STOCK_RUNTIMES = ("runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux")
# Short flags of dockerd: moby cmd/dockerd/config.go, config_unix.go, options.go.
SHORT_FLAGS = {
    "D": "debug",
    "G": "group",
    "H": "host",
    "b": "bridge",
    "g": "graph",
    "l": "log-level",
    "p": "pidfile",
    "r": "restart",
    "s": "storage-driver",
}
SIZE = r"\d+(\.\d+)? ?([kKmMgGtTpP]([iI]?[bB])?|[bB])?"  # go-units RAMInBytes, FromHumanSize
RESERVED_LABELS = ("com.docker.", "io.docker.", "org.dockerproject.")  # moby opts.ValidateLabel

Config = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A key that cannot stay as it is, why, and what to do. No values: they may be secret."""

    path: str
    reason: str
    remedy: str = "correct it"

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


@dataclass(frozen=True)
class Circumstances:
    """What a configuration is judged by besides itself."""

    keys: Keys
    flags: str = ""  # dockerd's arguments
    swarm: bool = False
    log_driver: str = "json-file"  # where neither file nor flags say it
    wished: frozenset[str] = frozenset()  # top-level keys of ours, held to more than dockerd asks for


def validate(config: Config, about: Circumstances) -> tuple[Problem, ...]:
    """Every problem of a configuration, in its own order of keys. Raises nothing, whatever the object holds."""
    typed = tuple(_types(config, about))
    if typed:
        return typed
    present = {name: value for name, value in config.items() if value is not None}
    return tuple(problem for rule in RULES for problem in rule(present, about))


def flag_names(flags: str) -> frozenset[str]:
    """The long names of the flags in a command line."""
    words = [word.partition("=")[0] for word in flags.split() if word.startswith("-")]
    long = [word[2:] for word in words if word.startswith("--")]
    short = [SHORT_FLAGS.get(word[1], "") for word in words if len(word) > 1 and word[1] != "-"]
    return frozenset((*long, *short)) - {""}


def flag_values(flags: str, name: str) -> tuple[str, ...]:
    """The values that a command line gives a flag of a long name."""
    return tuple(re.findall(rf"--{re.escape(name)}[= ]['\"]?([^\s'\"]+)", flags))


def log_driver(config: Config, about: Circumstances) -> str:
    """The log driver of containers that name none."""
    return str(config.get("log-driver") or next(iter(flag_values(about.flags, "log-driver")), about.log_driver))


def _types(config: Config, about: Circumstances) -> Iterator[Problem]:
    keys = about.keys
    for name, value in config.items():
        row = keys.rows.get(name)
        if row is None:
            if keys.is_covered:
                yield Problem(name, f"is no key of this Docker, {_version(keys)}", _hint(name, keys))
        elif row.ignored and name in about.wished:
            yield Problem(name, "is a flag's name, which does nothing in this file", _hint(name, keys))
        elif value is not None and not TYPES[row.type](value):
            yield Problem(name, f"is not {NOUNS[row.type]}")
        elif row.choices and value and value.lower() not in row.choices:
            yield Problem(name, f"is none of {', '.join(row.choices)}")


def _version(keys: Keys) -> str:
    return ".".join(str(part) for part in keys.version if part != 999)


def _hint(name: str, keys: Keys) -> str:
    known = [key for key, row in keys.rows.items() if not row.ignored]
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "take it out, or upgrade Docker to a version that has it"


def _runtimes(config: Config, about: Circumstances) -> Iterator[Problem]:
    runtimes = config.get("runtimes", {})
    for name, runtime in runtimes.items():
        path = f"runtimes.{name}"
        if name == "runc":
            yield Problem(path, "takes the name of Docker's own runtime", "call it something else")
        elif not runtime or not (runtime.get("path") or runtime.get("runtimeType")):
            yield Problem(path, "has neither path nor runtimeType", "give it the path of its executable")
        elif runtime.get("path") and runtime.get("runtimeType"):
            yield Problem(path, "has both path and runtimeType", "take one out")
    default = config.get("default-runtime")
    by_flag = {value.partition("=")[0] for value in flag_values(about.flags, "add-runtime")}
    # A containerd shim goes by a name with a dot: moby daemon/runtime_unix.go isPermissibleC8dRuntimeName.
    is_shim = "." in (default or "") and not about.keys.is_before("23.0")
    if default and default not in (*STOCK_RUNTIMES, *runtimes, *by_flag) and not is_shim:
        yield Problem(
            "default-runtime", f"names {default}, which is not in runtimes", "add the runtime, or take it out"
        )


def _exec_opts(config: Config, about: Circumstances) -> Iterator[Problem]:
    for i, option in enumerate(config.get("exec-opts", ())):
        name, _, value = option.partition("=")
        if not value:
            yield Problem(f"exec-opts[{i}]", "is not of the form name=value")
        elif name.lower() == CGROUP_DRIVER and value not in ("cgroupfs", "systemd"):
            yield Problem(f"exec-opts[{i}]", "names another cgroup driver than cgroupfs and systemd")


def _log_opts(config: Config, about: Circumstances) -> Iterator[Problem]:
    options, driver = config.get("log-opts", {}), log_driver(config, about)
    known = about.keys.log_options.get(driver)
    if known is None:  # a plugin's, which has options of its own
        return
    for name in options:
        if name not in known:
            yield Problem(f"log-opts.{name}", f"is no option of the log driver {driver}", "take it out")
    if (options.get("mode") or "blocking") not in ("blocking", "non-blocking"):
        yield Problem("log-opts.mode", "is neither blocking nor non-blocking")
    if "max-buffer-size" in options and options.get("mode") != "non-blocking":
        yield Problem("log-opts.max-buffer-size", "is for the mode non-blocking only")
    if driver not in ("json-file", "local"):
        return
    # These would only show when a container starts: moby daemon/logger/jsonfilelog New.
    forms = {"max-size": SIZE, "max-file": r"0*[1-9]\d*", "compress": r"(?i:1|t|true|0|f|false)"}
    for name, form in forms.items():
        if name in options and not re.fullmatch("-1" if options[name] == "-1" else form, options[name] or ""):
            yield Problem(
                f"log-opts.{name}", "is not what the log driver reads there", 'for example "10m", "3", "true"'
            )


def _proxies(config: Config, about: Circumstances) -> Iterator[Problem]:
    for name in config.get("proxies", {}):
        if name not in ("http-proxy", "https-proxy", "no-proxy"):
            yield Problem(f"proxies.{name}", "is no key of this Docker", "it has http-proxy, https-proxy and no-proxy")


def _storage_driver(config: Config, about: Circumstances) -> Iterator[Problem]:
    driver = config.get("storage-driver")
    by_snapshotter = (config.get("features") or {}).get("containerd-snapshotter") or not about.keys.is_before("29.0")
    # With containerd's image store it is the name of a snapshotter, which can be a plugin's; so can one with a slash.
    if driver and driver not in about.keys.storage_drivers and "/" not in driver and not by_snapshotter:
        known = ", ".join(sorted(about.keys.storage_drivers))
        yield Problem("storage-driver", f"is none that this Docker has: {known}")


def _mirrors(config: Config, about: Circumstances) -> Iterator[Problem]:
    for i, mirror in enumerate(config.get("registry-mirrors", ())):
        path = f"registry-mirrors[{i}]"
        try:
            url = urlsplit(mirror)
        except ValueError:
            yield Problem(path, "is not a URL")
            continue
        if url.scheme not in ("http", "https") or not url.netloc:
            yield Problem(path, "has no scheme", "begin it with https:// (or http://)")
        elif url.query or url.fragment or (url.path.strip("/") and about.keys.is_before("24.0")):
            yield Problem(path, "has a path, query or fragment, which this Docker does not take")
        elif "@" in url.netloc:
            yield Problem(path, "has a user or password in it, which Docker does not take")


def _insecure_registries(config: Config, about: Circumstances) -> Iterator[Problem]:
    for i, registry in enumerate(config.get("insecure-registries", ())):
        path = f"insecure-registries[{i}]"
        host = re.sub("^https?://", "", registry, flags=re.IGNORECASE)
        if "/" in host:
            if not _network(host):
                yield Problem(path, "is neither host:port nor a network", "leave out scheme and path")
        elif not re.fullmatch(r"\[[0-9a-fA-F:.]+\](:\d+)?|[\w.-]+(:\d{1,5})?|[0-9a-fA-F:.]+", host):
            yield Problem(path, "is neither host:port nor a network")


def _labels(config: Config, about: Circumstances) -> Iterator[Problem]:
    values: dict[str, str] = {}
    for i, label in enumerate(config.get("labels", ())):
        name, equals, value = label.partition("=")
        if not equals:
            yield Problem(f"labels[{i}]", "is not of the form name=value")
        elif name.lower().startswith(RESERVED_LABELS):
            yield Problem(f"labels[{i}]", "is in a namespace that Docker keeps for itself")
        elif values.setdefault(name, value) != value:
            yield Problem(f"labels[{i}]", "gives a label a second value")


def _address_pools(config: Config, about: Circumstances) -> Iterator[Problem]:
    networks = []
    for i, pool in enumerate(config.get("default-address-pools", ())):
        network, size = _network(pool.get("base")), pool.get("size")
        if network is None:
            yield Problem(f"default-address-pools[{i}].base", "is not a network", "for example 172.30.0.0/16")
        elif type(size) is not int or not network.prefixlen <= size <= network.max_prefixlen:
            reason = f"is not from {network.prefixlen}, its base's, to {network.max_prefixlen}"
            yield Problem(f"default-address-pools[{i}].size", reason)
        else:
            networks.append((i, network))
    if "default-address-pools" in about.wished:
        for (i, one), (j, other) in combinations(networks, 2):
            if one.version == other.version and one.overlaps(other):
                yield Problem(f"default-address-pools[{j}]", f"overlaps default-address-pools[{i}]")


def _combinations(config: Config, about: Circumstances) -> Iterator[Problem]:
    if config.get("live-restore") and about.swarm:
        yield Problem("live-restore", "does not go with a swarm, of which this host is a member", "leave it off")
    for name in ("bip", "bip6"):
        if config.get("bridge") and config.get(name):
            yield Problem(name, "does not go with bridge", "take one out")
    if config.get("iptables") is False and config.get("icc") is False:
        yield Problem("icc", "does not go with iptables = false", "switch one on")
    if config.get("ip6tables") and not config.get("experimental") and about.keys.is_before("27.0"):
        yield Problem("ip6tables", "needs experimental before Docker 27")


def _flags(config: Config, about: Circumstances) -> Iterator[Problem]:
    """dockerd does not start with an option in both places, whatever its value; runtimes are the exception."""
    inner = config.get("proxies") or {}
    names = flag_names(about.flags) - {"add-runtime"}
    in_file = {plural: name for name in names for plural in (name, f"{name}s", re.sub("y$", "ies", name))}
    for name in (*config, *inner):
        if name in in_file:
            remedy = "take it out of one of the two: `systemctl cat docker` shows the flags"
            yield Problem(name, f"is in the daemon's flags too, as --{in_file[name]}", remedy)


RULES: tuple[Callable[[Config, Circumstances], Iterator[Problem]], ...] = (
    _runtimes,
    _exec_opts,
    _log_opts,
    _proxies,
    _storage_driver,
    _mirrors,
    _insecure_registries,
    _labels,
    _address_pools,
    _combinations,
    _flags,
)


def _network(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_int(value: object) -> bool:
    return type(value) is int


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _all(inner: Callable[[object], bool], kind: type) -> Callable[[object], bool]:
    """A test for a list or an object of which every value passes a test."""

    def test(value: object) -> bool:
        """Whether it is of the kind, and every value passes."""
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, kind) and all(inner(item) for item in items)  # type: ignore[attr-defined]

    return test


def _is_runtime(value: object) -> bool:
    """Go ignores keys that it does not know, and null."""
    if value is None:
        return True
    kinds = {"path": _is_text, "runtimeType": _is_text, "runtimeArgs": _all(_is_text, list), "options": _is_object}
    return isinstance(value, dict) and all(
        value.get(name) is None or is_right(value[name]) for name, is_right in kinds.items()
    )


TYPES: dict[str, Callable[[object], bool]] = {
    "any": lambda value: True,
    "bool": _is_bool,
    "bools": _all(_is_bool, dict),
    "int": _is_int,
    "object": _is_object,
    "objects": _all(_is_object, dict),
    "pools": _all(_is_object, list),
    "runtimes": _all(_is_runtime, dict),
    "size": lambda value: isinstance(value, str) and bool(re.fullmatch(SIZE, value)),
    "text": _is_text,
    "texts": _all(_is_text, list),
    "named texts": _all(_is_text, dict),
}
NOUNS = {
    "bool": "true or false",
    "bools": "an object of true and false",
    "int": "a whole number",
    "object": "an object",
    "objects": "an object of objects",
    "pools": "a list of objects",
    "runtimes": "an object of runtimes, each with a path and runtimeArgs",
    "size": 'a size in quotes, like "64M"',
    "text": "a text in quotes",
    "texts": "a list of texts",
    "named texts": "an object of texts; numbers need quotes too",
}
