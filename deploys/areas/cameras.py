"""Who may use a host's cameras."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.records import CamerasPlan


@operation()
def add_camera_users(plan: CamerasPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Make users members of the groups that own the cameras."""
    words = [f"{user}={group}" for user, group in plan.memberships]
    yield access.command(load_detached("camera_users"), "cameras", *words)
