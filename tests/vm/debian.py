"""Debian for the guest and for the containers in it: by mmdebstrap, kept while it would be made the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.sandbox.engine import run
from tests.sandbox.machine import find_mirror
from tests.sandbox.state import FOLDER

VM = FOLDER / "vm"
FILES = Path(__file__).parent / "files"
# QEMU's user networking calls this machine 10.0.2.2. Its mirror, or the proxy to one, may be on its loopback interface.
TO_GUEST = r"s,//\(127\.0\.0\.1\|localhost\)\>,//10.0.2.2,"


def install_debian(suite: str, target: Path, packages: Iterable[str], hooks: Iterable[str]) -> None:
    """Install a suite with ``packages`` into ``target``, a folder or an archive (.tar).

    ``hooks`` are mmdebstrap's, run in the end. The sources stay, as the guest is to know them.
    """
    mirror = find_mirror()
    settings = [f'--aptopt={name} "{value}"' for name, value in mirror.settings]
    tell_guest = f'sed -i \'{TO_GUEST}\' "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap"'
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}",
        *settings, '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
        *(f"--customize-hook={hook}" for hook in (*hooks, tell_guest)),
        suite, str(target), *mirror.source_lines(suite),
    )  # fmt: skip


def make_once(target: Path, recipe: Iterable[Path], make: Callable[[], None]) -> None:
    """Call ``make``, which makes ``target``, unless that stands and was made by the same ``recipe`` and mirror."""
    digest = hashlib.sha256(repr(find_mirror()).encode())
    for path in (Path(__file__), *recipe):
        digest.update(path.name.encode() + path.read_bytes())
    made_from = target.with_suffix(".made-from")
    if target.exists() and made_from.exists() and made_from.read_text() == digest.hexdigest():
        return
    made_from.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    make()
    made_from.write_text(digest.hexdigest())
