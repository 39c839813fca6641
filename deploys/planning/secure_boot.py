"""Secure Boot: whether a driver's modules are let in, and what it takes where they are built on the host."""

from __future__ import annotations

from deploys.planning.catalogue import DriverPackages
from deploys.planning.records import Area, DriverPlan, Refusal
from deploys.planning.settings import Settings
from facts.model import Host

# Where DKMS keeps its key and certificate (dkms 3.2.2, dkms.in): on Ubuntu, and everywhere else.
UBUNTU_KEY = ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der")
DKMS_KEY = ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub")


def is_loadable(row: DriverPackages, host: Host) -> bool:
    """Whether Secure Boot lets these modules in: signed by the distribution, or by DKMS with a key that is enrolled."""
    signed = host.platform.architecture in row.signed
    return host.secure_boot is False or signed or (not row.prebuilt and host.driver.module_key_enrolled is True)


def wait_for_key(settings: Settings, host: Host) -> DriverPlan:
    """The plan where modules are not let in: a refusal; with a password in the settings, the key is staged."""
    key, certificate = UBUNTU_KEY if host.os.id == "ubuntu" else DKMS_KEY
    state = "Secure Boot is on" if host.secure_boot else "this is a UEFI machine whose Secure Boot state cannot be read"
    variable = settings.nvidia_module_key_password_env
    if host.secure_boot is None or not (variable or host.driver.module_key_staged):
        return DriverPlan(refusal=_refuse_unsigned(state, certificate, host))
    staged = host.driver.module_key_staged
    password = f"the password of {variable}" if variable else "its password"
    refusal = Refusal(
        Area.DRIVER,
        "the driver waits for DKMS' key, which only somebody at the host's console can enrol",
        f"{state}; {certificate} {'is staged' if staged else 'is staged by this run'}",
        f"reboot the host with somebody at its console: Enroll MOK, Continue, Yes, {password}, Reboot; run this again",
    )
    return DriverPlan(
        manager=host.packages.manager or "", module_key=None if staged else (key, certificate), refusal=refusal
    )


def _refuse_unsigned(state: str, certificate: str, host: Host) -> Refusal:
    there = f"{certificate} is not enrolled" if host.driver.module_key else "DKMS has no key yet"
    readable = "" if host.secure_boot else "mount -t efivarfs efivarfs /sys/firmware/efi/efivars, run this again; or "
    return Refusal(
        Area.DRIVER,
        "the driver for this system is built on the host, and Secure Boot would not load it unsigned",
        f"{state}; {there}",
        f"{readable}switch Secure Boot off in the firmware; or set nvidia_module_key_password_env, and a key is staged "
        "that somebody at the host's console can enrol; or use Ubuntu on x86_64, whose modules are signed",
    )
