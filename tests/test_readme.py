"""README.md and docs/settings.md against the code: the settings table is the declared settings, its files are there."""

from __future__ import annotations

from pathlib import Path

from deploys.planning.container_settings import KINDS
from deploys.planning.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = (ROOT / "docs/settings.md").read_text()
CONTAINERS = (ROOT / "docs/containers.md").read_text()
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The settings as the Markdown table of docs/settings.md, made from their declarations."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default!r}`".replace("()", "[]").replace("'", '"')
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def containers_table() -> str:
    """The options of every kind of container as the table of docs/containers.md, but for those that all have."""
    rows = ["| kind | option | default | |", "|---|---|---|---|"]
    for kind, model in KINDS.items():
        for name, field in model.model_fields.items():
            if name not in ("kind", "cpus", "memory"):
                shown = "needed" if field.is_required() else f"`{field.default!r}`".replace("'", '"')
                shown = "unset" if field.default is None else shown.replace("()", "[]")
                rows.append(f"| {kind} | `{name}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_containers_table_is_the_declared_options() -> None:
    assert containers_table() in CONTAINERS, f"put this table into docs/containers.md:\n{containers_table()}"


def test_the_settings_table_is_the_declared_settings() -> None:
    assert settings_table() in SETTINGS, f"put this table into docs/settings.md:\n{settings_table()}"


def test_every_runnable_file_is_named() -> None:
    missing = [path.name for path in Path("deploys").glob("[a-z]*.py") if path.name not in README]
    assert not missing
