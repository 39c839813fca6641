"""Docker's and NVIDIA Container Toolkit's rpm packages of the sandbox: Debian's own engine, the toolkit's stand-ins.

Names, epochs, relations and scripts: the spec files of docker/docker-ce-packaging, docker/containerd-packaging and
NVIDIA/nvidia-container-toolkit.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.sandbox.base_image import PLUGIN_PACKAGES
from tests.sandbox.docker_packages import PLUGINS, engine_version, unpack
from tests.sandbox.rpm_repository import Rpm
from tests.sandbox.standins import template
from tests.sandbox.toolkit_standins import REFRESH_UNITS, has_units, toolkit_packages

TEMPLATES = Path(__file__).parent / "files/rpm"
# Debian's own: documents, and what only Debian's init scripts read.
LEFT_OUT = ("DEBIAN", "usr/share", "etc/init.d", "etc/default")
ADD_GROUP = b"getent group docker >/dev/null || groupadd --system docker\n"
PRESET = "/usr/lib/systemd/system-preset/90-nvidia-container-toolkit.preset"


def docker_rpms(debs: Path, plugins: Path) -> list[Rpm]:
    """Docker's five packages, out of Debian's: the engine in ``debs``, the client's plugins in ``plugins``.

    Like Docker's, they start nothing.
    """
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-docker-") as name:
        engine, client, containerd = (Path(name) / part for part in ("engine", "client", "containerd"))
        version = engine_version(unpack(debs, "docker.io", engine)["Version"])
        unpack(debs, "docker-cli", client)
        unpack(debs, "runc", containerd)
        containerd_version = engine_version(unpack(debs, "containerd", containerd)["Version"])
        needs = ("docker-ce-cli", "container-selinux", "systemd", "(iptables-nft or iptables)", "nftables", "tar", "xz")
        packages = [
            Rpm(
                "docker-ce",
                version,
                "Debian's own engine under Docker's package name",
                epoch=3,
                relations=(*(f"Requires: {need}" for need in needs), "Requires: containerd.io >= 1.7.24"),
                scripts=_service_scripts(
                    "docker", post=b"getent group docker >/dev/null || groupadd --system docker\n"
                ),
            ),
            Rpm("docker-ce-cli", version, "Debian's own client under Docker's package name", epoch=1),
            Rpm(
                "containerd.io",
                containerd_version,
                "Debian's own containerd and runc under Docker's package name",
                relations=tuple(
                    f"{relation}: {old}"
                    for relation in ("Provides", "Obsoletes", "Conflicts")
                    for old in ("containerd", "runc")
                ),
                scripts=_service_scripts("containerd"),
            ),
        ]
        trees = (engine, client, containerd)
        filled = [_with_content(package, tree) for package, tree in zip(packages, trees, strict=True)]
    return [*filled, *(_plugin(package, plugins) for package in PLUGIN_PACKAGES)]


def _service_scripts(unit: str, *, post: bytes = b"") -> dict[str, bytes]:
    """As %systemd_preun and %systemd_postun_with_restart; presets, which %systemd_post obeys, enable none of these."""
    scripts = {
        "preun": template(TEMPLATES / "service.preun", {"UNIT": unit}),
        "postun": template(TEMPLATES / "service.postun", {"UNIT": unit}),
    }
    return {**scripts, "post": post} if post else scripts


def _with_content(package: Rpm, tree: Path) -> Rpm:
    """``package`` with the files and links of an unpacked Debian package."""
    paths = [path for path in sorted(tree.rglob("*")) if not str(path.relative_to(tree)).startswith(LEFT_OUT)]

    def name_of(path: Path) -> str:
        return f"/{path.relative_to(tree)}"

    regular = [path for path in paths if path.is_file() and not path.is_symlink()]
    programs = {name_of(path): path.read_bytes() for path in regular if path.stat().st_mode & 0o100}
    files = {name_of(path): path.read_bytes() for path in regular if not path.stat().st_mode & 0o100}
    links = {name_of(path): str(path.readlink()) for path in paths if path.is_symlink()}
    return replace(package, files=files, programs=programs, links=links)


def _plugin(package: str, debs: Path) -> Rpm:
    """docker-compose-plugin out of docker-compose."""
    with tempfile.TemporaryDirectory(prefix="gpu-sandbox-plugins-") as name:
        version = engine_version(unpack(debs, package, Path(name) / package)["Version"])
        path = f"{PLUGINS}/{package}"
        program = (Path(name) / package / path).read_bytes()
    return Rpm(f"{package}-plugin", version, "Debian's own under Docker's package name", programs={f"/{path}": program})


def toolkit_rpms(version: str) -> list[Rpm]:
    """The toolkit's four packages of one version (1.20.0-1), with the contents of those for Debian."""
    upstream, release = version.split("-")
    same = "=" if has_units(version) else ">="
    base = "nvidia-container-toolkit-base"
    needs = {
        "libnvidia-container-tools": (f"Requires: libnvidia-container1 >= {version}",),
        "nvidia-container-toolkit": (
            f"Requires: libnvidia-container-tools {same} {version}",
            f"Requires: {base} = {version}",
        ),
    }
    preset = "".join(f"enable {unit}\n" for unit in REFRESH_UNITS).encode()
    packages = []
    for package in toolkit_packages(version):
        is_base_with_units = package.name == base and has_units(version)
        packages.append(
            Rpm(
                package.name,
                upstream,
                package.summary,
                release,
                relations=needs.get(package.name, ()),
                files={**package.files, **({PRESET: preset} if is_base_with_units else {})},
                programs=package.programs,
                scripts=_base_scripts(version) if package.name == base else {},
            )
        )
    return packages


def _base_scripts(version: str) -> dict[str, bytes]:
    values = {"UNITS": " ".join(REFRESH_UNITS) if has_units(version) else ""}
    names = ("post", "preun", "posttrans") if has_units(version) else ("post",)
    return {name: template(TEMPLATES / f"toolkit-base.{name}", values) for name in names}
