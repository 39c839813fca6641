"""A user's own image families and tags, in the form of ``catalogue/images.toml``, beside those that ship."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches

from pydantic import ValidationError

from deploys.planning.catalogue import Catalogue, ImageTags
from deploys.planning.images import is_reference

TABLES = (
    "image_family",
    "image_repository",
    "image_tags",
    "image_release",
    "l4t_line",
    "cuda_major",
    "cuda_gpus",
    "ended_system",
    "modelbox",
)


def extend_catalogue(catalogue: Catalogue, text: str) -> Catalogue:
    """The catalogue with the rows of a user's TOML text before its own: where both say something, the user's holds.

    Rows need not say ``source`` and ``checked``. Raises ValueError that names the line or the row, and what is wrong.
    """
    try:
        own = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from None
    for table, rows in own.items():
        if table not in TABLES:
            close = get_close_matches(table, TABLES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(TABLES)}"
            raise ValueError(f"there is no table '{table}'; {hint}")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"the rows of '{table}' begin with [[{table}]]")
    dated = {table: [{"source": "yours", "checked": "yours", **row} for row in rows] for table, rows in own.items()}
    shipped = catalogue.model_dump()
    try:
        extended = Catalogue.model_validate(
            {**shipped, **{table: [*rows, *shipped[table]] for table, rows in dated.items()}}
        )
    except ValidationError as error:
        raise ValueError("; ".join(_describe(dict(detail)) for detail in error.errors())) from None
    _check_names(extended.image_tags[: len(own.get("image_tags", ()))])
    return extended


def _check_names(tables: tuple[ImageTags, ...]) -> None:
    for number, row in enumerate(tables, 1):
        for name in (f"{row.repository}:{tag}" for tag in row.tags):
            if not is_reference(name):
                raise ValueError(f"row {number} of 'image_tags': {name} is not the name of an image")


def _describe(detail: dict[str, object]) -> str:
    place = detail["loc"]
    assert isinstance(place, tuple)
    table, row, *fields = place
    named = f", {'.'.join(map(str, fields))}" if fields else ""
    return f"row {int(row) + 1} of '{table}'{named}: {detail['msg']}"
