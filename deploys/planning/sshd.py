"""The five sshd options that X11 forwarding needs, as values in force (`sshd -T`), not as lines of a file."""

from __future__ import annotations

from deploys.planning.obstacles import refuse_packages
from deploys.planning.records import Area, Note, Refusal, SshdChange, SshdPlan
from deploys.planning.settings import Settings
from facts.model import Host
from facts.sshd import MatchBlock

# sshd_config(5). These are what Debian and Ubuntu ship: on an untouched system there is nothing to do.
OPTIONS = (
    ("X11Forwarding", "yes"),
    ("X11DisplayOffset", "10"),
    ("PrintMotd", "no"),
    ("PrintLastLog", "yes"),
    ("TCPKeepAlive", "yes"),
)
FAMILY = ("AddressFamily", "inet")
MAIN = "/etc/ssh/sshd_config"
# sshd takes the first value it reads, and drop-ins are read in lexical order.
FOLDER = "/etc/ssh/sshd_config.d"
DROP_IN = f"{FOLDER}/00-gpu-hosts-x11.conf"

Options = tuple[tuple[str, str], ...]


def plan_sshd(settings: Settings, host: Host) -> SshdPlan:
    """Compare the options in force with the wished ones, and plan lines of ours where they differ."""
    sshd, wished = host.sshd, _wish(settings)
    if not wished and sshd.ours is None:
        return SshdPlan(notes=(Note("sshd left as found", "sshd_x11 is off"),))
    if sshd.version is None:
        return SshdPlan(notes=(Note("nothing to set", "there is no SSH server on this machine"),))
    if sshd.effective is None:
        return SshdPlan(refusal=_unreadable(host))
    unknown = _unknown(host)
    wished = tuple(option for option in wished if option not in unknown)
    expected = _lowered(wished)
    differing = tuple(item for item in expected if item not in sshd.effective)
    is_stale = sshd.ours is not None and set(sshd.ours) != set(expected)
    tools = ("xauth",) if settings.sshd_x11 and not sshd.xauth and not refuse_packages(host, Area.SSHD) else ()
    cautions = _list_cautions(host, is_inet=_will_be_inet(host, expected)) if settings.sshd_x11 else ()
    left_out = tuple(Note(f"{name} left out", "this sshd is built without it") for name, _ in unknown)
    notes = (*_missing(settings, host, tools), *cautions, *_other_logins(host, expected), *left_out)
    if not differing and not is_stale and not sshd.pending:
        right = Note("the five X11 options are right" if settings.sshd_x11 else "sshd is right", "sshd -T says so")
        return SshdPlan(expected=expected, tools=tools, cautions=cautions, notes=(right, *notes))
    change = _write(wished, host)
    if refusal := _refuse_other_main(host, change) or _refuse_family(host, differing) or _refuse_unapplied(host):
        return SshdPlan(refusal=refusal)
    if refusal := _refuse_rival(host, differing, change):
        return SshdPlan(refusal=refusal)
    notes = (*_explain(host, differing, is_stale, change), *notes)
    return SshdPlan(change, expected, tools, cautions, notes)


def sets_x11(plan: SshdPlan) -> bool:
    """Whether X11 forwarding is to work."""
    return ("x11forwarding", "yes") in plan.expected


def sshd_faults(plan: SshdPlan, host: Host) -> tuple[str, ...]:
    """What is not as planned, each a phrase."""
    in_force = dict(host.sshd.effective or ())
    wrong = [f"{name} is {in_force.get(name, 'unset')}" for name, value in plan.expected if in_force.get(name) != value]
    left = plan.change is not None and not plan.change.text and host.sshd.ours is not None
    return (*wrong, *(["our lines are still there"] if left else []))


def x11_cautions(host: Host) -> tuple[Note, ...]:
    """Why X11 forwarding does not come through for the user who logged in, whatever the global options say."""
    missing = () if host.sshd.xauth else (Note("xauth is missing", "X11 forwarding needs it"),)
    return (*missing, *_list_cautions(host, is_inet=("addressfamily", "inet") in (host.sshd.effective or ())))


def _will_be_inet(host: Host, expected: Options) -> bool:
    inet = ("addressfamily", "inet")
    return inet in expected or (inet in (host.sshd.effective or ()) and inet not in (host.sshd.ours or ()))


def _wish(settings: Settings) -> Options:
    family = (FAMILY,) if settings.sshd_address_family else ()
    return (*(OPTIONS if settings.sshd_x11 else ()), *family)


def _unknown(host: Host) -> Options:
    """Options that this sshd was built without, so that `sshd -T` does not name them: PrintLastLog where there is no
    lastlog (servconf.c, DISABLE_LASTLOG)."""
    names = dict(host.sshd.effective or ())
    return tuple(option for option in OPTIONS if option[0].lower() not in names)


def _lowered(options: Options) -> Options:
    return tuple((name.lower(), value) for name, value in options)


def _write(wished: Options, host: Host) -> SshdChange:
    lines = [f"{name} {value}" for name, value in wished]
    text = "\n".join(["# Written by pyinfra-gpu-hosts (settings sshd_…).", *lines]) + "\n" if lines else ""
    if host.sshd.block or (text and not host.sshd.includes_drop_ins):
        return SshdChange(MAIN, text, host.sshd.main or "")
    return SshdChange(DROP_IN, text)


def _explain(host: Host, differing: Options, is_stale: bool, change: SshdChange) -> tuple[Note, ...]:
    notes = [Note("settles an interrupted change", "it was never confirmed")] if host.sshd.pending else []
    notes += [_note(name, value, host) for name, value in differing]
    if is_stale:
        notes.append(Note(f"{'renews' if change.text else 'takes away'} our lines in {change.path}", "settings sshd_…"))
    if change.path == MAIN and change.text:
        because = "this sshd reads no drop-ins before other files' options; everything else in it stays as it is"
        notes.append(Note(f"puts our lines between marks at the top of {MAIN}", because))
    return tuple(notes)


def _missing(settings: Settings, host: Host, tools: tuple[str, ...]) -> tuple[Note, ...]:
    if settings.sshd_x11 and not host.sshd.xauth and not tools:
        return (Note("xauth is missing and cannot be installed", "X11 forwarding needs it; packages are refused here"),)
    return tuple(Note(f"installs {tool}", "X11 forwarding needs it") for tool in tools)


def _note(name: str, value: str, host: Host) -> Note:
    current = dict(host.sshd.effective or ()).get(name, "unset")
    # Sources are in reading order, and sshd takes the first.
    by = next((line for option, line in host.sshd.sources if option == name), "sshd's default")
    return Note(f"sets {name} {value}", f"it is {current}, by {by}")


def _list_cautions(host: Host, *, is_inet: bool) -> tuple[Note, ...]:
    sshd, wanted = host.sshd, dict(_lowered(OPTIONS))
    everybodys = dict(sshd.effective or ())
    login = dict(sshd.login or sshd.effective or ())
    cautions = [
        Note(f"for {host.user} {name} is {login[name]}", _overriding(host.sshd.matches, name, login[name]))
        for name in wanted
        if login.get(name) not in (None, wanted[name], everybodys.get(name))
    ]
    if login.get("disableforwarding") == "yes":
        disables = [block.place for block in sshd.matches if ("disableforwarding", "yes") in block.options]
        disables += [place for name, place in sshd.sources if name == "disableforwarding"]
        because = f"DisableForwarding yes overrides X11Forwarding; it is in {', '.join(disables) or 'a file of sshd'}"
        cautions.append(Note(f"X11 is not forwarded for {host.user}", because))
    if sshd.unapplied:
        because = f"{', '.join(sshd.unapplied)}; `systemctl reload ssh` puts into force what `sshd -T` says"
        cautions.append(Note("sshd has not read its files since somebody changed them", because))
    # channels.c, x11_create_display_inet: a family that exists and cannot be bound makes it give up the other one, too.
    if sshd.ipv6_loopback is False and not is_inet and "addressfamily" in everybodys:
        because = 'the kernel has IPv6, but lo has no ::1, and sshd gives up; sshd_address_family = "inet" mends it'
        cautions.append(Note("X11 forwarding fails on this host", because))
    return tuple(cautions)


def _overriding(matches: tuple[MatchBlock, ...], name: str, value: str) -> str:
    found = next((block for block in matches if (name, value) in block.options), None)
    by = f"by `Match {found.criteria}`, {found.place}" if found else "by a Match block"
    return f"{by}, which overrides what is set for everybody and is not ours to edit"


def _other_logins(host: Host, expected: Options) -> tuple[Note, ...]:
    """Match blocks with other values, but for those that are seen to hold for our login: the cautions name them."""
    wanted = dict(expected)
    ours = set(host.sshd.login or ()) - set(host.sshd.effective or ())
    notes = []
    for block in host.sshd.matches:
        pairs = (pair for pair in block.options if pair[1] != wanted.get(pair[0], pair[1]) and pair not in ours)
        if others := ", ".join(f"{name} {value}" for name, value in pairs):
            notes.append(Note(f"`Match {block.criteria}` keeps {others}", block.place))
    return tuple(notes)


def _unreadable(host: Host) -> Refusal:
    seen = host.sshd.complaint or "no words of its own" + "".join(f"; {line}" for line in host.unread if "sshd" in line)
    return Refusal(
        Area.SSHD,
        "the SSH server's settings cannot be read, so they are left as they are",
        f"`sshd -T` gave no answer; `sshd -t`: {seen}",
        "mend what it complains of, or set sshd_x11 = False",
    )


def _refuse_other_main(host: Host, change: SshdChange) -> Refusal | None:
    """A main file elsewhere, which sshd would read no more, nor the drop-ins that it includes, if we made one here.

    SUSE's openssh.spec and openssh-8.4p1-vendordir.patch: /usr/etc/ssh/sshd_config is read while /etc/ssh has none.
    """
    if host.sshd.main is not None or not change.text:
        return None
    return Refusal(
        Area.SSHD,
        f"sshd's main file is not {MAIN}, and one with our lines alone would switch off the one that it reads",
        f"there is no {MAIN} that can be read, and `sshd -T` answers all the same",
        f"copy the vendor's file there (SUSE: cp -p /usr/etc/ssh/sshd_config {MAIN}) and run this again, "
        "or set sshd_x11 = False for this host and take sshd_address_family out",
    )


def _sets_family(differing: Options) -> bool:
    return ("addressfamily", "inet") in differing


def _is_ipv6(address: str) -> bool:
    """Whether it is an IPv6 address, with or without brackets and a port."""
    return address.count(":") > 1


def _refuse_family(host: Host, differing: Options) -> Refusal | None:
    """Why sshd must not be told to leave IPv6, if so."""
    if not _sets_family(differing):
        return None
    sshd = host.sshd
    # [::] is a socket for both families, which is how systemd reads a bare port (systemd.socket(5), BindIPv6Only).
    in_use = [
        *([f"this session came to {sshd.session}"] if _is_ipv6(sshd.session) else []),
        *(f"ListenAddress {address} ({place})" for address, place in sshd.listens if _is_ipv6(address)),
        *(f"ssh.socket listens on {one}" for one in sshd.socket if _is_ipv6(one) and not one.startswith("[::]")),
        *(["AddressFamily inet6"] if ("addressfamily", "inet6") in (sshd.effective or ()) else []),
    ]
    remedy = "take sshd_address_family out, or give lo its ::1 back (sysctl net.ipv6.conf.lo.disable_ipv6=0)"
    if in_use:
        return Refusal(
            Area.SSHD, "SSH over IPv6 is in use, and AddressFamily inet would end it", ", ".join(in_use), remedy
        )
    if sshd.socket and sshd.makes_socket:
        brief = "ssh.socket takes its addresses from sshd's files at the next boot, when nobody could take that back"
        seen = f"sshd-socket-generator is there, and ssh.socket listens on {', '.join(sshd.socket)}"
        return Refusal(Area.SSHD, brief, seen, f"{remedy}, or start sshd by ssh.service instead of ssh.socket")
    return None


def _refuse_rival(host: Host, differing: Options, change: SshdChange) -> Refusal | None:
    """Somebody's drop-in that sshd reads before ours, and whose value it keeps."""
    if change.path != DROP_IN:
        return None
    names = [name for name, _ in differing]
    places = [(name, place) for name, place in host.sshd.sources if name in names]
    before = [f"{name} in {place}" for name, place in places if f"{FOLDER}/" < place < DROP_IN]
    if not before:
        return None
    brief = "somebody's drop-in comes before ours, and sshd keeps the first value that it reads"
    return Refusal(Area.SSHD, brief, ", ".join(before), "take these lines out, or set sshd_x11 = False for this host")


def _refuse_unapplied(host: Host) -> Refusal | None:
    """Somebody's change that our reload would be the first to make count, and that nothing of ours could take back."""
    if host.sshd.pending or not host.sshd.unapplied:
        return None
    return Refusal(
        Area.SSHD,
        "sshd has not read its files since somebody changed them, and our reload would put that into force",
        f"changed after sshd was last started or reloaded: {', '.join(host.sshd.unapplied)}",
        "reload sshd on the host (systemctl reload ssh), see that a new login works, and run this again",
    )
