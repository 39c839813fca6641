"""A host's cameras: who may use them, and a picture of each on one page for all hosts of the run."""

from __future__ import annotations

import atexit
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.areas.access import Access, load_detached, load_script, run_now
from deploys.areas.session import Session, probe
from deploys.planning.camera_capture import Capture, Shot, choose_captures, encode_capture, read_shots
from deploys.planning.camera_sheet import CameraEntry, HostEntry, Mark, render_sheet
from deploys.planning.camera_verdict import describe_entry, enter_cameras, enter_host
from deploys.planning.cameras import Trouble, cameras_of
from deploys.planning.host_plan import Plan
from deploys.planning.records import CamerasPlan
from deploys.planning.settings import Settings
from facts.model import Host as Facts

# Seconds for a host's answer: the script has limits of its own, and a process that cannot be killed outlasts those.
FOR_EACH, BESIDES = 40, 60
LOGS = {Mark.GOOD: logger.info, Mark.WARNING: logger.warning, Mark.BAD: logger.error}
NO_ANSWER = Trouble("the host has given no answer in this run", "see what the run says of it")

# Of this run: the files, each with its hosts in the inventory's order.
_sheets: dict[Path, dict[str, HostEntry]] = {}


@operation()
def add_camera_users(plan: CamerasPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Make users members of the groups that own the cameras."""
    words = [f"{user}={group}" for user, group in plan.memberships]
    yield access.command(load_detached("group_users"), "cameras", "camera_users", *words)


@operation()
def take_pictures(session: Session) -> Generator[PyinfraCommand, None, None]:
    """Take a picture with each camera, judge it and put it on the sheet. No picture, or a frozen one, is a failure."""
    yield FunctionCommand(photograph, (session,), {})


def open_sheets(state: State) -> None:
    """Begin the sheets with every host of the run, and have their paths logged when the program ends."""
    if _sheets:
        return
    for host in state.inventory:
        if state.is_host_in_limit(host):
            _sheets.setdefault(_path_for(host), {})[host.name] = HostEntry(host.name, absence=NO_ANSWER)
    atexit.register(_close_sheets, state)


def enter_planned(host: Host, plan: Plan, session: Session) -> bool:
    """Put a host on its sheet as far as it is known. Returns whether there are pictures to take."""
    if plan.host:
        _enter(host, HostEntry(host.name, absence=Trouble(plan.host.brief, plan.host.remedy)))
        return False
    entry = enter_host(host.name, session.facts)
    _enter(host, entry)
    if entry.absence:
        host.log(f"no picture: {entry.absence}")
    return not entry.absence


def photograph(state: State, host: Host, session: Session) -> bool:
    """Do it. Returns False, with the reasons logged, where a camera has given no picture, or a frozen one."""
    facts = _facts_with_formats(host, session)
    entries = _take(host, session.access, facts)
    for entry in entries:
        host.log(describe_entry(entry), log_func=LOGS[entry.mark])
    _enter(host, enter_host(host.name, facts, entries))
    return _write(_path_for(host)) and all(entry.mark is not Mark.BAD for entry in entries)


def _facts_with_formats(host: Host, session: Session) -> Facts:
    """What lists the formats may have come by this very run: then the host is asked again."""
    if all(camera.formats is not None for camera in cameras_of(session.facts)):
        return session.facts
    try:
        facts = probe(host, session.access)
    except Exception:  # paramiko's and the socket's own; whether the host is there shows in what follows
        logger.debug("asking %s again failed", host.name, exc_info=True)
        return session.facts
    return facts if facts.probe else session.facts


def _take(host: Host, access: Access, facts: Facts) -> tuple[CameraEntry, ...]:
    choices = choose_captures(facts)
    captures = [choice for choice in choices if isinstance(choice, Capture)]
    otherwise, shots = _ask(host, access, captures) if captures else (NO_ANSWER, ())
    return enter_cameras(facts, choices, shots, otherwise=otherwise)


def _ask(host: Host, access: Access, captures: list[Capture]) -> tuple[Trouble, tuple[Shot, ...]]:
    """What the host's script says, and the trouble of those cameras that it says nothing of."""
    words = [word for capture in captures for word in encode_capture(capture)]
    command = access.ask(load_script("camera_pictures"), *words)
    limit = BESIDES + FOR_EACH * len(captures)
    command.connector_arguments["_timeout"] = limit
    remedy = "look at the host, then run this again"
    try:
        _, output = run_now(host.connector, command)
    except TimeoutError:
        return Trouble(f"the host gave no answer in {limit} s", "look for processes that hang in state D; reboot"), ()
    except Exception as error:  # paramiko's and the socket's own: the connection is lost
        return Trouble(f"the connection was lost ({error!r})", remedy), ()
    said = " ".join(output.stderr_lines[-3:]) or "it ended before this camera's turn"
    return Trouble(f"the host's script says: {said}", remedy), read_shots(output.stdout_lines)


def _path_for(host: Host) -> Path:
    # A host whose settings cannot be read is on a sheet, too.
    wished = host.data.dict().get("camera_sheet")  # type: ignore[no-untyped-call]
    path = wished if isinstance(wished, str) and wished else Settings().camera_sheet
    return Path(os.path.expanduser(path)).absolute()  # Path's own fails where ~ is of an unknown user


def _enter(host: Host, entry: HostEntry) -> None:
    _sheets.setdefault(_path_for(host), {})[host.name] = entry


def _write(path: Path) -> bool:
    """Replace the file in one go. It is for its owner alone: a picture shows whoever was in the room."""
    text = render_sheet(_sheets[path].values(), time=int(time.time()))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        logger.error(
            f"the page with the cameras' pictures could not be written\n  seen: {path}: {error.strerror}\n"
            "  to do: set camera_sheet to a file in a folder of yours"
        )
        return False
    return True


def _close_sheets(state: State) -> None:
    if not state.is_executing:  # a dry run
        return
    for path in _sheets:
        if _write(path):
            logger.info(f"--> Pictures of the cameras: {path}")
