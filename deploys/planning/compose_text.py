"""Compose files as text, and what the services of our own kinds have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from deploys.planning.container_settings import ContainerWish

# YAML takes these as text without quotes. Older parsers take its words for truth and nothing as what they say.
PLAIN = r"[A-Za-z_/][A-Za-z0-9_./-]*"
WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def compose_text(document: Mapping[str, object]) -> str:
    """The document as YAML: the same for the same, in the order of its keys.

    It may have mappings, lists, tuples, texts, numbers, truth values and None. A dollar sign stays one: Compose would
    take it for a variable of its environment, and so it is doubled in values.
    """
    return "".join(f"{line}\n" for line in _lines(document))


def _lines(value: object) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, one in value.items() for line in _entry(f"{_text(str(key))}:", one)]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [line for one in value for line in _item(_lines(one))]
    return [_text(value.replace("$", "$$")) if isinstance(value, str) else json.dumps(value)]


def _entry(head: str, value: object) -> list[str]:
    lines = _lines(value)
    is_nested = isinstance(value, Mapping | Sequence) and not isinstance(value, str) and bool(value)
    return [head, *(f"  {line}" for line in lines)] if is_nested else [f"{head} {lines[0]}"]


def _item(lines: list[str]) -> list[str]:
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def _text(text: str) -> str:
    """A text of JSON is one of YAML too."""
    is_plain = re.fullmatch(PLAIN, text) and text.lower() not in WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def base_service(name: str, wish: ContainerWish, *, memory: str, cpus: float) -> dict[str, object]:
    """What a service of our own kinds has before its image: limits, log, restart, and no privileges.

    ``name`` is the wish's. ``memory`` and ``cpus`` hold where the wish has none. The container's name is the same with
    every Docker Compose, so that people can type it. The dictionary is the caller's, to change what its kind needs.
    """
    limit = wish.memory or memory
    return {
        "container_name": f"gpu-hosts-{name}",
        "cpus": wish.cpus or cpus,
        "mem_limit": limit,
        "memswap_limit": limit,  # memory and swap together, so no swap
        "pids_limit": 512,
        "restart": "unless-stopped",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}},
    }
