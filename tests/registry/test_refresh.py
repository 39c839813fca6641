"""The table of tags, refreshed from registries."""

import datetime
import tomllib
from pathlib import Path

import pytest

from deploys.planning.lookups import Missing, Trouble
from deploys.registry.refresh import TABLE as SHIPPED
from deploys.registry.refresh import choose_tags, main, read_rows, rewrite
from tests.registry.server import Shelf, serve

TODAY = datetime.date(2026, 11, 22)
# Made up, in the form of the shipped table.
TABLE = """# About the table.

[[image_tags]]
repository = "nvidia/cuda"  # both registries have it
tags = [
    "12.6.3-base-ubuntu24.04", "latest",
]
source = "a page"
checked = "2025-01-01"

# About the next.
[[image_tags]]
repository = "nvcr.io/nvidia/l4t-base"
tags = ["r32.7.1"]
source = "a list [old]"
checked = "2025-01-02"

[[image_family]]
name = "cuda"
checked = "2025-01-03"
"""


def test_a_row_is_rewritten_and_all_else_stays() -> None:
    answers = {"nvidia/cuda": ("12.6.3-base-ubuntu24.04", "13.0.1-base-ubuntu24.04"), "other/thing": ("1",)}
    assert rewrite(TABLE, answers, TODAY) == TABLE.replace(
        '    "12.6.3-base-ubuntu24.04", "latest",\n', '    "13.0.1-base-ubuntu24.04", "12.6.3-base-ubuntu24.04",\n'
    ).replace(
        'source = "a page"\nchecked = "2025-01-01"',
        'source = "docker.io, /v2/nvidia/cuda/tags/list"\nchecked = "2026-11-22"',
    )


@pytest.mark.parametrize("answer", [Missing("nvidia/cuda", Trouble.DNS, "x"), (), ("sha256-" + "0" * 64 + ".sig",)])
def test_a_repository_that_does_not_answer_keeps_its_row(answer: Missing | tuple[str, ...]) -> None:
    assert rewrite(TABLE, {"nvidia/cuda": answer}, TODAY) == TABLE


def test_a_second_refresh_changes_nothing() -> None:
    answers = {"nvidia/cuda": tuple(f"12.{n}.0-base-ubuntu24.04" for n in range(40))}
    once = rewrite(TABLE, answers, TODAY)
    assert rewrite(once, answers, TODAY) == once
    assert max(map(len, once.splitlines())) <= 120
    assert set(tomllib.loads(once)["image_tags"][0]["tags"]) == set(answers["nvidia/cuda"])


def test_a_row_in_another_form_is_left_alone_loudly() -> None:
    with pytest.raises(ValueError, match="no checked"):
        rewrite(TABLE.replace('checked = "2025-01-01"', ""), {"nvidia/cuda": ("1",)}, TODAY)


def test_every_row_that_is_shipped_can_be_rewritten() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    repositories = [str(row["repository"]) for row in read_rows(text)]
    changed = read_rows(rewrite(text, {name: (f"1.{n}",) for n, name in enumerate(repositories)}, TODAY))
    assert [row["tags"] for row in changed] == [[f"1.{n}"] for n in range(len(repositories))]
    assert {row["checked"] for row in changed} == {"2026-11-22"}


def test_versions_are_sorted_as_numbers() -> None:
    tags = ["r36.2.0", "r36.10.0", "r35.4.1", "latest", "12.6"]
    assert choose_tags(tags, ()) == ("r36.10.0", "r36.2.0", "r35.4.1", "12.6", "latest")


def test_of_thousands_only_versions_and_known_ones_are_written() -> None:
    versions = {f"24.05.{n}-py3" for n in range(700)}
    builds = {f"nightly-{n:040x}" for n in range(700)}
    assert set(choose_tags({*versions, *builds, "latest", "main"}, ["latest"])) == versions | {"latest"}
    assert set(choose_tags({*builds, "main"}, [])) == builds | {"main"}


def test_what_is_no_tag_cannot_get_into_the_table() -> None:
    assert choose_tags(['1"]\n[[x]]', "", "-1", "1.0"], ()) == ("1.0",)


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf()
    shelf.tags["tools"] = ["1.0", "1.1"]
    path = tmp_path / "tags.toml"
    with serve(shelf) as site:
        rows = [
            f'[[image_tags]]\nrepository = "{site.host}/{name}"\ntags = ["1.0"]\nsource = "x"\nchecked = "2025-01-01"\n'
            for name in ("tools", "none")
        ]
        path.write_text("\n".join(rows))
        path.chmod(0o640)
        assert main(["--file", str(path)]) == 1
        told = capsys.readouterr().out.splitlines()
        assert told[0] == f"{site.host}/tools: 2 tags, 1 new, 0 gone"
        assert told[1].startswith(f"{site.host}/none: left as it was: there is no such repository (")
        tools, none = tomllib.loads(path.read_text())["image_tags"]
        assert tools["tags"] == ["1.1", "1.0"]
        assert none == tomllib.loads(rows[1])["image_tags"][0]
        assert path.stat().st_mode & 0o777 == 0o640
        path.write_text(rows[0])
        assert main(["--file", str(path)]) == 0
        shelf.tags["tools"] = []
        assert main(["--file", str(path)]) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["tags.toml"]


@pytest.mark.parametrize("text", ["[[image_tags]\n", "[[image_tags]]\ntags = []\n", None])
def test_a_file_that_is_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    path = tmp_path / "tags.toml"
    if text is not None:
        path.write_text(text)
    assert main(["--file", str(path)]) == 1
    assert "was left as it is" in capsys.readouterr().err
    assert (path.read_text() if path.exists() else None) == text
