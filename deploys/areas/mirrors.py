"""Docker's files for registry mirrors on a host."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.mirrors import MARK
from deploys.planning.records import MirrorsPlan


@operation()
def set_registry_files(plan: MirrorsPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Write and remove our files below /etc/docker/certs.d. Another's hosts.toml is never overwritten."""
    yield access.command(load_detached("registry_files"), "mirrors", MARK, stdin=registry_files_input(plan))


def registry_files_input(plan: MirrorsPlan) -> str:
    """The standard input of templates/registry_files.sh: a line for each file, in the plan's order."""
    lines = [f"{path} {b64encode(text.encode()).decode()}\n" for path, text in plan.files]
    return "".join([*lines, *(f"{path} -\n" for path in plan.remove)])
