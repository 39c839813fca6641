"""Why daemon.json is left alone, in three parts. Nothing of its text is quoted: it may hold a proxy's password."""

from __future__ import annotations

from deploys.planning.daemon_config import Config, Path
from deploys.planning.daemon_rules import Problem
from deploys.planning.records import Area, Refusal
from facts.model import Host


def snap() -> Refusal:
    """Of a snap's Docker."""
    return Refusal(
        Area.DAEMON,
        "Docker is a snap, which has a daemon.json of its own inside and cannot run the nvidia runtime from the host",
        "docker is installed as a snap",
        "snap remove docker (its images and containers go with it), then run this again to install Docker CE",
    )


def refuse_other_file(file: str, other: str) -> Refusal:
    """Of a daemon that is told to read another file."""
    return Refusal(
        Area.DAEMON,
        f"Docker does not read {file}",
        f"its flags say --config-file {other}",
        f"move {other} to {file} and take the flag out of Docker's unit, then run this again",
    )


def unmergeable(file: str, reason: str) -> Refusal:
    """Of a file that is no JSON object, or has another type where ours would go."""
    return Refusal(
        Area.DAEMON,
        "daemon.json cannot be merged into, so it stays as it is",
        f"{file}: {reason}",
        "mend the file by hand (`dockerd --validate` helps), then run this again",
    )


def impossible(problems: tuple[Problem, ...]) -> Refusal:
    """Of settings that cannot all come true."""
    return Refusal(
        Area.DAEMON,
        "the settings for daemon.json cannot all come true",
        "; ".join(str(problem) for problem in problems),
        "; ".join(dict.fromkeys(f"{problem.path}: {problem.remedy}" for problem in problems)),
    )


def misconfigured(file: str, problems: tuple[Problem, ...]) -> Refusal:
    """Of a configuration that Docker would not start with."""
    return Refusal(
        Area.DAEMON,
        "Docker would not start, or not work, with the daemon.json that this makes, so it stays as it is",
        f"{file}: {'; '.join(str(problem) for problem in problems)}",
        "; ".join(dict.fromkeys(f"{problem.path}: {problem.remedy}" for problem in problems)),
    )


def refuse_absent_runtime(runtime: str, *, by_flag: bool) -> Refusal:
    """Of a runtime that shall go and is asked for elsewhere."""
    where = "the daemon's flags" if by_flag else "the settings for daemon.json"
    cure = "take --add-runtime out of Docker's unit, or" if by_flag else "take them back, or"
    return Refusal(
        Area.DAEMON,
        f"nvidia_toolkit is absent, and the {runtime} runtime is asked for all the same",
        f"it is in {where}",
        f'{cure} set nvidia_toolkit = "present"',
    )


def refuse_runtimes_in_use(host: Host, gone: frozenset[str]) -> Refusal | None:
    """Containers of a runtime that is taken away cannot start any more: "unknown or invalid runtime name"."""
    if not gone:
        return None
    brief = f"runtimes cannot be taken out of daemon.json: {', '.join(sorted(gone))}"
    if host.docker.containers is None and host.docker.installed:
        remedy = "start Docker, then run this again"
        return Refusal(Area.DAEMON, brief, "Docker could not be asked which containers use them", remedy)
    users = [container.name for container in host.docker.containers or () if container.runtime in gone]
    if not users:
        return None
    remedy = "remove them (docker rm), or make them anew with another runtime, then run this again"
    return Refusal(Area.DAEMON, brief, f"containers that use them, running or not: {', '.join(users)}", remedy)


def refuse_data_root(host: Host, changed: tuple[Path, ...], new: Config) -> Refusal | None:
    """Another data root hides what Docker has, so it is set only while there is nothing."""
    docker = host.docker
    if ("data-root",) not in changed or not docker.installed or new.get("data-root") == docker.data_root:
        return None
    if docker.images == () and docker.containers == ():
        return None
    brief = "data-root would change, and what Docker has would be out of its sight"
    if docker.images is None or docker.containers is None:
        remedy = "see that Docker runs (a stopped one is started by this run), then run this again"
        return Refusal(Area.DAEMON, brief, "Docker could not be asked which images and containers it has", remedy)
    counts = f"{len(docker.images)} images and {len(docker.containers)} containers"
    return Refusal(
        Area.DAEMON,
        brief,
        f"{counts}, in {docker.data_root or 'the data root so far'}",
        "move it by hand: stop docker.socket and docker, rsync -aHAX --numeric-ids to the new place, write data-root "
        "into daemon.json, start Docker, compare images and containers; then run this again",
    )
