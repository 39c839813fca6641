"""The kinds of simulated machine, and the images their hosts start from."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.base_image import base_image
from tests.sandbox.engine import LABEL, PREFIX, commit_image, label_of
from tests.sandbox.gpu_stub import Device, build_stubs
from tests.sandbox.repository import build_package, packages_index
from tests.sandbox.rpm_standins import RELEASES, system_repository_files
from tests.sandbox.standins import jetson_packages, kernel_packages, template
from tests.sandbox.state import FOLDER, SSH_KEY
from tests.sandbox.toolkit_standins import JETPACK_TOOLKIT_VERSION, toolkit_packages
from tests.sandbox.vendors import IMAGE as VENDORS_IMAGE
from tests.sandbox.vendors import JETSON_FOLDER

TEMPLATES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Kind:
    """A kind of machine: the Debian suite of its userland, who logs in, whether sudo asks, what GPU it has."""

    name: str
    suite: str
    user: str
    asks_password: bool
    device: Device
    on_demand: bool = False  # `up` does not make its image: the first start of such a host does


A100 = Device("NVIDIA A100 80GB PCIe (simulated GPU)", (8, 0))
KINDS = {
    kind.name: kind
    for kind in (
        Kind("server", "trixie", "root", False, A100),
        Kind("jetson", "bookworm", "nvidia", True, Device("Orin (simulated GPU)", (8, 7))),
        Kind("wsl", "bookworm", "dev", False, Device("NVIDIA GeForce RTX 4070 (simulated GPU)", (8, 9))),
        Kind("debian", "bookworm", "root", False, A100, on_demand=True),
        Kind("ubuntu", "trixie", "root", False, A100, on_demand=True),
        Kind("rocky", "dnf", "root", False, A100, on_demand=True),
        Kind("rocky10", "dnf", "root", False, A100, on_demand=True),
    )
}


def image_of(kind: Kind) -> str:
    """Name of the host image of ``kind``."""
    return f"{PREFIX}-image:{kind.name}"


def ensure_host_image(kind: Kind) -> None:
    """Make the host image of ``kind`` unless one stands that was made with the recipes of the vendors' image."""
    inputs = label_of(VENDORS_IMAGE, f"{LABEL}.inputs")
    if label_of(image_of(kind), f"{LABEL}.inputs") != inputs:
        build_stubs(FOLDER / "libcuda" / kind.name, kind.device)
        build_host_image(kind, inputs)


def build_host_image(kind: Kind, inputs: str) -> None:
    """Make the host image of ``kind`` out of the base image of its suite."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-host-") as name:
        context = Path(name)
        shutil.copytree(TEMPLATES / "host", context / "host")
        _copy_machine(kind, context / "machine")
        shutil.copytree(TEMPLATES / "packages", context / "packages")
        shutil.copytree(FOLDER / "libcuda" / kind.name, context / "libcuda")
        shutil.copyfile(FOLDER / "vendors/tls/ca.crt", context / "ca.crt")
        shutil.copyfile(SSH_KEY.with_suffix(".pub"), context / "controller.pub")
        _add_packages(kind, context)
        labels = {f"{LABEL}.inputs": inputs}
        script = "/bin/sh /build/host/setup"
        commit_image(image_of(kind), base=base_image(kind.suite), context=context, script=script, labels=labels)


def _copy_machine(kind: Kind, target: Path) -> None:
    """The files of this kind; Ubuntu and Rocky Linux hosts are servers with another system on them."""
    if kind.name in ("ubuntu", *RELEASES):
        shutil.copytree(TEMPLATES / "server", target)
    if kind.name not in RELEASES:
        shutil.copytree(TEMPLATES / kind.name, target, dirs_exist_ok=True)
        return
    release = RELEASES[kind.name]
    values = {"KERNEL": release.uname, "VERSION": release.version, "MAJOR": release.major}
    for path in (TEMPLATES / "rocky").iterdir():
        (target / path.name).write_bytes(template(path, values))


def _add_packages(kind: Kind, context: Path) -> None:
    """The stand-in packages that a machine of this kind already has, or has a source of its own for."""
    if kind.name == "server":
        folder = context / "kernel-packages"
        built = [build_package(package, folder) for package in kernel_packages()]
        (folder / "Packages").write_text(packages_index(built, folder))
    if kind.name == "ubuntu":
        shutil.copytree(FOLDER / "ubuntu/archive", context / "archive", symlinks=True)
    if kind.name in RELEASES:
        shutil.copytree(FOLDER / "rpm" / kind.name, context / "rpm")
        (context / "rocky.repo").write_bytes(system_repository_files())
    if kind.name == "jetson":
        libcuda = (FOLDER / "libcuda/jetson/libcuda-0.so").read_bytes()
        for package in (*jetson_packages(libcuda), *toolkit_packages(JETPACK_TOOLKIT_VERSION)):
            build_package(package, context / "jetson-packages")
        key = FOLDER / "vendors/www" / JETSON_FOLDER / "jetson-ota-public.asc"
        shutil.copyfile(key, context / "jetson-ota-public.asc")
