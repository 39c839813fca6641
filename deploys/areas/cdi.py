"""NVIDIA's CDI specification on a host."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.records import ToolkitPlan


@operation()
def refresh_cdi(plan: ToolkitPlan, driver: str, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Make the CDI specification anew for the loaded driver. ``driver``: "" for the loaded module's version."""
    yield access.command(load_detached("cdi_refresh"), "cdi", driver, *plan.stale_specs)
