"""Debian packages and apt repositories, made with ``dpkg-deb`` and hashlib."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from tests.sandbox.engine import run
from tests.sandbox.keys import Keyring, SigningKey

MAINTAINER = "GPU sandbox <sandbox@localhost>"


@dataclass(frozen=True)
class Package:
    """A stand-in package. ``files`` maps absolute paths to content; ``links`` maps a link to its target."""

    name: str
    version: str
    summary: str
    architecture: str = "all"
    relations: Mapping[str, str] = field(default_factory=dict)  # Depends, Conflicts, Provides …
    files: Mapping[str, bytes] = field(default_factory=dict)
    programs: Mapping[str, bytes] = field(default_factory=dict)  # as files, mode 0755
    links: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, bytes] = field(default_factory=dict)  # postinst, prerm …
    conffiles: tuple[str, ...] = ()  # those of ``files`` that are an administrator's to change

    def control(self) -> str:
        """The text of DEBIAN/control."""
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": MAINTAINER,
            "Section": "misc",
            "Priority": "optional",
            **self.relations,
            "Description": f"{self.summary}\n Stand-in of the GPU sandbox: simulated, not the vendor's package.",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def build_package(package: Package, folder: Path) -> Path:
    """Build ``package`` into ``folder`` and return the path of the .deb."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-deb-") as name:
        tree = Path(name)
        tree.chmod(0o755)
        for path, content in {**package.files, **package.programs}.items():
            _write(tree, path, content, mode=0o755 if path in package.programs else 0o644)
        for path, target in package.links.items():
            _below(tree, path).symlink_to(target)
        for script, content in package.scripts.items():
            _write(tree, f"/DEBIAN/{script}", content, mode=0o755)
        if package.conffiles:
            _write(tree, "/DEBIAN/conffiles", "".join(f"{path}\n" for path in package.conffiles).encode(), mode=0o644)
        _write(tree, "/DEBIAN/control", package.control().encode(), mode=0o644)
        return pack(tree, folder, f"{package.name}_{package.version}_{package.architecture}")


def pack(tree: Path, folder: Path, stem: str) -> Path:
    """Pack a package tree (with its DEBIAN folder) as ``folder/stem.deb``; the epoch's colon is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{stem.replace(':', '%3a')}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", str(tree), str(target))
    return target


def _below(tree: Path, path: str) -> Path:
    target = tree / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write(tree: Path, path: str, content: bytes, *, mode: int) -> None:
    target = _below(tree, path)
    target.write_bytes(content)
    target.chmod(mode)


def packages_index(packages: Iterable[Path], root: Path) -> str:
    """The text of a Packages file for .deb files below ``root``, which is what Filename is relative to."""
    stanzas = []
    for path in packages:
        content = path.read_bytes()
        stanzas.append(
            f"{run('dpkg-deb', '--field', str(path)).rstrip()}\n"
            f"Filename: {path.relative_to(root)}\n"
            f"Size: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    return "\n".join(stanzas)


@dataclass(frozen=True)
class Suite:
    """``dists/NAME`` of a repository with a pool: the same packages for each architecture."""

    name: str
    component: str
    architectures: tuple[str, ...]
    origin: str


def write_suite(root: Path, suite: Suite, packages: Iterable[Path], keyring: Keyring, key: SigningKey) -> None:
    """Copy ``packages`` to ``root``/pool and write and sign ``root``/dists/NAME."""
    pool = root / "pool" / suite.name
    pool.mkdir(parents=True, exist_ok=True)
    index = packages_index([_place(path, pool) for path in packages], root)
    dists = root / "dists" / suite.name
    folders = [f"{suite.component}/binary-{architecture}" for architecture in suite.architectures]
    for folder in folders:
        _write_index(dists / folder, index)
    head = {
        "Origin": suite.origin,
        "Label": suite.origin,
        "Suite": suite.name,
        "Codename": suite.name,
        "Architectures": " ".join(suite.architectures),
        "Components": suite.component,
    }
    _write_release(dists, head, keyring, key)


def write_flat(
    root: Path, origin: str, packages: Iterable[Path], keyring: Keyring, key: SigningKey, *, label: str = ""
) -> None:
    """Write a flat repository (``Suites: /``) of ``packages`` into ``root`` and sign it."""
    root.mkdir(parents=True, exist_ok=True)
    _write_index(root, packages_index([_place(path, root) for path in packages], root))
    _write_release(root, {"Origin": origin, "Label": label or origin}, keyring, key)


def _place(package: Path, folder: Path) -> Path:
    """Link (or copy, across file systems) ``package`` into ``folder`` under a name without the epoch."""
    target = folder / package.name.replace("%3a", ".")
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(package)
    except OSError:
        shutil.copyfile(package, target)
    return target


def _write_index(folder: Path, index: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Packages").write_text(index)
    (folder / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))


def write_unsigned(root: Path, name: str, head: Mapping[str, str], packages: Iterable[Path]) -> None:
    """Write ``root/name``, a flat repository of ``packages``, which lie below ``root``; ``head`` is Release's."""
    _write_index(root / name, packages_index(packages, root))
    _write_plain_release(root / name, head)


def _write_release(folder: Path, head: Mapping[str, str], keyring: Keyring, key: SigningKey) -> None:
    """Write Release over every Packages file below ``folder``, signed by ``key``, and once by a stranger."""
    release = _write_plain_release(folder, head)
    keyring.sign(release, key)
    keyring.sign(release, keyring.stranger, suffix=".wrong")


def _write_plain_release(folder: Path, head: Mapping[str, str]) -> Path:
    lines = [f"{name}: {value}" for name, value in head.items()]
    lines += [f"Date: {formatdate(usegmt=True)}", "SHA256:"]
    for path in sorted(folder.rglob("Packages*")):
        content = path.read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path.relative_to(folder)}")
    release = folder / "Release"
    release.write_text("\n".join(lines) + "\n")
    return release
