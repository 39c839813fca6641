"""Hosts of Enterprise Linux, made at their first start: Debian's dnf and rpm, stand-in packages, vendors' repositories.

``up`` does without: its fleet has no such host. Such a host is dnf on a Debian stand-in: what dnf, rpm, versionlock and
module streams do is real; the C library, SELinux, dracut, grubby (they only say how they were called), the boot loader,
Red Hat's kernel with its weak modules, subscriptions, and the packages of Rocky Linux and EPEL are not there.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from tests.sandbox.base_image import NEWER_SUITE, PLUGIN_SUITE, base_image, has_engine
from tests.sandbox.engine import LABEL, commit_image, label_of
from tests.sandbox.gpu_stub import build_stubs
from tests.sandbox.host_images import Kind, build_host_image, image_of
from tests.sandbox.keys import Keyring
from tests.sandbox.rpm_containers import docker_rpms, toolkit_rpms
from tests.sandbox.rpm_repository import RpmFolder, build_folders
from tests.sandbox.rpm_standins import (
    RELEASES,
    UPSTREAM_VERSIONS,
    Release,
    driver_packages,
    driver_streams,
    system_repositories,
)
from tests.sandbox.state import FOLDER, State
from tests.sandbox.toolkit_standins import TOOLKIT_VERSIONS
from tests.sandbox.vendors import DOCKER_RPM_FOLDER, KEYS, TOOLKIT_FOLDER
from tests.sandbox.vendors import IMAGE as VENDORS_IMAGE

# The last two are Docker's needs, for which Enterprise Linux' packages are there in name.
PACKAGES = ("dnf", "dnf-plugins-core", "rpm", "createrepo-c", "curl", "gpg", "gpg-agent", "iptables", "nftables")
DRIVER_FOLDER = "developer.download.nvidia.com/compute/cuda/repos/rhel{major}/x86_64"
KEY_FILES = {"9": "D42D0685.pub", "10": "CDF6BA43.pub"}


def ensure_image(kind: Kind, state: State) -> State:
    """Make the image of ``kind`` where it is missing, with NVIDIA's repository for it; return what is known then.

    It is current where it was made with the recipes that the vendors' image was made with.
    """
    www = FOLDER / "vendors/www" / DRIVER_FOLDER.format(major=RELEASES[kind.name].major)
    inputs = label_of(VENDORS_IMAGE, f"{LABEL}.inputs")
    is_current = label_of(image_of(kind), f"{LABEL}.inputs") == inputs
    if is_current and www.exists() and f"driver-{kind.name}" in state.fingerprints:
        return state
    _ensure_base()
    build_stubs(FOLDER / "libcuda" / kind.name, kind.device)
    fingerprint = _build_repositories(kind, www)
    build_host_image(kind, inputs)
    return replace(state, fingerprints={**state.fingerprints, f"driver-{kind.name}": fingerprint})


def _ensure_base() -> None:
    """The image that hosts and the builder of rpms start from: Debian 13 with dnf."""
    trixie = label_of(base_image("trixie"), f"{LABEL}.sources")
    wish = hashlib.sha256("\n".join((trixie, *PACKAGES)).encode()).hexdigest()
    if label_of(base_image("dnf"), f"{LABEL}.sources") == wish:
        return
    script = (
        "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; "
        f"apt-get -qq install --no-install-recommends {' '.join(PACKAGES)} >/dev/null 2>&1; "
        "apt-get -qq clean; rm -rf /var/lib/apt/lists/* /build"
    )
    context = Path(__file__).parent / "files/rpm"
    labels = {f"{LABEL}.sources": wish}
    commit_image(base_image("dnf"), base=base_image("trixie"), context=context, script=script, labels=labels)


def _containers(release: Release, keyring: Keyring) -> list[RpmFolder]:
    """Docker's repository, whose index is not signed, and the toolkit's, whose packages are not checked."""
    debs = next(FOLDER / "debs" / suite for suite in (NEWER_SUITE, "trixie") if has_engine(FOLDER / "debs" / suite))
    docker_key, toolkit_key = (keyring.load_secret(FOLDER / KEYS / f"{name}.asc") for name in ("docker-rpm", "toolkit"))
    docker = f"vendors/www/{DOCKER_RPM_FOLDER}/{release.major}/x86_64/stable"
    toolkit = f"vendors/www/{TOOLKIT_FOLDER}/stable/rpm/x86_64"
    versions = tuple(package for version in TOOLKIT_VERSIONS for package in toolkit_rpms(version))
    return [
        RpmFolder(
            docker,
            release.tag,
            tuple(docker_rpms(debs, FOLDER / "debs" / PLUGIN_SUITE)),
            docker_key,
            signed=("packages",),
        ),
        RpmFolder(toolkit, release.tag, versions, toolkit_key, signed=("index",)),
    ]


def _build_repositories(kind: Kind, www: Path) -> str:
    """The distribution's repositories into FOLDER/rpm/KIND, the vendors' beside ``www``, which is NVIDIA's driver's.

    Returns the fingerprint of the driver's key.
    """
    release = RELEASES[kind.name]
    with Keyring() as keyring:
        key = keyring.make_key(f"cudatools for el{release.major} (simulated) <cudatools@localhost>")
        own = [
            RpmFolder(f"rpm/{kind.name}/{name}", release.tag, packages)
            for name, packages in system_repositories(release).items()
        ]
        stubs = FOLDER / "libcuda" / kind.name
        libraries = (stubs / "libcuda-0.so").read_bytes(), (stubs / "empty.so").read_bytes()
        packages = tuple(one for version in UPSTREAM_VERSIONS for one in driver_packages(version, *libraries))
        modules = driver_streams(packages, release.tag) if release.modular else ""
        nvidia = RpmFolder(str(www.relative_to(FOLDER)), release.tag, packages, key, modules)
        build_folders([*own, nvidia, *_containers(release, keyring)], base_image("dnf"), keyring, FOLDER)
    (www / KEY_FILES[release.major]).write_text(key.armoured)
    return key.fingerprint
