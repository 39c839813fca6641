"""The root file systems that the simulated hosts start from: Debian suites with systemd and sshd."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.sandbox.engine import LABEL, PREFIX, docker, label_of, run
from tests.sandbox.errors import SandboxError
from tests.sandbox.machine import ARCHIVE_KEYRING, Mirror

SUITES = ("bookworm", "trixie")
PACKAGES = (
    "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "kmod", "iproute2", "procps", "passwd",
)  # fmt: skip
# Docker's packages of the simulated repository are made from these (docker-cli exists from trixie on).
ENGINE_PACKAGES = ("docker.io", "containerd", "runc", "docker-cli")
# And the client's plugins from those of this suite, whose programs run on Debian 12 as well: they ask for no newer C
# library.
PLUGIN_PACKAGES, PLUGIN_SUITE = ("docker-compose", "docker-buildx"), "trixie"
# Its engine is offered on Debian 13 besides Debian 13's own, as long as it asks for no newer C library than that has.
NEWER_SUITE, TRIXIE_LIBC = "unstable", "2.41"
OF_THIS_MACHINE = ("SourceParts", "Preferences", "PreferencesParts", "TrustedParts")


def base_image(suite: str) -> str:
    """Name of the base image of ``suite``."""
    return f"{PREFIX}-base:{suite}"


def build_base_image(suite: str, mirror: Mirror, folder: Path) -> bool:
    """Make the base image of ``suite`` and ``folder``/debs/``suite``; False where both already stand."""
    debs = folder / "debs" / suite
    packages = (*ENGINE_PACKAGES, *(PLUGIN_PACKAGES if suite == PLUGIN_SUITE else ()))
    wish = hashlib.sha256("\n".join((*PACKAGES, *packages, *mirror.source_lines(suite))).encode()).hexdigest()
    if label_of(base_image(suite), f"{LABEL}.sources") == wish and has_engine(debs):
        return False
    debs.mkdir(parents=True, exist_ok=True)
    archive = folder / f"base-{suite}.tar"
    settings = [f'--aptopt={name} "{value}"' for name, value in mirror.settings]
    wanted = " ".join(packages)
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}",
        *settings, '--aptopt=Acquire::Languages "none"',
        '--customize-hook=mkdir "$1/debs"',
        # A package that the suite does not have must not stop the others: one call for each.
        f'--customize-hook=chroot "$1" sh -c "cd /debs; for p in {wanted}; do apt-get -qq download \\$p || :; done"',
        f"--customize-hook=sync-out /debs {debs}",
        '--customize-hook=rm -r "$1/debs"',
        suite, str(archive), *mirror.source_lines(suite),
    )  # fmt: skip
    docker(
        "import", "--change", f"LABEL {LABEL}=", "--change", f"LABEL {LABEL}.sources={wish}",
        str(archive), base_image(suite),
    )  # fmt: skip
    archive.unlink()
    (debs / "complete").touch()
    return True


def has_engine(debs: Path) -> bool:
    """Whether a suite's engine packages are all in ``debs``."""
    return (debs / "complete").exists()


def download_newer_engine(mirror: Mirror, folder: Path) -> bool:
    """Put the newer suite's engine into ``folder``/debs; False where the mirror has none that runs on Debian 13."""
    debs = folder / "debs" / NEWER_SUITE
    if has_engine(debs):
        return True
    shutil.rmtree(debs, ignore_errors=True)
    (debs / "lists/partial").mkdir(parents=True)
    (debs / "sources.list").write_text("\n".join(mirror.source_lines(NEWER_SUITE, updates=False)) + "\n")
    settings = {
        **dict(mirror.settings),
        "Dir::Etc::SourceList": str(debs / "sources.list"),
        **dict.fromkeys((f"Dir::Etc::{name}" for name in OF_THIS_MACHINE), "/dev/null"),
        "Dir::Etc::Trusted": str(ARCHIVE_KEYRING),
        "Dir::State::Lists": str(debs / "lists"),
        "Dir::State::status": "/dev/null",
        "Dir::Cache": str(debs),
        "Acquire::Languages": "none",
        # Mirrors keep a day's state for longer than unstable's indexes are valid.
        "Acquire::Check-Valid-Until": "false",
    }
    apt = ("apt-get", "-qq", *(f"-o={name}={value}" for name, value in settings.items()))
    try:
        run(*apt, "update")
        run(*apt, "download", *ENGINE_PACKAGES, cwd=debs)
    except SandboxError:
        return False
    needs = " ".join(run("dpkg-deb", "--field", str(deb), "Depends") for deb in debs.glob("*.deb"))
    if any(_is_newer(version, TRIXIE_LIBC) for version in re.findall(r"\blibc6 \(>= ([^)]+)\)", needs)):
        return False
    (debs / "complete").touch()
    return True


def _is_newer(version: str, than: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than]).returncode == 0
