"""Pulls that go on without us, in a real shell with a stand-in Docker, watched as a run watches them."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from shutil import which

import pytest
from pyinfra.connectors.util import CommandOutput, OutputLine

from deploys.areas import pulls
from deploys.areas.access import Access, load_detached
from deploys.areas.pulls import docker_config, key_of, pull_group
from deploys.planning.records import Pull
from deploys.registry.credentials import Secret
from tests.areas.images_host import PULLED, ImagesHost
from tests.areas.shell import Place, three_parts, wait_until

ACCESS = Access(root=True)
DIGEST = f"sha256:{'1' * 64}"
CUDA = Pull(
    f"nvidia/cuda:12@{DIGEST}",
    source=f"nvidia/cuda@{DIGEST}",
    tag="nvidia/cuda:12",
    digest=DIGEST,
    registry="docker.io",
)
TOOLS = Pull("nvcr.io/lab/tools:1", source="nvcr.io/lab/tools:1", registry="nvcr.io")
KEY = Secret("$oauthtoken", "correct horse")
FOLDER = "/var/lib/gpu-hosts/images"


@pytest.fixture
def board(place: Place, monkeypatch: pytest.MonkeyPatch) -> ImagesHost:
    """A host that is asked without pauses."""
    monkeypatch.setattr(pulls, "POLL", 0.01)
    return ImagesHost(place)


def pull(board: ImagesHost, *wanted: Pull, secrets: Mapping[str, Secret] | None = None) -> bool:
    """Start them and watch them to the end."""
    return pull_group(board.as_pyinfras, ACCESS, wanted, secrets or {})


def start(board: ImagesHost, token: str, *wanted: Pull) -> None:
    """Start them and look away, as a run does that is killed."""
    words = [word for one in wanted for word in (key_of(one), one.source, one.tag, "", "no")]
    script = load_detached("images_pull")
    command = ACCESS.command(script, "images-start", "start", token, *words, stdin=docker_config(wanted, {}))
    done, said = pulls.ask(board.as_pyinfras, command, within=1)
    assert (done, said) == (True, "")


def left(board: ImagesHost) -> set[str]:
    """What lies in the state's folder."""
    return {path.name.partition(".")[0] for path in board.place.path(FOLDER).iterdir()}


def wait_for_end(board: ImagesHost) -> None:
    """Until the host has cleaned up."""
    wait_until(lambda: "docker" not in left(board))


def test_pulled_by_digest_and_given_its_tag(board: ImagesHost) -> None:
    assert pull(board, CUDA, TOOLS)
    assert board.pulls == [CUDA.source, TOOLS.source]
    assert board.there == [CUDA.source, "nvidia/cuda:12", TOOLS.source]
    assert "nvidia/cuda:12 is there" in board.said


def test_what_is_there_is_not_pulled_again_but_tagged(board: ImagesHost) -> None:
    (board.place.root / "there").write_text(f"{CUDA.source}\n")
    assert pull(board, CUDA)
    assert (board.pulls, board.there) == ([], [CUDA.source, "nvidia/cuda:12"])


def test_image_of_a_cache_keeps_the_caches_name_and_gets_its_own(board: ImagesHost) -> None:
    cached = Pull(f"nvcr.io/lab/x:2@{DIGEST}", f"cache.lab:5001/lab/x@{DIGEST}", "nvcr.io/lab/x:2", digest=DIGEST)
    assert pull(board, cached)
    assert board.there == [f"cache.lab:5001/lab/x@{DIGEST}", "nvcr.io/lab/x:2"]


def test_one_image_that_cannot_be_pulled_does_not_hold_up_the_next(board: ImagesHost) -> None:
    board.pull_does(f'case $2 in nvidia*) echo "manifest unknown" >&2; exit 1 ;; esac\n{PULLED}')
    assert not pull(board, CUDA, TOOLS)
    assert board.there == [TOOLS.source]
    [failure] = [line for line in board.said if "does not have it" in line]
    assert three_parts(failure)
    assert "manifest unknown" in failure


# Docker's own words, as 20.10 said them on the sandbox or as they are in moby, distribution/ and registry/.
@pytest.mark.parametrize(
    ("said", "kind", "attempts"),
    [
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "the disk is full", 1),
        ("Head https://nvcr.io/v2/x/manifests/1: unauthorized: authentication required", "asks who we are", 1),
        ("failed to authorize: no basic auth credentials", "asks who we are", 1),
        (
            "pull access denied for x, repository does not exist or may require 'docker login': denied: requested",
            "does not let us have it",
            1,
        ),
        ("manifest for x@sha256:1 not found: manifest unknown: manifest unknown", "does not have it", 1),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "not made for this host", 1),
        ("toomanyrequests: You have reached your pull rate limit.", "has had enough pulls", 4),
        ('Get "https://nvcr.io/v2/": x509: certificate signed by unknown authority', "does not trust", 1),
        ('Get "https://c:5000/v2/": http: server gave HTTP response to HTTPS client', "does not trust", 1),
        ('Get "https://nvcr.io/v2/": dial tcp: lookup nvcr.io on 127.0.0.11:53: no such host', "does not find", 3),
        ("dial tcp: lookup nvcr.io on 10.0.0.1:53: read udp: i/o timeout", "does not find", 3),
        ('Get "https://nvcr.io/v2/": proxyconnect tcp: dial tcp: i/o timeout', "through its proxy", 3),
        ('Get "https://nvcr.io/v2/": net/http: TLS handshake timeout', "does not answer", 7),
        ("unexpected EOF", "does not answer", 7),
        ('Get "https://nvcr.io/v2/": EOF', "does not answer", 7),
        ("read tcp 10.0.0.5:4711->10.0.0.1:443: read: connection reset by peer", "does not answer", 7),
        ("received unexpected HTTP status: 503 Service Unavailable", "does not answer", 7),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", "does not answer", 7),
        ("filesystem layer verification failed for digest sha256:1", "does not answer", 7),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "Docker does not answer", 7),
        # containerd's words, of Docker 28.5 with its store.
        (
            'failed to resolve reference "nvcr.io/nvidia/none:1": nvcr.io/nvidia/none:1: not found',
            "does not have it",
            1,
        ),
        ("unexpected status from HEAD request to https://nvcr.io/v2/x: 429 Too Many Requests", "enough pulls", 4),
        ("short read: expected 645 bytes but got 322: unexpected EOF", "does not answer", 7),
        ("unexpected status from GET request to https://nvcr.io/v2/x: 502 Bad Gateway", "does not answer", 7),
        ("tls: failed to verify certificate: x509: certificate has expired", "does not trust", 1),
        ("failed to register layer: devicemapper: Error", "cannot be pulled", 1),
    ],
)
def test_failure_is_named_and_tried_again_where_that_may_help(
    board: ImagesHost, said: str, kind: str, attempts: int
) -> None:
    (board.place.root / "error").write_text(f"Error response from daemon: {said}\n")
    board.pull_does("cat $here/error >&2; exit 1")
    assert not pull(board, TOOLS)
    assert len(board.pulls) == attempts
    assert three_parts(board.said[-1])
    assert kind in board.said[-1]
    assert said in board.said[-1]


def test_pauses_grow_and_a_rate_limit_has_longer_ones(board: ImagesHost) -> None:
    board.pull_does('echo "unexpected EOF" >&2; exit 1')
    assert not pull(board, TOOLS)
    board.pull_does('echo "toomanyrequests: slow down" >&2; exit 1')
    assert not pull(board, TOOLS)
    pauses = [int(call) for call in board.place.calls("sleep")]
    least = [5, 10, 20, 40, 80, 160, 60, 120, 240]
    assert len(pauses) == len(least)
    assert all(low <= pause <= low * 1.5 for pause, low in zip(pauses, least, strict=True))


def test_pull_that_fails_at_first_is_there_in_the_end(board: ImagesHost) -> None:
    board.pull_does(f'[ -e $here/again ] || {{ : >$here/again; echo "unexpected EOF" >&2; exit 1; }}\n{PULLED}')
    assert pull(board, TOOLS)
    assert len(board.pulls) == 2


@pytest.mark.parametrize(("about", "name", "good"), [("arm64", "lab/x", False), ("arm64", "lab/x-arm64", True)])
def test_image_of_another_architecture_is_refused_unless_its_name_says_so(
    board: ImagesHost, about: str, name: str, good: bool
) -> None:
    (board.place.root / "about").write_text(about)
    assert pull(board, Pull(f"{name}:1@{DIGEST}", f"{name}@{DIGEST}", f"{name}:1")) is good
    assert (f"{name}:1" in board.there) is good
    assert "for arm64" in board.text


def test_what_came_under_another_digest_is_not_used(board: ImagesHost) -> None:
    (board.place.root / "about").write_text("amd64 nvidia/cuda@sha256:2\nexit")
    board.place.stand_in("docker", "case $1 in image) echo amd64 nvidia/cuda@sha256:2 ;; version) echo amd64 ;; esac")
    assert not pull(board, CUDA)
    assert "what came is not what was asked for" in board.text


SEES_CONFIG = f"""
stat -c %a "$DOCKER_CONFIG" "$DOCKER_CONFIG/config.json" >$here/modes
cat "$DOCKER_CONFIG/config.json" >$here/seen
{PULLED}"""


def test_credentials_reach_docker_alone_and_are_gone_in_the_end(board: ImagesHost) -> None:
    board.pull_does(SEES_CONFIG)
    secrets = {"nvcr.io": KEY, "ghcr.io": Secret("me", "not needed here")}
    assert pull(board, TOOLS, secrets=secrets)
    assert (board.place.root / "modes").read_text().split() == ["700", "600"]
    coded = base64.b64encode(b"$oauthtoken:correct horse").decode()
    assert json.loads((board.place.root / "seen").read_text()) == {"auths": {"nvcr.io": {"auth": coded}}}
    wait_for_end(board)
    for text in (board.text, *board.connector.commands, (board.place.root / "calls").read_text(), repr(secrets)):
        assert KEY.password not in text
        assert coded not in text
    assert not [path for path in board.place.path("/var/lib").rglob("*") if path.name == "config.json"]


def test_without_credentials_of_ours_docker_has_the_hosts_own(board: ImagesHost) -> None:
    board.pull_does(f'echo "${{DOCKER_CONFIG-its own}}" >$here/seen\n{PULLED}')
    assert pull(board, CUDA, secrets={"nvcr.io": KEY})
    assert (board.place.root / "seen").read_text() == "its own\n"


def test_hubs_key_in_config_json_is_dockers_old_address() -> None:
    found = json.loads(docker_config((CUDA,), {"docker.io": KEY, "nvcr.io": KEY}))
    assert list(found["auths"]) == ["https://index.docker.io/v1/"]


def test_credentials_that_a_killed_pull_has_left_go(board: ImagesHost) -> None:
    old = board.place.path(f"{FOLDER}/docker")
    old.mkdir(parents=True)
    (old / "config.json").write_text("old")
    board.pull_does(f"cat $here/var/lib/gpu-hosts/images/docker/config.json >$here/seen\n{PULLED}")
    assert pull(board, CUDA)
    assert (board.place.root / "seen").read_text() == '{"auths": {}}'
    wait_for_end(board)


def blocked(board: ImagesHost) -> Path:
    """Pulls wait until this file is there."""
    board.pull_does(f": >$here/begun\nwhile [ ! -e $here/go ]; do {board.place.tools}/sleep 0.01; done\n{PULLED}")
    return board.place.root / "go"


def test_second_start_attaches_and_does_what_is_left(board: ImagesHost) -> None:
    go = blocked(board)
    start(board, "first", CUDA)
    wait_until((board.place.root / "begun").exists)

    def let_go() -> None:
        if "as an earlier run has begun" in board.text:
            go.touch()

    board.connector.on_command = let_go
    assert pull(board, CUDA, TOOLS)
    assert board.pulls == [CUDA.source, TOOLS.source]


def test_second_start_after_the_clock_was_set_leaves_the_first_ones_files(board: ImagesHost) -> None:
    """A Jetson without a battery wakes up in 1970."""
    go = blocked(board)
    start(board, "first", CUDA)
    wait_until((board.place.root / "begun").exists)
    for path in board.place.path(FOLDER).iterdir():
        os.utime(path, (0, 0))
    start(board, "second", TOOLS)
    go.touch()
    wait_until(lambda: TOOLS.source in board.there)
    assert board.pulls == [CUDA.source, TOOLS.source]
    assert "nvidia/cuda:12" in board.there
    wait_for_end(board)


def test_watchs_answer_that_was_cut_off_is_asked_for_again(board: ImagesHost) -> None:
    board.connector.cut = [CommandOutput([OutputLine("stdout", "working=yes"), OutputLine("stdout", "0123 dG9")])]
    assert pull(board, CUDA)
    assert not board.connector.cut
    assert board.connector.connects == 1


def test_start_whose_answer_was_lost_is_asked_again_and_is_one_start(board: ImagesHost) -> None:
    board.connector.lost = [False]
    assert pull(board, CUDA)
    assert board.pulls == [CUDA.source]
    assert board.connector.connects == 1


def test_watch_comes_back_after_a_lost_connection(board: ImagesHost) -> None:
    board.connector.lost = [True, True, False]
    assert pull(board, CUDA)
    assert board.connector.connects == 3
    assert "the connection is lost" in board.text


def test_without_contact_for_too_long_the_host_fails_and_the_pull_goes_on(
    board: ImagesHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "BEGINS_WITHIN", 0.05)
    monkeypatch.setattr(pulls, "PATIENCE", 0.05)
    go = blocked(board)
    start(board, "first", CUDA)
    board.connector.lost = [True] * 1000
    assert not pull(board, CUDA)
    assert three_parts(board.said[-1])
    go.touch()
    wait_until(lambda: CUDA.source in board.there)


def test_worker_that_was_killed_is_noticed(board: ImagesHost) -> None:
    board.pull_does("kill -9 $PPID")
    assert not pull(board, TOOLS, secrets={"nvcr.io": KEY})
    assert "has ended without a result" in board.text
    assert "docker" not in left(board)


def test_docker_that_does_not_answer_is_said_before_anything_begins(board: ImagesHost) -> None:
    board.place.stand_in("docker", "exit 1")
    assert not pull(board, CUDA)
    assert "Docker does not answer" in board.text


# util-linux' script: `script -q -f -c COMMAND FILE` runs it on a terminal, and writes what it says to the file.
SCRIPT = 'sh -c "$4" >"$5"'


def test_on_a_terminal_bytes_are_counted(board: ImagesHost) -> None:
    board.place.stand_in("script", SCRIPT)
    board.pull_does(f"printf '111111111111: Downloading  1.5MB/3MB\\r'\n{PULLED}")
    assert pull(board, CUDA)
    [log] = board.place.path(FOLDER).glob("pull.*/log")
    assert "1.5MB/3MB" in log.read_text()


def test_terminal_that_cannot_be_had_is_done_without(board: ImagesHost) -> None:
    board.place.stand_in("script", "echo 'openpty failed' >&2; exit 1")
    assert pull(board, CUDA)


@pytest.mark.skipif(not which("script"), reason="util-linux' script is not here")
def test_pull_that_says_nothing_for_an_hour_is_begun_anew(board: ImagesHost) -> None:
    """On a real terminal: what is killed is the real `script`, and the Docker on it must go, too."""
    (board.place.bin / "script").symlink_to(which("script") or "script")
    hangs = f"{which('touch')} -d '2 hours ago' $here{FOLDER}/pull.*/log\nexec {board.place.tools}/sleep 600"
    board.pull_does(f"[ -e $here/again ] || {{ : >$here/again; {hangs}; }}\n{PULLED}")
    assert pull(board, CUDA)
    assert len(board.pulls) == 2
    wait_for_end(board)
