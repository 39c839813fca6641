"""Passwords of people, from the only two places they may be in: an environment variable or a file of their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from deploys.planning.settings import Problem


def password_of_environment(name: str, setting: str) -> str | Problem:
    """The value of a variable. ``setting`` names it, and is told of; the name itself may be a misplaced password."""
    return os.environ.get(name) or Problem(setting, "the environment variable that it names is not set")


def password_of_file(name: str, setting: str) -> str | Problem:
    """The content of a file that nobody else can read, without the newline at its end."""
    path = Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        text = path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        seen = error.strerror if isinstance(error, OSError) else "it is no text"
        return Problem(setting, f"{path} cannot be read: {seen}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Problem(setting, f"{path} can be read by others (mode {mode & 0o777:04o}); chmod 600 it")
    return text or Problem(setting, f"{path} is empty")
