"""The root file systems that the simulated hosts start from: Debian suites with systemd and sshd."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.sandbox.engine import LABEL, PREFIX, docker, label_of, run
from tests.sandbox.machine import Mirror

SUITES = ("trixie", "bookworm")
PACKAGES = (
    "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "kmod", "iproute2", "procps", "passwd",
)  # fmt: skip
# Docker's packages of the simulated repository are made from these (docker-cli exists from trixie on).
ENGINE_PACKAGES = ("docker.io", "containerd", "runc", "docker-cli")


def base_image(suite: str) -> str:
    """Name of the base image of ``suite``."""
    return f"{PREFIX}-base:{suite}"


def build_base_image(suite: str, mirror: Mirror, folder: Path) -> bool:
    """Make the base image of ``suite`` and ``folder``/debs/``suite``; False where both already stand."""
    debs = folder / "debs" / suite
    wish = hashlib.sha256("\n".join((*PACKAGES, *mirror.source_lines(suite))).encode()).hexdigest()
    if label_of(base_image(suite), f"{LABEL}.sources") == wish and (debs / "complete").exists():
        return False
    debs.mkdir(parents=True, exist_ok=True)
    archive = folder / f"base-{suite}.tar"
    settings = [f'--aptopt={name} "{value}"' for name, value in mirror.settings]
    wanted = " ".join(ENGINE_PACKAGES)
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
