"""NVIDIA's packages of the sandbox: real names, versions and relations; content that only plays its part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.sandbox.repository import Package

TEMPLATES = Path(__file__).parent / "files/packages"
SERVER_KERNEL = "6.12.57+deb13-amd64"
DRIVER_VERSIONS = ("580.95.05-1", "580.178.04-1", "595.91.07-1")
L4T_VERSION = "36.4.7-20250918154033"
AMD64_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
TEGRA_LIBRARIES = "/usr/lib/aarch64-linux-gnu/nvidia"
NOUVEAU_BLACKLIST = "/usr/lib/modprobe.d/nvidia-graphics-drivers.conf"
# What NVIDIA's pinning packages for Debian keep on a branch.
PINNED = (
    "nvidia-driver nvidia-driver-cuda nvidia-kernel-open-dkms nvidia-kernel-dkms libcuda1 libnvidia-ml1 nvidia-smi "
    "firmware-nvidia-gsp nvidia-persistenced nvidia-fabricmanager"
)


def template(name: str | Path, values: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A file of files/packages (or any other) with @NAME@ replaced by the value of each NAME."""
    text = (TEMPLATES / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()


def driver_packages(version: str, libcuda: bytes, empty_library: bytes) -> list[Package]:
    """The driver of one version as NVIDIA's debian13 repository cuts it: compute, desktop, both modules, pinning."""
    upstream, branch = version.split("-")[0], version.split(".")[0]
    same = f"(= {version})"
    modules = f"nvidia-kernel-open-dkms {same} | nvidia-kernel-dkms {same}"
    return [
        _library("libcuda1", version, "libcuda.so", libcuda),
        _library("libnvidia-ml1", version, "libnvidia-ml.so", empty_library),
        Package(
            "nvidia-smi",
            version,
            "NVIDIA System Management Interface",
            "amd64",
            relations={"Depends": f"libnvidia-ml1 {same}"},
            programs={"/usr/bin/nvidia-smi": template("nvidia-smi")},
        ),
        Package(
            "firmware-nvidia-gsp",
            version,
            "NVIDIA GSP firmware",
            "amd64",
            files={f"/usr/lib/firmware/nvidia/{upstream}/gsp_ga10x.bin": b"simulated\n"},
        ),
        _module("nvidia-kernel-open-dkms", version, "Dual MIT/GPL", f"firmware-nvidia-gsp {same}"),
        _module("nvidia-kernel-dkms", version, "NVIDIA", f"firmware-nvidia-gsp {same}"),
        Package(
            "nvidia-driver-cuda",
            version,
            "NVIDIA driver, compute only",
            "amd64",
            relations={"Depends": f"libcuda1 {same}, libnvidia-ml1 {same}, nvidia-smi {same}, {modules}"},
        ),
        Package(
            "nvidia-driver",
            version,
            "NVIDIA driver, desktop only",
            "amd64",
            relations={"Depends": f"libnvidia-ml1 {same}, {modules}"},
            files={"/usr/share/doc/nvidia-driver/simulated": b"no graphics in this stand-in\n"},
        ),
        daemon_package("nvidia-persistenced", version, "NVIDIA persistence daemon"),
        daemon_package("nvidia-fabricmanager", version, "NVIDIA fabric manager"),
        pinning_package(branch, version, PINNED),
        pinning_package(upstream, version, PINNED),
    ]


def daemon_package(
    name: str, version: str, summary: str, *, unit: str = "", relations: Mapping[str, str] = MappingProxyType({})
) -> Package:
    """A daemon that does nothing but run, where the module of its own version is loaded. ``unit``: not as ``name``."""
    upstream, unit = version.split("-")[0], unit or name
    path = f"/usr/lib/systemd/system/{unit}.service"
    return Package(
        name,
        version,
        summary,
        "amd64",
        relations=relations,
        files={path: template("daemon.service", {"SUMMARY": summary, "UPSTREAM": upstream})},
        scripts={"prerm": f'#!/bin/sh\n[ "$1" != remove ] || systemctl disable --now {unit}\n'.encode()},
    )


def library_files(upstream: str, name: str, content: bytes) -> tuple[dict[str, bytes], dict[str, str]]:
    """A shared library ``name`` (libcuda.so) of the driver and the link that programs look for."""
    file = f"{name}.{upstream}"
    return {f"{AMD64_LIBRARIES}/{file}": content}, {f"{AMD64_LIBRARIES}/{name}.1": file}


def _library(package: str, version: str, name: str, content: bytes) -> Package:
    files, links = library_files(version.split("-")[0], name, content)
    return Package(package, version, f"NVIDIA {name}.1", "amd64", files=files, links=links)


def module_description(version: str, licence: str) -> bytes:
    """What the server's modinfo and module loader read in place of a kernel module."""
    text = f"version:        {version.split('-')[0]}\nlicense:        {licence}\n"
    return f"{text}description:    simulated module: text that modinfo reads, no code\n".encode()


def dkms_scripts(version: str) -> dict[str, bytes]:
    """The scripts of a package whose module DKMS would build."""
    postinst = template("nvidia-dkms.postinst", {"UPSTREAM": version.split("-")[0]})
    return {"postinst": postinst, "prerm": template("nvidia-dkms.prerm")}


def _module(name: str, version: str, licence: str, needs: str) -> Package:
    """A kernel module package: its postinst puts a description, which the server's modinfo reads, in its place."""
    other = {"nvidia-kernel-open-dkms": "nvidia-kernel-dkms"}.get(name, "nvidia-kernel-open-dkms")
    return Package(
        name,
        version,
        f"NVIDIA kernel module ({licence})",
        "amd64",
        relations={"Depends": needs, "Conflicts": other, "Replaces": other},
        files={
            f"/usr/src/nvidia-{version.split('-')[0]}/nvidia.ko.description": module_description(version, licence),
            NOUVEAU_BLACKLIST: b"blacklist nouveau\n",
        },
        scripts=dkms_scripts(version),
    )


def pinning_package(release: str, version: str, names: str) -> Package:
    """What keeps the driver on a branch (580), or on one version of it (580.95.05); only one can be installed."""
    pinned = f"{release}-*" if "." in release else f"{release}.*"
    preferences = f"Package: {names}\nPin: version {pinned}\nPin-Priority: 1000\n"
    path = "/etc/apt/preferences.d/nvidia-driver-pin"
    return Package(
        f"nvidia-driver-pinning-{release}",
        version,
        f"Keeps the NVIDIA driver on {release}",
        relations=dict.fromkeys(("Provides", "Conflicts", "Replaces"), "nvidia-driver-pinning"),
        files={path: preferences.encode()},
        conffiles=(path,),
    )


def kernel_packages() -> list[Package]:
    """The kernel that the server plays, its headers, and an initramfs generator that writes no initramfs."""
    return [
        *kernel_of(SERVER_KERNEL, "6.12.57-1"),
        Package(
            "linux-headers-amd64",
            "6.12.57-1",
            "Header files for the newest Linux",
            "amd64",
            relations={"Depends": f"linux-headers-{SERVER_KERNEL} (= 6.12.57-1)"},
        ),
        initramfs_generator(),
    ]


def kernel_of(release: str, version: str) -> list[Package]:
    """A kernel whose ``uname -r`` is ``release``, and its headers."""
    modules, headers = f"/usr/lib/modules/{release}", f"linux-headers-{release}"
    return [
        Package(
            f"linux-image-{release}",
            version,
            "Linux for 64-bit PCs",
            "amd64",
            files={
                f"/boot/vmlinuz-{release}": b"simulated kernel\n",
                f"/boot/initrd.img-{release}": b"simulated initramfs\n",
                f"/boot/config-{release}": b"CONFIG_IP_NF_RAW=m\n",
                f"{modules}/modules.dep": b"",
                f"{modules}/modules.order": b"",
                f"{modules}/modules.builtin": b"",
            },
        ),
        Package(
            headers,
            version,
            f"Header files for Linux {release}",
            "amd64",
            files={f"/usr/src/{headers}/Makefile": b"# simulated\n"},
            links={f"{modules}/build": f"/usr/src/{headers}"},
        ),
    ]


def initramfs_generator() -> Package:
    """One that writes no initramfs."""
    return Package(
        "initramfs-tools",
        "0.148.3",
        "Generic modular initramfs generator",
        programs={"/usr/sbin/update-initramfs": b'#!/bin/sh\necho "update-initramfs: $* (simulated)"\n'},
    )


def jetson_packages(libcuda: bytes) -> list[Package]:
    """What L4T r36.4.7 with JetPack 6.2.1 has installed. Versions as real packages write them."""
    libraries = {f"{TEGRA_LIBRARIES}/libcuda.so.1.1": libcuda}
    links = {f"{TEGRA_LIBRARIES}/libcuda.so.1": "libcuda.so.1.1", f"{TEGRA_LIBRARIES}/libcuda.so": "libcuda.so.1.1"}
    plain = ("core", "init", "tools", "firmware", "3d-core", "bootloader", "multimedia")
    return [
        *(Package(f"nvidia-l4t-{part}", L4T_VERSION, f"NVIDIA L4T {part}") for part in plain),
        Package("nvidia-l4t-kernel", f"5.15.148-tegra-{L4T_VERSION}", "NVIDIA L4T kernel"),
        Package("nvidia-l4t-cuda", L4T_VERSION, "NVIDIA L4T CUDA driver", files=libraries, links=links),
        Package("nvidia-jetpack", "6.2.1+b38", "NVIDIA JetPack"),
    ]
