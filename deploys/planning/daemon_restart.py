"""Whether a change of daemon.json may restart Docker, and what becomes of the containers that run."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.daemon_config import Config, Path
from deploys.planning.daemon_keys import Keys
from deploys.planning.daemon_rules import flag_names
from deploys.planning.records import Action, Area, Note, Refusal
from deploys.planning.settings import Settings
from facts.model import Host

WHEN_NEEDED = 'docker_restart = "when-needed", which stops them'


@dataclass(frozen=True)
class Activation:
    """How a new daemon.json is taken up."""

    action: Action
    is_bridged: bool = False  # live-restore is switched on by a reload before the restart
    stops_containers: bool = False
    for_gpus: bool = False
    notes: tuple[Note, ...] = ()


def plan_activation(
    settings: Settings,
    host: Host,
    keys: Keys,
    *,
    files: tuple[Config, Config],
    action: Action,
    waiting: tuple[Path, ...],
    gpus: bool,
) -> Activation | Refusal:
    """The gentlest way that the settings allow.

    ``files``: daemon.json as it was found, and as it will be. ``action`` is what the change needs, because of the paths
    in ``waiting``. ``gpus``: the daemon has not seen NVIDIA's hook yet, and looks for it only when it starts (moby
    daemon/nvidia_linux.go).
    """
    if action is Action.RESTART:
        return _plan_restart(settings, host, keys, files, waiting)
    return _plan_gpus(settings, host, keys, files, action) if gpus else Activation(action)


def _plan_restart(
    settings: Settings, host: Host, keys: Keys, files: tuple[Config, Config], waiting: tuple[Path, ...]
) -> Activation | Refusal:
    containers = _containers(host)
    if host.docker.running and settings.docker_restart == "never":
        return _refuse_never(waiting)
    if host.docker.running and not _is_service(host):
        return _refuse_without_systemd(host, waiting)
    may_stop = settings.docker_restart == "when-needed"
    carry = _carry(host, keys, files, waiting)
    if not containers:
        note = _restarts(waiting, "no container runs")
    elif carry:
        note = _restarts(waiting, f"live-restore keeps {containers} running")
    elif may_stop:
        note = _restarts(waiting, f"docker_restart is when-needed; it stops {containers}")
    else:
        return _refuse_to_stop(host, keys, waiting, containers)
    is_bridged = bool(containers) and carry == "bridge"
    return Activation(
        Action.RESTART, is_bridged, stops_containers=may_stop and not (containers and carry), notes=(note,)
    )


def _plan_gpus(settings: Settings, host: Host, keys: Keys, files: tuple[Config, Config], action: Action) -> Activation:
    """Where nothing else needs a restart the script makes one in place of a reload, if it stops no container then."""
    containers = _containers(host)
    carry = _carry(host, keys, files, ())
    works_later = "`docker run --gpus` works after the next restart of Docker"
    if settings.docker_restart == "never":
        return Activation(action, notes=(Note(works_later, "docker_restart is never"),))
    if host.docker.running and not _is_service(host):
        return Activation(action, notes=(Note(works_later, f"PID 1 is {host.init}, so Docker is not ours to restart"),))
    if not containers or carry:
        because = f"live-restore keeps {containers} running" if containers else "no container runs"
        is_bridged = bool(containers) and carry == "bridge"
        return Activation(Action.RELOAD, is_bridged, for_gpus=True, notes=(_for_gpus(because),))
    if settings.docker_restart == "when-needed":
        note = _for_gpus(f"docker_restart is when-needed; it stops {containers}")
        return Activation(Action.RESTART, stops_containers=True, notes=(note,))
    note = Note(works_later, f'one now would stop {containers}; docker_restart = "when-needed" allows it')
    return Activation(action, for_gpus=action is Action.RELOAD, notes=(note,))


def _containers(host: Host) -> str:
    return ", ".join(container.name for container in host.docker.running_containers)


def _is_service(host: Host) -> bool:
    return host.init in (None, "systemd")


def _carry(host: Host, keys: Keys, files: tuple[Config, Config], waiting: tuple[Path, ...]) -> str:
    """How containers live through a restart: "live" with live-restore as it is, "bridge" once it is on; "" not.

    It has to be on in the daemon that stops and in the one that starts, which is the old one again if the new file
    turns out bad (moby daemon/daemon.go restore).
    """
    is_on = "live-restore=true" in host.docker.in_force
    by_flag = is_on and "live-restore" in flag_names(host.docker.daemon_flags or "")
    old, new = (by_flag or config.get("live-restore") is True for config in files)
    if host.docker.swarm or not new or not all(keys.survives(path) for path in waiting):
        return ""
    return "live" if is_on and old else "bridge"


def _restarts(waiting: tuple[Path, ...], because: str) -> Note:
    return Note(f"restarts Docker once, for {_names(waiting)}", because)


def _for_gpus(because: str) -> Note:
    return Note("restarts Docker once, so that `docker run --gpus` works", because)


def _names(paths: tuple[Path, ...]) -> str:
    return ", ".join(dict.fromkeys(".".join(path) for path in paths))


def _refuse_never(waiting: tuple[Path, ...]) -> Refusal:
    return Refusal(
        Area.DAEMON,
        "the change waits for a restart of Docker, which is not allowed",
        f"docker_restart is never; a restart is needed for {_names(waiting)}",
        'set docker_restart = "when-idle", or take the settings back that ask for these keys',
    )


def _refuse_without_systemd(host: Host, waiting: tuple[Path, ...]) -> Refusal:
    return Refusal(
        Area.DAEMON,
        "the change needs a restart of Docker, which is not a service of systemd here",
        f"PID 1 is {host.init}; a restart is needed for {_names(waiting)}",
        "write these keys and restart Docker by hand, as you start it, then run this again",
    )


def _refuse_to_stop(host: Host, keys: Keys, waiting: tuple[Path, ...], containers: str) -> Refusal:
    can_live = not host.docker.swarm and all(keys.survives(path) for path in waiting)
    live = "docker_live_restore = True, which keeps them running, or " if can_live else ""
    return Refusal(
        Area.DAEMON,
        f"the change needs a restart of Docker, for {_names(waiting)}, and that would stop what runs here",
        f"running containers: {containers}",
        f"run this again when they have ended, or set {live}{WHEN_NEEDED}",
    )
