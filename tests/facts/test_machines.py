"""The probe and the parser on captured machines: what their origins show is what the record says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from facts.model import PlatformKind
from facts.parse import SECTIONS, parse_probe
from facts.parse.answer import read_answer
from tests.facts.machines import Machine, all_machines, differences, probe_machine

MACHINES = {machine.name: machine for machine in all_machines()}
OTHER_SHELL = ("busybox", "sh") if shutil.which("busybox") else ("sh",)


def as_json(text: str) -> Any:
    """The record of an answer in JSON's types."""
    return json.loads(json.dumps(parse_probe(text).to_json()))


@pytest.mark.parametrize("name", MACHINES)
def test_record_agrees_with_origin(name: str, answers: dict[str, str]) -> None:
    expected = {"probe": 1, **MACHINES[name].expected}
    assert list(differences(as_json(answers[name]), expected)) == []
    assert set(read_answer(answers[name]).sections) == set(SECTIONS)


@pytest.mark.parametrize("name", ["jetson-orin-nano-r36", "rocky9-a100x", "debian-12-no-gpu"])
def test_another_shell_gives_the_same_answer(name: str, answers: dict[str, str], probe_tools: Path) -> None:
    changing = ("time=", "free=", "free_inodes=")
    other = probe_machine(MACHINES[name], probe_tools, shell=OTHER_SHELL)
    usual_lines, other_lines = (
        [line for line in answer.splitlines() if not line.startswith(changing)] for answer in (answers[name], other)
    )
    assert other_lines == usual_lines


def test_every_kind_of_platform_has_a_machine() -> None:
    kinds = {machine.expected.get("platform", {}).get("kind") for machine in MACHINES.values()}
    assert kinds >= set(PlatformKind)


@pytest.mark.parametrize("name", MACHINES)
def test_machine_says_where_it_is_from(name: str) -> None:
    about = MACHINES[name].about
    if about["origin"] == "capture":
        assert all(url.startswith("https://") for url in about["urls"])
        assert about["shows"]
        assert about["added"]
    else:
        assert about["origin"] == "made up"
        assert about["documents"]


def test_at_least_six_machines_are_captures() -> None:
    assert sum(machine.about["origin"] == "capture" for machine in MACHINES.values()) >= 6


def test_differences_name_the_field() -> None:
    assert list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 2}})) == ["host.a.b: found 1, expected 2"]
    assert list(differences({"a": [1, 2]}, {"a": [1]})) == ["host.a: found [1, 2], expected [1]"]
    assert list(differences([{"a": 1, "b": 2}], [{"a": 3}])) == ["host.0.a: found 1, expected 3"]


def test_machine_reads_its_folder(tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_text('origin = "made up"\n')
    assert Machine(tmp_path).about == {"origin": "made up"}
