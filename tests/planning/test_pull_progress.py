"""How far a pull is: Docker's own words, and ours."""

import base64

import pytest

from deploys.planning.pull_failure import explain_failure, without_secrets
from deploys.planning.pull_progress import (
    LayerProgress,
    Line,
    PullState,
    Stage,
    begin_progress,
    describe_bytes,
    describe_fleet,
    describe_rate,
    is_due,
    named_architectures,
    read_layers,
    read_watched,
    short_name,
)
from deploys.planning.records import Pull

# As Docker 20.10 printed it on a terminal without a size (sandbox, 2026-11-22), shortened; the second layer is made up.
UP, DOWN = "\x1b[1A\x1b[2K\r", "\r\x1b[1B"
TERMINAL = (
    'Script started on 2026-11-22 05:16:33+00:00 [COMMAND="docker pull" <not executed on terminal>]\n'
    f"12.6.3-base-ubuntu24.04: Pulling from nvidia/cuda\r\n\r\n{UP}a282d0b706ab: Pulling fs layer {DOWN}"
    f"\r\n{UP}4f4fb700ef54: Already exists {DOWN}{UP}a282d0b706ab: Downloading  12.29kB/1.13MB{DOWN}"
    f"{UP}a282d0b706ab: Downloading    172kB/1.13MB{DOWN}"
)
# On a wide terminal with a bar and the time that is left: docker/cli, jsonmessage; made up after its source.
WIDE = f"{UP}a282d0b706ab: Downloading [====>              ]  172.1kB/1.13MB  3s{DOWN}"
PLAIN = "latest: Pulling from x\na282d0b706ab: Pulling fs layer\na282d0b706ab: Download complete\nDigest: sha256:ea22\n"
LAYER, OTHER = "a282d0b706ab", "4f4fb700ef54"
PULL = Pull("x:1", "x:1", layers=((f"sha256:{LAYER}{'0' * 52}", 1_130_017), (f"sha256:{OTHER}{'0' * 52}", 870_000)))


@pytest.mark.parametrize(
    ("log", "layers"),
    [
        (TERMINAL, {LAYER: LayerProgress(False, 172_000, 1_130_000), OTHER: LayerProgress(True)}),
        (WIDE, {LAYER: LayerProgress(False, 172_100, 1_130_000)}),
        (PLAIN, {LAYER: LayerProgress(True)}),
        (f"{LAYER}: Extracting  32.77kB/1.13MB", {LAYER: LayerProgress(True, 1_130_000, 1_130_000)}),
        (f"{LAYER}: Downloading  2.1GB/5.9GB", {LAYER: LayerProgress(False, 2_100_000_000, 5_900_000_000)}),
        (f"{LAYER}: Retrying in 5 seconds", {LAYER: LayerProgress(False)}),
        (f"{LAYER}: Waiting", {LAYER: LayerProgress(False)}),
        (f"{LAYER}: Downloading  1.2.3MB/4MB", {LAYER: LayerProgress(False)}),
        ("oading  12.29kB/1.13MB\r", {}),
        ("", {}),
    ],
)
def test_layers_are_read_from_what_docker_prints(log: str, layers: dict[str, LayerProgress]) -> None:
    assert read_layers(log) == layers


def test_bytes_only_grow_and_never_exceed_the_layer() -> None:
    progress, seen = begin_progress(PULL), []
    for log in (
        "",
        f"{LAYER}: Downloading  500kB/1.13MB",
        f"{LAYER}: Downloading  12kB/1.13MB",  # it began again
        f"{LAYER}: Download complete\n{OTHER}: Downloading  10kB/870kB",
        f"{LAYER}: Extracting  32kB/1.13MB\n{OTHER}: Downloading  871kB/870kB\nffffffffffff: Already exists",
    ):
        progress = progress.advance(log)
        seen.append(progress.done)
    assert seen == [0, 500_000, 500_000, 1_140_017, 2_000_017]
    assert progress.total == 2_000_017


def test_pull_that_no_registry_was_asked_of_counts_what_docker_says() -> None:
    progress = begin_progress(Pull("x:1", "x:1")).advance(f"{LAYER}: Downloading  5MB/9MB\n{OTHER}: Pull complete")
    assert (progress.done, progress.total) == (5_000_000, 0)


def test_finished_pull_is_whole() -> None:
    assert begin_progress(PULL).finish().done == PULL.size


def answer(*states: str, working: str = "yes") -> str:
    """What the host prints of pulls in these states."""
    lines = [f"key{index} {base64.b64encode(state.encode()).decode()}" for index, state in enumerate(states)]
    return "\n".join((f"working={working}", *lines, "end"))


def test_hosts_answer_is_read() -> None:
    found = read_watched(
        answer(
            "token=a\nstate=retrying\nkind=network\nattempt=2\nseconds=13\nseen=unexpected EOF \n\nold: log",
            "token=b\nstate=pulled\narchitecture=arm64\nserver=amd64\n",
            "",
            working="no",
        )
    )
    assert found
    assert not found.is_working
    assert found.pulls["key0"] == PullState(
        Stage.RETRYING, "a", attempt=2, kind="network", seen="unexpected EOF", seconds=13, log="old: log"
    )
    assert found.pulls["key1"] == PullState(Stage.PULLED, "b", architecture="arm64", server="amd64")
    assert found.pulls["key2"] == PullState()


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x1d", "\x85", "\u2028"])
def test_a_registrys_words_are_no_state_of_the_pull(end: str) -> None:
    """str.splitlines ends lines at all of these."""
    state = f"token=t\nstate=failed\nkind=denied\nseen=denied{end}state=pulled{end}\x1b[2J\n\n"
    watched = read_watched(f"working=no\nkey {base64.b64encode(state.encode()).decode()}\nend")
    assert watched
    pull = watched.pulls["key"]
    assert (pull.stage, pull.seen) == (Stage.FAILED, "denied state=pulled  [2J")


@pytest.mark.parametrize(
    "text",
    ["", "sudo: a password is required", "working=yes", "working=yes\nkey0 dG9", answer("x").removesuffix("end")],
)
def test_answer_that_was_cut_off_is_none(text: str) -> None:
    assert read_watched(text) is None


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (14_200_000_000, 47_200_000_000, "14.2 of 47.2 GB"),
        (200_000_000, 5_900_000_000, "0.2 of 5.9 GB"),
        (300_000, 1_130_000, "0.3 of 1.1 MB"),
        (1_200_000_000, 0, "1.2 GB"),
        (0, 0, "0.0 kB"),
    ],
)
def test_bytes_in_words(done: int, total: int, text: str) -> None:
    assert describe_bytes(done, total) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(96.4e6, "96 MB/s"), (2.44e6, "2.4 MB/s"), (38_400, "38 kB/s"), (0, "0 kB/s")]
)
def test_rate_in_words(rate: float, text: str) -> None:
    assert describe_rate(rate) == text


def test_one_line_for_the_fleet() -> None:
    hosts = [(2_000_000_000, 5_900_000_000)] * 7 + [(200_000_000, 5_900_000_000)]
    assert describe_fleet(hosts, Line(100, 13_240_000_000), 110) == "images: 8 hosts, 14.2 of 47.2 GB, 96 MB/s"
    assert describe_fleet([(5, 10), (7_000_000, 0)], Line(0, 0), 1) == "images: 2 hosts, 7.0 MB, 7.0 MB/s"


@pytest.mark.parametrize(
    ("seconds", "done", "due"),
    [(9, 90, False), (10, 19, True), (10, 9, False), (59, 9, False), (60, 0, True)],
)
def test_line_at_each_tenth_but_neither_too_often_nor_too_seldom(seconds: int, done: int, due: bool) -> None:
    assert is_due(Line(1000, 0), 1000 + seconds, done, 100) is due


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("arm64v8/ubuntu:22.04", ("arm64",)),
        ("nvcr.io/nvidia/pytorch:25.01-py3-igpu", ("arm64",)),
        ("lab/tools:1-x86_64", ("amd64",)),
        ("lab/alarm64k:1", ()),
        ("nvidia/cuda:12.6.3-base-ubuntu24.04", ()),
    ],
)
def test_architectures_that_a_name_speaks_of(reference: str, named: tuple[str, ...]) -> None:
    assert named_architectures(Pull(reference, reference)) == named


def test_short_name_leaves_out_the_digest_of_what_has_a_tag() -> None:
    assert short_name(Pull("nvcr.io/x:1@sha256:22", "")) == "nvcr.io/x:1"
    assert short_name(Pull("nvcr.io/x@sha256:22", "")) == "nvcr.io/x@sha256:22"


def test_failure_names_the_image_its_registry_and_the_words_of_docker() -> None:
    pull = Pull("nvcr.io/x:1", "nvcr.io/x:1", registry="nvcr.io")
    assert explain_failure(pull, "unauthorized", "unauthorized: no", attempts=1).splitlines() == [
        "image nvcr.io/x:1: nvcr.io asks who we are",
        "  seen: unauthorized: no",
        '  to do: set images_credentials = {"nvcr.io": …}, or correct the password that it leads to',
    ]
    assert "(8 attempts)" in explain_failure(pull, "network", "EOF", attempts=8)
    assert "Docker says nothing" in explain_failure(pull, "new", "", attempts=1)


def test_no_secret_is_shown_of_an_address() -> None:
    text = 'Get "https://me:pa/ss@reg.lab/v2/": proxy http://u:p@proxy:3128 https://s3/x?X-Amz-Signature=abc": EOF key'
    shown = without_secrets(text, ["key", ""])
    assert shown == 'Get "https://***@reg.lab/v2/": proxy http://***@proxy:3128 https://s3/x?***": EOF ***'
