"""Reboot: only where an installed driver is not the loaded one, and confirmed by PID 1's start time."""

from __future__ import annotations

import time
from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.areas.access import Access, load_script, run_now
from deploys.areas.connection import reconnect

PATIENCE = 600  # seconds; servers with much memory take minutes in their firmware
# /proc/uptime and boot_id are the kernel's, and a container has its host's: PID 1's start time is its own.
START_TIME = "cut -d ' ' -f 22 /proc/1/stat"
# A kernel without the module is booted only where the driver is gone from the disk altogether.
IS_DUE = """
installed=$(module_version "$(next_kernel)")
[ -n "$installed" ] || [ -z "$(module_version "$(uname -r)")" ] || exit 1
[ "$(cat /sys/module/nvidia/version 2>/dev/null)" != "$installed" ]
"""
STOPPED = "\nstopped_by_reboot\n"
# sshd answers before the other services are up; a degraded system (exit 1) is up, too.
SETTLED = "timeout 120 systemctl is-system-running --wait >/dev/null 2>&1"
# Detached, so that the command returns before the connection dies.
REBOOT = "( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &"


@operation()
def reboot_if_due(access: Access, even_in_use: bool) -> Generator[PyinfraCommand, None, None]:
    """Reboot and wait until the host is back, unless what is loaded is what is installed.

    Without ``even_in_use``, a host with running containers, or with processes on its GPUs, is not rebooted.
    """
    yield FunctionCommand(reboot_and_wait, (access, even_in_use), {})


def reboot_and_wait(state: State, host: Host, access: Access, even_in_use: bool) -> bool:
    """Do it. Returns False, with the reason logged, where the host may not, or does not come back rebooted."""
    due, _ = run_now(host.connector, access.ask(load_script() + IS_DUE))
    if not due:
        host.log("no reboot: the driver that is installed, if any, is the loaded one")
        return True
    if not even_in_use and _is_in_use(host, access):
        return False
    before = _start_time(host, access)
    if before is None:
        _explain(host, "the host was not rebooted", "it does not say when PID 1 started", "reboot it yourself")
        return False
    run_now(host.connector, access.ask(REBOOT))
    if not _wait_for_boot(host, access, before):
        seen = f"no login to a newly started system within {PATIENCE} s"
        _explain(host, "the host did not come back from its reboot", seen, "look at its console")
        return False
    run_now(host.connector, access.ask(SETTLED))
    return True


def _is_in_use(host: Host, access: Access) -> bool:
    answered, output = run_now(host.connector, access.ask(load_script("in_use") + STOPPED))
    if answered and not output.stdout.strip():
        return False
    seen = f"it would stop {output.stdout.strip()}" if answered else "the host does not say what runs on it"
    remedy = 'run this again when that has ended, set reboot = "when-needed", or reboot the host yourself'
    _explain(host, "the host was not rebooted, because it is in use", seen, remedy)
    return True


def _wait_for_boot(host: Host, access: Access, before: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(2)
        if reconnect(host, within=left) and _start_time(host, access) not in (None, before):
            return True
    return False


def _explain(host: Host, brief: str, seen: str, remedy: str) -> None:
    host.log(f"{brief}\n  seen: {seen}\n  to do: {remedy}", log_func=logger.error)


def _start_time(host: Host, access: Access) -> str | None:
    """PID 1's start time, or None where the connection dies under the question, by whatever error."""
    try:
        ok, output = run_now(host.connector, access.ask(START_TIME))
    except Exception as error:
        logger.debug("no answer from %s: %s", host.name, error)
        return None
    return output.stdout if ok else None
