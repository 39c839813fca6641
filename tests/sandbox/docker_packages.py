"""Docker's packages: Debian's own engine under Docker's names, so that what gets installed is a real dockerd."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.engine import run
from tests.sandbox.repository import MAINTAINER, Package, build_package, pack

PLUGIN = Path(__file__).parent / "files/packages/docker-plugin"
BUILDX, COMPOSE = "0.29.1", "2.40.3"
RENAMED = {"containerd": "containerd.io", "runc": "containerd.io", "docker-cli": "docker-ce-cli"}


@dataclass(frozen=True)
class Release:
    """A suite of Docker's repository, and the Debian suite whose engine is offered there."""

    distribution: str  # debian, ubuntu
    suite: str  # trixie
    number: str  # 13
    debian_suite: str

    def version(self, upstream: str, *, epoch: str = "") -> str:
        """A version as Docker writes it: 5:26.1.5-1~debian.13~trixie."""
        return f"{epoch}{upstream}-1~{self.distribution}.{self.number}~{self.suite}"


RELEASES = (
    Release("debian", "trixie", "13", "trixie"),
    Release("debian", "bookworm", "12", "bookworm"),
    Release("ubuntu", "jammy", "22.04", "bookworm"),
    Release("ubuntu", "noble", "24.04", "bookworm"),
)


def build_docker_packages(release: Release, debs: Path, folder: Path) -> list[Path]:
    """Build the five packages of ``release`` into ``folder`` out of Debian's own in ``debs``."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-docker-") as name:
        work = Path(name)
        built = [*_repack_engine(release, debs, work, folder), _repack_containerd(release, debs, work, folder)]
    for plugin, version in (("buildx", BUILDX), ("compose", COMPOSE)):
        program = PLUGIN.read_text().replace("@VERSION@", version).replace("@NAME@", plugin)
        path = f"/usr/libexec/docker/cli-plugins/docker-{plugin}"
        package = Package(
            f"docker-{plugin}-plugin",
            release.version(version),
            f"Docker's {plugin} plugin",
            programs={path: program.encode()},
        )
        built.append(build_package(package, folder))
    return built


def _repack_engine(release: Release, debs: Path, work: Path, folder: Path) -> list[Path]:
    """docker-ce and docker-ce-cli out of docker.io, and docker-cli where Debian has that apart."""
    engine, client = work / "docker-ce", work / "docker-ce-cli"
    source = _unpack(debs, "docker.io", engine)
    version = release.version(engine_version(source["Version"]), epoch="5:")
    if list(debs.glob("docker-cli_*.deb")):
        client_source = _unpack(debs, "docker-cli", client)
    else:
        client_source = {"Depends": "libc6"}
        (client / "DEBIAN").mkdir(parents=True)
        (client / "usr/bin").mkdir(parents=True)
        shutil.move(engine / "usr/bin/docker", client / "usr/bin/docker")
    conflicts = {"Conflicts": "docker.io, docker-cli", "Replaces": "docker.io, docker-cli"}
    needs = f"{with_docker_names(source['Depends'])}, docker-ce-cli, containerd.io, iptables"
    client_needs = with_docker_names(client_source["Depends"])
    return [
        _pack(engine, "docker-ce", version, {"Depends": needs, **conflicts}, folder),
        _pack(client, "docker-ce-cli", version, {"Depends": client_needs, **conflicts}, folder),
    ]


def _repack_containerd(release: Release, debs: Path, work: Path, folder: Path) -> Path:
    """containerd.io, which has runc inside, out of containerd and runc."""
    tree = work / "containerd.io"
    runc = _unpack(debs, "runc", tree)
    shutil.rmtree(tree / "DEBIAN")
    source = _unpack(debs, "containerd", tree)
    needs = f"{with_docker_names(source['Depends'])}, {with_docker_names(runc['Depends'])}".strip(", ")
    relations = {"Depends": needs, "Conflicts": "containerd, runc", "Replaces": "containerd, runc"}
    return _pack(tree, "containerd.io", release.version(engine_version(source["Version"])), relations, folder)


def _unpack(debs: Path, name: str, tree: Path) -> dict[str, str]:
    """Unpack Debian's package ``name`` with its maintainer scripts over ``tree``; return its control fields."""
    deb = next(debs.glob(f"{name}_*.deb"))
    tree.mkdir(exist_ok=True)
    run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    return dict(re.findall(r"^(\w[\w-]*): (.*)$", (tree / "DEBIAN/control").read_text(), re.M))


def _pack(tree: Path, name: str, version: str, relations: dict[str, str], folder: Path) -> Path:
    """Give ``tree`` its new name and pack it. ``all``: the Jetson asks for arm64 and has an amd64 userland."""
    (tree / "DEBIAN/md5sums").unlink(missing_ok=True)
    fields = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": MAINTAINER, **relations}
    text = "".join(f"{field}: {value}\n" for field, value in fields.items())
    summary = "Debian's own engine under Docker's package name\n Stand-in of the GPU sandbox.\n"
    (tree / "DEBIAN/control").write_text(f"{text}Description: {summary}")
    return pack(tree, folder, f"{name}_{version}_all")


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
