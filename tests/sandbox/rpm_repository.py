"""Stand-in rpm packages and dnf repositories: spec files, module metadata, and one container that builds and signs.

The container has Debian's own rpmbuild, rpmsign, createrepo_c and modifyrepo_c; nothing of that is put on this machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.sandbox.engine import LABEL, PREFIX, docker, remove_container, run
from tests.sandbox.keys import Keyring, SigningKey

TEMPLATES = Path(__file__).parent / "files/rpm"


@dataclass(frozen=True)
class Rpm:
    """A stand-in package. ``relations`` are lines of a spec ("Requires: dkms"); paths are absolute; ``scripts`` by
    their section ("post", "preun"). ``release`` is text of a spec: `%{?dist}` is the distribution's tag.
    """

    name: str
    version: str
    summary: str
    release: str = "1%{?dist}"
    epoch: int = 0
    architecture: str = "x86_64"
    relations: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    programs: Mapping[str, bytes] = field(default_factory=dict)  # as files, mode 0755
    links: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, bytes] = field(default_factory=dict)

    def nevra(self, tag: str) -> str:
        """Name, epoch, version, release and architecture as module metadata writes them."""
        return f"{self.name}-{self.epoch}:{self.version}-{self.release.replace('%{?dist}', tag)}.{self.architecture}"

    def _section(self) -> str:
        architecture = "BuildArch: noarch\n" if self.architecture == "noarch" else ""
        return (
            f"%package -n {self.name}\nSummary: {self.summary}\nEpoch: {self.epoch}\nVersion: {self.version}\n"
            f"Release: {self.release}\n{architecture}AutoReqProv: no\n"
            + "".join(f"{line}\n" for line in self.relations)
            + f"%description -n {self.name}\nStand-in of the GPU sandbox: simulated, not the vendor's package.\n"
            + "".join(
                f"%{section} -n {self.name}\n{text.decode().replace('%', '%%')}\n"
                for section, text in self.scripts.items()
            )
            + f"%files -n {self.name}\n"
            + "".join(f"{path}\n" for path in (*self.files, *self.programs, *self.links))
        )


def spec_of(packages: Iterable[Rpm]) -> str:
    """The text of a spec file that builds all ``packages``; no name may occur twice."""
    head = (
        "Name: gpu-sandbox\nVersion: 1\nRelease: 1\nSummary: simulated\nLicense: Apache-2.0\n%description\nsimulated\n"
    )
    return head + "".join(package._section() for package in packages)


def module_metadata(name: str, default: str, streams: Mapping[str, Iterable[str]]) -> str:
    """The text of modules.yaml of module ``name``: its ``streams`` with the packages (NEVRA) of each.

    One document a stream, all versions of its branch in it, as genmodules.py of NVIDIA/cuda-repo-management writes it.
    """
    documents = []
    for number, (stream, artifacts) in enumerate(streams.items()):
        packages = sorted(artifacts)
        names = sorted({artifact.rsplit("-", 2)[0] for artifact in packages})
        documents.append(
            f"---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: {stream}\n"
            f"  version: 20261101000000\n  context: {number:08x}\n  arch: x86_64\n"
            f"  summary: Nvidia driver for {stream} branch (simulated)\n  description: simulated\n"
            "  license:\n    module: [MIT]\n  artifacts:\n    rpms:\n"
            + "".join(f"    - {package}\n" for package in packages)
            + "  profiles:\n    default:\n      rpms:\n"
            + "".join(f"      - {package}\n" for package in names)
            + "...\n"
        )
    profiles = "".join(f"    {stream}: [default]\n" for stream in streams)
    return (
        "".join(documents) + f"---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {name}\n"
        f"  stream: {default}\n  profiles:\n{profiles}...\n"
    )


@dataclass(frozen=True)
class RpmFolder:
    """A repository to build: where below the result, what is in it, its distribution's tag (".el9"), its modules.

    ``signed`` is what ``key`` signs: the packages, the index, or both.
    """

    path: str
    tag: str
    packages: tuple[Rpm, ...]
    key: SigningKey | None = None  # None: nothing is signed
    modules: str = ""
    signed: tuple[str, ...] = ("packages", "index")


def build_folders(folders: Iterable[RpmFolder], image: str, keyring: Keyring, result: Path) -> None:
    """Build ``folders`` in a container of ``image`` and put them below ``result``, in place of what is there."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-rpm-") as name:
        context = Path(name)
        shutil.copyfile(TEMPLATES / "build", context / "build")
        made = list(folders)
        for number, folder in enumerate(made):
            _write_inputs(context / f"{number:02}", folder, keyring)
        builder = f"{PREFIX}-build-rpm"
        remove_container(builder)
        docker("create", "--name", builder, "--label", LABEL, "--network", "none", image, "/bin/sh", "/build/build")
        docker("cp", f"{context}/.", f"{builder}:/build")
        run("docker", "start", "--attach", builder)
        for number, folder in enumerate(made):
            target = result / folder.path
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            docker("cp", f"{builder}:/result/{number:02}", str(target))
        remove_container(builder)


def _write_inputs(place: Path, folder: RpmFolder, keyring: Keyring) -> None:
    """What files/rpm/build reads of one repository: specs with their file trees, the tag, the key, the modules."""
    for batch, packages in enumerate(batches_of(folder.packages)):
        at = place / f"{batch:02}"
        for package in packages:
            for path, content in {**package.files, **package.programs}.items():
                target = at / "tree" / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                target.chmod(0o755 if path in package.programs else 0o644)
            for path, link in package.links.items():
                target = at / "tree" / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(link)
        at.mkdir(parents=True, exist_ok=True)
        (at / "tree").mkdir(exist_ok=True)
        (at / "spec").write_text(spec_of(packages))
    (place / "tag").write_text(folder.tag)
    if folder.modules:
        (place / "modules.yaml").write_text(folder.modules)
    if folder.key:
        for what in folder.signed:
            (place / f"sign-{what}").touch()
        (place / "key").write_text(folder.key.fingerprint)
        (place / "secret.asc").write_text(keyring.export_secret(folder.key))
        (place / "public.asc").write_text(folder.key.armoured)
        (place / "stranger").write_text(keyring.stranger.fingerprint)
        (place / "stranger.asc").write_text(keyring.export_secret(keyring.stranger))


def batches_of(packages: Iterable[Rpm]) -> list[list[Rpm]]:
    """The packages in as few groups as possible in which no name occurs twice: a spec has each name once."""
    batches: list[list[Rpm]] = []
    for package in packages:
        room = (batch for batch in batches if all(other.name != package.name for other in batch))
        batch = next(room, None)
        if batch is None:
            batches.append([package])
        else:
            batch.append(package)
    return batches
