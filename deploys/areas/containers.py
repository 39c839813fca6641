"""The wished containers: each a compose project in a folder of its own on the host."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.records import ContainersPlan


@operation()
def start_containers(plan: ContainersPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Remove what nothing wishes for any more, then start what is missing, changed or not as it must be."""
    yield access.command(load_detached("containers"), "containers", *plan.remove)
