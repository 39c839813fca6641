"""daemon.json: ours goes in, everything else comes out as it was."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.daemon import digest, merge_runtime, plan_daemon
from tests.planning.hosts import BARE, DAEMON_JSON, DOCKER, DOCKER_DESKTOP, READY, with_daemon_json

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
# U+FFFD is what stands for bytes that are not UTF-8: such a file is refused, see below.
TEXTS = st.text(st.characters(exclude_characters="\ufffd"))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
RUNTIMES = st.dictionaries(TEXTS, VALUES, max_size=3)
CONFIGS = st.tuples(st.dictionaries(TEXTS, VALUES, max_size=4), st.none() | RUNTIMES).map(
    lambda pair: (
        {key: value for key, value in pair[0].items() if key != "runtimes"}
        | ({} if pair[1] is None else {"runtimes": pair[1]})
    )
)
INDENTS = st.sampled_from([None, 0, 1, 2, 4, 8, "\t"])

anything = settings(deadline=None, max_examples=25)


def without_ours(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration less the nvidia runtime."""
    runtimes = {name: value for name, value in config.get("runtimes", {}).items() if name != "nvidia"}
    return config | {"runtimes": runtimes}


@anything
@given(CONFIGS, INDENTS)
def test_what_is_not_ours_comes_out_unchanged(config: dict[str, Any], indent: int | str | None) -> None:
    merged = json.loads(merge_runtime(json.dumps(config, indent=indent)))
    assert without_ours(merged) == without_ours(config)
    assert "nvidia" in merged["runtimes"]


@anything
@given(CONFIGS, INDENTS)
def test_twice_is_once(config: dict[str, Any], indent: int | str | None) -> None:
    once = merge_runtime(json.dumps(config, indent=indent))
    assert merge_runtime(once) == once


@anything
@given(CONFIGS)
def test_order_is_kept_at_both_levels(config: dict[str, Any]) -> None:
    merged = json.loads(merge_runtime(json.dumps(config)))
    assert [key for key in merged if key in config] == list(config)
    runtimes = config.get("runtimes", {})
    assert [name for name in merged["runtimes"] if name in runtimes] == list(runtimes)


@anything
@given(CONFIGS, st.text(" \n\t", max_size=3), VALUES)
def test_a_defined_nvidia_runtime_leaves_the_text_as_it_is(config: dict[str, Any], space: str, entry: object) -> None:
    text = space + json.dumps(config | {"runtimes": config.get("runtimes", {}) | {"nvidia": entry}}) + space
    assert merge_runtime(text) == text


@pytest.mark.parametrize("text", [None, "", "\n", "  \n\t"])
def test_missing_or_empty_file_becomes_ours_alone(text: str | None) -> None:
    merged = merge_runtime(text)
    # The documented key is runtimeArgs (dockerd reference, "runtimes").
    assert json.loads(merged) == {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}}
    assert merged.endswith("}\n")


@pytest.mark.parametrize("indent", ["  ", "    ", "\t", "   "])
def test_indentation_is_the_files_own(indent: str) -> None:
    merged = merge_runtime(json.dumps({"debug": True, "log-opts": {"max-size": "10m"}}, indent=indent))
    assert f'\n{indent}"debug": true,\n' in merged
    assert f'\n{indent}{indent}"max-size"' in merged


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ('{"debug": true,}', "Expecting|Illegal"),
        ("// comment\n{}", "Expecting"),
        ("[]", "list"),
        ("null", "NoneType"),
        ('"x"', "str"),
        ('{"runtimes": null}', "NoneType"),
        ('{"runtimes": []}', "list"),
        ('{"runtimes": "nvidia"}', "str"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_what_cannot_be_merged_into_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        merge_runtime(text)
    plan = plan_daemon(with_daemon_json(READY, text))
    assert plan.text is None
    assert plan.refusal
    assert re.search(f"/etc/docker/daemon.json: .*({reason})", plan.refusal.seen)


def test_refusal_of_a_broken_file_quotes_no_password_of_it() -> None:
    text = '{"proxies": {"http-proxy": "http://user:secret@proxy.lab:3128"},}'
    plan = plan_daemon(with_daemon_json(READY, text))
    assert plan.refusal
    assert "line 1 column" in plan.refusal.seen
    assert "secret" not in str(plan.refusal)


def test_digest_is_sha256_of_the_file_or_absent() -> None:
    # SHA-256 of no bytes at all, and of "abc": FIPS 180-4's examples.
    assert digest(None) == "absent"
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_registered_runtime_is_left_alone() -> None:
    plan = plan_daemon(READY)
    assert (plan.text, plan.runtimes) == (None, ("nvidia",))


@pytest.mark.parametrize(
    ("text", "runtimes", "says"),
    [
        (None, ("runc",), "no daemon.json yet"),
        ('{"debug": true}', ("runc",), "stay as they are"),
        (DAEMON_JSON, ("runc",), "the daemon does not"),
    ],
)
def test_missing_runtime_is_planned_with_its_reason(text: str | None, runtimes: tuple[str, ...], says: str) -> None:
    plan = plan_daemon(with_daemon_json(READY, text, runtimes=runtimes))
    assert plan.text == merge_runtime(text)
    assert plan.found == digest(text)
    assert plan.runtimes == ("nvidia",)
    assert says in plan.notes[0].because


@pytest.mark.parametrize("flag", ["--add-runtime=nvidia=", "--add-runtime nvidia="])
def test_runtime_registered_by_a_flag_is_not_registered_twice(flag: str) -> None:
    # A key that is both in the file and on the command line stops dockerd.
    flags = f"-H fd:// {flag}/usr/bin/nvidia-container-runtime"
    plan = plan_daemon(replace(READY, docker=replace(DOCKER, daemon_json="{}", daemon_flags=flags)))
    assert (plan.text, plan.runtimes) == (None, ("nvidia",))
    assert "flags" in plan.notes[0].because


def test_a_snaps_daemon_json_is_not_the_hosts() -> None:
    plan = plan_daemon(replace(READY, docker=replace(DOCKER, origin="snap", daemon_json=None, runtimes=("runc",))))
    assert plan.text is None
    assert plan.refusal
    assert "snap" in plan.refusal.seen


def test_an_interrupted_change_is_settled_even_where_all_looks_right() -> None:
    plan = plan_daemon(replace(READY, docker=replace(READY.docker, pending=True)))
    assert plan.text is not None
    assert "interrupted" in plan.notes[0].choice


def test_a_host_without_docker_yet_gets_the_file_it_will_need() -> None:
    assert plan_daemon(BARE).text == merge_runtime(None)


def test_docker_desktops_daemon_is_not_ours() -> None:
    plan = plan_daemon(DOCKER_DESKTOP)
    assert (plan.text, plan.runtimes) == (None, ())
    assert "Docker Desktop" in plan.notes[0].because
