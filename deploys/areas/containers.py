"""The wished containers: each a compose project in a folder of its own on the host."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Generator
from ipaddress import ip_address

from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.areas.access import Access, load_detached, run_now
from deploys.areas.connection import address_of
from deploys.planning.catalogue import load_catalogue
from deploys.planning.compose_ports import Published
from deploys.planning.container_trouble import (
    explain_end,
    explain_lost,
    explain_outcome,
    explain_unreachable,
    read_outcomes,
)
from deploys.planning.records import ContainersPlan, Project

REACHED_WITHIN = 5  # seconds


@operation()
def start_containers(plan: ContainersPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Remove what nothing wishes for any more, then start what is missing, changed or not as it must be."""
    yield FunctionCommand(bring_up, (plan, access), {})


def bring_up(state: State, host: Host, plan: ContainersPlan, access: Access) -> bool:
    """Do it. Returns False, with the reasons logged, where one is not as it must be. One's trouble is no other's."""
    command = access.command(
        load_detached("containers"), "containers", *plan.remove, stdin=containers_input(plan.start)
    )
    try:
        done, output = run_now(host.connector, command)
    except Exception as error:  # paramiko's, the socket's: the connection is lost
        logger.debug("no answer from %s", host.name, exc_info=True)
        _log_error(host, explain_lost(repr(error)))
        return False
    outcomes, firewalls = read_outcomes(output.stdout)
    for outcome in outcomes:
        if outcome.is_good:
            host.log(f"container {outcome.name}: {'removed' if outcome.stage == 'removed' else 'works'}")
        else:
            _log_error(host, explain_outcome(outcome, load_catalogue()))
    good = {outcome.name for outcome in outcomes if outcome.is_good}
    if not done and all(outcome.is_good for outcome in outcomes):
        wanted = (*plan.remove, *(project.name for project in plan.start))
        _log_error(host, explain_end(output.output, wanted, outcomes))
    for project in plan.start:
        if project.name in good:
            _look_from_here(host, project, firewalls)
    return done


def containers_input(projects: tuple[Project, ...]) -> str:
    """The standard input of templates/containers.sh."""
    return "".join(f"{' '.join(words)}\n" for project in projects for words in _describe(project))


def _describe(project: Project) -> Generator[tuple[str, ...], None, None]:
    yield "project", project.name, str(project.patience), project.build or "-"
    for path, text in project.files:
        yield "file", path, _encode(text)
    for service, wanted in project.services:
        yield "service", service, wanted
    for answer in project.answers:
        yield "answer", answer.address, str(answer.port), answer.path, answer.says
    for service, script, text in project.proofs:
        yield "proof", service, _encode(script), _encode(text)


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()


def _log_error(host: Host, text: str) -> None:
    host.log(text, log_func=logger.error)


def _look_from_here(host: Host, project: Project, firewalls: tuple[str, ...]) -> None:
    """Try ports that are published to others from here. Who runs this need not be one of them, so it only warns."""
    for answer in project.answers:
        if Published(answer.address, answer.port, answer.port).is_loopback:
            continue
        address = address_of(host) if ip_address(answer.address).is_unspecified else answer.address
        if address and not _is_let_in(address, answer.port):
            host.log(explain_unreachable(project.name, answer, address, firewalls), log_func=logger.warning)


def _is_let_in(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), REACHED_WITHIN).close()
    except OSError:
        return False
    return True
