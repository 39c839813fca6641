"""Versions as they are compared: drivers', kernels', L4T's; and as packages have them."""

from __future__ import annotations

import re


def numbers(version: str) -> tuple[int, ...]:
    """The numbers it begins with, which compare by value: (6, 12, 107) of 6.12.107+deb13-amd64; () for none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def upstream(version: str) -> str:
    """580.95.05 of a package's version: 580.95.05-0ubuntu0.24.04.2, 3:580.95.05-1.el9."""
    return re.split(r"[-+~]", version.partition(":")[2] or version)[0]
