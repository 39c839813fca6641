"""Why a container does not start or answer: the quoted words are those of the sources that the catalogue cites."""

from __future__ import annotations

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.container_trouble import (
    explain_end,
    explain_outcome,
    explain_unreachable,
    find_causes,
    read_outcomes,
)
from deploys.planning.records import Answer

CATALOGUE = load_catalogue()
CUDA = """Error response from daemon: failed to create task for container: OCI runtime create failed: error running \
prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'
nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver"""
FROZEN = """Failed to create /init.scope control group: Read-only file system
Failed to allocate manager object: Read-only file system
[!!!!!!] Failed to allocate manager object.
Exiting PID 1..."""


MOUNT = 'error during container init: error mounting "{}" to rootfs at "/x": mount src=x, dst=/x'


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "dockerd has not been started since"),
        ("unknown or invalid runtime name: nvidia", "does not know the nvidia runtime"),
        (CUDA, "a newer CUDA than the host's driver knows"),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda >= 9.0", "a newer CUDA"),
        (FROZEN, "systemd in the container is frozen"),
        (
            'error gathering device information while adding custom device "/dev/video20": no such file or directory',
            "a device that the container is to have is not there",
        ),
        ("web: exited, exit code 137\nweb: OOMKilled", "more memory than it may use"),
        ("Bind for 127.0.0.1:8090 failed: port is already allocated", "something else listens"),
        ("failed to bind host port 127.0.0.1:8090/tcp: address already in use", "something else listens"),
        ("exec /usr/local/bin/python3: exec format error", "another architecture"),
        ("manifest for example/a:1 not found: manifest unknown: manifest unknown", "an image is not there"),
        ("failed to stat CDI host device /dev/nvidia0", "CDI specification is outdated"),
        (
            f"{MOUNT.format('/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15')}: no such file",
            "CDI specification is outdated",
        ),
        # Nothing of the GPU's: a file that is not beside the owner's compose file on the host.
        (
            MOUNT.format("/srv/nginx.conf") + ": not a directory: Are you trying to mount a directory onto a file",
            "a file that it mounts is not there",
        ),
    ],
)
def test_known_words_have_a_cause(said: str, cause: str) -> None:
    (found,) = find_causes(said, CATALOGUE)
    assert cause in found


SAID = """\
@@ front good
@@ old removed
@@ back state former
  web: exited, exit code 1, health none, restarts 0
  @@ back good
  \x1b[31mboom\x1b[0m
@@ new services unchanged
  it has no wbe
@@ - firewall ufw
"""


def test_outcomes_are_read_and_words_of_containers_cannot_pass_for_one() -> None:
    outcomes, firewalls = read_outcomes(SAID)
    assert [(one.name, one.stage, one.after, one.is_good) for one in outcomes] == [
        ("front", "good", "", True),
        ("old", "removed", "", True),
        ("back", "state", "former", False),
        ("new", "services", "unchanged", False),
    ]
    assert outcomes[2].words[1:] == ("@@ back good", " [31mboom [0m")
    assert firewalls == ("ufw",)


@pytest.mark.parametrize(
    "said",
    [
        # Docker Compose 1 and 2 (compose issue 2507, sero issue 20, QFieldCloud issue 1285).
        'ERROR: Invalid interpolation format for "environment" option in service "db": "hunter2$"',
        'invalid interpolation format for services.db.environment.[]: "KEY=hunter2$". You may need to escape any $',
        "invalid interpolation format for services.db.environment.KEY.\n  You may need to escape any $.\n  hunter2$",
    ],
)
def test_a_password_that_compose_quotes_is_not_told(said: str) -> None:
    ((outcome,), _) = read_outcomes(f"@@ mine config unchanged\n  {said}\n")
    text = explain_outcome(outcome, CATALOGUE)
    assert "hunter2" not in text
    assert "db" in text
    assert "is written as $$" in text


@pytest.mark.parametrize(
    "said",
    [
        'failed to read /data/.env: line 3: unexpected character "+" in variable name "hunter2+xyz"',
        'failed to read /data/.env: line 3: unterminated quoted value "hunter2',
    ],
)
def test_a_password_that_an_env_file_has_is_not_told(said: str) -> None:
    ((outcome,), _) = read_outcomes(f"@@ mine config unchanged\n  {said}\n  more of hunter2\n")
    text = explain_outcome(outcome, CATALOGUE)
    assert "hunter2" not in text
    assert "failed to read /data/.env: line 3: what stands there is not told; a" in text


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("", "what it said ends before front, back"),
        ("@@ front good\n@@ ba", "what it said ends before back"),
        ("@@ front good\n@@ ", "what it said ends before back"),
        ("@@ front good\n@@ back good\n", "what it said ends before its status"),
    ],
)
def test_answer_that_ends_early(said: str, seen: str) -> None:
    text = explain_end(said, ("front", "back"), read_outcomes(said)[0])
    assert text.splitlines()[1:] == [f"  seen: the connection is lost ({seen})", "  to do: run this again"]


def test_script_that_did_not_begin_says_why_itself() -> None:
    said = "containers: not done\n  seen: no Docker Compose\n  to do: see above\n"
    assert explain_end(said, ("front",), read_outcomes(said)[0]) == said.strip()


def test_failure_in_three_parts() -> None:
    outcomes, _ = read_outcomes(SAID)
    assert explain_outcome(outcomes[3], CATALOGUE) == (
        "container new: its compose file does not have the services that gpu and done name; nothing was changed\n"
        "  seen: it has no wbe\n"
        "  to do: correct the names"
    )
    many, _ = read_outcomes("@@ a state none\n" + "".join(f"  {number}\n" for number in range(5)))
    assert explain_outcome(many[0], CATALOGUE).splitlines()[1:] == [
        "  seen: 0; 3; 4",
        "  to do: see its last lines; docker logs of such a container says more",
        *(f"  | {number}" for number in range(5)),
    ]
    text = explain_outcome(outcomes[2], CATALOGUE)
    assert text.startswith("container back: it does not come up; the one from before was started again\n  seen: web: ")


def test_known_cause_takes_the_place_of_the_general_advice() -> None:
    outcomes, _ = read_outcomes(f"@@ a up none\n  {CUDA}\n")
    assert "  to do: the image is of a newer CUDA" in explain_outcome(outcomes[0], CATALOGUE)


@pytest.mark.parametrize(
    ("firewalls", "todo"),
    [
        (("ufw",), "ufw allow 8090/tcp; "),
        (("firewalld",), "firewall-cmd --add-port=8090/tcp; "),
        ((), "to do: see rules in its chain DOCKER-USER"),
    ],
)
def test_port_that_answers_on_the_host_alone_is_a_firewalls(firewalls: tuple[str, ...], todo: str) -> None:
    answer = Answer("0.0.0.0", 8090, "HTTP/1.")
    text = explain_unreachable("front", answer, "192.0.2.1", firewalls)
    assert todo in text
    assert "192.0.2.1:8090 does not let us in" in text
