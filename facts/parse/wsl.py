"""Windows Subsystem for Linux.

Sources: microsoft/WSL (``/init`` registers the binfmt entry WSLInterop and makes /run/WSL), kernel strings
pasted in its issues: ``4.4.0-19041-Microsoft`` is WSL 1, ``…-microsoft-standard[-WSL2]`` is WSL 2.
"""

from __future__ import annotations

import re

from ..model import PlatformKind, Wsl
from .answer import Answer

INTEROP = ("/proc/sys/fs/binfmt_misc/WSLInterop", "/proc/sys/fs/binfmt_misc/WSLInterop-late")


def wsl_version(answer: Answer) -> tuple[int, tuple[str, ...]]:
    """1, 2, or 0 for no WSL, and what says so. A custom kernel of WSL 2 need not say microsoft."""
    release = answer.first("host", "release") or ""
    if re.search(r"-Microsoft\b", release) and release.startswith(("3.", "4.4.")):
        return 1, (f"uname -r says {release}",)
    if "microsoft" in release.lower():
        return 2, (f"uname -r says {release}",)
    found = tuple(f"{path} exists" for path in ("/run/WSL", *INTEROP) if answer.marked(path))
    if answer.marked("/run/WSL") or (found and answer.marked("/init")):
        return 2, found
    return 0, ()


def read_wsl(answer: Answer, kind: PlatformKind) -> Wsl | None:
    """The WSL record, or None where the platform is another."""
    if kind not in (PlatformKind.WSL1, PlatformKind.WSL2):
        return None
    return Wsl(
        version=1 if kind is PlatformKind.WSL1 else 2,
        kernel=answer.first("host", "release") or "",
        interop=any(answer.marked(path) for path in INTEROP),
        gpu_device=answer.marked("/dev/dxg"),
        lib_directory=answer.marked("/usr/lib/wsl/lib/libcuda.so.1"),
        docker_desktop="/docker-desktop/" in (answer.first("docker", "link") or ""),
        systemd=answer.first("host", "init") == "systemd",
    )
