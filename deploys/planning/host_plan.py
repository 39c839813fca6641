"""A host's whole plan: what every area is to do, in the order of ``Area``."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.records import (
    Area,
    CachePlan,
    CamerasPlan,
    ContainersPlan,
    DaemonPlan,
    DockerPlan,
    DriverPlan,
    ImagesPlan,
    MirrorsPlan,
    ProofPlan,
    RebootPlan,
    Refusal,
    Repository,
    SshdPlan,
    ToolkitPlan,
)


@dataclass(frozen=True)
class PackageGroup:
    """One area's part of the transaction for Docker, toolkit and tools; the fields are those of the areas' plans."""

    area: Area
    packages: tuple[str, ...] = ()
    same_version: tuple[str, ...] = ()
    release: str = ""
    floor: str = ""
    avoid: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    restarts: bool = False
    stops_containers: bool = False
    source_path: str = ""  # of the repository that they come from, where that is added


AreaPlan = (
    SshdPlan
    | DriverPlan
    | DockerPlan
    | ToolkitPlan
    | DaemonPlan
    | CachePlan
    | MirrorsPlan
    | ImagesPlan
    | RebootPlan
    | ProofPlan
    | CamerasPlan
    | ContainersPlan
)


@dataclass(frozen=True)
class Plan:
    """Everything one host needs."""

    host: Refusal | None  # set: nothing at all can be done on this host
    sshd: SshdPlan
    driver: DriverPlan
    docker: DockerPlan
    toolkit: ToolkitPlan
    daemon: DaemonPlan
    cache: CachePlan
    mirrors: MirrorsPlan
    images: ImagesPlan
    reboot: RebootPlan
    proof: ProofPlan
    cameras: CamerasPlan
    containers: ContainersPlan
    selected: frozenset[Area] = frozenset(Area)  # the areas of this run

    @property
    def areas(self) -> tuple[tuple[Area, AreaPlan], ...]:
        """The plans of this run's areas, in the order of ``Area``."""
        every: tuple[tuple[Area, AreaPlan], ...] = (
            (Area.SSHD, self.sshd),
            (Area.DRIVER, self.driver),
            (Area.DOCKER, self.docker),
            (Area.TOOLKIT, self.toolkit),
            (Area.DAEMON, self.daemon),
            (Area.CACHE, self.cache),
            (Area.MIRRORS, self.mirrors),
            (Area.IMAGES, self.images),
            (Area.REBOOT, self.reboot),
            (Area.PROOF, self.proof),
            (Area.CAMERAS, self.cameras),
            (Area.CONTAINERS, self.containers),
        )
        return tuple((area, plan) for area, plan in every if area in self.selected)

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """The vendors' repositories that the packages of this plan come from."""
        wanted = (self.driver.repository, self.docker.repository, self.toolkit.repository)
        return tuple(repository for repository in wanted if repository)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """All refusals, in the order of ``Area``."""
        containers = self.containers.refused if Area.CONTAINERS in self.selected else ()
        refused = (self.host, *(plan.refusal for _, plan in self.areas), *(one.refusal for one in containers))
        return tuple(refusal for refusal in refused if refusal)

    @property
    def package_groups(self) -> tuple[PackageGroup, ...]:
        """Docker, toolkit and tools: changed in one transaction, or one an area where that fails."""
        docker, toolkit = self.docker, self.toolkit
        groups = (
            PackageGroup(
                Area.DOCKER,
                packages=docker.packages,
                same_version=docker.same_version,
                release=docker.release,
                floor=docker.floor,
                avoid=docker.avoid,
                remove=docker.remove,
                hold=docker.hold,
                # What is in Docker's way may be an engine.
                restarts=docker.restarts or bool(docker.remove),
                stops_containers=docker.stops_containers,
                source_path=docker.repository.source_path if docker.repository else "",
            ),
            PackageGroup(
                Area.TOOLKIT,
                packages=toolkit.packages,
                same_version=toolkit.packages,
                release=toolkit.release,
                floor=toolkit.floor,
                avoid=toolkit.avoid,
                remove=toolkit.remove,
                hold=toolkit.hold,
                source_path=toolkit.repository.source_path if toolkit.repository else "",
            ),
            PackageGroup(Area.SSHD, packages=self.sshd.tools),
            PackageGroup(Area.CAMERAS, packages=self.cameras.tools),
            PackageGroup(Area.CONTAINERS, packages=self.containers.tools),
        )
        return tuple(group for group in groups if group.packages or group.remove or group.hold)
