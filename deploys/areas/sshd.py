"""sshd: a drop-in that takes itself back unless a new login confirms it."""

from __future__ import annotations

import secrets
from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.areas.access import Access, load_detached, load_script, run_now
from deploys.areas.connection import close, connect
from deploys.planning.records import SshdPlan
from deploys.planning.sshd import DROP_IN

PATIENCE = 60  # seconds the host waits for the confirming login
# Seconds in which that login must succeed: a reloaded sshd starts itself anew, and nothing listens for a moment.
LISTENS_AGAIN = 20


@operation()
def set_x11_options(plan: SshdPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Write the drop-in, reload, then log in anew and confirm: all in one operation, so that no other host's
    slowness falls between the change and its confirmation."""
    expected = [f"{name}={value}" for name, value in plan.expected]
    script, token = load_detached("sshd_x11"), secrets.token_hex(8)
    yield access.command(script, "sshd", DROP_IN, str(PATIENCE), token, *expected, stdin=plan.drop_in or "")
    yield FunctionCommand(confirm_by_new_login, (access, token), {})


def confirm_by_new_login(state: State, host: PyinfraHost, access: Access, token: str) -> bool:
    """Open a second connection as the inventory describes it, and confirm over that one. False where it fails."""
    connector = type(host.connector)(state, host)
    try:
        connect(connector, within=LISTENS_AGAIN)
        confirmed, output = run_now(connector, access.ask(load_script("sshd_confirm"), token))
        seen = output.output
    except ConnectError as error:
        confirmed, seen = False, str(error)
    finally:
        close(connector)
    if not confirmed:
        host.log(
            "a new login failed after the change of sshd\n"
            f"  seen: {seen}\n  to do: nothing at once: the host takes the change back within {PATIENCE} s",
            log_func=logger.error,
        )
    return confirmed
