"""sshd's options where systemd starts it: as a service, and by its socket."""

from __future__ import annotations

from deploys.planning.sshd import DROP_IN
from tests.vm.conftest import Pyinfra
from tests.vm.guest import Guest

SSHD_X11 = "deploys/sshd_x11.py"
RIVAL = "/etc/ssh/sshd_config.d/50-local.conf"


def test_service_reads_the_options(guest: Guest, pyinfra: Pyinfra) -> None:
    """Against an administrator's drop-in, which stays."""
    guest.sh(f"echo 'X11Forwarding no' >{RIVAL} && systemctl reload ssh")
    pyinfra.apply(guest, SSHD_X11, {})
    assert guest.sh("sshd -T | grep ^x11forwarding") == "x11forwarding yes"
    assert guest.sh(f"cat {RIVAL}") == "X11Forwarding no"


def test_socket_goes_on_listening(guest: Guest, pyinfra: Pyinfra) -> None:
    """systemd listens, and starts sshd for the first connection."""
    guest.sh(
        f"rm {DROP_IN} && echo 'X11Forwarding no' >{RIVAL} && systemctl disable --quiet ssh.service &&"
        " systemctl stop ssh.service && systemctl enable --quiet --now ssh.socket"
    )
    pyinfra.apply(guest, SSHD_X11, {})
    assert guest.sh("sshd -T | grep ^x11forwarding") == "x11forwarding yes"
    assert (
        guest.sh("systemctl is-active ssh.socket && systemctl show -P TriggeredBy ssh.service") == "active\nssh.socket"
    )
