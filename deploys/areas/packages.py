"""Package sources and packages: one refresh, the driver in one transaction, Docker, toolkit and tools in another."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.areas.session import Session
from deploys.planning.host_plan import PackageGroup, Plan
from deploys.planning.records import Area, DockerPlan, DriverPlan, Repository, ToolkitPlan


@operation()
def add_repositories(
    repositories: tuple[Repository, ...], manager: str, access: Access
) -> Generator[PyinfraCommand, None, None]:
    """Add vendors' repositories, keys checked by fingerprint, and refresh. One that fails is taken away again.

    Older files that give the same repository change with it, and are put back with it. ``manager`` is apt or dnf.
    """
    words: list[str] = []
    older: list[str] = []
    for one in repositories:
        words += [one.name, one.uri, one.source_path, one.source, one.key_path, one.key_url, one.fingerprint]
        for path, digest, text in one.migrated:
            older.append(f"{one.name} {digest} {b64encode(text.encode()).decode() or '-'} {path}\n")
    script = load_detached(manager, "repository", f"{manager}_sources")
    yield access.command(script, "repositories", *words, stdin="".join(older))


@operation()
def install_driver(plan: DriverPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Install or change the driver; success means that its module exists for the kernel that boots next."""
    words: dict[str, str | tuple[str, ...]] = {
        "source": plan.repository.source_path if plan.repository else "",
        "release": plan.release,
        "lead": plan.lead or "",
        "first": plan.first,
        "packages": plan.packages,
        "remove": plan.remove,
        "allowed": plan.allowed,
        "hold": plan.hold,
        "unhold": plan.unhold,
        "services": plan.services,
        "same_version": plan.same_version,
        "preferences": plan.preferences,
        "stream": plan.stream,
    }
    script = load_detached(plan.manager, "driver", f"{plan.manager}_driver")
    yield access.command(script, "driver", *_pairs(words))


@operation()
def uninstall_runfile(access: Access) -> Generator[PyinfraCommand, None, None]:
    """Uninstall the driver that NVIDIA's .run installer has left."""
    yield access.command(load_detached("driver_runfile"), "driver")


@operation()
def remove_driver(plan: DriverPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Remove the driver's packages and what came with them, and nothing else."""
    script = load_detached(plan.manager, "driver", f"{plan.manager}_driver_remove")
    yield access.command(script, "driver", *_pairs({"packages": plan.uninstall, "hold": plan.hold}))


@operation()
def reload_driver(plan: DriverPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Unload the old modules and load the new ones. Fails, and changes nothing, where anything uses a GPU."""
    script = load_detached("driver", "in_use", "driver_reload")
    yield access.command(script, "driver", *_pairs({"services": plan.services}))


@operation()
def stage_module_key(plan: DriverPlan, session: Session) -> Generator[PyinfraCommand, None, None]:
    """Make the key that DKMS signs modules with, if need be, and stage it to be enrolled at the console."""
    script, password = load_detached(plan.manager, "module_key"), session.secrets.module_key_password or ""
    yield session.access.command(script, "driver", *(plan.module_key or ()), stdin=password)


def _pairs(words: Mapping[str, str | tuple[str, ...]]) -> list[str]:
    """A script's arguments: ``key=value``, a list as its words with blanks between."""
    return [f"{key}={value if isinstance(value, str) else ' '.join(value)}" for key, value in words.items()]


@operation()
def change_packages(plan: Plan, manager: str, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Change Docker, toolkit and tools in one transaction, or one an area where that fails. ``manager``: apt or dnf."""
    script = load_detached(manager, "packages", f"{manager}_packages", "packages_change")
    yield access.command(script, "packages", *(encode_group(group) for group in plan.package_groups))


@operation()
def remove_toolkit(plan: ToolkitPlan, manager: str, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Remove exactly the toolkit's packages, and the CDI specifications that it made. ``manager``: apt or dnf."""
    script = load_detached(manager, "packages", f"{manager}_packages", "toolkit_remove")
    yield access.command(script, "packages", encode_group(PackageGroup(Area.TOOLKIT, remove=plan.uninstall)))


def encode_group(group: PackageGroup) -> str:
    """A group as the argument that templates/packages.sh reads: ``key=value`` with | between."""
    words: dict[str, str | tuple[str, ...]] = {
        "area": group.area,
        "packages": group.packages,
        "same_version": group.same_version,
        "release": group.release,
        "floor": group.floor,
        "avoid": tuple(f"{first},{fixed}" for first, fixed in group.avoid),
        "remove": group.remove,
        "hold": group.hold,
        "restarts": "yes" if group.restarts else "no",
        "stops_containers": "yes" if group.stops_containers else "no",
        "source": group.source_path,
    }
    return "|".join(_pairs(words))


@operation()
def add_docker_users(plan: DockerPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Make users members of the group docker, and name those that are unknown on the host."""
    words = [f"{user}=docker" for user in plan.users]
    yield access.command(load_detached("group_users"), "docker", "docker_users", *words)


@operation()
def start_docker(access: Access) -> Generator[PyinfraCommand, None, None]:
    """Start an installed Docker Engine and enable it."""
    yield access.command(load_detached("docker_start"), "docker")
