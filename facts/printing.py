"""Records as JSON types for people's eyes: on a terminal, in a log."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

# Repository lines, proxies and mirrors may carry a password: https://user:password@host
CREDENTIALS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")


def printable(value: object) -> object:
    """A record, or a part of one, as objects, lists, texts, numbers and null. Passwords in addresses become ``***``."""
    if is_dataclass(value):
        return {field.name: printable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [printable(item) for item in value]
    return CREDENTIALS.sub(r"\1***", value) if isinstance(value, str) else value
