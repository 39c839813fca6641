"""The vendors' side of the sandbox: signed repositories, registries, and the container that serves them over TLS."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.sandbox.base_image import NEWER_SUITE, PLUGIN_SUITE, SUITES, base_image, has_engine
from tests.sandbox.docker_packages import RELEASES, build_engine, build_plugins
from tests.sandbox.engine import LABEL, PREFIX, commit_image, docker, does_exist, remove_container, wait_until
from tests.sandbox.errors import SandboxError
from tests.sandbox.keys import Keyring
from tests.sandbox.registry_images import push_images, repositories
from tests.sandbox.repository import Suite, build_package, write_flat, write_suite
from tests.sandbox.standins import DRIVER_VERSIONS, driver_packages
from tests.sandbox.state import locked
from tests.sandbox.toolkit_standins import TOOLKIT_VERSIONS, nvidia_docker, toolkit_packages

NAMES = (
    "download.docker.com",
    "nvidia.github.io",
    "developer.download.nvidia.com",
    "repo.download.nvidia.com",
    "registry-1.docker.io",
    "auth.docker.io",
    "nvcr.io",
)
VENDORS = ("docker", "toolkit", "driver", "jetson", "registry")
FAULTS = ("401", "403", "404", "429", "wrong-signature", "slow", "cut")
PROXY_PORT = 3128
CONTAINER = f"{PREFIX}-vendors"
IMAGE = f"{PREFIX}-image:vendors"
TEMPLATES = Path(__file__).parent / "files/vendors"
KEYS = "keys"  # of what is signed again later
DOCKER_RPM_FOLDER = "download.docker.com/linux/rhel"
TOOLKIT_FOLDER = "nvidia.github.io/libnvidia-container"
DRIVER_FOLDER = "developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64"
JETSON_FOLDER = "repo.download.nvidia.com/jetson"


def build_repositories(folder: Path) -> dict[str, str]:
    """Build all apt repositories into ``folder``/vendors/www; return vendor -> fingerprint of its key."""
    www = folder / "vendors/www"
    shutil.rmtree(www, ignore_errors=True)
    with Keyring() as keyring:
        fingerprints = {
            "docker": _build_docker(folder, www, keyring),
            "docker-rpm": _make_docker_rpm_key(folder, www, keyring),
            "toolkit": _build_toolkit(folder, www, keyring),
            "driver": _build_driver(folder, www, keyring),
            "jetson": _build_jetson(www, keyring),
        }
    (folder / "fingerprints.json").write_text(json.dumps(fingerprints))
    return fingerprints


def _build_docker(folder: Path, www: Path, keyring: Keyring) -> str:
    """https://download.docker.com/linux/{debian,ubuntu}: a pool, a suite for each release, the key as "gpg"."""
    key = keyring.make_key("Docker Release (simulated) <docker@localhost>")

    suites = [suite for suite in (*SUITES, NEWER_SUITE) if has_engine(folder / "debs" / suite)]
    with ThreadPoolExecutor(max_workers=2) as workers:
        engines = list(
            workers.map(lambda suite: build_engine(suite, folder / "debs" / suite, folder / "packages"), suites)
        )
    plugins = build_plugins(folder / "debs" / PLUGIN_SUITE, folder / "packages")
    for release in RELEASES:
        built = [path for engine in engines for path in engine.get(release, ())]
        root = www / "download.docker.com/linux" / release.distribution
        packages = [*built, *plugins[release]]
        write_suite(root, Suite(release.suite, "stable", ("amd64", "arm64"), "Docker"), packages, keyring, key)
        (root / "gpg").write_text(key.armoured)
    return key.fingerprint


def _make_docker_rpm_key(folder: Path, www: Path, keyring: Keyring) -> str:
    """Docker's other key, of its rpm packages. They are built with the first host that asks for them."""
    key = keyring.make_key("Docker Release (CE rpm) (simulated) <docker@localhost>")
    keyring.save_secret(key, folder / KEYS / "docker-rpm.asc")
    root = www / DOCKER_RPM_FOLDER
    root.mkdir(parents=True)
    (root / "gpg").write_text(key.armoured)
    root.with_name("centos").symlink_to(root.name)
    return key.fingerprint


def _build_toolkit(folder: Path, www: Path, keyring: Keyring) -> str:
    """https://nvidia.github.io/libnvidia-container: flat repositories stable/deb/{amd64,arm64}, key "gpgkey"."""
    key = keyring.make_key("NVIDIA toolkit (simulated) <toolkit@localhost>")
    keyring.save_secret(key, folder / KEYS / "toolkit.asc")
    offered = [package for version in TOOLKIT_VERSIONS for package in toolkit_packages(version)]
    packages = [build_package(package, folder / "packages/toolkit") for package in (*offered, nvidia_docker())]
    for architecture in ("amd64", "arm64"):
        root = www / TOOLKIT_FOLDER / "stable/deb" / architecture
        write_flat(root, "https://nvidia.github.io/libnvidia-container", packages, keyring, key)
    (www / TOOLKIT_FOLDER / "gpgkey").write_text(key.armoured)
    return key.fingerprint


def _build_driver(folder: Path, www: Path, keyring: Keyring) -> str:
    """NVIDIA's debian13 repository: flat, two branches, its key beside the packages."""
    key = keyring.make_key("NVIDIA driver (simulated) <driver@localhost>")
    stubs = folder / "libcuda/server"
    libcuda, empty = (stubs / "libcuda-0.so").read_bytes(), (stubs / "empty.so").read_bytes()
    packages = [
        build_package(package, folder / "packages/driver")
        for version in DRIVER_VERSIONS
        for package in driver_packages(version, libcuda, empty)
    ]
    write_flat(www / DRIVER_FOLDER, "NVIDIA", packages, keyring, key, label="NVIDIA CUDA")
    (www / DRIVER_FOLDER / "8793F200.pub").write_text(key.armoured)
    return key.fingerprint


def _build_jetson(www: Path, keyring: Keyring) -> str:
    """NVIDIA's Jetson repositories: there and signed, with nothing newer than what the Jetson has."""
    key = keyring.make_key("NVIDIA Jetson (simulated) <jetson@localhost>")
    for part in ("common", "t234"):
        suite = Suite("r36.4", "main", ("amd64", "arm64"), "NVIDIA")
        write_suite(www / JETSON_FOLDER / part, suite, [], keyring, key)
    (www / JETSON_FOLDER / "jetson-ota-public.asc").write_text(key.armoured)
    return key.fingerprint


def build_vendors_image(inputs: str) -> None:
    """Make the image of the vendors' container."""
    commit_image(
        IMAGE,
        base=base_image("trixie"),
        context=TEMPLATES,
        script="/bin/sh /build/setup",
        labels={f"{LABEL}.inputs": inputs},
    )


def start_vendors(folder: Path, address: str) -> None:
    """Start the vendors' container at ``address``, or leave it where it runs; wait until it answers."""
    if not is_running():
        remove_container(CONTAINER)
        for name, content in (("faults.json", {}), ("rates.json", {}), ("repositories.json", repositories())):
            (folder / "vendors" / name).write_text(json.dumps(content))
        _make_key(folder)
        (folder / "vendors/requests.jsonl").touch()
        docker(
            "run", "--detach", "--name", CONTAINER, "--hostname", "vendors", "--label", LABEL,
            "--network", PREFIX, "--ip", address, "--init",
            "--volume", f"{folder / 'vendors'}:/srv/sandbox",
            IMAGE, "/usr/local/bin/sandbox-vendors",
        )  # fmt: skip
    wait_until(_does_answer, what="the vendors' start", seconds=30, look_at=f"docker logs {CONTAINER}")


def key_file(folder: Path) -> Path:
    """The 0600 file with the password of nvcr.io's user ``$oauthtoken``, for its private repositories."""
    return folder / "vendors/ngc-key"


def _make_key(folder: Path) -> None:
    path = key_file(folder)
    path.touch(mode=0o600)
    path.write_text(f"nvapi-{secrets.token_urlsafe(32)}\n")


def is_running() -> bool:
    """Whether the vendors' container runs."""
    return does_exist("container", CONTAINER) and (
        docker("inspect", "--format", "{{.State.Running}}", CONTAINER) == "true"
    )


def _does_answer() -> bool:
    """Whether the registry, the TLS server and the proxy listen, asked from inside."""
    ports = (443, 5000, PROXY_PORT)
    probe = f"import socket; [socket.create_connection(('127.0.0.1', port), 1).close() for port in {ports}]"
    asked = subprocess.run(["docker", "exec", CONTAINER, "python3", "-c", probe], capture_output=True)
    return asked.returncode == 0


def fill_registry(folder: Path, address: str) -> dict[str, str]:
    """Make the images' layers and push them; return reference -> digest."""
    layers = folder / "vendors/layers"
    layers.mkdir(exist_ok=True)
    docker("exec", CONTAINER, "sandbox-images", "/srv/sandbox/layers")
    # As Debian's slim images, without documentation.
    left_out = [f"--exclude=./{path}/*" for path in ("layers", "usr/share/doc", "usr/share/locale", "usr/share/man")]
    docker(
        "run", "--rm", "--volume", f"{layers}:/layers", base_image("trixie"),
        "tar", "-C", "/", "--one-file-system", "--sort=name", *left_out, "-cf", "/layers/debian.tar", ".",
    )  # fmt: skip
    return push_images(f"{address}:5000", layers)


def set_fault(folder: Path, fault: str | None, *, vendor: str | None = None, client: str = "", path: str = "") -> None:
    """Make ``vendor`` misbehave in one of the ways of ``FAULTS``; ``None`` ends it (no vendor: for all).

    With an address as ``client`` it does so towards that host alone, with ``path`` for paths that begin so.
    """
    if (fault is not None and fault not in FAULTS) or (vendor is not None and vendor not in VENDORS):
        raise SandboxError(
            "no such fault", seen=f"{fault} {vendor}", remedy=f"one of {FAULTS} and one of {VENDORS}, or clear"
        )
    value = f"{fault} {path}".strip() if fault else None
    _set_row(folder / "vendors/faults.json", f"{vendor} {client}".strip() if vendor else None, value)


def set_rate(folder: Path, remaining: int | None, *, client: str = "") -> None:
    """How often Docker Hub lets ``client`` (an address; "": all others) pull from now on; ``None``: not counted."""
    value = None if remaining is None else (remaining, secrets.token_hex(8))
    _set_row(folder / "vendors/rates.json", client, value)


def _set_row(path: Path, key: str | None, value: object) -> None:
    """Set a row of a JSON object in one step; ``None`` removes it, and no key all of them. Tests run side by side."""
    with locked("vendors-lock"):
        rows: dict[str, object] = {} if key is None else json.loads(path.read_text())
        if key is not None:
            rows.pop(key, None)
            rows.update({} if value is None else {key: value})
        new = path.with_suffix(".new")
        new.write_text(json.dumps(rows))
        new.rename(path)


def read_requests(folder: Path) -> list[dict[str, Any]]:
    """The request log: time, client, vendor, host, method, path, status, bytes of each request, oldest first."""
    text = (folder / "vendors/requests.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def requests_of(
    requests: Iterable[Mapping[str, Any]], *, repository: str = "", client: str = "", kind: str = ""
) -> list[Mapping[str, Any]]:
    """Those for a repository (nvidia/l4t-base), by a client's address, of a kind: manifests, blobs or tags."""
    pattern = re.compile(f"/v2/{re.escape(repository) if repository else '.+'}/{kind or '[a-z]+'}/")
    return [r for r in requests if pattern.match(r["path"]) and client in ("", r["client"])]


def bytes_of(requests: Iterable[Mapping[str, Any]], *, repository: str = "", client: str = "") -> int:
    """Bytes of blobs that went out."""
    return sum(r["bytes"] for r in requests_of(requests, repository=repository, client=client, kind="blobs"))


def clear_requests(folder: Path) -> None:
    """Start the request log anew."""
    (folder / "vendors/requests.jsonl").write_text("")
