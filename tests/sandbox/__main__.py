"""Command line of the simulated fleet: ``python -m tests.sandbox up|down|status|reset|start|fault|log``."""

from __future__ import annotations

import argparse
import json
import sys

from tests.sandbox import control, hosts, vendors
from tests.sandbox.engine import does_docker_answer
from tests.sandbox.errors import SandboxError
from tests.sandbox.host_images import KINDS
from tests.sandbox.state import FOLDER, read_state


def main() -> int:
    """Do what the arguments say; 0 when it was done, 1 with a three-part message on stderr when not."""
    arguments = _parser().parse_args()
    try:
        _do(arguments)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the vendors and the fleet, or reuse what runs")
    commands.add_parser("down", help="remove everything that `up` made")
    commands.add_parser("status", help="what runs, and where")
    start = commands.add_parser("start", help="start a further host")
    start.add_argument("kind", choices=list(KINDS))
    start.add_argument("name")
    reset = commands.add_parser("reset", help="put a host back to its first state")
    reset.add_argument("name")
    fault = commands.add_parser("fault", help="make a vendor misbehave: `fault 404 docker`; `fault clear` ends it")
    fault.add_argument("fault", choices=[*vendors.FAULTS, "clear"])
    fault.add_argument("vendor", choices=vendors.VENDORS, nargs="?")
    log = commands.add_parser("log", help="requests that reached the vendors, one JSON line each")
    log.add_argument("--clear", action="store_true", help="start the log anew instead")
    return parser


def _do(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "up":
            control.up(say=_say)
        case "down":
            control.down(say=_say)
        case "status":
            _print_status()
        case "start":
            _say(f"{arguments.name}: started at {hosts.start_host(arguments.kind, arguments.name).address}")
        case "reset":
            host = read_state().hosts[arguments.name]
            _say(f"{host.name}: reset at {hosts.start_host(host.kind, host.name).address}")
        case "fault":
            _set_fault(arguments.fault, arguments.vendor)
        case _:
            _print_log(clear=arguments.clear)


def _say(line: str) -> None:
    print(f"sandbox: {line}", flush=True)


def _set_fault(fault: str, vendor: str | None) -> None:
    read_state()
    if fault != "clear" and vendor is None:
        raise SandboxError("a fault needs a vendor", seen=fault, remedy=f"one of {', '.join(vendors.VENDORS)}")
    vendors.set_fault(FOLDER, None if fault == "clear" else fault, vendor=vendor)


def _print_status() -> None:
    state = read_state()
    if not does_docker_answer():
        raise SandboxError("no Docker answers", seen="docker version fails", remedy="python -m tests.sandbox up")
    print(f"vendors  {state.vendors}  {'runs' if vendors.is_running() else 'down'}")
    for host in state.hosts.values():
        ready = "ready" if hosts.is_ready(host) else "down"
        print(f"{host.name}  {host.address}  {ready}  ({host.kind}, ssh as {host.user})")


def _print_log(*, clear: bool) -> None:
    read_state()
    if clear:
        vendors.clear_requests(FOLDER)
        return
    for request in vendors.read_requests(FOLDER):
        print(json.dumps(request))


if __name__ == "__main__":
    sys.exit(main())
