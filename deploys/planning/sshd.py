"""The five sshd options that X11 forwarding needs, as values in force (`sshd -T`), not as lines of a file."""

from __future__ import annotations

from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, Note, Refusal, SshdPlan
from deploys.planning.settings import Settings
from facts.model import Host

# sshd_config(5). These are what Debian and Ubuntu ship: on an untouched system there is nothing to do.
OPTIONS = (
    ("X11Forwarding", "yes"),
    ("X11DisplayOffset", "10"),
    ("PrintMotd", "no"),
    ("PrintLastLog", "yes"),
    ("TCPKeepAlive", "yes"),
)
EXPECTED = tuple((name.lower(), value) for name, value in OPTIONS)
# sshd takes the first value it reads, and drop-ins are read in lexical order.
RIGHT = Note("the five X11 options are right", "sshd -T says so")
DROP_IN = "/etc/ssh/sshd_config.d/00-gpu-hosts-x11.conf"


def plan_sshd(settings: Settings, host: Host) -> SshdPlan:
    """Compare the options in force with the five, and plan a drop-in where they differ."""
    if not settings.sshd_x11:
        return SshdPlan(notes=(Note("sshd left as found", "sshd_x11 is off"),))
    if host.sshd.version is None:
        return SshdPlan(notes=(Note("nothing to set", "there is no SSH server on this machine"),))
    if host.sshd.effective is None:
        return SshdPlan(refusal=_unreadable(host))
    tools = () if host.sshd.xauth or refuse_packages(host, Area.SSHD) else ("xauth",)
    differing = tuple(item for item in EXPECTED if item not in host.sshd.effective)
    if not differing and not host.sshd.pending:
        return SshdPlan(expected=EXPECTED, tools=tools, notes=(RIGHT, *_missing(host, tools)))
    if differing and not host.sshd.includes_drop_ins:
        return SshdPlan(refusal=_no_drop_ins(host, differing))
    settles = (Note("settles an interrupted change", "it was never confirmed"),) if host.sshd.pending else ()
    notes = (*settles, *(_note(name, value, host) for name, value in differing), *_missing(host, tools))
    return SshdPlan(drop_in=_drop_in(), expected=EXPECTED, tools=tools, notes=notes)


def _missing(host: Host, tools: tuple[str, ...]) -> tuple[Note, ...]:
    if not host.sshd.xauth and not tools:
        return (Note("xauth is missing and cannot be installed", "X11 forwarding needs it; packages are refused here"),)
    return tuple(Note(f"installs {tool}", "X11 forwarding needs it") for tool in tools)


def _note(name: str, value: str, host: Host) -> Note:
    current = dict(host.sshd.effective or ()).get(name, "unset")
    # Sources are in reading order, and sshd takes the first.
    by = next((line for option, line in host.sshd.sources if option == name), "sshd's default")
    return Note(f"sets {name} {value}", f"it is {current}, by {by}")


def _drop_in() -> str:
    lines = [f"{name} {value}" for name, value in OPTIONS]
    return "\n".join(["# Written by pyinfra-gpu-hosts (setting sshd_x11).", *lines]) + "\n"


def _unreadable(host: Host) -> Refusal:
    return Refusal(
        Area.SSHD,
        "the SSH server's settings cannot be read",
        "`sshd -T` gave no answer" + "".join(f"; {line}" for line in host.unread if "sshd" in line),
        "run `sshd -T` on the host and mend what it complains of, or set sshd_x11 = False",
    )


def _no_drop_ins(host: Host, differing: tuple[tuple[str, str], ...]) -> Refusal:
    wanted = ", ".join(f"{name} {value}" for name, value in differing)
    return Refusal(
        Area.SSHD,
        "this sshd reads no drop-in files, and its main file is not ours to edit",
        f"OpenSSH {host.sshd.version}, /etc/ssh/sshd_config without an Include at its top; differing: {wanted}",
        "add the lines to /etc/ssh/sshd_config above any Match block, or set sshd_x11 = False",
    )
