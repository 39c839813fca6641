"""sshd: lines of ours that take themselves back unless a new login confirms them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator

from gevent import Timeout  # type: ignore[import-untyped]
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.connectors.base import BaseConnector

from deploys.areas.access import Access, load_detached, load_script, run_now
from deploys.areas.connection import close, tune
from deploys.areas.x11 import try_x11_forwarding
from deploys.planning.records import SshdPlan
from deploys.planning.sshd import sets_x11

PATIENCE = 60  # seconds the host waits for the confirming login
ANSWERS_WITHIN = 90  # seconds for the confirmation, whose script may wait for the area's lock for 60
# Seconds before each further try of it. A reloaded sshd starts itself anew, and nothing listens for a moment; but from
# OpenSSH 9.8 on, sshd counts 5 s for each login that fails and turns an address away whose count comes to 15 s
# (sshd_config(5), PerSourcePenalties): so they are few and far between.
PAUSES = (0.5, 2.0, 4.0, 6.0)


@operation()
def set_x11_options(plan: SshdPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Write our lines, reload, then log in anew and confirm: all in one operation, so that no other host's slowness
    falls between the change and its confirmation."""
    assert plan.change is not None
    change, token = plan.change, secrets.token_hex(8)
    expected = [f"{name}={value}" for name, value in plan.expected]
    words = ("sshd", change.path, change.read, str(PATIENCE), token, *expected)
    yield access.command(load_detached("sshd_x11"), *words, stdin=change.text)
    yield FunctionCommand(confirm_by_new_login, (access, token, plan), {})


def confirm_by_new_login(state: State, host: PyinfraHost, access: Access, token: str, plan: SshdPlan) -> bool:
    """Open a second connection as the inventory describes it, and confirm over that one. False where it fails: then
    the change is taken back over the first connection, or by the host itself."""
    connector = type(host.connector)(state, host)
    try:
        _log_in(connector)
        tune(connector)
        # pyinfra's own _timeout is for the output alone: paramiko waits without end until sshd has taken the command.
        with Timeout(ANSWERS_WITHIN, TimeoutError(f"no answer within {ANSWERS_WITHIN} s")):
            confirmed, output = run_now(connector, access.ask(load_script("sshd_confirm"), token))
        seen = output.output
        if confirmed and sets_x11(plan):
            _say_whether_x11_works(host, connector, plan)
    except (ConnectError, SSHException, EOFError, OSError) as error:  # a login that succeeds, and then may open nothing
        confirmed, seen = False, str(error) or repr(error)
    finally:
        close(connector)
    if not confirmed:
        became = "was taken back" if _take_back(host, access, token) else f"the host takes back within {PATIENCE} s"
        brief = f"no new login confirmed the change of sshd, which {became}"
        remedy = "look at what keeps this user out, in `journalctl -u ssh` on the host; or run this again"
        host.log(f"{brief}\n  seen: {seen}\n  to do: {remedy}", log_func=logger.error)
    return confirmed


def _take_back(host: PyinfraHost, access: Access, token: str) -> bool:
    """Take the change back over the first connection, if that still stands: by whatever error it shows."""
    try:
        return run_now(host.connector, access.ask(load_script("sshd_take_back"), token))[0]
    except Exception as error:
        logger.debug("no answer from %s: %s", host.name, error)
        return False


def _log_in(connector: BaseConnector) -> None:
    """Connect, with a few tries. Raises ConnectError."""
    for pause in PAUSES:
        try:
            connector.connect()
            return
        except ConnectError:
            time.sleep(pause)
    connector.connect()


def _say_whether_x11_works(host: PyinfraHost, connector: BaseConnector, plan: SshdPlan) -> None:
    result = try_x11_forwarding(connector)
    if result is None:
        return
    if result.works:
        host.log(f"X11 forwarding works: {result.seen}", log_func=logger.info)
        return
    causes = "; ".join(f"{one.choice} ({one.because})" for one in plan.cautions)
    host.log(f"X11 forwarding does not work: {result.seen}; {causes or result.advice}", log_func=logger.warning)
