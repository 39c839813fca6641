"""What a driver's failure says, and what is made of it. The quoted lines are of the reports the catalogue cites."""

from __future__ import annotations

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.diagnosis import diagnose

# As the module breaks them over lines of the kernel's log.
LEGACY = """[    5.1] NVRM: The NVIDIA GeForce GTX 1080 GPU installed in this system is
[    5.1] NVRM:  supported through the NVIDIA 580.xx Legacy drivers. Please
[    5.1] NVRM:  visit NVIDIA's site for more information"""
NO_GSP = """NVRM: installed in this system is not supported by open
NVRM: nvidia.ko because it does not include the required GPU
NVRM: System Processor (GSP)."""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", "another version than the installed driver"),
        (
            "NVRM: API mismatch: the client has the version 525.85.12, but\nNVRM: this kernel module has 520.61.05",
            "another version than the installed driver",
        ),
        (LEGACY, "no longer drives the GPU"),
        (NO_GSP, "no GSP"),
        ("NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:", "no address space"),
        ("NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x22:0x56:884)", "could not start the GPU"),
        ("NVRM: GPU 0000:01:00.0 is already bound to NovaCore.", "nova_core driver has taken the GPU"),
        ("modprobe: ERROR: could not insert 'nvidia': Key was rejected by service", "Secure Boot"),
        ("Error! Your kernel headers for kernel 6.12.57+deb13-amd64 cannot be found.", "no headers"),
        ("warning: the compiler differs from the one used to build the kernel", "compiler"),
        (
            "ERROR: modpost: GPL-incompatible module nvidia.ko uses GPL-only symbol '__rcu_read_lock'",
            "too old for this kernel",
        ),
        ("E: Unable to correct problems, you have held broken packages.", "several origins"),
        ("E: Packages need to be removed but remove is disabled.", "conflicts with these"),
        ("- nothing provides dkms >= 3 needed by kmod-nvidia-open-dkms-3:580.95.05-1.el9.noarch", "EPEL"),
        ("Error: Problems in request:\nmissing groups or modules: nvidia-driver:470-open", "no such stream"),
        ("Error: It is not possible to switch enabled streams of a module unless explicitly enabled", "another stream"),
        ("GPG error: the public key is not available: NO_PUBKEY A4B469963BF863CC", "revoked in April 2022"),
        ("SHA1 is not considered secure since 2026-02-01T00:00:00Z", "SHA-1"),
        ("nv-pci.c:237:9: error: too few arguments to function 'pci_resize_resource'", "does not build"),
        ("E: Unable to locate package linux-headers-6.1.0-12-amd64", "not in the archive any more"),
        ("Aborting nvidia driver installation.", "does not drive"),
        ("cp: error writing '/boot/initrd.img': No space left on device", "full"),
        ("CUDA error 802: system not yet initialized", "fabric"),
    ],
)
def test_known_words_have_a_cause_and_a_remedy(said: str, cause: str) -> None:
    found = diagnose(said, load_catalogue())
    assert len(found) == 1, found
    assert cause in found[0].split("; ")[0]
    assert len(found[0].split("; ", 1)[1]) > 20


@pytest.mark.parametrize(
    "said", ["", "nvidia: loading out-of-tree module taints kernel.", "driver 580.95.05 installed"]
)
def test_what_says_nothing_is_left_alone(said: str) -> None:
    assert diagnose(said, load_catalogue()) == ()
