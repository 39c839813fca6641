"""sshd's X11 options: what is written where they differ."""

from dataclasses import replace

import pytest

from deploys.planning.settings import Settings
from deploys.planning.sshd import plan_sshd
from facts.model import Host
from tests.planning.hosts import BARE, X11_OPTIONS


def with_sshd(option: str, value: str, *, by: str | None = None) -> Host:
    """The bare server whose sshd has another value in force."""
    effective = tuple((name, value if name == option else found) for name, found in X11_OPTIONS)
    sources = ((option, by),) if by else ()
    return replace(BARE, sshd=replace(BARE.sshd, effective=effective, sources=sources))


def test_options_as_debian_ships_them_need_nothing() -> None:
    plan = plan_sshd(Settings(), BARE)
    assert (plan.drop_in, plan.tools, plan.refusal) == (None, (), None)
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
    lines = [line.lower().split() for line in (plan.drop_in or "").splitlines() if not line.startswith("#")]
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
    plan = plan_sshd(Settings(), replace(BARE, sshd=replace(BARE.sshd, pending=True)))
    assert plan.drop_in
    assert "interrupted" in plan.notes[0].choice


def test_main_file_without_drop_ins_is_not_edited() -> None:
    host = with_sshd("x11forwarding", "no")
    plan = plan_sshd(Settings(), replace(host, sshd=replace(host.sshd, includes_drop_ins=False)))
    assert plan.drop_in is None
    assert plan.refusal
    assert "x11forwarding yes" in plan.refusal.seen


def test_unreadable_settings_are_refused_with_the_probes_reason() -> None:
    host = replace(BARE, sshd=replace(BARE.sshd, effective=None), unread=("sshd -T: no answer", "docker: no"))
    plan = plan_sshd(Settings(), host)
    assert plan.refusal
    assert "sshd -T: no answer" in plan.refusal.seen
    assert "docker" not in plan.refusal.seen


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
    assert (plan.drop_in, plan.tools, plan.expected, plan.refusal) == (None, (), (), None)
    assert plan.notes
