"""The stand-ins of libcuda.so.1, built with gcc: one for every answer that cuInit shall give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.engine import run

SOURCE = Path(__file__).parent / "files/packages/libcuda.c"
# 0 is success; 100 CUDA_ERROR_NO_DEVICE, 802 CUDA_ERROR_SYSTEM_NOT_READY, 999 CUDA_ERROR_UNKNOWN (cuda.h)
ANSWERS = (0, 100, 802, 999)


@dataclass(frozen=True)
class Device:
    """What the stub says of the device: its name and its compute capability (major, minor)."""

    name: str
    capability: tuple[int, int]


def build_stubs(folder: Path, device: Device) -> None:
    """Write libcuda-ANSWER.so for every answer, and empty.so for a library that is only there, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    major, minor = device.capability
    describe = (f'-DNAME="{device.name}"', f"-DMAJOR={major}", f"-DMINOR={minor}")
    link = ("gcc", "-Os", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libcuda.so.1")
    for answer in ANSWERS:
        run(*link, *describe, f"-DRESULT={answer}", "-o", str(folder / f"libcuda-{answer}.so"), str(SOURCE))
    run("gcc", "-shared", "-nostdlib", "-o", str(folder / "empty.so"), "-x", "c", "/dev/null")
