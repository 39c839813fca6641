"""Versions as they are compared: drivers', kernels', L4T's; and as packages have them."""

from __future__ import annotations

import re
from functools import cache


@cache  # a plan asks for the same few again and again
def numbers(version: str) -> tuple[int, ...]:
    """The numbers it begins with, which compare by value: (6, 12, 107) of 6.12.107+deb13-amd64; () for none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def upstream(version: str) -> str:
    """580.95.05 of a package's version: 580.95.05-0ubuntu0.24.04.2, 3:580.95.05-1.el9."""
    return re.split(r"[-+~]", version.partition(":")[2] or version)[0]


def begins_with(version: str, release: str) -> bool:
    """Whether a version is the release, or of it: 28.5.2 of 28 and of 28.5; 280 is not."""
    wanted = numbers(release)
    return numbers(version)[: len(wanted)] == wanted


def may_reach(version: str, first: str) -> bool:
    """Whether a version is ``first`` or newer. One that is only begun is the newest of its line; "" is the newest."""
    return (*numbers(version), float("inf")) >= numbers(first)


def is_older(version: str, fixed: str) -> bool:
    """Whether an upstream version comes before ``fixed``; release candidates of it do: 1.19.1~rc.1, 1.19.1-0.1.rc.1."""
    length = max(len(numbers(version)), len(numbers(fixed)))
    ours, theirs = (numbers(one) + (0,) * (length - len(numbers(one))) for one in (version, fixed))
    return ours < theirs or (ours == theirs and "rc" in version)
