"""The one error of the sandbox."""

from __future__ import annotations


class SandboxError(Exception):
    """Something the sandbox needs is missing or failed: what is wrong, what we saw, what to do."""

    def __init__(self, wrong: str, *, seen: str, remedy: str) -> None:
        super().__init__(f"{wrong}\n  seen:   {seen}\n  remedy: {remedy}")
