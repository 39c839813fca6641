"""Becoming root without the password showing, and the passwords' sources."""

import base64
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinfra.api.command import StringCommand

from deploys.areas.access import MARK, TEMPLATES, Access, load_detached, load_script, read_password
from deploys.planning.settings import Problem, Settings
from tests.areas.shell import SHELL, Finished, Place, three_parts, wait_until

SECRET = "correct horse battery"
ROOT, SUDO, WITH_PASSWORD = Access(root=True), Access(root=False), Access(root=False, password=SECRET)
# Every POSIX shell of this machine that hosts have as their sh.
SHELLS = [shell for shell in ("sh", "dash", "busybox sh") if shutil.which(shell.split()[0])]
NAMES = sorted(path.stem for path in TEMPLATES.glob("*.sh"))

LINES = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=12)


def words(access: Access, script: str, *arguments: str) -> list[str]:
    """The command's words as the remote shell sees them."""
    return shlex.split(access.command(script, *arguments).get_raw_value())


def stdin(access: Access, payload: str) -> list[str]:
    """The lines that go to the command's standard input."""
    lines = access.command("true", stdin=payload).connector_arguments["_stdin"]
    assert isinstance(lines, list)
    return lines


@pytest.mark.parametrize(
    ("access", "prefix"),
    [
        (ROOT, []),
        (SUDO, ["sudo", "-n", "-H", "--"]),
        (WITH_PASSWORD, ["sudo", "-S", "-k", "-p", "", "-H", "--"]),
    ],
)
def test_command_is_one_sh_as_root_with_its_arguments(access: Access, prefix: list[str]) -> None:
    assert words(access, "echo $1", "a b", "") == [*prefix, "sh", "-c", "echo $1", "gpu-hosts", "a b", ""]


@settings(deadline=None, max_examples=40)
@given(st.lists(LINES, max_size=4))
def test_any_argument_arrives_as_it_is(arguments: list[str]) -> None:
    script = 'printf "%s\\n" "$@" "' + "it's $HOME" + '"'
    assert words(WITH_PASSWORD, script, *arguments)[-2 - len(arguments) :] == [script, "gpu-hosts", *arguments]


def test_a_script_that_reads_nothing_still_takes_all_that_is_sent() -> None:
    """pyinfra writes after it has started the command, and fails where that has ended before."""
    much = b"x" * (1 << 20)  # more than any pipe holds: who does not read it breaks the pipe
    command = shlex.split(ROOT.ask("exit 3").get_raw_value())
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(much)
        process.stdin.close()
        assert process.wait(60) == 3


def test_password_is_in_neither_the_command_nor_a_printed_record() -> None:
    command = WITH_PASSWORD.command("true", "x", stdin="y")
    for text in (command.get_raw_value(), str(command), repr(command), repr(WITH_PASSWORD), str(WITH_PASSWORD)):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("access", "before"), [(ROOT, []), (SUDO, []), (WITH_PASSWORD, [SECRET])], ids=["root", "sudo", "password"]
)
def test_password_comes_first_then_the_mark_then_the_payload_on_one_line(access: Access, before: list[str]) -> None:
    *first, mark, payload = stdin(access, "a\n\u2028b\x85c")
    assert (first, mark) == (before, MARK)
    assert base64.b64decode(payload).decode() == "a\n\u2028b\x85c"


# Stand-ins: `sudo -S` reads one line and leaves the rest to the command; one that asks for no password reads none.
SUDO_COMMAND = 'while [ "$1" != -- ]; do shift; done; shift; "$@"'
ASKING_SUDO = f'IFS= read -r said; echo "$said" >$here/said; {SUDO_COMMAND}'


def sent(command: StringCommand) -> str:
    """What pyinfra writes to the command's standard input: lines, each with a newline unless it has one."""
    lines = command.connector_arguments["_stdin"]
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def received(place: Place, sudo: str, payload: str) -> Finished:
    """What a script finds in its payload's file, sent with a password through that sudo."""
    place.stand_in("sudo", sudo)
    command = WITH_PASSWORD.command(detached(place, 'base64 -w 0 "$RUN/input"'), "area", stdin=payload)
    done = place.run_text(command.get_raw_value(), stdin=sent(command))
    return Finished(done.status, base64.b64decode(done.output).decode())


def test_payload_arrives_behind_a_sudo_that_reads_the_password(place: Place) -> None:
    assert received(place, ASKING_SUDO, "one\n\ntwo\n") == Finished(0, "one\n\ntwo\n")
    assert (place.root / "said").read_text() == f"{SECRET}\n"


@pytest.mark.parametrize("payload", ["one\n\ntwo\n", "", "a\u2028b\x85c without an end"])
def test_password_that_sudo_did_not_want_stays_out_of_the_payload(place: Place, payload: str) -> None:
    assert received(place, SUDO_COMMAND, payload) == Finished(0, payload)


def test_script_does_not_run_on_half_a_payload(place: Place) -> None:
    # Cut where base64 alone would not notice.
    cut = sent(ROOT.command("", stdin="twelve bytes")).rstrip("\n")[:-8]
    done = place.run_text(detached(place, "echo ran"), ("area",), stdin=cut)
    assert done.status == 1
    assert three_parts(done.output)
    assert "ran" not in done.output.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_detached_script_is_carried_intact(name: str) -> None:
    assert f"\n{load_script(name)}\nEND_OF_SCRIPT\n" in load_detached(name)
    assert "END_OF_SCRIPT" not in load_script(name) or name == "detach"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", NAMES)
def test_template_parses(name: str, shell: str) -> None:
    command = [*shell.split(), "-n"]
    done = subprocess.run(command, input=load_script(name), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_template_begins_with_what_it_is_for(name: str) -> None:
    lines = (TEMPLATES / f"{name}.sh").read_text().splitlines()
    assert lines[0] == "# shellcheck shell=sh"
    assert lines[1].startswith("# ")


def detached(place: Place, script: str) -> str:
    """A script of the test's own, wrapped as ours are."""
    return place.moved(load_detached("lib")).replace(place.moved(load_script("lib")), script)


def test_a_detached_script_gives_its_output_status_and_leaves_nothing(place: Place) -> None:
    script = detached(place, 'echo "$1 $(cat "$RUN/input")"; echo oops >&2; stat -c %a "${RUN%/*}" "$RUN"; exit 7')
    done = place.run_text(script, ("area", "said"), stdin=sent(ROOT.command("", stdin="payload")))
    assert (done.status, done.output) == (7, "said payload\noops\n700\n700\n")
    assert [path.name for path in place.path("/var/lib/gpu-hosts/area").iterdir()] == ["lock"]


def test_a_detached_scripts_output_can_be_read_whatever_is_in_it(place: Place) -> None:
    script = detached(place, r"printf 'caf\351 \303\251\tnext\033[0m\n'")
    done = place.run_text(script, ("area",), stdin=sent(ROOT.command("", stdin="")))
    assert done.output == "caf? ??\tnext?[0m\n"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_detached_script_leaves_the_users_session_where_it_can(place: Place, allowed: bool) -> None:
    place.stand_in("grep", "exit 0")  # it is in one
    place.stand_in("true", "")
    place.stand_in("systemd-run", 'shift 2; exec "$@"' if allowed else "exit 1")
    done = place.run_text(detached(place, "echo ran; exit 7"), ("area",), stdin=sent(ROOT.command("")))
    assert (done.status, done.output) == (7, "ran\n")
    # Tried, and used for the script with its lock.
    runs = [call.split()[:4] for call in place.calls("systemd-run")]
    assert runs == [["--quiet", "--scope", "true"], ["--quiet", "--scope", "flock", "-o"]][: 1 + allowed]


def test_a_detached_script_ends_its_work_when_the_connection_dies(place: Place) -> None:
    script = detached(place, f"cd {place.root}; : >begun; while [ ! -e go ]; do sleep 0.01; done; echo x; : >ended")
    outer = subprocess.Popen(
        [SHELL, "-c", script, "gpu-hosts", "area"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert outer.stdin
    outer.stdin.write(sent(ROOT.command("")).encode())
    outer.stdin.flush()
    wait_until((place.root / "begun").exists)
    os.killpg(outer.pid, signal.SIGHUP)
    os.killpg(outer.pid, signal.SIGKILL)
    outer.communicate()
    (place.root / "go").touch()
    wait_until((place.root / "ended").exists)


def password_file(folder: Path, text: str, *, mode: int = 0o600) -> Settings:
    """Settings that name a file of this content and mode."""
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return Settings(sudo_password_file=str(path))


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n"])
def test_password_of_a_private_file(tmp_path: Path, text: str) -> None:
    assert read_password(password_file(tmp_path, text), None) == SECRET


def test_password_file_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password_file(tmp_path, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_password(Settings(sudo_password_file="~/password"), None) == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o620])
def test_password_file_open_to_others_is_refused_unread(tmp_path: Path, mode: int) -> None:
    found = read_password(password_file(tmp_path, SECRET, mode=mode), None)
    assert isinstance(found, Problem)
    assert f"{mode:04o}" in found.reason
    assert "chmod 600" in found.reason
    assert SECRET not in str(found)


@pytest.mark.parametrize("text", ["", "\n"])
def test_empty_password_file_is_refused(tmp_path: Path, text: str) -> None:
    assert "empty" in str(read_password(password_file(tmp_path, text), None))


def test_missing_password_file_is_refused(tmp_path: Path) -> None:
    found = read_password(Settings(sudo_password_file=str(tmp_path / "none")), None)
    assert isinstance(found, Problem)
    assert "cannot be read" in found.reason


def test_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Settings(sudo_password_env="LAB_PASSWORD")
    monkeypatch.setenv("LAB_PASSWORD", SECRET)
    assert read_password(asked, None) == SECRET
    monkeypatch.delenv("LAB_PASSWORD")
    assert isinstance(read_password(asked, None), Problem)


def test_password_written_where_its_variables_name_belongs_is_not_shown() -> None:
    found = read_password(Settings.model_construct(sudo_password_env=SECRET), None)
    assert isinstance(found, Problem)
    assert SECRET not in str(found)


@pytest.mark.parametrize(("given_password", "read"), [(SECRET, SECRET), ("", None), (None, None), (5, None)])
def test_pyinfras_own_password_data_is_taken(given_password: object, read: str | None) -> None:
    assert read_password(Settings(), given_password) == read
