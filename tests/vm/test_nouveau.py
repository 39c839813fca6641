"""What keeps nouveau from a GPU: that step of the driver's script, which needs no GPU, and a real reboot after it."""

from __future__ import annotations

import subprocess

import pytest

from deploys.areas.access import Access, load_script
from tests.e2e.harness import LIMIT
from tests.vm.guest import Guest

BLACKLIST = "etc/modprobe.d/gpu-hosts-nouveau.conf"
# What the kernel asks for when it finds a GPU of NVIDIA's: class 03, display; 2204 is a GeForce RTX 3090.
GPU = "pci:v000010DEd00002204sv00001458sd0000403Bbc03sc00i00"


def load_driver_of_gpu(guest: Guest) -> bool:
    """Do what udev does when a GPU is found; say whether nouveau is there then."""
    guest.try_sh(f"modprobe --use-blacklist {GPU}")
    return guest.does("[ -d /sys/module/nouveau ]")


def keep_nouveau_away(guest: Guest) -> None:
    """Run the script that installs a driver, with this one step of it."""
    script = load_script("detach").replace("@SCRIPT@", f"{load_script('driver')}\nkeep_nouveau_away")
    command = Access(root=True).command(script, "driver")
    lines = "\n".join(command.connector_arguments["_stdin"]) + "\n"
    ssh = guest.ssh(command.get_raw_value())
    done = subprocess.run(ssh, input=lines, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def kept_away(guest: Guest) -> Guest:
    """After it, and after a reboot. Before, nouveau came when it was asked for."""
    assert load_driver_of_gpu(guest)
    keep_nouveau_away(guest)
    guest.reboot()
    return guest


def test_initramfs_that_boots_holds_the_blacklist(kept_away: Guest) -> None:
    """There the kernel first finds a GPU."""
    booted = kept_away.sh("readlink -f /initrd.img")
    assert booted == f"/boot/initrd.img-{kept_away.sh('uname -r')}"
    assert BLACKLIST in kept_away.sh(f"lsinitramfs {booted}").splitlines()


def test_nouveau_does_not_come(kept_away: Guest) -> None:
    """Where udev asks for the driver of a GPU."""
    assert not load_driver_of_gpu(kept_away)
    assert "blacklist nouveau" in kept_away.sh("modprobe --showconfig").splitlines()
