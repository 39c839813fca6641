"""Which tags there are, written into a table of them: a program, ``python -m deploys.registry.refresh [--file PATH]``.

It asks the registries for the tags of every ``[[image_tags]]`` row and writes them, where they come from and the day
into it. All else in the file stays as it is, and so does the row of a repository that does not answer: that is told,
and the exit status is 1.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploys.planning.images import parse_reference
from deploys.planning.lookups import Missing
from deploys.registry.client import list_tags
from deploys.registry.documents import TAG

TABLE = Path(__file__).resolve().parents[1] / "catalogue/image_tags.toml"
MANY = 1000  # tags; of more, only those that begin with a version are written
_HEADER = "[[image_tags]]"
_SIGNATURE = re.compile(r"sha256-[0-9a-f]{64}")  # cosign's, beside the image that they are for
_VERSION = re.compile(r"[rv]?\d{1,4}(\.\d+)+([-_.].*)?")


def rewrite(text: str, answers: Mapping[str, tuple[str, ...] | Missing], today: datetime.date) -> str:
    """The table with the tags that were answered, by repository. Rows without an answer or any tag stay.

    Raises ValueError where a row is not written as we write them, so that it cannot be changed and the rest kept.
    """
    sections = re.split(r"(?m)^(?=\[)", text)
    changed = "".join(_rewrite_row(section, answers, today) for section in sections)
    if {row["repository"] for row in read_rows(changed)} != {row["repository"] for row in read_rows(text)}:
        raise ValueError("rows would be lost")
    return changed


def read_rows(text: str) -> list[dict[str, object]]:
    """The rows of a table's text. Raises tomllib.TOMLDecodeError, a ValueError, where it is no TOML."""
    rows: list[dict[str, object]] = tomllib.loads(text).get("image_tags", [])
    return rows


def choose_tags(answered: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """The tags to write, newest version first: no signatures, and of very many those of versions and those known."""
    tags = {tag for tag in answered if TAG.fullmatch(tag) and not _SIGNATURE.match(tag)}
    if len(tags) > MANY:
        tags = {tag for tag in tags if _VERSION.fullmatch(tag) or tag in known}
    return tuple(sorted(tags, key=_natural, reverse=True))


def _natural(tag: str) -> tuple[tuple[int, str], ...]:
    """Numbers count as such: 12.10 comes after 12.9. A leading r or v says nothing."""
    parts = re.findall(r"\d+|\D+", re.sub(r"^[rv](?=\d)", "", tag))
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def _rewrite_row(section: str, answers: Mapping[str, tuple[str, ...] | Missing], today: datetime.date) -> str:
    if not section.startswith(_HEADER):
        return section
    (row,) = read_rows(section)
    repository, known = str(row["repository"]), row.get("tags")
    answer = answers.get(repository)
    tags = choose_tags(answer, known if isinstance(known, list) else ()) if isinstance(answer, tuple) else ()
    if not tags:
        return section
    parsed = parse_reference(repository)
    quoted = " ".join(f'"{tag}",' for tag in tags)
    lines = textwrap.wrap(quoted, 116, break_long_words=False, break_on_hyphens=False)
    fields = {
        "tags": "tags = [\n" + "".join(f"    {line}\n" for line in lines) + "]",
        "source": f'source = "{parsed.registry}, /v2/{parsed.repository}/tags/list"',
        "checked": f'checked = "{today.isoformat()}"',
    }
    patterns = {
        "tags": r"(?m)^tags\s*=\s*\[[^]]*\]",
        "source": r"(?m)^source\s*=.*$",
        "checked": r"(?m)^checked\s*=.*$",
    }
    for name, line in fields.items():
        section, count = re.subn(patterns[name], line.replace("\\", r"\\"), section, count=1)
        if not count:
            raise ValueError(f"the row of {repository} has no {name} in a line of its own")
    return section


def main(arguments: Sequence[str]) -> int:
    """Refresh the table; print what was found of each repository. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploys.registry.refresh", description="Refresh tables of tags.")
    parser.add_argument("--file", type=Path, default=TABLE, help="a table of yours, in place of the shipped one")
    path = parser.parse_args(arguments).file
    try:
        text = path.read_text(encoding="utf-8")
        rows = {str(row["repository"]): row.get("tags") for row in read_rows(text)}
        answers = list_tags(list(rows))
        changed = rewrite(text, answers, datetime.datetime.now(datetime.UTC).date())
        _replace(path, changed)
    except (OSError, ValueError, KeyError) as error:
        print(f"{path} was left as it is: {error}", file=sys.stderr)
        return 1
    written = {str(row["repository"]): row.get("tags") for row in read_rows(changed)}
    for repository, answer in answers.items():
        print(_describe(repository, answer, rows[repository], written[repository]))
    return 1 if any(isinstance(answer, Missing) or not answer for answer in answers.values()) else 0


def _replace(path: Path, text: str) -> None:
    """Write the file in one step, with the mode that it had."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(path.stat().st_mode & 0o777)
    os.replace(new, path)


def _describe(repository: str, answer: tuple[str, ...] | Missing, before: object, after: object) -> str:
    if isinstance(answer, Missing):
        return f"{repository}: left as it was: {answer.trouble} ({answer.seen})"
    if not answer:
        return f"{repository}: left as it was: it has no tags"
    old, new = (set(tags) if isinstance(tags, list) else set() for tags in (before, after))
    return f"{repository}: {len(new)} tags, {len(new - old)} new, {len(old - new)} gone"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
