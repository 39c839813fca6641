"""Which Docker: the packages of a release, and the version that is wished for."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.advisories import covers, engine_version, names_of
from deploys.planning.catalogue import Catalogue, DockerPackages, VersionAdvisory
from deploys.planning.records import Area, DockerPlan, Note, Refusal
from deploys.planning.repositories import CUDA_ARCHITECTURES, distribution_of
from deploys.planning.versions import begins_with, is_older, numbers
from facts.model import Host


@dataclass(frozen=True)
class Wish:
    """What a version must be or begin with, what it must at least be, and who says so; empty: the newest."""

    release: str = ""
    floor: str = ""
    because: str = ""

    def __str__(self) -> str:
        if self.release and self.floor:
            return f"{self.release}, at least {self.floor}"
        return self.release or (f"{self.floor} or newer" if self.floor else "")

    def is_met_by(self, version: str) -> bool:
        """Whether an installed engine of this version will do."""
        return begins_with(version, self.release) and not (self.floor and is_older(version, self.floor))

    @property
    def oldest(self) -> str:
        """The oldest version that it names: that decides on upgrade or downgrade."""
        return self.release or self.floor


@dataclass(frozen=True)
class Engine:
    """Docker as it is once the run comes to its containers."""

    version: str  # or what it begins with: 28; "" for the newest
    compose: str  # version of Docker Compose; "" for the newest
    takes_cdi: bool  # whether dockerd takes CDI devices


def read_wish(docker_version: str) -> Wish:
    """The setting ``docker_version``: auto, 28, 28.5.2, >=28.3."""
    if docker_version == "auto":
        return Wish()
    because = f"docker_version is {docker_version}"
    if docker_version.startswith(">="):
        return Wish(floor=docker_version[2:], because=because)
    return Wish(release=docker_version, because=because)


def find_packages(origin: str, host: Host, catalogue: Catalogue) -> DockerPackages | None:
    """The catalogue's row for this origin and the host's release, or None."""
    if host.platform.architecture not in CUDA_ARCHITECTURES:
        return None
    rows = (row for row in catalogue.docker if row.origin == origin and distribution_of(host) in row.distributions)
    return next(rows, None)


def engine_afterwards(host: Host, catalogue: Catalogue, *, docker: DockerPlan) -> str:
    """The engine's version after the run, or what it begins with: 28. Empty: the newest, or none that is known."""
    if not docker.packages:
        return engine_version(host) or ""
    if docker.release:
        return docker.release
    rows = (row for row in catalogue.docker if distribution_of(host) in row.distributions)
    return next((row.version for row in rows if row.packages[0] == docker.packages[0]), "")


def limit_to_l4t(wish: Wish, row: DockerPackages, host: Host, catalogue: Catalogue) -> Wish | Refusal:
    """On an L4T kernel without the iptables raw table: the newest Docker that starts there, or why there is none."""
    affected, l4t = catalogue.l4t_without_raw_table, host.jetson.l4t if host.jetson else None
    if not l4t or not numbers(affected.first) <= numbers(l4t) < numbers(affected.fixed):
        return wish
    newest = affected.newest_docker
    if numbers(host.docker.server_version or "")[:1] > numbers(newest):
        return wish  # a newer one runs: somebody has given it the table, or told it to do without
    because = f"L4T {l4t} lacks the iptables raw table, which newer ones need; {affected.fixed} and newer have it"
    major = numbers(wish.oldest)[:1]
    if row.origin == "docker" and major <= numbers(newest):
        return Wish(wish.release or newest, wish.floor, because if not wish.release else wish.because)
    asked = f"docker_version is {wish}" if wish.oldest else f"the Docker of {host.os.pretty_name} is newer than that"
    source = ' and docker_source = "docker"' if row.origin != "docker" else ""
    return Refusal(
        Area.DOCKER,
        f"Docker {int(newest) + 1} and newer do not start on this L4T kernel, which lacks the iptables raw table",
        f"L4T {l4t}; {asked}",
        f'upgrade L4T to {affected.fixed} or newer, or set docker_version = "{newest}"{source}',
    )


def bad_versions(
    row: DockerPackages, release: str, catalogue: Catalogue
) -> tuple[tuple[tuple[str, str], ...], tuple[VersionAdvisory, ...]]:
    """Ranges of versions to be passed over, and the advisories that are taken with ``release``: all of it has them."""
    if row.origin != "docker":
        return (), ()
    taken = tuple(one for one in catalogue.docker_advisory if covers(one, release))
    return tuple((one.first, one.fixed) for one in catalogue.docker_advisory if one not in taken), taken


def describe_taken(release: str, taken: tuple[VersionAdvisory, ...]) -> tuple[Note, ...]:
    """What a release has that is asked for, or needed, all the same."""
    if not taken:
        return ()
    fixed = max((one.fixed for one in taken), key=numbers)
    return (Note(f"Docker {release} has {names_of(taken)}", f"fixed in {fixed}"),)
