"""The fact classes: how the probe gets its privilege, and what pyinfra makes of the record."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyinfra.api.exceptions import FactProcessError
from pyinfra.connectors.util import SUDO_PASSWORD_REQUIRED_LINES

import facts.host
from facts.host import HostProbe, View, probe_text
from facts.model import Host, Packages, SourceFile
from facts.parse import parse_probe
from facts.printing import printable

ROOT = Path(__file__).parents[2]

# Stand-ins: an `id` that believes the variable AS_ROOT, and a sudo that grants, wants a password, or is not there.
ID = (
    'if [ "$AS_ROOT" ]; then uid=0 user=root; else uid=1000 user=ann; fi\n'
    'case $1 in -u) echo "$uid" ;; -un) echo "$user" ;; *) echo "uid=$uid($user)" ;; esac'
)
GRANTS = '[ "$1" = -n ] && shift || exit 1\nexport AS_ROOT=1\nunset SSH_CONNECTION\nexec "$@"'
WANTS = (
    'case $1 in\n-n) echo "sudo: a password is required" >&2; exit 1 ;;\nesac\n'
    'read -r password\n[ "$password" = secret ] || { echo "sudo: a password is required" >&2; exit 1; }\n'
    'while [ "$1" != sh ]; do shift; done\nexport AS_ROOT=1\nexec "$@"'
)


def run(tmp_path: Path, tools: Path, sudo: str | None, *, command: str, stdin: str = "") -> Host:
    """Run the fact's command as an ordinary user with that sudo; it must not print what pyinfra takes for a prompt."""
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    for name, body in {"id": ID, "sudo": sudo or "exit 127"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{tmp_path}:{tools}", "ROOT": "/nowhere", "SSH_CONNECTION": "10.0.0.9 50122 10.0.0.7 22"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    for line in (done.stdout + done.stderr).splitlines():
        assert line.strip() not in SUDO_PASSWORD_REQUIRED_LINES
    return parse_probe(done.stdout)


def test_passwordless_sudo_is_used(tmp_path: Path, probe_tools: Path) -> None:
    host = run(tmp_path, probe_tools, GRANTS, command=HostProbe().command())
    assert (host.probe, host.user, host.elevated) == (1, "ann", True)
    assert host.sshd.session == "10.0.0.7"


@pytest.mark.parametrize("sudo", [WANTS, None])
def test_without_sudo_the_user_probes(tmp_path: Path, probe_tools: Path, sudo: str | None) -> None:
    host = run(tmp_path, probe_tools, sudo, command=HostProbe().command())
    assert (host.probe, host.user, host.elevated) == (1, "ann", False)


@pytest.mark.parametrize(("password", "elevated"), [("secret\n", True), ("wrong\n", False), ("", False)])
def test_the_password_comes_from_standard_input(
    tmp_path: Path, probe_tools: Path, password: str, elevated: bool
) -> None:
    host = run(tmp_path, probe_tools, WANTS, command=HostProbe().command(sudo_from_stdin=True), stdin=password)
    assert (host.probe, host.user, host.elevated) == (1, "ann", elevated)


def test_command_fits_one_argument() -> None:
    """Linux allows 131,072 bytes an argument; pyinfra quotes the command once more, and sudo's copy is inside."""
    assert len(shlex.quote(HostProbe().command())) < 40_000


def test_only_comments_are_left_out() -> None:
    assert probe_text().startswith("\nLC_ALL=C\n") or probe_text().startswith("LC_ALL=C\n")
    assert "\n#" not in probe_text()
    assert probe_text().rstrip().endswith("exit 0")


def test_default_is_a_record_that_planners_refuse() -> None:
    assert HostProbe.default() == Host(probe=0)
    assert HostProbe().process(["nonsense"]).probe == 0


def test_process_raises_nothing_but_fact_process_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> Host:
        raise KeyError(text)

    monkeypatch.setattr(facts.host, "parse_probe", broken)
    with pytest.raises(FactProcessError, match="KeyError"):
        HostProbe().process(["anything"])


def test_passwords_in_addresses_are_not_printed() -> None:
    source = SourceFile("/etc/apt/sources.list", "deb https://ann:secret@mirror.example/debian trixie main\n# a: b@c\n")
    host = Host(probe=1, packages=Packages("apt", (), None, (), (source,), (), ()))
    printed = json.dumps(printable(host))
    assert "secret" not in printed
    assert "https://ann:***@mirror.example/debian" in printed
    assert "# a: b@c" in printed


def test_every_view_is_a_part_of_the_record() -> None:
    views = View.__subclasses__()
    host = Host(probe=1)
    assert len(views) == 15
    for view in views:
        json.dumps(view().process_data(host))
        assert hasattr(host, view.part)


def test_pyinfra_runs_the_probe_and_prints_it() -> None:
    # In a process of its own: pyinfra's command line puts gevent in the place of this one's threads and processes.
    command = [
        sys.executable,
        "-m",
        "pyinfra",
        "--json",
        "@local",
        "fact",
        "facts.host.HostProbe",
        "facts.host.Platform",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    printed = {fact: of_hosts["@local"] for fact, of_hosts in json.loads(done.stdout).items()}
    host = printed["facts.host.HostProbe"]
    assert host["probe"] == 1
    assert host["kernel"]["running"] == os.uname().release
    assert printed["facts.host.Platform"] == host["platform"]
