"""Any text that may come in gives a record, and only a whole answer gives one that counts."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts.model import Host
from facts.parse import SECTIONS, parse_probe
from facts.parse.answer import read_answer
from tests.facts.answers import HEADER, answer_text, host_of

quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def real_answer(answers: dict[str, str]) -> str:
    """The answer of the fullest machine."""
    return answers["rocky9-a100x"]


@quick
@given(st.text())
def test_any_text_gives_a_record(text: str) -> None:
    assert parse_probe(text).probe == 0


@quick
@given(st.text(alphabet=st.characters(codec="utf-8")), st.sampled_from(SECTIONS))
def test_any_section_gives_a_record(text: str, section: str) -> None:
    assert isinstance(parse_probe(f"{HEADER}@@ {section}\n{text}\n@@ end\n"), Host)


@quick
@given(data=st.data())
def test_any_value_of_a_known_key_gives_a_record(data: st.DataObject, real_answer: str) -> None:
    lines = real_answer.splitlines()
    for _ in range(5):
        at = data.draw(st.integers(1, len(lines) - 1))
        key = lines[at].partition("=")[0]
        lines[at] = f"{key}={data.draw(st.text(max_size=60))}"
    assert isinstance(parse_probe("\n".join(lines)), Host)


@quick
@given(st.text(max_size=200))
def test_any_file_gives_a_record(text: str) -> None:
    paths = (
        *("/etc/os-release", "/etc/nv_tegra_release", "/var/lib/gpu-hosts/proof", "/etc/default/docker"),
        "/etc/nvidia-container-runtime/config.toml",
    )
    encoded = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    assert host_of(*(f"host.file={encoded} {path}" for path in paths)).probe == 1


@quick
@given(data=st.data())
def test_an_answer_that_was_cut_off_is_no_answer(data: st.DataObject, real_answer: str) -> None:
    whole = real_answer.rstrip("\n")
    assert parse_probe(whole).probe == 1
    assert parse_probe(whole[: data.draw(st.integers(0, len(whole) - 1))]).probe == 0


def test_sections_that_did_not_arrive_are_named(real_answer: str) -> None:
    cut = real_answer[: real_answer.index("@@ docker")] + "@@ doc"
    host = parse_probe(cut)
    assert host.os.id == "rocky"
    assert "docker: not in the probe's answer" in host.unread
    assert host.docker.running is None
    assert host.docker.containers is None


@pytest.mark.parametrize("text", ["", "sudo: a password is required\n", "@@ gpu-host-probe 2\n@@ end\n"])
def test_no_answer_and_other_versions_are_refused(text: str) -> None:
    host = parse_probe(text)
    assert host.probe == 0
    assert host.unread


def test_the_last_of_two_answers_counts() -> None:
    first = answer_text("host.release=5.0").removesuffix("@@ end\n")
    assert parse_probe(first + answer_text("host.release=6.0")).kernel.running == "6.0"


def test_lines_may_end_in_carriage_returns() -> None:
    assert parse_probe(answer_text("host.release=6.0").replace("\n", "\r\n")).kernel.running == "6.0"


@quick
@given(st.text())
def test_files_arrive_as_they_are(text: str) -> None:
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    answer = read_answer(f"{HEADER}@@ docker\nfile={encoded} /etc/docker/a file\n@@ end\n")
    assert answer.files == {"/etc/docker/a file": text.encode("utf-8", "replace").decode()}
