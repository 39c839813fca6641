"""The SSH server's facts, from made-up answers and made-up files."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.parse import parse_probe
from facts.sshd import MatchBlock, Sshd
from tests.facts.answers import host_of
from tests.facts.machines import PROBE, link_tools, run_probe

MAIN = "etc/ssh/sshd_config"
OURS = "etc/ssh/sshd_config.d/00-gpu-hosts-x11.conf"


def sshd_of(*lines: str) -> Sshd:
    """What these lines of the probe's section say."""
    return host_of("sshd.main=readable", *(f"sshd.{line}" for line in lines)).sshd


def config(*lines: str, path: str = MAIN) -> list[str]:
    """The lines of a file as grep -n gives them."""
    return [f"config={path}:{number}:{line}" for number, line in enumerate(lines, 1)]


def test_match_blocks_are_told_by_their_line_and_end_with_their_file() -> None:
    found = sshd_of(
        *config("Match User bob Address 10.0.0.0/8", "  X11Forwarding no", "Match all", "PrintMotd=yes"),
        *config("TCPKeepAlive no", path="etc/ssh/sshd_config.d/50-a.conf"),
    )
    assert found.matches == (
        MatchBlock("/etc/ssh/sshd_config:1", "User bob Address 10.0.0.0/8", (("x11forwarding", "no"),)),
        MatchBlock("/etc/ssh/sshd_config:3", "all", (("printmotd", "yes"),)),
    )
    assert found.sources == ()


INCLUDED = config("X11Forwarding no", path="etc/ssh/site.conf")


@pytest.mark.parametrize(
    ("main", "comes_first"),
    [
        (('Include "/etc/ssh/sshd_config.d/*.conf"', "PrintMotd yes"), True),
        (("Include=sshd_config.d/*.conf",), True),
        (("Include /etc/other/*.conf sshd_config.d/*",), True),
        (("Include /etc/ssh/sshd_config.d/50-*.conf",), False),
        (("Include /etc/ssh/sshd_config.d/*.conf.disabled",), False),
        (("Include /etc/ssh/sshd_config.d/site/*.conf",), False),
        (("AddressFamily any", "Include /etc/ssh/sshd_config.d/*.conf"), False),
        (("Include site.conf", "Include /etc/ssh/sshd_config.d/*.conf"), False),
        (("Include /etc/ssh/sshd_config.d/*.conf", "Include site.conf"), True),
        (("Match all", "Include /etc/ssh/sshd_config.d/*.conf"), False),
        (("Match User bob", "Include site.conf", "PrintMotd yes"), False),
    ],
)
def test_whether_our_drop_in_would_be_read_first(main: tuple[str, ...], comes_first: bool) -> None:
    assert sshd_of(*config(*main), *INCLUDED).includes_drop_ins is comes_first


def test_lines_stand_in_the_order_in_which_sshd_reads_them() -> None:
    drop_in = "etc/ssh/sshd_config.d/50-a.conf"
    found = sshd_of(
        *config("PrintMotd yes", "Include /etc/ssh/sshd_config.d/*.conf", "PrintMotd no"),
        *config("Include site.conf", "PrintMotd no", path=drop_in),
        *INCLUDED,
        *config("PrintMotd no", path="etc/ssh/nobodys.conf"),
    )
    places = [place for _, place in found.sources]
    assert places == [f"/{MAIN}:1", "/etc/ssh/site.conf:1", f"/{drop_in}:2", f"/{MAIN}:3"]


def test_file_that_includes_itself_comes_to_an_end() -> None:
    assert sshd_of(*config("Include sshd_config", "PrintMotd no")).sources[-1] == ("printmotd", f"/{MAIN}:2")


def test_values_are_read_as_sshd_takes_them() -> None:
    found = sshd_of(*config("Match User bob", 'X11Forwarding "No"', "TCPKeepAlive yes # for him"))
    assert found.matches[0].options == (("x11forwarding", "no"), ("tcpkeepalive", "yes"))


def test_files_that_others_include_are_read(tmp_path: Path) -> None:
    files = {
        MAIN: 'Include "/etc/ssh/site/*.conf" more.conf\r\nX11Forwarding yes\r\n',
        "etc/ssh/site/a.conf": "\tinclude=deep.conf\n",
        "etc/ssh/more.conf": "Include /etc/ssh/sshd_config\nMatch User bob\n X11Forwarding no\r\n",
        "etc/ssh/deep.conf": "PrintMotd yes\n",
        "etc/ssh/nobodys.conf": "PrintMotd no\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tools").mkdir()
    found = parse_probe(run_probe(tmp_path, [link_tools(tmp_path / "tools")])).sshd
    assert ("printmotd", "/etc/ssh/deep.conf:1") in found.sources
    assert ("x11forwarding", f"/{MAIN}:2") in found.sources
    assert found.matches[0].options == (("x11forwarding", "no"),)
    assert not any("nobodys" in place for _, place in found.sources)


def test_our_block_is_what_stands_between_the_marks() -> None:
    marks = ("# BEGIN pyinfra-gpu-hosts", "X11Forwarding yes", "# END pyinfra-gpu-hosts", "PrintMotd no")
    found = sshd_of(*config(*marks))
    assert (found.ours, found.block) == ((("x11forwarding", "yes"),), True)


def test_our_drop_in_is_known_by_its_name() -> None:
    found = sshd_of(*config("Include /etc/ssh/sshd_config.d/*.conf"), *config("AddressFamily inet", path=OURS))
    assert (found.ours, found.block) == ((("addressfamily", "inet"),), False)
    assert sshd_of(*config("PrintMotd no")).ours is None


def test_values_for_everybody_and_for_our_login_are_kept_apart() -> None:
    found = sshd_of("effective=x11forwarding yes", "effective=port 22", "login=x11forwarding no")
    assert (found.effective, found.login) == ((("x11forwarding", "yes"),), (("x11forwarding", "no"),))


# As systemd 252 prints them: an empty line ends a unit, and a socket's Id is not its first property.
UNITS = (
    *("unit=Id=ssh.service", "unit=ActiveState=active", "unit=StateChangeTimestamp=Sun 2026-11-22 08:36:20 UTC"),
    *("unit=", "unit=Listen=0.0.0.0:22 (Stream)", "unit=Listen=[::]:22 (Stream)", "unit=Id=ssh.socket"),
)
READ = 1795336580  # that moment in seconds


@pytest.mark.parametrize(("state", "listens"), [("active", ("0.0.0.0:22", "[::]:22")), ("inactive", ())])
def test_sockets_count_while_they_are_active(state: str, listens: tuple[str, ...]) -> None:
    assert sshd_of(*UNITS, f"unit=ActiveState={state}").socket == listens


def test_files_that_changed_after_sshd_read_them_are_named() -> None:
    files = (f"changed={READ} {MAIN}", f"changed={READ + 1} etc/ssh/sshd_config.d/1.conf", f"changed={READ + 1} {OURS}")
    assert sshd_of(*UNITS, *files, *files).unapplied == ("/etc/ssh/sshd_config.d/1.conf",)
    assert sshd_of(*files).unapplied == (), "without systemd nobody knows"


def test_file_behind_a_link_is_asked_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / MAIN).symlink_to(PROBE)
    (tmp_path / "tools").mkdir()
    answer = run_probe(tmp_path, [link_tools(tmp_path / "tools")])
    assert f"changed={int(PROBE.stat().st_ctime)} {MAIN}\n" in answer
    assert f"changed={int((tmp_path / MAIN).lstat().st_ctime)} {MAIN}\n" in answer


def test_clock_that_was_wrong_at_boot_makes_no_file_newer_than_sshds_reading() -> None:
    """A Jetson without a battery for its clock: sshd starts in 1970, 20 s after the boot; then the time is set."""
    units = (
        *("unit=Id=ssh.service", "unit=ActiveState=active", "unit=StateChangeTimestamp=Thu 1970-01-01 00:00:30 UTC"),
        *("unit=StateChangeTimestampMonotonic=20000000", "uptime=3620.51 9000.11"),
    )
    files = (f"changed={READ - 10} {MAIN}", f"changed={READ + 10} etc/ssh/sshd_config.d/1.conf")
    lines = (f"sshd.{line}" for line in (*units, *files))
    assert host_of(f"host.time={READ + 3600}", *lines).sshd.unapplied == ("/etc/ssh/sshd_config.d/1.conf",)


@pytest.mark.parametrize(
    ("lines", "has"),
    [
        ("00000000000000000000000000000001 01 80 10 80       lo\n", True),
        ("fe800000000000000216cafffebabe01 02 40 20 80     eth0\n", False),
        ("", False),
        (None, None),
    ],
)
def test_loopback_of_ipv6_is_looked_up_in_the_kernels_table(
    tmp_path: Path, lines: str | None, has: bool | None
) -> None:
    (tmp_path / "tools").mkdir()
    if lines is not None:
        (tmp_path / "proc/net").mkdir(parents=True)
        (tmp_path / "proc/net/if_inet6").write_text(lines)
    answer = run_probe(tmp_path, [link_tools(tmp_path / "tools")])
    assert parse_probe(answer).sshd.ipv6_loopback is has


# Says what it was asked; without -C it is OpenSSH 7.9, whose -T fails where a file has a Match block.
SSHD = """#!/bin/sh
case "$*" in
  -V) echo 'OpenSSH_7.9p1 Debian-10' >&2 ;;
  -T) exit 255 ;;
  *user=ann,host=10.0.0.9,addr=10.0.0.9,laddr=10.0.0.7,lport=2222*) echo 'x11forwarding no' ;;
  *user=-,*) echo 'x11forwarding yes' ;;
esac
"""


def test_sshd_is_asked_for_our_own_connection(tmp_path: Path) -> None:
    (tmp_path / "sshd").write_text(SSHD)
    (tmp_path / "sshd").chmod(0o755)
    (tmp_path / "tools").mkdir()
    path = [tmp_path, link_tools(tmp_path / "tools")]
    found = parse_probe(run_probe(tmp_path, path, arguments=("ann", "10.0.0.9 50122 10.0.0.7 2222"))).sshd
    assert found.effective == (("x11forwarding", "yes"),)
    assert found.login == (("x11forwarding", "no"),)
    assert found.session == "10.0.0.7"
    assert parse_probe(run_probe(tmp_path, path)).sshd.login is None


def test_sshd_that_has_not_run_yet_is_asked_without_keys(tmp_path: Path) -> None:
    """OpenSSH 10.0 before the first connection to ssh.socket: `Missing privilege separation directory: /run/sshd`."""
    (tmp_path / "sshd").write_text("#!/bin/sh\n[ \"$*\" != '-T -G' ] || echo 'x11forwarding yes'\n")
    (tmp_path / "sshd").chmod(0o755)
    (tmp_path / "tools").mkdir()
    found = parse_probe(run_probe(tmp_path, [tmp_path, link_tools(tmp_path / "tools")])).sshd
    assert (found.effective, found.complaint) == ((("x11forwarding", "yes"),), "")


def test_a_broken_file_is_told_in_sshds_words(tmp_path: Path) -> None:
    (tmp_path / "sshd").write_text(
        "#!/bin/sh\n[ $1 != -t ] || printf 'line 3: Bad option\\r\\nterminating\\r\\n' >&2\n"
    )
    (tmp_path / "sshd").chmod(0o755)
    (tmp_path / "tools").mkdir()
    answer = run_probe(tmp_path, [tmp_path, link_tools(tmp_path / "tools")])
    assert parse_probe(answer).sshd.complaint == "line 3: Bad option; terminating"
