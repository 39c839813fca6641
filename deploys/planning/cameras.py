"""What a host's cameras need, and why there is none."""

from __future__ import annotations

from deploys.planning.catalogue import Catalogue
from deploys.planning.records import CamerasPlan
from deploys.planning.settings import Settings
from facts.model import Host


def plan_cameras(settings: Settings, host: Host, catalogue: Catalogue) -> CamerasPlan:
    """Tools for hosts that have a camera, and users who may use it."""
    return CamerasPlan()
