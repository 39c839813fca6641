"""The table that ends every run, whatever became of it."""

from __future__ import annotations

import atexit

from pyinfra import logger
from pyinfra.api.state import State

from deploys.planning.report import Row, render_table

_rows: dict[str, Row] = {}


def open_table(state: State) -> None:
    """Have the table logged when the program ends. It begins with every host of the run as unknown.

    At exit, because pyinfra prints no results, and calls no callback, when no host is left or the run is broken off.
    """
    if _rows:
        return
    for host in state.inventory:
        if state.is_host_in_limit(host):
            _rows[host.name] = Row(host.name)
    atexit.register(_log_table)


def record(row: Row) -> None:
    """Replace a host's line."""
    _rows[row.host] = row


def _log_table() -> None:
    logger.info("--> Hosts:")
    for line in render_table(list(_rows.values())):
        logger.info(f"    {line}")
