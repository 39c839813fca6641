"""README.md against the code: its settings table is the declared settings, its promises and files are there."""

from __future__ import annotations

from pathlib import Path

from deploys.planning.settings import Settings

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def settings_table() -> str:
    """The settings as the Markdown table that README.md shows, made from their declarations."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default!r}`".replace("()", "[]").replace("'", '"')
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_settings_table_is_the_declared_settings() -> None:
    assert settings_table() in README, f"put this table into README.md:\n{settings_table()}"


def test_every_runnable_file_is_named() -> None:
    missing = [path.name for path in Path("deploys").glob("[a-z]*.py") if path.name not in README]
    assert not missing
