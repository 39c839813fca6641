"""Package sources and packages: one refresh, the driver in one transaction, Docker, toolkit and tools in another."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation

from deploys.areas.access import Access, load_detached
from deploys.planning.records import Area, DriverPlan, Plan, Repository


@operation()
def add_repositories(repositories: tuple[Repository, ...], access: Access) -> Generator[PyinfraCommand, None, None]:
    """Add vendors' repositories, keys checked by fingerprint, and refresh. One that fails is taken away again."""
    words: list[str] = []
    for one in repositories:
        words += [one.name, one.uri, one.source_path, one.source, one.key_path, one.key_url, one.fingerprint]
    yield access.command(load_detached("apt", "apt_sources"), "repositories", *words)


@operation()
def install_driver(plan: DriverPlan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Install the driver; success means that its module exists for the kernel that boots next."""
    yield access.command(
        load_detached("apt", "driver_install"),
        "driver",
        plan.repository.source_path if plan.repository else "",
        plan.release,
        plan.lead or "",
        " ".join(plan.first),
        " ".join(plan.packages),
    )


@operation()
def install_packages(plan: Plan, access: Access) -> Generator[PyinfraCommand, None, None]:
    """Install Docker, toolkit and tools in one transaction, or one an area where that fails."""
    repositories = {Area.DOCKER: plan.docker.repository, Area.TOOLKIT: plan.toolkit.repository}
    groups = []
    for area, packages in plan.package_groups:
        repository = repositories.get(area)
        groups.append(f"{area}|{repository.source_path if repository else ''}|{' '.join(packages)}")
    yield access.command(load_detached("apt", "apt_install"), "packages", *groups)


@operation()
def start_docker(access: Access) -> Generator[PyinfraCommand, None, None]:
    """Start an installed Docker Engine and enable it."""
    yield access.command(load_detached("docker_start"), "docker")
