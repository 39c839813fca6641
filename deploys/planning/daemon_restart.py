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
    new: Config,
    action: Action,
    waiting: tuple[Path, ...],
    gpus: bool,
) -> Activation | Refusal:
    """The gentlest way that the settings allow.

    ``action`` is what the change needs, because of the paths in ``waiting``. ``gpus``: the daemon has not seen
    NVIDIA's hook yet, and looks for it only when it starts (moby daemon/nvidia_linux.go).
    """
    containers = ", ".join(container.name for container in host.docker.running_containers)
    carry = _carry(host, keys, new, waiting)
    needs = action is Action.RESTART
    if settings.docker_restart == "never" and host.docker.running:
        if needs:
            return _never(waiting)
        note = Note("`docker run --gpus` works after the next restart of Docker", "docker_restart is never")
        return Activation(action, notes=(note,) if gpus else ())
    if not containers:
        # The script restarts in place of the reload, if no container has been started meanwhile.
        by_script = gpus and not needs and settings.docker_restart != "never"
        may_stop = needs and settings.docker_restart == "when-needed"
        notes = (_restarts(waiting, "no container runs"),) if needs else (_gpus("no container runs"),) * by_script
        action = Action.RELOAD if by_script else action
        return Activation(action, for_gpus=by_script, stops_containers=may_stop, notes=notes)
    if not needs and not gpus:
        return Activation(action)
    if carry:
        because = f"live-restore keeps {containers} running"
        note = _restarts(waiting, because) if needs else _gpus(because)
        return Activation(Action.RESTART, is_bridged=carry == "bridge", notes=(note,))
    if settings.docker_restart == "when-needed":
        because = f"docker_restart is when-needed; it stops {containers}"
        note = _restarts(waiting, because) if needs else _gpus(because)
        return Activation(Action.RESTART, stops_containers=True, notes=(note,))
    if needs:
        return _refuse(host, keys, waiting, containers)
    note = Note(
        "`docker run --gpus` works after the next restart of Docker",
        f'a restart now would stop {containers}; allow it by docker_restart = "when-needed"',
    )
    return Activation(action, for_gpus=action is Action.RELOAD, notes=(note,))


def _carry(host: Host, keys: Keys, new: Config, waiting: tuple[Path, ...]) -> str:
    """How containers live through a restart: "live" with live-restore as it is, "bridge" once it is on; "" not.

    It has to be on in the daemon that stops and in the one that starts (moby daemon/daemon.go restore).
    """
    by_flag = "live-restore" in flag_names(host.docker.daemon_flags or "")
    stays_on = by_flag or new.get("live-restore") is True
    if host.docker.swarm or not stays_on or not all(keys.survives(path) for path in waiting):
        return ""
    return "live" if by_flag or "live-restore=true" in host.docker.in_force else "bridge"


def _restarts(waiting: tuple[Path, ...], because: str) -> Note:
    return Note(f"restarts Docker once, for {_names(waiting)}", because)


def _gpus(because: str) -> Note:
    return Note("restarts Docker once, so that `docker run --gpus` works", because)


def _names(paths: tuple[Path, ...]) -> str:
    return ", ".join(dict.fromkeys(".".join(path) for path in paths))


def _never(waiting: tuple[Path, ...]) -> Refusal:
    return Refusal(
        Area.DAEMON,
        "the change waits for a restart of Docker, which is not allowed",
        f"docker_restart is never; a restart is needed for {_names(waiting)}",
        'set docker_restart = "when-idle", or take the settings back that ask for these keys',
    )


def _refuse(host: Host, keys: Keys, waiting: tuple[Path, ...], containers: str) -> Refusal:
    can_live = not host.docker.swarm and all(keys.survives(path) for path in waiting)
    live = "docker_live_restore = True, which keeps them running, or " if can_live else ""
    return Refusal(
        Area.DAEMON,
        f"the change needs a restart of Docker, for {_names(waiting)}, and that would stop what runs here",
        f"running containers: {containers}",
        f"run this again when they have ended, or set {live}{WHEN_NEEDED}",
    )
