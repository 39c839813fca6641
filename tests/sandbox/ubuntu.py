"""Hosts of Ubuntu 24.04, made at their first start: Ubuntu's archive on the host itself, NVIDIA's repository beside it.

``up`` does without: its fleet has no such host. Such a host is Ubuntu on a Debian stand-in: os-release, uname and the
packages of kernels and drivers are Ubuntu's in name; dpkg, apt and everything else are Debian 13's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.sandbox.engine import LABEL, label_of
from tests.sandbox.gpu_stub import build_stubs
from tests.sandbox.host_images import Kind, build_host_image, image_of
from tests.sandbox.keys import Keyring
from tests.sandbox.repository import Package, build_package, write_flat, write_unsigned
from tests.sandbox.standins import initramfs_generator
from tests.sandbox.state import FOLDER, State
from tests.sandbox.ubuntu_standins import (
    Build,
    archive_driver,
    kernel_metapackages,
    nvidia_driver,
    prebuilt_metapackages,
    prebuilt_modules,
    ubuntu_kernel,
)
from tests.sandbox.vendors import IMAGE as VENDORS_IMAGE

DRIVER_FOLDER = "developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64"
KERNELS = (("6.8.0-45-generic", "6.8.0-45.45"), ("6.8.0-51-generic", "6.8.0-51.52"))
BUILDS = ("-580", "-580-server", "-595", "-595-server")
# The archive as it was first, and as it is once it has moved on. Branch 595 has not.
GENERATIONS = (
    {"580": "580.95.05-0ubuntu0.24.04.2", "595": "595.84-0ubuntu0.24.04.1"},
    {"580": "580.105.08-0ubuntu0.24.04.1", "595": "595.84-0ubuntu0.24.04.1"},
)
PPA_VERSION = "580.119.02-0ubuntu0~gpu24.04.1"
NVIDIAS = (("-580", "580", "580.178.04-1ubuntu1"), ("", "595", "595.91.07-1ubuntu1"))
ARCHIVE_RELEASE = {"Origin": "Ubuntu", "Label": "Ubuntu", "Suite": "noble-updates", "Codename": "noble"}
PPA_RELEASE = {"Origin": "LP-PPA-graphics-drivers", "Label": "Proprietary GPU Drivers", "Suite": "noble"}
Builder = Callable[[str, str], Build]


def ensure_image(kind: Kind, state: State) -> State:
    """Make the image where it is missing, with NVIDIA's repository for it; return what is known then.

    It is current where it was made with the recipes that the vendors' image was made with.
    """
    www = FOLDER / "vendors/www" / DRIVER_FOLDER
    inputs = label_of(VENDORS_IMAGE, f"{LABEL}.inputs")
    is_current = label_of(image_of(kind), f"{LABEL}.inputs") == inputs
    if is_current and www.exists() and f"driver-{kind.name}" in state.fingerprints:
        return state
    stubs = FOLDER / "libcuda" / kind.name
    build_stubs(stubs, kind.device)
    libraries = (stubs / "libcuda-0.so").read_bytes(), (stubs / "empty.so").read_bytes()

    def builder(suffix: str, version: str) -> Build:
        return Build(suffix, version, *libraries)

    fingerprint = _build_nvidias(www, builder)
    _build_archive(FOLDER / "ubuntu/archive", builder)
    build_host_image(kind, inputs)
    return replace(state, fingerprints={**state.fingerprints, f"driver-{kind.name}": fingerprint})


def archive_packages(generation: int, builder: Builder) -> list[Package]:
    """All that the archive has at a time: older kernels and their modules stay, of drivers there is the newest only."""
    newest = KERNELS[generation]
    packages = [initramfs_generator(), *kernel_metapackages(*newest)]
    for (kernel, version), drivers in zip(KERNELS[: generation + 1], GENERATIONS, strict=False):
        packages += ubuntu_kernel(kernel, version)
        for suffix in BUILDS:
            packages += prebuilt_modules(builder(suffix, drivers[suffix[1:4]]), kernel, version)
    for suffix in BUILDS:
        build = builder(suffix, GENERATIONS[generation][suffix[1:4]])
        packages += archive_driver(build) + prebuilt_metapackages(build, *newest)
    return packages


def _build_archive(root: Path, builder: Builder) -> None:
    """Ubuntu's archive, 1 and 2, and the graphics-drivers PPA into ``root``: what they share is built once."""
    shutil.rmtree(root, ignore_errors=True)
    built: dict[tuple[str, str], Path] = {}

    def write(name: str, head: dict[str, str], packages: list[Package]) -> None:
        for one in packages:
            if (one.name, one.version) not in built:
                built[one.name, one.version] = build_package(one, root / "pool")
        write_unsigned(root, name, head, [built[one.name, one.version] for one in packages])

    for generation in range(len(GENERATIONS)):
        write(str(generation + 1), ARCHIVE_RELEASE, archive_packages(generation, builder))
    write("ppa", PPA_RELEASE, archive_driver(builder("-580", PPA_VERSION)))


def _build_nvidias(www: Path, builder: Builder) -> str:
    """NVIDIA's repository for Ubuntu into ``www``; return its key's fingerprint."""
    shutil.rmtree(www, ignore_errors=True)
    with Keyring() as keyring:
        key = keyring.make_key("cudatools for ubuntu2404 (simulated) <cudatools@localhost>")
        packages = [
            build_package(package, FOLDER / "packages/driver-ubuntu")
            for suffix, branch, version in NVIDIAS
            for package in nvidia_driver(builder(suffix, version), branch)
        ]
        write_flat(www, "NVIDIA", packages, keyring, key, label="NVIDIA CUDA")
        (www / "3bf863cc.pub").write_text(key.armoured)
        return key.fingerprint
