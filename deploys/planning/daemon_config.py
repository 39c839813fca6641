"""daemon.json as text and as a tree: read strictly, merged in order, and a ledger of what in it is ours."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploys.planning.daemon_keys import Keys

Path = tuple[str, ...]
Config = dict[str, Any]
VERSION = 1  # of the ledger's format
SECRETS = re.compile(r"^proxies$|token|passw|secret|credential|api.?key", re.IGNORECASE)  # names of keys
DEPTH = 50  # of nesting; daemon.json's own keys go five deep


class _Missing:
    """Stands for a key that is not there; JSON's null is a value."""


MISSING = _Missing()


@dataclass(frozen=True)
class Wish:
    """What shall be in the file: values of keys, items of lists, and the name of a runtime that shall be nowhere."""

    keys: tuple[tuple[Path, object], ...] = ()
    items: tuple[tuple[Path, object], ...] = ()
    without_runtime: str = ""


@dataclass(frozen=True)
class Entry:
    """A key that we set, or an item that we put into the list there, and what was in its place before."""

    path: Path
    ours: object
    before: object = MISSING
    is_item: bool = False


@dataclass(frozen=True)
class Merged:
    """The file as it should be, and what became of each path; ``disowned``: others have changed it since."""

    config: Config
    text: str | None  # None: there is no file, and none is needed
    ledger: tuple[Entry, ...]
    set: tuple[Path, ...] = ()
    withdrawn: tuple[Entry, ...] = ()
    disowned: tuple[Path, ...] = ()


def parse(text: str | None) -> Config:
    """The object in daemon.json; {} for no file and an empty one, as dockerd reads them.

    Raises ValueError where a merge would lose something or dockerd reads something else. Its message holds line,
    column or key, and nothing of the values: they may hold a proxy's password.
    """
    if text and "\ufffd" in text:
        raise ValueError("it is not UTF-8 text")
    if text is None or not text.strip():
        return {}
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_not_json, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"the top level is {_kind(found)}, not an object")
    level: list[Any] = [found]
    for _ in range(DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [value for values in inner for value in values]
    if level:
        raise ValueError("it is nested too deeply")
    return found


def render(config: Config, like: str | None) -> str:
    """The configuration as text, with the indentation of another text: that of its first indented line, else four."""
    found = re.search(r"\n([ \t]+)\S", like or "")
    text = json.dumps(config, indent=found.group(1) if found else 4, ensure_ascii=False) + "\n"
    # Halves of surrogate pairs, which JSON can hold and UTF-8 cannot, stay escaped.
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)


def read_ledger(text: str | None) -> tuple[Entry, ...] | None:
    """The entries of a ledger's text; none where there is no ledger, None where it cannot be read."""
    if not text or not text.strip():
        return ()
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            return None
        keys = [_entry(row, is_item=False) for row in found["keys"]]
        return tuple(keys + [_entry(row, is_item=True) for row in found["items"]])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def write_ledger(ledger: tuple[Entry, ...]) -> str:
    """The ledger as text."""

    def rows(*, items: bool) -> list[dict[str, object]]:
        """The entries of list items, or of keys."""
        before = ({} if entry.before is MISSING else {"before": entry.before} for entry in ledger)
        return [
            {"path": list(entry.path), "ours": entry.ours} | was
            for entry, was in zip(ledger, before, strict=True)
            if entry.is_item is items
        ]

    return json.dumps({"version": VERSION, "keys": rows(items=False), "items": rows(items=True)}, indent=1) + "\n"


def merge(text: str | None, wish: Wish, ledger: tuple[Entry, ...], keys: Keys) -> Merged:
    """The file with what is wished for, and without what was wished for once.

    Others' keys keep their values and places, and a text in which nothing changes comes back as it was. Raises
    ValueError like ``parse``, and where a value of the wrong type is in the way.
    """
    found = parse(text)
    config: Config = copy.deepcopy(found)
    merging = _Merging(config, {(one.path, one.is_item, _item_key(one, keys)): one for one in ledger}, keys)
    merging.withdraw_unwished(wish)
    for path, value in wish.keys:
        if value == {}:
            merging.container(path)
        else:
            merging.set_key(path, value)
    for path, value in wish.items:
        merging.add_item(path, value)
    if wish.without_runtime:
        merging.let_go(wish.without_runtime)
    is_changed = json.dumps(config) != json.dumps(found)
    return Merged(
        config,
        render(config, text) if is_changed else text,
        tuple(merging.ledger.values()),
        tuple(dict.fromkeys(merging.set)),
        tuple(merging.withdrawn),
        tuple(merging.disowned),
    )


def at(config: object, path: Path) -> object:
    """The value at a path of keys, or MISSING."""
    for name in path:
        if not isinstance(config, dict) or name not in config:
            return MISSING
        config = config[name]
    return config


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are three values, the order of keys is none."""
    if one is MISSING or other is MISSING:
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class _Merging:
    """A merge in progress: the tree it changes, and the ledger by path, kind and item."""

    def __init__(self, config: Config, ledger: dict[tuple[Path, bool, str], Entry], keys: Keys) -> None:
        self.config, self.ledger, self.keys = config, ledger, keys
        self.set: list[Path] = []
        self.withdrawn: list[Entry] = []
        self.disowned: list[Path] = []

    def withdraw_unwished(self, wish: Wish) -> None:
        """Undo what the ledger has and the wish has not. Items go before their list, keys before their object."""
        wished = {(path, False, "") for path, _ in wish.keys}
        wished |= {(path, True, self.keys.item_key(path, value)) for path, value in wish.items}
        for path, _ in (*wish.keys, *wish.items):
            wished |= {(path[:length], False, "") for length in range(1, len(path))}
        wished |= {(path, False, "") for path, _ in wish.items}
        gone = [key for key in self.ledger if key not in wished]
        for key in sorted(gone, key=lambda key: (len(key[0]), key[1]), reverse=True):
            entry = self.ledger.pop(key)
            if self.withdraw_item(entry) if entry.is_item else self.withdraw_key(entry):
                self.withdrawn.append(entry)
            else:
                self.disowned.append(entry.path)

    def withdraw_key(self, entry: Entry) -> bool:
        """The value before, else a neutral one where only that undoes it by SIGHUP; False: it is others' by now."""
        parent, name = at(self.config, entry.path[:-1]), entry.path[-1]
        if not isinstance(parent, dict) or not same(parent.get(name, MISSING), entry.ours):
            return False
        neutral = self.keys.neutral(entry.path)
        if entry.before is not MISSING:
            parent[name] = copy.deepcopy(entry.before)
        elif neutral is not None:
            parent[name] = copy.deepcopy(neutral)
        else:
            del parent[name]
        return True

    def withdraw_item(self, entry: Entry) -> bool:
        """The item before, or none; False: the list has it no longer."""
        items = at(self.config, entry.path)
        places = [i for i, item in enumerate(items) if same(item, entry.ours)] if isinstance(items, list) else []
        if not places or not isinstance(items, list):
            return False
        items[places[0] : places[0] + 1] = [] if entry.before is MISSING else [copy.deepcopy(entry.before)]
        return True

    def set_key(self, path: Path, value: object) -> None:
        """Set a key, and remember what was there. Somebody's equal value stays somebody's."""
        parent, name = self.container(path[:-1]), path[-1]
        now, entry = parent.get(name, MISSING), self.ledger.get((path, False, ""))
        if same(now, value):
            return
        parent[name] = copy.deepcopy(value)
        is_ours = entry is not None and same(now, entry.ours)
        before = entry.before if entry and is_ours else now
        self.ledger[path, False, ""] = Entry(path, copy.deepcopy(value), before)
        self.set.append(path)

    def container(self, path: Path) -> Config:
        """The object at a path, made where there is none; null is none, as it is to dockerd."""
        parent: object = self.config
        for length in range(1, len(path) + 1):
            assert isinstance(parent, dict)
            if parent.get(path[length - 1]) is None:
                self.set_key(path[:length], {})
            parent = parent[path[length - 1]]
            if not isinstance(parent, dict):
                raise ValueError(f"`{'.'.join(path[:length])}` is {_kind(parent)}, not an object")
        assert isinstance(parent, dict)
        return parent

    def add_item(self, path: Path, value: object) -> None:
        """Add an item to a list, or put it in the place of the one of its name."""
        parent = self.container(path[:-1])
        if parent.get(path[-1]) is None:
            self.set_key(path, [])
        items = parent[path[-1]]
        if not isinstance(items, list):
            raise ValueError(f"`{'.'.join(path)}` is {_kind(items)}, not a list")
        key = self.keys.item_key(path, value)
        entry = self.ledger.get((path, True, key))
        places = [i for i, item in enumerate(items) if self.keys.item_key(path, item) == key]
        if not places:
            items.append(copy.deepcopy(value))
            self.ledger[path, True, key] = Entry(path, value, is_item=True)
        elif self.keys.is_same_item(path, items[places[0]], value):
            return
        else:
            now = items[places[0]]
            items[places[0]] = copy.deepcopy(value)
            before = entry.before if entry and same(now, entry.ours) else now
            self.ledger[path, True, key] = Entry(path, value, before, is_item=True)
        self.set.append(path)

    def let_go(self, runtime: str) -> None:
        """Take a runtime out, whoever wrote it, and the default that names it back to the one before, or runc."""
        if self.config.get("default-runtime") == runtime:
            entry = self.ledger.get((("default-runtime",), False, ""))
            before = entry.before if entry else MISSING
            self.config["default-runtime"] = before if isinstance(before, str) and before != runtime else "runc"
            self.withdrawn.append(Entry(("default-runtime",), runtime))
        runtimes = self.config.get("runtimes")
        if isinstance(runtimes, dict) and runtime in runtimes:
            self.withdrawn.append(Entry(("runtimes", runtime), runtimes.pop(runtime)))
        gone = [key for key in self.ledger if key[0] == ("default-runtime",) or key[0][:2] == ("runtimes", runtime)]
        for key in gone:
            del self.ledger[key]


def _kind(value: object) -> str:
    """What a value that JSON can hold is called."""
    kinds = ((type(None), "null"), (bool, "true or false"), (dict, "an object"), (list, "a list"), (str, "a text"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")


def _item_key(entry: Entry, keys: Keys) -> str:
    return keys.item_key(entry.path, entry.ours) if entry.is_item else ""


def _entry(row: Any, *, is_item: bool) -> Entry:
    path = row["path"]
    if not path or not isinstance(path, list) or not all(isinstance(name, str) for name in path):
        raise ValueError("a ledger's path is a list of names")
    return Entry(tuple(path), row["ours"], row.get("before", MISSING), is_item)


def _unique(pairs: list[tuple[str, Any]]) -> Config:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {json.dumps(twice)} is there twice")
    return found


def _not_json(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def redacted(value: object, *, is_secret: bool = False) -> Any:
    """The value with ``***`` for what nobody should read: proxies, tokens and passwords, and URLs' user parts."""
    if isinstance(value, dict):
        return {
            name: redacted(inner, is_secret=is_secret or bool(SECRETS.search(str(name))))
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redacted(inner, is_secret=is_secret) for inner in value]
    if not isinstance(value, str):
        return value
    return "***" if is_secret else re.sub(r"(://)\S*@", r"\1***@", value)


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """The values within nested objects, by path; an empty object is a value of its own."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, value
