"""The driver's whole life on Ubuntu: signed modules that move with their kernel, and NVIDIA's repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Controller, Machine, Run, data_of, machine

DEPLOY, UPDATE = "deploys/driver.py", "deploys/driver_update.py"
OLD, NEW = "6.8.0-45-generic", "6.8.0-51-generic"
METAPACKAGES = {"linux-generic", "linux-headers-generic", "linux-image-generic"}
ARCHIVE = "/usr/lib/gpu-sandbox/archive"
PREFERENCES = "/etc/apt/preferences.d/gpu-hosts-nvidia-driver"
# What unattended-upgrades and administrators do; without Debian's archive, which this host's userland is from.
UPGRADE = "export DEBIAN_FRONTEND=noninteractive; apt-get update; apt-get -y -o Dir::Etc::SourceList=/dev/null"
ADD_PPA = f"""
rm /etc/apt/sources.list.d/gpu-hosts-nvidia-driver.sources
echo 'deb [trusted=yes] file:{ARCHIVE} ppa/' >/etc/apt/sources.list.d/graphics-drivers-ubuntu-ppa-noble.list
apt-get update
apt-get install -y --no-install-recommends nvidia-headless-580-open nvidia-utils-580
"""
SECURE_BOOT = """
for root in /usr/lib/gpu-sandbox/hardware ''; do
  printf '\\006\\000\\000\\000\\001' >"$root/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
done
"""


@pytest.fixture
def ubuntu() -> Iterator[Machine]:
    """A bare Ubuntu 24.04 stand-in."""
    with machine("ubuntu", "t-ubuntu") as fresh:
        yield fresh


def packages(host: Machine) -> dict[str, str]:
    """The driver's installed packages and their versions; what only shares a kernel's signatures is none."""
    lines = host.sh("dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}\\n'").splitlines()
    rows = (line.split("|") for line in lines if line[1:2] == "i" and "nvidia" in line)
    return {name: version for _, name, version in rows if not name.startswith("linux-signatures-")}


def held(host: Machine) -> set[str]:
    """What is on hold."""
    return set(host.sh("apt-mark showhold").split())


def modules(host: Machine) -> dict[str, list[str]]:
    """Kernel -> version and licence of each nvidia module that lies there."""
    lines = host.sh(
        "find /lib/modules/ -name nvidia.ko | while read -r file; do "
        'echo "$file|$(modinfo -F version "$file") $(modinfo -F license "$file")"; done'
    ).splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        path, _, what = line.partition("|")
        found.setdefault(path.split("/")[3], []).append(what)
    return found


def wish(controller: Controller, host: Machine, wishes: dict[str, Any], deploy: str = DEPLOY) -> Run:
    """One run."""
    inventory = data_of(host)
    inventory[host.name].update(wishes)
    return controller.run(inventory, deploy, "-y")


def apply(controller: Controller, host: Machine, wishes: dict[str, Any], *, version: str, deploy: str = DEPLOY) -> Run:
    """Wish for a driver twice: it is there, loaded and on hold; the second run needs nothing."""
    first = wish(controller, host, wishes, deploy)
    assert (first.status, first.verdicts) == (0, {host.name: "good"}), first.text
    assert first.table[host.name]["driver loaded/on disk"] == f"{version}/{version}", first.text
    assert host.sh("dpkg --audit") == ""
    assert host.does("systemctl is-active nvidia-persistenced")
    there = packages(host)
    of_the_version = {name for name, found in there.items() if found.split("-")[0] == version}
    assert of_the_version <= held(host)
    others = {name for name in there if not name.startswith(("linux-", "nvidia-driver-pinning-"))} - of_the_version
    # Firmware packages have versions or branches in their names: old ones are left to apt-get autoremove.
    assert {name for name in others if not name.startswith("nvidia-firmware")} | (others & held(host)) == set()
    second = wish(controller, host, wishes)
    assert (second.status, second.counts, second.operations) == (0, {host.name: 1}, []), second.text
    return first


def test_driver_and_kernel_of_the_archive_move_together(ubuntu: Machine, controller: Controller) -> None:
    """Upgrades by anybody else move neither; deploys/driver_update.py moves both; no wish leaves another's rests."""
    apply(controller, ubuntu, {}, version="580.95.05")
    assert modules(ubuntu) == {OLD: ["580.95.05 Dual MIT/GPL"]}
    assert METAPACKAGES | {"linux-modules-nvidia-580-open-generic"} <= held(ubuntu)
    before = packages(ubuntu)

    ubuntu.sh(f"ln -sfn 2 {ARCHIVE}/noble-updates")
    ubuntu.sh(f"{UPGRADE} upgrade && {UPGRADE} full-upgrade")
    assert packages(ubuntu) == before
    assert not ubuntu.does(f"test -e /boot/vmlinuz-{NEW}")
    second = wish(controller, ubuntu, {})
    assert (second.status, second.operations) == (0, []), second.text

    apply(controller, ubuntu, {}, version="580.105.08", deploy=UPDATE)
    assert ubuntu.sh("uname -r") == NEW
    assert modules(ubuntu)[NEW] == ["580.105.08 Dual MIT/GPL"]
    assert METAPACKAGES | {"linux-modules-nvidia-580-open-generic"} <= held(ubuntu)

    apply(controller, ubuntu, {"nvidia_driver_branch": "595", "nvidia_driver_reload": True}, version="595.84")
    assert modules(ubuntu) == {NEW: ["595.84 Dual MIT/GPL"]}
    assert not [name for name in packages(ubuntu) if "580" in name]
    # Somebody keeps the older kernel usable, too.
    ubuntu.sh(f"apt-get install -y linux-modules-nvidia-595-open-{OLD}")
    proprietary = {"nvidia_driver_branch": "595", "nvidia_driver_modules": "proprietary"}
    apply(controller, ubuntu, proprietary, version="595.84")
    assert modules(ubuntu) == {NEW: ["595.84 NVIDIA"]}
    assert not [name for name in packages(ubuntu) if "open" in name]

    apply(controller, ubuntu, {"nvidia_driver_branch": "lts", "nvidia_driver_modules": "open"}, version="580.105.08")
    assert modules(ubuntu) == {NEW: ["580.105.08 Dual MIT/GPL"]}
    assert not [name for name in packages(ubuntu) if "595" in name]


def test_archive_and_nvidias_repository_take_turns(ubuntu: Machine, controller: Controller) -> None:
    """Suffixed names up to 580, unsuffixed ones from 590 on, and back; in the end nothing is left."""
    apply(controller, ubuntu, {}, version="580.95.05")
    nvidia = {"nvidia_driver_source": "nvidia"}
    apply(controller, ubuntu, nvidia, version="580.178.04")
    there = packages(ubuntu)
    assert {"nvidia-dkms-580-open", "nvidia-driver-pinning-580", "nvidia-persistenced"} <= there.keys()
    assert not [name for name in there if name.startswith("linux-")]
    assert modules(ubuntu) == {OLD: ["580.178.04 Dual MIT/GPL"]}
    assert not METAPACKAGES & held(ubuntu)

    apply(controller, ubuntu, nvidia | {"nvidia_driver_branch": "595"}, version="595.91.07")
    there = packages(ubuntu)
    assert {"nvidia-dkms-open", "libnvidia-compute", "nvidia-driver-pinning-595"} <= there.keys()
    assert not [name for name in there if "580" in name]
    assert ubuntu.does("command -v nvidia-smi")

    apply(controller, ubuntu, {"nvidia_driver_source": "distribution"}, version="595.84")
    there = packages(ubuntu)
    assert not [name for name in there if "dkms-open" in name or "pinning" in name or name == "nvidia-persistenced"]
    assert modules(ubuntu) == {OLD: ["595.84 Dual MIT/GPL"]}

    gone = wish(controller, ubuntu, {"nvidia_driver": "absent"})
    assert (gone.status, gone.verdicts) == (0, {ubuntu.name: "good"}), gone.text
    assert held(ubuntu) == set()
    assert modules(ubuntu) == {}
    assert not ubuntu.does(f"ls {PREFERENCES} /etc/modprobe.d/gpu-hosts-nouveau.conf")
    assert "nvidia" not in ubuntu.sh("dpkg-query -W")
    second = wish(controller, ubuntu, {"nvidia_driver": "absent"})
    assert (second.status, second.counts, second.operations) == (0, {ubuntu.name: 1}, []), second.text

    ubuntu.sh(ADD_PPA)
    refused = wish(controller, ubuntu, {"nvidia_driver_branch": "595"})
    assert refused.status == 1
    assert refused.is_three_part(ubuntu.name, "the installed driver is from the graphics-drivers PPA"), refused.text


def test_secure_boot_takes_signed_modules_and_no_others(ubuntu: Machine, controller: Controller) -> None:
    ubuntu.sh(SECURE_BOOT)
    refused = wish(controller, ubuntu, {"nvidia_driver_source": "nvidia"})
    assert refused.status == 1
    brief = "the driver for this system is built on the host, and Secure Boot would not load it unsigned"
    assert refused.is_three_part(ubuntu.name, brief), refused.text
    assert packages(ubuntu) == {}
    apply(controller, ubuntu, {}, version="580.95.05")
    assert ubuntu.sh("modinfo -F signer nvidia") == "Canonical Ltd. Kernel Module Signing"
    kept = wish(controller, ubuntu, {"nvidia_driver_source": "nvidia"})
    assert kept.is_three_part(ubuntu.name, brief), kept.text
    assert ubuntu.sh("cat /sys/module/nvidia/version") == "580.95.05"
