"""daemon.json's merge: ours goes in, everything else comes out as it was, and ours comes out again."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.daemon_config import (
    MISSING,
    Config,
    Entry,
    Wish,
    merge,
    parse,
    read_ledger,
    redacted,
    same,
    write_ledger,
)
from tests.planning.daemon_files import OUR_RUNTIME, keys_of, merge_runtime, merged

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
# U+FFFD is what stands for bytes that are not UTF-8: such a file is refused, see below.
TEXTS = st.text(st.characters(exclude_characters="\ufffd"), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
RUNTIMES = st.dictionaries(TEXTS, VALUES, max_size=2)
FOREIGN = st.dictionaries(TEXTS, VALUES, max_size=3)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "runtimes": RUNTIMES,
        "registry-mirrors": st.lists(st.sampled_from(["https://a.lab", "https://b.lab/"]), max_size=2, unique=True),
        "log-opts": st.dictionaries(st.sampled_from(["max-size", "tag"]), st.sampled_from(["1m", "2m"]), max_size=2),
        "live-restore": st.booleans(),
        "features": st.dictionaries(st.sampled_from(["buildkit", "cdi"]), st.booleans(), max_size=2),
        "exec-opts": st.just(["native.cgroupdriver=cgroupfs"]),
    },
)
CONFIGS = st.tuples(FOREIGN, KNOWN).map(lambda pair: pair[0] | pair[1])
INDENTS = st.sampled_from([None, 1, 4, "\t"])

WISH = Wish(
    (
        (("runtimes", "nvidia"), {"path": "nvidia-container-runtime", "runtimeArgs": []}),
        (("live-restore",), True),
        (("log-opts", "max-size"), "10m"),
        (("features", "cdi"), True),
        (("default-address-pools",), [{"base": "172.30.0.0/16", "size": 24}]),
    ),
    (
        (("registry-mirrors",), "https://b.lab"),
        (("registry-mirrors",), "https://c.lab"),
        (("exec-opts",), "native.cgroupdriver=systemd"),
    ),
)
# What dockerd does without these keys (dockerd reference), so that to say it and to say nothing is the same.
NEUTRAL: Config = {"runtimes": {}, "registry-mirrors": [], "live-restore": False}

anything = settings(deadline=None, max_examples=25)


def meaning(config: Config) -> Config:
    """The configuration without what goes without saying."""
    return {name: value for name, value in config.items() if name not in NEUTRAL or not same(value, NEUTRAL[name])}


def without_ours(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration less the nvidia runtime."""
    runtimes = {name: value for name, value in config.get("runtimes", {}).items() if name != "nvidia"}
    return config | {"runtimes": runtimes}


@anything
@given(CONFIGS, INDENTS)
def test_what_is_not_ours_comes_out_unchanged_and_in_order(config: dict[str, Any], indent: int | str | None) -> None:
    after = json.loads(merge_runtime(json.dumps(config, indent=indent)))
    assert without_ours(after) == without_ours(config)
    assert "nvidia" in after["runtimes"]
    assert [key for key in after if key in config] == list(config)
    assert [name for name in after["runtimes"] if name in config.get("runtimes", {})] == list(
        config.get("runtimes", {})
    )


@anything
@given(CONFIGS, INDENTS)
def test_twice_is_once(config: dict[str, Any], indent: int | str | None) -> None:
    once = merged(json.dumps(config, indent=indent), WISH)
    again = merged(once.text, WISH, read_ledger(write_ledger(once.ledger)) or ())
    assert (again.text, again.set, again.withdrawn, again.disowned) == (once.text, (), (), ())
    assert {(entry.path, json.dumps(entry.ours)) for entry in again.ledger} == {
        (entry.path, json.dumps(entry.ours)) for entry in once.ledger
    }


@anything
@given(CONFIGS)
def test_what_is_withdrawn_leaves_the_file_with_its_old_meaning(config: dict[str, Any]) -> None:
    once = merged(json.dumps(config), WISH)
    back = merged(once.text, Wish(), read_ledger(write_ledger(once.ledger)) or ())
    assert meaning(parse(back.text)) == meaning(config)
    assert back.ledger == ()
    # And what is left of it makes no later run do anything.
    assert merged(back.text, Wish()).text == back.text


@anything
@given(st.text(max_size=30) | CONFIGS.map(json.dumps), VALUES | st.just("{"), CONFIGS)
def test_nothing_but_valueerror_is_raised(text: str, ledger: object, wish: Config) -> None:
    entries = read_ledger(ledger if isinstance(ledger, str) else json.dumps(ledger)) or ()
    for wished in (WISH, Wish(tuple(((name,), value) for name, value in wish.items()))):
        with suppress(ValueError):
            merge(text, wished, entries, keys_of())


@anything
@given(CONFIGS, st.text(" \n\t", max_size=3), VALUES)
def test_a_defined_nvidia_runtime_can_be_wished_for_as_it_is(config: Config, space: str, entry: object) -> None:
    text = space + json.dumps(config | {"runtimes": config.get("runtimes", {}) | {"nvidia": entry}}) + space
    assert merged(text, Wish(((("runtimes", "nvidia"), entry),))).text == text


@pytest.mark.parametrize("text", [None, "", "\n", "  \n\t"])
def test_missing_or_empty_file_becomes_ours_alone(text: str | None) -> None:
    after = merge_runtime(text)
    # The documented key is runtimeArgs (dockerd reference, "runtimes").
    assert json.loads(after) == {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}}
    assert after.endswith("}\n")


def test_no_wish_needs_no_file() -> None:
    assert merged(None, Wish()).text is None


@pytest.mark.parametrize("indent", ["  ", "    ", "\t", "   "])
def test_indentation_is_the_files_own(indent: str) -> None:
    after = merge_runtime(json.dumps({"debug": True, "log-opts": {"max-size": "10m"}}, indent=indent))
    assert f'\n{indent}"debug": true,\n' in after
    assert f'\n{indent}{indent}"max-size"' in after


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ('{"debug": true,}', "Expecting|Illegal"),
        ("// comment\n{}", "Expecting"),
        ("[]", "list"),
        ("null", "null"),
        ('"x"', "a text"),
        ('{"runtimes": []}', "`runtimes` is a list, not an object"),
        ('{"runtimes": "nvidia"}', "`runtimes` is a text, not an object"),
        ("\ufeff{}", "BOM"),
        ('{"debug": true, "debug": false}', '"debug" is there twice'),
        ('{"log-opts": {"tag": "a", "tag": "b"}}', '"tag" is there twice'),
        ('{"mtu": 1e999}', "too large"),
        ('{"mtu": NaN}', "NaN"),
        ("[" * 100_000, "deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "deep"),
        ("\ufffd{}", "UTF-8"),
    ],
)
def test_what_cannot_be_merged_into_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        merge_runtime(text)


def test_a_list_is_no_place_for_an_item_where_it_is_none() -> None:
    with pytest.raises(ValueError, match="`registry-mirrors` is a text, not a list"):
        merged('{"registry-mirrors": "https://a.lab"}', WISH)


def test_null_is_nothing_and_comes_back() -> None:
    """dockerd reads it as if the key were not there; `nvidia-ctk` ends in a panic over it."""
    wish = Wish(((("runtimes", "nvidia"), {"path": "n"}),), ((("registry-mirrors",), "https://mirror.lab"),))
    text = '{"runtimes": null, "registry-mirrors": null}'
    ours = merged(text, wish)
    assert ours.config == {"runtimes": {"nvidia": {"path": "n"}}, "registry-mirrors": ["https://mirror.lab"]}
    assert merged(ours.text, Wish(), ours.ledger).config == json.loads(text)


def test_half_a_surrogate_pair_stays_what_it_is() -> None:
    after = merge_runtime('{"labels": ["a=\\ud800"]}')
    after.encode()
    assert json.loads(after)["labels"] == ["a=\ud800"]


def test_one_feature_is_set_and_the_others_stay() -> None:
    # NVIDIA/nvidia-container-toolkit pull request 2049: `nvidia-ctk --cdi.enabled` left {"cdi": true} of this.
    text = '{"features": {"containerd-snapshotter": false, "buildkit": true}}'
    features = merged(text, Wish(((("features", "cdi"), True),))).config["features"]
    assert features == {"containerd-snapshotter": False, "buildkit": True, "cdi": True}


def undo(found: str | None, wish: Wish, *, version: str = "") -> tuple[str | None, Config]:
    """The text and the configuration after a wish was granted and withdrawn."""
    once = merged(found, wish, version=version)
    back = merged(once.text, Wish(), once.ledger, version)
    return back.text, back.config


# Deletions are sticky at SIGHUP: `{}` kept the default runtime and the mirror, these values did not.
@pytest.mark.parametrize(
    ("wish", "left"),
    [
        (OUR_RUNTIME, {"runtimes": {}}),
        (Wish(((("default-runtime",), "nvidia"),)), {"default-runtime": "runc"}),
        (Wish((), ((("registry-mirrors",), "https://a.lab"),)), {"registry-mirrors": []}),
        (Wish(((("live-restore",), True),)), {"live-restore": False}),
        # These wait for a restart anyway, or the daemon forgets them by itself.
        (Wish(((("log-driver",), "local"),)), {}),
        (Wish(((("log-opts", "max-size"), "10m"),)), {}),
        (Wish((), ((("exec-opts",), "native.cgroupdriver=systemd"),)), {}),
        (Wish(((("max-concurrent-downloads",), 1),)), {}),
        (Wish(((("features", "cdi"), True),)), {}),
    ],
)
def test_what_is_withdrawn_goes_or_becomes_neutral(wish: Wish, left: Config) -> None:
    assert undo("{}", wish)[1] == left


@pytest.mark.parametrize(
    ("found", "wish"),
    [
        ('{"log-driver": "journald"}', Wish(((("log-driver",), "local"),))),
        ('{"live-restore": false}', Wish(((("live-restore",), True),))),
        ('{"default-address-pools": []}', Wish(((("default-address-pools",), [{"base": "10.0.0.0/8", "size": 24}]),))),
        ('{"exec-opts": ["a=1", "native.cgroupdriver=cgroupfs"]}', WISH),
        ('{"registry-mirrors": ["https://a.lab"], "log-opts": {}}', Wish((), ((("registry-mirrors",), "https://z"),))),
    ],
)
def test_the_value_before_comes_back(found: str, wish: Wish) -> None:
    config = undo(found, wish)[1]
    assert {name: config[name] for name in json.loads(found)} == json.loads(found)


def test_what_somebody_changed_since_is_theirs() -> None:
    once = merged("{}", Wish(((("log-driver",), "local"),), ((("registry-mirrors",), "https://a.lab"),)))
    theirs = json.dumps({"log-driver": "journald", "registry-mirrors": ["https://theirs.lab"]})
    back = merged(theirs, Wish(), once.ledger)
    assert (back.text, back.ledger, back.withdrawn) == (theirs, (), ())
    assert set(back.disowned) == {("log-driver",), ("registry-mirrors",)}


def test_what_was_there_already_is_not_ours_to_withdraw() -> None:
    text = '{"live-restore": true, "registry-mirrors": ["https://a.lab/"]}'
    wish = Wish(((("live-restore",), True),), ((("registry-mirrors",), "https://a.lab"),))
    assert merged(text, wish).ledger == ()
    assert undo(text, wish)[0] == text


def test_a_changed_wish_keeps_the_value_before_the_first() -> None:
    once = merged('{"log-driver": "syslog"}', Wish(((("log-driver",), "local"),)))
    twice = merged(once.text, Wish(((("log-driver",), "journald"),)), once.ledger)
    assert twice.ledger == (Entry(("log-driver",), "journald", "syslog"),)


def test_an_option_is_one_of_its_name() -> None:
    wish = Wish((), ((("exec-opts",), "native.cgroupdriver=systemd"),))
    after = merged('{"exec-opts": ["native.cgroupdriver=cgroupfs", "native.umask=normal"]}', wish)
    assert after.config["exec-opts"] == ["native.cgroupdriver=systemd", "native.umask=normal"]


def test_a_runtime_goes_with_the_default_that_names_it() -> None:
    text = '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/opt/n"}, "kata": {"path": "kata"}}}'
    after = merged(text, Wish(without_runtime="nvidia")).config
    assert after == {"default-runtime": "runc", "runtimes": {"kata": {"path": "kata"}}}


def test_the_default_runtime_before_ours_comes_back() -> None:
    once = merged(
        '{"default-runtime": "kata", "runtimes": {"kata": {"path": "k"}}}', Wish(((("default-runtime",), "nvidia"),))
    )
    assert merged(once.text, Wish(without_runtime="nvidia"), once.ledger).config["default-runtime"] == "kata"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 2, "keys": [], "items": []}',
        '{"version": 1, "keys": [{}], "items": []}',
        '{"version": 1, "keys": [{"path": [], "ours": 1}], "items": []}',
        "[" * 100_000,
    ],
)
def test_a_ledger_that_cannot_be_read_is_told_from_none(text: str) -> None:
    assert read_ledger(text) is None


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_no_ledger_has_no_entries(text: str | None) -> None:
    assert read_ledger(text) == ()


def test_ledger_is_written_as_it_is_read() -> None:
    ledger = (Entry(("a", "b"), None), Entry(("c",), 1, None), Entry(("l",), "x", "y", is_item=True))
    assert read_ledger(write_ledger(ledger)) == ledger
    assert "before" not in json.loads(write_ledger(ledger))["keys"][0]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [(1, True, False), (1, 1.0, False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), (None, MISSING, False)],
)
def test_same_is_the_same_json(one: object, other: object, is_same: bool) -> None:
    assert same(one, other) is is_same


def test_secrets_are_not_shown() -> None:
    config = {
        "proxies": {"http-proxy": "http://user:secret@proxy.lab"},
        "log-opts": {"splunk-token": "secret", "splunk-url": "https://user:secret@splunk.lab", "tag": "kept"},
        "registry-mirrors": ["https://secret@mirror.lab", "https://mirror.lab"],
    }
    shown = json.dumps(redacted(config))
    assert "secret" not in shown
    assert "kept" in shown
    assert '"https://mirror.lab"' in shown
