"""The record of the SSH server: what is in force, what sets it, what is ours, and how our own session came in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MatchBlock:
    """A Match block that sets some of the options, for those logins alone that it matches."""

    place: str  # of its Match line: /etc/ssh/sshd_config:31
    criteria: str  # "User bob"
    options: tuple[tuple[str, str], ...]  # lower-case names


@dataclass(frozen=True)
class Sshd:
    """The SSH server's settings (`sshd -T`; needs root)."""

    version: str | None  # 10.0p1
    includes_drop_ins: bool | None  # our drop-in comes before every line that sets our options, but for other drop-ins'
    # Lower-case names: the five X11 options, addressfamily and disableforwarding, as they are without any Match block.
    effective: tuple[tuple[str, str], ...] | None
    sources: tuple[tuple[str, str], ...]  # file and line for each of these that a file sets for everybody
    pending: bool  # marker of an sshd transaction that did not finish
    xauth: str | None  # path of xauth
    login: tuple[tuple[str, str], ...] | None = None  # in force for the user who logged in, from where that was
    matches: tuple[MatchBlock, ...] = ()
    ours: tuple[tuple[str, str], ...] | None = None  # what our lines set; None: there are none
    block: bool = False  # our lines stand in the main file, between marks
    main: str | None = None  # SHA-256 of /etc/ssh/sshd_config
    complaint: str = ""  # what `sshd -t` says, where `sshd -T` gives no answer
    unapplied: tuple[str, ...] = ()  # files that changed after sshd had last read them, as far as systemd knows
    listens: tuple[tuple[str, str], ...] = ()  # ListenAddress lines: the address, and file and line
    socket: tuple[str, ...] = ()  # what an active ssh.socket listens on: "[::]:22", "0.0.0.0:22"
    makes_socket: bool = False  # Ubuntu's sshd-socket-generator makes ssh.socket's addresses from sshd's files, at boot
    session: str = ""  # the server's address that our own session came to; "" where it is no SSH session
    ipv6_loopback: bool | None = None  # ::1 is on lo; None: the kernel has no IPv6
