"""The machines of ``tests/machines``, and running the unmodified probe on them.

A machine is a folder: ``root`` holds the files that the probe finds below ``ROOT``; ``bin`` the commands that exist
there, each a stub that prints what ``said`` holds; ``about.toml`` says where all that is from; ``expected.json`` what
must be true of the record, as far as the origin supports it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "machines"
PROBE = Path(__file__).parents[2] / "facts" / "probe.sh"

SHELL = ("dash",) if shutil.which("dash") else ("sh",)

# Everything the probe may expect of any Linux machine; the rest exists only where a machine's bin/ has it.
PLAIN_TOOLS = (
    "base64",
    "cat",
    "date",
    "df",
    "grep",
    "id",
    "od",
    "readlink",
    "sha256sum",
    "stat",
    "timeout",
    "tr",
)


@dataclass(frozen=True)
class Machine:
    """One folder of ``tests/machines``."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def about(self) -> dict[str, Any]:
        """Where the machine is from."""
        return tomllib.loads((self.folder / "about.toml").read_text(encoding="utf-8"))

    @property
    def expected(self) -> dict[str, Any]:
        """The part of the record that the origin supports."""
        expected: dict[str, Any] = json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))
        return expected


def all_machines() -> list[Machine]:
    """Every machine, by name."""
    return [Machine(path) for path in sorted(FOLDER.iterdir()) if path.is_dir()]


def link_tools(folder: Path, names: Sequence[str] = PLAIN_TOOLS) -> Path:
    """Fill ``folder`` with links to plain tools; raises ``AssertionError`` where this machine lacks one."""
    for name in names:
        found = shutil.which(name)
        assert found, f"the tests need {name}"
        (folder / name).symlink_to(found)
    return folder


def run_probe(
    root: Path | str, path: Sequence[Path], *, shell: Sequence[str] = SHELL, arguments: Sequence[str] = ()
) -> str:
    """The probe's answer for the files below ``root``, with the commands of ``path`` and no others."""
    command = [shutil.which(shell[0]) or shell[0], *shell[1:], str(PROBE), *arguments]
    environment = {"ROOT": str(root), "PATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stderr == b""
    return done.stdout.decode("ascii")


def probe_machine(machine: Machine, tools: Path, *, shell: Sequence[str] = SHELL) -> str:
    """The probe's answer on a machine."""
    return run_probe(machine.folder / "root", (machine.folder / "bin", tools), shell=shell)


def differences(found: Any, expected: Any, where: str = "host") -> Iterator[str]:
    """Where ``found`` departs from ``expected``. Objects may hold more than expected, lists must be as long."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            yield from differences(found.get(key, "(no such field)"), value, f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, f"{where}.{index}")
    elif found != expected:
        yield f"{where}: found {found!r}, expected {expected!r}"
