"""Docker's packages: Debian's own engine and plugins under Docker's names, so that what gets installed is real."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.base_image import NEWER_SUITE, PLUGIN_PACKAGES
from tests.sandbox.engine import run
from tests.sandbox.repository import MAINTAINER, pack

PLUGINS = "usr/libexec/docker/cli-plugins"
# Debian 13's package tini has the static program as well, which unstable has in a package of its own.
RENAMED = {"containerd": "containerd.io", "runc": "containerd.io", "docker-cli": "docker-ce-cli", "tini-static": "tini"}


@dataclass(frozen=True)
class Release:
    """A suite of Docker's repository, and the Debian suites whose engines are offered there."""

    distribution: str  # debian, ubuntu
    suite: str  # trixie
    number: str  # 13
    debian_suites: tuple[str, ...]

    def version(self, upstream: str, *, epoch: str = "") -> str:
        """A version as Docker writes it: 5:26.1.5-1~debian.13~trixie."""
        return f"{epoch}{upstream}-1~{self.distribution}.{self.number}~{self.suite}"


RELEASES = (
    Release("debian", "trixie", "13", ("trixie", NEWER_SUITE)),
    Release("debian", "bookworm", "12", ("bookworm",)),
    Release("ubuntu", "jammy", "22.04", ("bookworm",)),
    Release("ubuntu", "noble", "24.04", ("bookworm",)),
)


@dataclass(frozen=True)
class Part:
    """An unpacked package of Debian's that becomes one of Docker's."""

    name: str
    tree: Path
    upstream: str  # version
    epoch: str
    relations: dict[str, str]


def build_engine(suite: str, debs: Path, folder: Path) -> dict[Release, list[Path]]:
    """Build the engine of a Debian suite, which is in ``debs``, below ``folder`` for all releases that offer it."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-docker-") as name:
        parts = (*_unpack_engine(debs, Path(name)), _unpack_containerd(debs, Path(name)))
        return {
            release: [_pack(part, release, folder / release.suite) for part in parts]
            for release in RELEASES
            if suite in release.debian_suites
        }


def build_plugins(debs: Path, folder: Path) -> dict[Release, list[Path]]:
    """Build the client's plugins out of Debian's packages in ``debs``, below ``folder``, for all releases."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-plugins-") as name:
        parts = [_unpack_plugin(package, debs, Path(name)) for package in PLUGIN_PACKAGES]
        return {release: [_pack(part, release, folder / release.suite) for part in parts] for release in RELEASES}


def _unpack_plugin(package: str, debs: Path, work: Path) -> Part:
    """docker-compose-plugin out of docker-compose. They cannot be there both: it is the same file."""
    tree = work / package
    source = unpack(debs, package, tree)
    relations = {"Depends": source["Depends"], **dict.fromkeys(("Conflicts", "Replaces"), package)}
    return Part(f"{package}-plugin", tree, engine_version(source["Version"]), "", relations)


def _unpack_engine(debs: Path, work: Path) -> tuple[Part, Part]:
    """docker-ce and docker-ce-cli out of docker.io, and docker-cli where Debian has that apart."""
    engine, client = work / "docker-ce", work / "docker-ce-cli"
    source = unpack(debs, "docker.io", engine)
    upstream = engine_version(source["Version"])
    if list(debs.glob("docker-cli_*.deb")):
        client_source = unpack(debs, "docker-cli", client)
    else:
        client_source = {"Depends": "libc6"}
        (client / "DEBIAN").mkdir(parents=True)
        (client / "usr/bin").mkdir(parents=True)
        shutil.move(engine / "usr/bin/docker", client / "usr/bin/docker")
    # Debian's package leaves a running daemon alone when it is upgraded; Docker's own starts it anew.
    postinst = engine / "DEBIAN/postinst"
    anew = 'deb-systemd-invoke "$([ -n "${2-}" ] && echo restart || echo start)" '
    postinst.write_text(postinst.read_text().replace("deb-systemd-invoke start ", anew))
    conflicts = dict.fromkeys(("Conflicts", "Replaces"), "docker.io, docker-cli")
    needs = f"{with_docker_names(source['Depends'])}, docker-ce-cli, containerd.io, iptables"
    client_needs = with_docker_names(client_source["Depends"])
    return (
        Part("docker-ce", engine, upstream, "5:", {"Depends": needs, **conflicts}),
        Part("docker-ce-cli", client, upstream, "5:", {"Depends": client_needs, **conflicts}),
    )


def _unpack_containerd(debs: Path, work: Path) -> Part:
    """containerd.io, which has runc inside, out of containerd and runc."""
    tree = work / "containerd.io"
    runc = unpack(debs, "runc", tree)
    source = unpack(debs, "containerd", tree)
    needs = f"{with_docker_names(source['Depends'])}, {with_docker_names(runc['Depends'])}".strip(", ")
    relations = {"Depends": needs, **dict.fromkeys(("Provides", "Conflicts", "Replaces"), "containerd, runc")}
    return Part("containerd.io", tree, engine_version(source["Version"]), "", relations)


def unpack(debs: Path, name: str, tree: Path) -> dict[str, str]:
    """Unpack Debian's package ``name`` over ``tree``, its scripts in place of another's; return its control fields."""
    deb = next(debs.glob(f"{name}_*.deb"))
    shutil.rmtree(tree / "DEBIAN", ignore_errors=True)
    tree.mkdir(exist_ok=True)
    run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    return dict(re.findall(r"^(\w[\w-]*): (.*)$", (tree / "DEBIAN/control").read_text(), re.M))


def _pack(part: Part, release: Release, folder: Path) -> Path:
    """Pack ``part`` under its new name. ``all``: the Jetson asks for arm64 and has an amd64 userland."""
    version = release.version(part.upstream, epoch=part.epoch)
    (part.tree / "DEBIAN/md5sums").unlink(missing_ok=True)
    for name in ("man", "doc"):  # some have moved from one package to the other
        shutil.rmtree(part.tree / "usr/share" / name, ignore_errors=True)
    fields = {"Package": part.name, "Version": version, "Architecture": "all", "Maintainer": MAINTAINER}
    text = "".join(f"{field}: {value}\n" for field, value in {**fields, **part.relations}.items())
    summary = "Debian's own engine under Docker's package name\n Stand-in of the GPU sandbox.\n"
    (part.tree / "DEBIAN/control").write_text(f"{text}Description: {summary}")
    return pack(part.tree, folder, f"{part.name}_{version}_all")


def engine_version(version: str) -> str:
    """The upstream version inside a Debian one: 26.1.5 of 26.1.5+dfsg1-9+b9, 1.6.20 of 1.6.20~ds1-1+b1."""
    found = re.match(r"(?:\d+:)?([\d.]+)", version)
    assert found is not None, version
    return found.group(1)


def with_docker_names(depends: str) -> str:
    """A Depends field with Docker's names for Debian's, without versions for those."""
    parts = []
    for part in depends.split(", "):
        name = part.split(" ")[0]
        parts.append(RENAMED.get(name, part))
    return ", ".join(part for part in dict.fromkeys(parts) if part != "containerd.io")
