"""sshd's options: what is written where they differ, and what is said where that will not do."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Finding, Verdict, check
from deploys.planning.plan import make_plan
from deploys.planning.records import Area
from deploys.planning.settings import Settings
from deploys.planning.sshd import plan_sshd, sshd_faults
from facts.model import Host
from facts.sshd import MatchBlock, Sshd
from tests.planning.hosts import BARE, X11_OPTIONS

MAIN = "/etc/ssh/sshd_config"
DROP_IN = "/etc/ssh/sshd_config.d/00-gpu-hosts-x11.conf"
DIGEST = "5e" * 32
CATALOGUE = load_catalogue()
SSHD = replace(BARE.sshd, effective=(*X11_OPTIONS, ("addressfamily", "any"), ("disableforwarding", "no")), main=DIGEST)
INET = Settings(sshd_address_family="inet")


def with_sshd(option: str, value: str, *, by: str | None = None) -> Host:
    """The bare server whose sshd has another value in force."""
    sources = ((option, by),) if by else ()
    return on(replace(SSHD, effective=changed(option, value), sources=sources))


def changed(option: str, value: str) -> tuple[tuple[str, str], ...]:
    """The five with one other value."""
    return tuple((name, value if name == option else found) for name, found in X11_OPTIONS)


def on(sshd: Sshd) -> Host:
    """The bare server with that sshd."""
    return replace(BARE, sshd=sshd)


def test_options_as_debian_ships_them_need_nothing() -> None:
    plan = plan_sshd(Settings(), BARE)
    assert (plan.change, plan.tools, plan.cautions, plan.refusal) == (None, (), (), None)
    assert dict(plan.expected) == dict(X11_OPTIONS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("x11forwarding", "no"),
        ("x11displayoffset", "20"),
        ("printmotd", "yes"),
        ("printlastlog", "no"),
        ("tcpkeepalive", "no"),
    ],
)
def test_differing_option_brings_a_drop_in_with_all_five(option: str, value: str) -> None:
    plan = plan_sshd(Settings(), with_sshd(option, value, by="/etc/ssh/sshd_config:31"))
    assert plan.change
    assert (plan.change.path, plan.change.read) == (DROP_IN, "")
    lines = [line.lower().split() for line in plan.change.text.splitlines() if not line.startswith("#")]
    assert lines == [list(pair) for pair in X11_OPTIONS]
    [note] = plan.notes
    assert option in note.choice
    assert value in note.because
    assert "/etc/ssh/sshd_config:31" in note.because


def test_default_of_sshd_is_named_as_such() -> None:
    [note] = plan_sshd(Settings(), with_sshd("x11forwarding", "no")).notes
    assert "default" in note.because


def test_missing_xauth_is_installed_and_said() -> None:
    plan = plan_sshd(Settings(), replace(BARE, sshd=replace(BARE.sshd, xauth=None)))
    assert plan.tools == ("xauth",)
    assert any("xauth" in note.choice for note in plan.notes)


def test_unconfirmed_change_is_settled_and_said() -> None:
    plan = plan_sshd(Settings(), on(replace(SSHD, pending=True, unapplied=(MAIN,))))
    assert plan.change
    assert "interrupted" in plan.notes[0].choice


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        (replace(SSHD, includes_drop_ins=False), MAIN),
        (replace(SSHD, includes_drop_ins=True, block=True, ours=(("addressfamily", "inet"),)), MAIN),
        (replace(SSHD, includes_drop_ins=True), DROP_IN),
    ],
    ids=["JetPack 4", "a block of ours is there", "Debian"],
)
def test_our_lines_go_to_the_top_of_the_main_file_where_drop_ins_do_not_come_first(facts: Sshd, path: str) -> None:
    change = plan_sshd(Settings(), on(replace(facts, effective=changed("x11forwarding", "no")))).change
    assert change
    assert (change.path, change.read) == (path, DIGEST if path == MAIN else "")


def test_our_drop_in_goes_though_sshd_does_not_read_drop_ins_first_any_more() -> None:
    plan = plan_sshd(Settings(sshd_x11=False), on(replace(SSHD, ours=X11_OPTIONS, includes_drop_ins=False)))
    assert plan.change
    assert (plan.change.path, plan.change.text, plan.change.read) == (DROP_IN, "", "")


def test_drop_in_that_sshd_reads_before_ours_is_refused_before_anything_is_done() -> None:
    rival = "/etc/ssh/sshd_config.d/00-a.conf:2"
    plan = plan_sshd(Settings(), with_sshd("x11forwarding", "no", by=rival))
    assert plan.change is None
    assert plan.refusal
    assert rival in plan.refusal.seen
    assert plan_sshd(Settings(), with_sshd("x11forwarding", "no", by="/etc/ssh/sshd_config.d/50-a.conf:2")).change


def test_main_file_that_is_not_there_is_not_made_of_our_lines_alone() -> None:
    """openSUSE Leap 16 and Tumbleweed: sshd reads /usr/etc/ssh/sshd_config, and the administrator's drop-ins by that,
    only while /etc has none."""
    vendors = replace(SSHD, main=None, includes_drop_ins=None)
    plan = plan_sshd(Settings(), on(replace(vendors, effective=changed("printmotd", "yes"))))
    assert plan.change is None
    assert plan.refusal
    assert MAIN in plan.refusal.seen
    assert "/usr/etc/ssh/sshd_config" in plan.refusal.remedy
    assert plan_sshd(INET, on(vendors)).refusal
    right = plan_sshd(Settings(), on(vendors))
    assert (right.refusal, right.change) == (None, None)
    leaving = plan_sshd(Settings(sshd_x11=False), on(replace(vendors, ours=X11_OPTIONS))).change
    assert leaving
    assert (leaving.path, leaving.text) == (DROP_IN, "")


def test_option_that_this_sshd_was_built_without_is_left_out() -> None:
    """As Arch Linux builds it (--disable-lastlog): it could never come into force."""
    without = tuple(pair for pair in changed("printmotd", "yes") if pair[0] != "printlastlog")
    plan = plan_sshd(Settings(), on(replace(SSHD, effective=without)))
    assert plan.change
    assert "PrintLastLog" not in plan.change.text
    assert "printlastlog" not in dict(plan.expected)
    assert any("PrintLastLog" in note.choice for note in plan.notes)


def test_xauth_that_is_still_missing_is_judged_a_note() -> None:
    verdicts = {one.verdict: str(one) for one in findings(on(replace(SSHD, xauth=None)))}
    assert "xauth" in verdicts[Verdict.NOTE]


@pytest.mark.parametrize("block", [True, False])
def test_our_lines_of_the_same_options_stay(block: bool) -> None:
    host = on(replace(SSHD, ours=X11_OPTIONS, block=block, includes_drop_ins=not block))
    assert plan_sshd(Settings(), host).change is None


def test_our_lines_are_renewed_when_the_settings_change() -> None:
    plan = plan_sshd(Settings(), on(replace(SSHD, ours=(*X11_OPTIONS, ("addressfamily", "inet")))))
    assert plan.change
    assert "AddressFamily" not in plan.change.text
    assert "renews" in plan.notes[0].choice


def test_address_family_that_goes_with_our_lines_is_warned_of() -> None:
    inet = (*X11_OPTIONS, ("addressfamily", "inet"))
    plan = plan_sshd(Settings(), on(replace(SSHD, effective=inet, ours=inet, ipv6_loopback=False)))
    assert plan.change
    assert "sshd_address_family" in plan.cautions[0].because


def test_our_lines_go_when_nothing_is_wished_any_more() -> None:
    plan = plan_sshd(Settings(sshd_x11=False), on(replace(SSHD, ours=X11_OPTIONS, xauth=None)))
    assert plan.change
    assert (plan.change.text, plan.expected, plan.tools) == ("", (), ())
    assert sshd_faults(plan, on(SSHD)) == ()
    assert sshd_faults(plan, on(replace(SSHD, ours=X11_OPTIONS))) == ("our lines are still there",)


def test_unreadable_settings_are_refused_with_sshds_words() -> None:
    complaint = "/etc/ssh/sshd_config: line 3: Bad configuration option: X11Forwardin"
    plan = plan_sshd(Settings(), on(replace(SSHD, effective=None, complaint=complaint)))
    assert plan.refusal
    assert complaint in plan.refusal.seen
    assert plan.change is None


def test_unreadable_settings_are_refused_with_the_probes_reason() -> None:
    host = replace(on(replace(SSHD, effective=None)), unread=("sshd -T: no answer", "docker: no"))
    plan = plan_sshd(Settings(), host)
    assert plan.refusal
    assert "sshd -T: no answer" in plan.refusal.seen
    assert "docker" not in plan.refusal.seen


def test_somebodys_change_that_sshd_has_not_read_is_not_put_into_force() -> None:
    """AllowUsers in a file without a reload: after ours nobody could log in, and taking ours back would not help."""
    file = "/etc/ssh/sshd_config.d/10-allow.conf"
    plan = plan_sshd(Settings(), on(replace(SSHD, effective=changed("printmotd", "yes"), unapplied=(file,))))
    assert plan.change is None
    assert plan.refusal
    assert file in plan.refusal.seen
    right = plan_sshd(Settings(), on(replace(SSHD, unapplied=(file,))))
    assert right.refusal is None, "nothing is to be reloaded"
    assert file in right.cautions[0].because


MATCHED = (MatchBlock("/etc/ssh/sshd_config:31", "User ann", (("x11forwarding", "no"),)),)


def test_match_block_that_holds_for_us_is_named_and_judged_a_note() -> None:
    host = replace(on(replace(SSHD, matches=MATCHED, login=changed("x11forwarding", "no"))), user="ann")
    plan = plan_sshd(Settings(), host)
    assert plan.change is None
    [caution] = plan.cautions
    assert caution in plan.notes
    assert "ann" in caution.choice
    assert "/etc/ssh/sshd_config:31" in caution.because
    [finding] = [one for one in findings(host) if one.verdict is Verdict.NOTE]
    assert "/etc/ssh/sshd_config:31" in str(finding)


def test_match_block_of_other_logins_is_a_note_of_the_plan_alone() -> None:
    host = on(replace(SSHD, matches=MATCHED, login=X11_OPTIONS))
    plan = plan_sshd(Settings(), host)
    assert plan.cautions == ()
    assert any("User ann" in note.choice and note.because == "/etc/ssh/sshd_config:31" for note in plan.notes)
    assert [one.verdict for one in findings(host)] == [Verdict.GOOD]


def test_value_for_everybody_that_is_put_right_is_no_matter_of_a_match_block() -> None:
    no = changed("x11forwarding", "no")
    plan = plan_sshd(Settings(), on(replace(SSHD, effective=no, login=no, matches=MATCHED)))
    assert plan.cautions == ()
    assert any("User ann" in note.choice for note in plan.notes), "it may be in force for us afterwards"


def findings(host: Host) -> list[Finding]:
    """What the closing check says of sshd."""
    plan = make_plan(Settings(), host, CATALOGUE)
    return [one for one in check(plan, host, CATALOGUE) if one.area is Area.SSHD]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (replace(SSHD, ipv6_loopback=False), "sshd_address_family"),
        (replace(SSHD, ipv6_loopback=True), None),
        (replace(SSHD, ipv6_loopback=None), None),
        (replace(SSHD, ipv6_loopback=False, effective=(*X11_OPTIONS, ("addressfamily", "inet"))), None),
        (
            replace(SSHD, login=(*X11_OPTIONS, ("disableforwarding", "yes")), sources=(("disableforwarding", "f:3"),)),
            "f:3",
        ),
    ],
    ids=["no ::1", "::1", "no IPv6 in the kernel", "already inet", "forwarding disabled"],
)
def test_what_keeps_x11_from_coming_through_is_said_and_changes_nothing(facts: Sshd, says: str | None) -> None:
    plan = plan_sshd(Settings(), on(facts))
    assert (plan.change, plan.refusal) == (None, None)
    assert [note.because for note in plan.cautions if says and says in note.because] == (
        [plan.cautions[0].because] if says else []
    )
    assert len(plan.cautions) == bool(says)


@pytest.mark.parametrize("x11", [True, False])
def test_address_family_is_set_by_its_setting(x11: bool) -> None:
    settings = Settings(sshd_x11=x11, sshd_address_family="inet")
    host = on(
        replace(
            SSHD, ipv6_loopback=False, session="10.0.0.7", listens=(("0.0.0.0:22", f"{MAIN}:3"),), socket=("[::]:22",)
        )
    )
    plan = plan_sshd(settings, host)
    assert plan.change
    assert ("AddressFamily inet" in plan.change.text, "X11Forwarding" in plan.change.text) == (True, x11)
    assert ("addressfamily", "inet") in plan.expected
    assert plan.cautions == ()


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        (replace(SSHD, session="2001:db8::7"), "2001:db8::7"),
        (replace(SSHD, listens=(("[2001:db8::7]:22", f"{MAIN}:3"),)), f"{MAIN}:3"),
        (replace(SSHD, listens=(("::", f"{MAIN}:3"),)), f"{MAIN}:3"),
        (replace(SSHD, socket=("[2001:db8::7]:22",)), "ssh.socket"),
        (replace(SSHD, socket=("0.0.0.0:22", "[::]:22"), makes_socket=True), "sshd-socket-generator"),
        (replace(SSHD, effective=(*X11_OPTIONS, ("addressfamily", "inet6"))), "AddressFamily inet6"),
    ],
)
def test_address_family_is_refused_where_somebody_could_be_locked_out(facts: Sshd, seen: str) -> None:
    plan = plan_sshd(INET, on(facts))
    assert plan.change is None
    assert plan.refusal
    assert seen in plan.refusal.seen
    assert plan_sshd(Settings(), on(facts)).refusal is None


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        (Settings(sshd_x11=False), with_sshd("x11forwarding", "no")),
        (Settings(), replace(BARE, sshd=replace(BARE.sshd, version=None, effective=None))),
    ],
    ids=["switched off", "no server"],
)
def test_sshd_is_left_alone(settings: Settings, host: Host) -> None:
    plan = plan_sshd(settings, host)
    assert (plan.change, plan.tools, plan.expected, plan.refusal) == (None, (), (), None)
    assert plan.notes
