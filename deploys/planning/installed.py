"""The driver that a host has: whose packages it is made of, and why it has to be changed, if so."""

from __future__ import annotations

import re

from deploys.planning.catalogue import Catalogue
from deploys.planning.choice import agrees, choose_usage, has_display_driver
from deploys.planning.gpus import Gpus
from deploys.planning.records import Area, Refusal
from deploys.planning.settings import Settings
from deploys.planning.versions import upstream
from facts.model import Host

# Versions of NVIDIA's own packages for Ubuntu end so since 580.126.09, those of Ubuntu's archive name the release.
NVIDIAS_UBUNTU_VERSION = r".*-1ubuntu\d+$"
# Ubuntu's archive has no packages of these names; its firmware's has the version in it.
NVIDIAS_NAMES = (
    r"nvidia-driver-(cuda|pinning-.*)|nvidia-firmware(-\d{3})?|libnvidia-compute|(nvidia-open|cuda-drivers)(-\d{3})?"
)
ARCHIVE_UBUNTU_VERSION = r".*-0ubuntu0\.\d\d\.\d\d"


def foreign_origin(host: Host, catalogue: Catalogue) -> str | None:
    """Whose the installed driver packages are, where they are neither the distribution's nor NVIDIA's."""
    versions = [version for _, version in host.driver.packages]
    vendors = [vendor for _, vendor in host.driver.vendors]
    for row in catalogue.foreign:
        if row.version and any(re.search(row.version, version) for version in versions):
            return row.name
        if row.vendor and any(re.search(row.vendor, vendor) for vendor in vendors):
            return row.name
    return None


def installed_origin(host: Host) -> str | None:
    """distribution or nvidia, as names and versions of the installed packages tell; None where they do not."""
    names = [name for name, _ in host.driver.packages]
    if any(re.fullmatch(NVIDIAS_NAMES, name) for name in names):
        return "nvidia"
    # Not of what has versions of its own: libnvidia-egl-wayland1, nvidia-prime.
    own = (host.driver.library_version, host.driver.disk_version, host.driver.next_boot_version)
    versions = [version for _, version in host.driver.packages if upstream(version) in own]
    if any(re.match(NVIDIAS_UBUNTU_VERSION, version) for version in versions):
        return "nvidia"
    if any(re.match(ARCHIVE_UBUNTU_VERSION, version) for version in versions):
        return "distribution"
    return "distribution" if host.os.id == "debian" and names else None


def why_change(settings: Settings, host: Host, gpus: Gpus, catalogue: Catalogue, *, version: str) -> str | None:
    """Why the installed driver, of this version, cannot stay as it is, or None where it can."""
    driver, branch = host.driver, version.split(".")[0]
    left_out = gpus.not_driven_by(branch, driver.disk_flavour)
    if left_out.rows:
        return f"driver {version} with {driver.disk_flavour or 'unknown'} modules does not drive {left_out}"
    if not agrees(settings.nvidia_driver_branch, version, catalogue):
        return f"{version} is installed, nvidia_driver_branch is {settings.nvidia_driver_branch}"
    if driver.disk_flavour and settings.nvidia_driver_modules not in ("auto", driver.disk_flavour):
        return f"{driver.disk_flavour} modules are installed, nvidia_driver_modules is {settings.nvidia_driver_modules}"
    origin = installed_origin(host)
    if origin and settings.nvidia_driver_source not in ("auto", origin):
        return f"the installed one is from {origin}, nvidia_driver_source is {settings.nvidia_driver_source}"
    usage, because = choose_usage(settings, host)
    if usage == "desktop" and host.driver.packages and not has_display_driver(host):
        return f"the display driver is missing, and {because}"
    return None


def why_repair(host: Host, version: str) -> str | None:
    """What is missing of the installed driver, of this version, or None where it is whole."""
    managers = fabric_managers(host)
    if host.nvswitches and version not in managers.values():
        seen = ", ".join(f"{name} {found}" for name, found in managers.items()) or "none is installed"
        return f"the fabric manager of {version}, which NVSwitches need, is missing ({seen})"
    # A module that came for the next kernel alone is of the library's version: that wants the reboot only.
    if host.driver.library_version not in (version, host.driver.next_boot_version):
        return f"module {version} and library {host.driver.library_version} differ"
    kernel = host.kernel.next_boot
    if kernel not in (None, host.kernel.running) and not host.driver.next_boot_version:
        return f"kernel {kernel}, which boots next, has no NVIDIA module (running is {host.kernel.running})"
    return "an earlier change of it did not finish" if host.driver.unfinished else None


def fabric_managers(host: Host) -> dict[str, str]:
    """Installed fabric managers' packages and their upstream versions."""
    pattern = r"nvidia-fabric-?manager(-\d{3})?"
    return {name: upstream(version) for name, version in host.driver.packages if re.fullmatch(pattern, name)}


def refuse_foreign_repository(host: Host, catalogue: Catalogue) -> Refusal | None:
    """Why nothing is installed beside a repository whose packages have the very names of NVIDIA's."""
    for row in catalogue.foreign:
        files = [file.path for file in host.packages.sources if row.repository and re.search(row.repository, file.text)]
        if files:
            return Refusal(
                Area.DRIVER,
                f"{row.name} gives driver packages of the same names, and two origins must not be mixed",
                ", ".join(files),
                "take that file away (or move it out of the folder), then run this again",
            )
    return None
