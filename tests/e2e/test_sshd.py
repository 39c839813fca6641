"""sshd's options: ours when a new login confirms them, else as they were; nobody is locked out; X11 comes through."""

from __future__ import annotations

import os
import secrets
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploys.areas.access import Access, load_detached
from deploys.planning.sshd import DROP_IN, MAIN
from tests.e2e.harness import LIMIT, Controller, Machine, apply, data_of, machine, running, wait_until, wish
from tests.sandbox.state import CHECKOUT

SSHD_X11 = "deploys/sshd_x11.py"
RIVAL = "/etc/ssh/sshd_config.d/00-a.conf"
PENDING = "/var/lib/gpu-hosts/sshd/pending"
INET = {"sshd_address_family": "inet"}
# A site that lets nobody in while our drop-in is there: a rule that the change of sshd itself brings into play.
SITE_RULE = f"""
printf '#!/bin/sh\\n[ ! -e {DROP_IN} ]\\n' >/usr/local/sbin/site-rule && chmod 0755 /usr/local/sbin/site-rule
sed -i '1i account required pam_exec.so quiet /usr/local/sbin/site-rule' /etc/pam.d/sshd
"""


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host whose administrator has switched X11 forwarding off. The tests of this module use it in order."""
    with machine("wsl", "t-sshd") as fresh:
        yield fresh


def in_force(one: Machine, option: str = "x11forwarding", *, user: str = "somebody") -> str:
    """The value in force for a new login of that user."""
    return one.sh(f"sshd -T -C user={user},host=h,addr=10.0.0.1,laddr=10.0.0.2,lport=22 | sed -n 's/^{option} //p'")


def change_without_confirming(one: Machine) -> None:
    """Send the change as a run would, with a second of patience, and never log in to confirm it."""
    words = ("sshd", DROP_IN, "", "1", "a-token", "x11forwarding=yes")
    command = Access(root=False).command(load_detached("sshd_x11"), *words, stdin="X11Forwarding yes\n")
    lines = "\n".join(command.connector_arguments["_stdin"]) + "\n"
    client = one.ssh(command.get_raw_value())
    done = subprocess.run(client, input=lines, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rival_that_sshd_has_not_read_is_not_put_into_force(wsl: Machine, controller: Controller) -> None:
    """Somebody's AllowUsers without a reload: our reload would lock us out, and taking ours back would not help."""
    wsl.write(RIVAL, "AllowUsers somebody-else\nX11Forwarding no\n")
    run = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "sshd has not read its files since somebody changed them"), run.text
    assert not wsl.does(f"[ -e {DROP_IN} ]")
    assert wsl.can_log_in()


def test_rival_that_comes_first_wins(wsl: Machine, controller: Controller) -> None:
    """Nothing is done, and the message names the option and its line."""
    wsl.write(RIVAL, "X11Forwarding no\n")
    wsl.sh("systemctl reload ssh")
    run = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "somebody's drop-in comes before ours"), run.text
    assert f"x11forwarding in {RIVAL}:1" in run.text
    assert not wsl.does(f"[ -e {DROP_IN} ] || [ -e {PENDING} ]")
    assert wsl.can_log_in()
    wsl.sh(f"rm {RIVAL}")


def test_change_that_keeps_new_logins_out_is_taken_back(wsl: Machine, controller: Controller) -> None:
    """And the run says so, and ends with the host as it was."""
    wsl.sh(SITE_RULE)
    run = controller.run(data_of(wsl), SSHD_X11, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "no new login confirmed the change of sshd, which was taken back"), run.text
    assert not wsl.does(f"[ -e {DROP_IN} ] || [ -e {PENDING} ]")
    assert wsl.can_log_in()
    wsl.sh("sed -i 1d /etc/pam.d/sshd")


def test_unconfirmed_change_is_taken_back_by_itself(wsl: Machine) -> None:
    """Its script had seen the option in force; then the patience ran out."""
    change_without_confirming(wsl)
    wsl.wait_for(f"[ ! -e {PENDING} ]", "the taking back")
    assert not wsl.does(f"[ -e {DROP_IN} ]")
    assert in_force(wsl) == "no"
    assert wsl.can_log_in()


def test_confirmed_change_stays(wsl: Machine, controller: Controller) -> None:
    """And the next run has nothing to do."""
    apply(controller, wsl, SSHD_X11, {})
    assert in_force(wsl) == "yes"
    assert not wsl.does(f"[ -e {PENDING} ]")
    assert wsl.can_log_in()


def test_unconfirmed_change_puts_the_former_drop_in_back(wsl: Machine) -> None:
    """Ours of an earlier run, byte for byte."""
    before = wsl.read(DROP_IN)
    change_without_confirming(wsl)
    wsl.wait_for(f"[ ! -e {PENDING} ]", "the taking back")
    assert wsl.read(DROP_IN) == before
    assert wsl.can_log_in()


def test_broken_main_file_is_refused_and_left_as_it_was(wsl: Machine, controller: Controller) -> None:
    """In sshd's own words, and before anything is done."""
    good = wsl.read(MAIN)
    broken = f"X11Forwardin yes\n{good}"
    wsl.write(MAIN, broken)
    run = wish(controller, wsl, SSHD_X11, INET)
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert run.is_three_part(wsl.name, "the SSH server's settings cannot be read, so they are left as they are")
    assert "Bad configuration option: X11Forwardin" in run.text
    assert wsl.read(MAIN) == broken
    wsl.write(MAIN, good)


def test_main_file_without_drop_ins_gets_our_block_and_keeps_every_other_byte(
    wsl: Machine, controller: Controller
) -> None:
    """As JetPack 4 has it. A Match block of somebody's stays in force, and is named."""
    others = f"{without_drop_ins(wsl)}\nMatch User dev\n  X11Forwarding no"
    wsl.write(MAIN, others)
    wsl.sh(f"rm {DROP_IN}; systemctl reload ssh")
    run = apply(controller, wsl, SSHD_X11, {})
    number = others.count("\n")
    assert f"`Match User dev` keeps x11forwarding no ({MAIN}:{number})" in run.said_of(wsl.name)
    assert f"for dev x11forwarding is no; by `Match User dev`, {MAIN}:{number + 8}" in run.said_of(wsl.name)
    first, *block, rest = wsl.read(MAIN).split("\n", 8)
    assert (first, block[-1], rest) == ("# BEGIN pyinfra-gpu-hosts", "# END pyinfra-gpu-hosts", others)
    assert (in_force(wsl), in_force(wsl, user="dev")) == ("yes", "no")


def without_drop_ins(one: Machine) -> str:
    """The main file's text without the line that reads drop-ins, and with X11 forwarding switched off."""
    return one.sh(f"sed '/^Include/d; s/^X11Forwarding yes/X11Forwarding no/' {MAIN}")


@dataclass(frozen=True)
class Screen:
    """A headless X server: the environment of its clients, and the file with its picture in the format of xwd."""

    environment: dict[str, str]
    picture: Path

    def colours(self) -> set[int]:
        """The colours that are on it now."""
        content = self.picture.read_bytes()
        # X11/XWDFile.h: sizes of the header and of the colour table's entries, height and bytes of a line.
        header = struct.unpack(">25I", content[:100])
        start, size = header[0] + 12 * header[19], header[12] * header[5]
        return {colour for (colour,) in struct.iter_unpack("=I", content[start : start + size])}


@contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    """Start an X server on this machine that asks its clients for a cookie."""
    cookies, cookie = folder / "Xauthority", secrets.token_hex(16)
    read, write = os.pipe()
    options = ["-screen", "0", "320x240x24", "-fbdir", str(folder), "-auth", str(cookies), "-nolisten", "tcp"]
    add = ["xauth", "-q", "-f", str(cookies), "add"]
    subprocess.run([*add, ":0", ".", cookie], check=True, stderr=subprocess.DEVNULL)
    with subprocess.Popen(["Xvfb", "-displayfd", str(write), *options], pass_fds=[write]) as server:
        os.close(write)
        try:
            number = os.read(read, 16).decode().strip()  # it says so when it is ready
            subprocess.run([*add, f":{number}", ".", cookie], check=True)
            yield Screen({**os.environ, "DISPLAY": f":{number}", "XAUTHORITY": str(cookies)}, folder / "Xvfb_screen0")
        finally:
            server.terminate()
            os.close(read)


def test_program_on_the_host_draws_on_a_screen_of_ours(wsl: Machine, controller: Controller, tmp_path: Path) -> None:
    """Through a real `ssh -X`. The host has no ::1, without which X11 forwarding fails until the setting says so."""
    for program, package in (("Xvfb", "xvfb"), ("xauth", "xauth")):
        subprocess.run(["sh", "bootstrap.sh", "program", program, package], cwd=CHECKOUT, check=True)
    wsl.write(MAIN, wsl.read(MAIN).partition("Match User dev")[0])
    wsl.sh("systemctl reload ssh; apt-get -qq install --no-install-recommends xmountains")
    with screen(tmp_path) as ours:
        refused = subprocess.run(wsl.ssh("-X", "xmountains"), env=ours.environment, capture_output=True, timeout=LIMIT)
        assert b"X11 forwarding request failed" in refused.stderr
        run = wish(controller, wsl, SSHD_X11, INET)
        assert "X11 forwarding works: DISPLAY is localhost:10.0" in run.said_of(wsl.name), run.text
        assert len(ours.colours()) == 1
        with running(wsl.ssh("-X", "xmountains"), environment=ours.environment):
            wait_until(lambda: len(ours.colours()) > 20, "a picture of mountains")


def test_our_lines_go_with_the_settings_where_systemd_listens_for_sshd(wsl: Machine, controller: Controller) -> None:
    """And the file is as somebody wrote it. An sshd with systemd's socket dies of a reload; sessions stay."""
    wsl.sh("systemctl disable --now ssh.service; systemctl enable --now ssh.socket")
    others = wsl.read(MAIN).partition("# END pyinfra-gpu-hosts\n")[2]
    run = wish(controller, wsl, SSHD_X11, {"sshd_x11": False})
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text
    assert wsl.read(MAIN) == others
    assert in_force(wsl) == "no"
    assert wsl.can_log_in()
    assert wsl.sh("systemctl is-active ssh.service ssh.socket").split() == ["active", "active"]
