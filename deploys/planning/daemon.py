"""Docker's daemon.json: what the settings ask for, merged into what others wrote, and how the daemon takes it up."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import replace

from deploys.planning.catalogue import Catalogue
from deploys.planning.daemon_config import (
    MISSING,
    Config,
    Entry,
    Merged,
    Path,
    Wish,
    at,
    merge,
    parse,
    read_ledger,
    redacted,
    render,
    same,
    write_ledger,
)
from deploys.planning.daemon_keys import Keys
from deploys.planning.daemon_refusals import (
    impossible,
    misconfigured,
    refuse_absent_runtime,
    refuse_data_root,
    refuse_other_file,
    refuse_runtimes_in_use,
    snap,
    unmergeable,
)
from deploys.planning.daemon_restart import Activation, plan_activation
from deploys.planning.daemon_rules import Circumstances, flag_values, validate
from deploys.planning.daemon_wish import read_wish
from deploys.planning.proof import GPUS, other_mechanisms
from deploys.planning.records import Action, DaemonPlan, DockerPlan, Note, Refusal, ToolkitPlan
from deploys.planning.settings import Settings
from facts.model import Docker, Host, Proof

RUNTIME = "nvidia"
# NVIDIA Container Toolkit installation guide; the name is looked up on dockerd's PATH.
RUNTIME_PATH = "nvidia-container-runtime"
FILE = "/etc/docker/daemon.json"


def plan_daemon(
    settings: Settings, host: Host, catalogue: Catalogue, *, docker: DockerPlan, toolkit: ToolkitPlan
) -> DaemonPlan:
    """daemon.json with the nvidia runtime and what the settings ask for, and less what they asked for once.

    ``docker`` and ``toolkit`` are what this run does before. Where the toolkit is refused or skipped, the runtime is
    left as it is.
    """
    if host.docker.origin == "docker-desktop" or host.docker_desktop:
        because = "Docker Desktop reads a daemon.json of its own, outside of this system"
        return DaemonPlan(notes=(Note("nothing to register", because),))
    if host.docker.origin == "snap":
        return DaemonPlan(refusal=snap())
    other = flag_values(host.docker.daemon_flags or "", "config-file")
    if other and other[-1] != FILE:
        return DaemonPlan(refusal=refuse_other_file(FILE, other[-1]))
    keys = Keys.of(catalogue, _version(host, docker))
    wished = read_wish(settings, keys)
    if not isinstance(wished, Wish):
        return DaemonPlan(refusal=impossible(wished))
    if toolkit.absent and (by_flag := _is_flagged(host.docker)) | _names_runtime(wished):
        return DaemonPlan(refusal=refuse_absent_runtime(RUNTIME, by_flag=by_flag))
    ledger = read_ledger(host.docker.ledger)
    try:
        found = parse(host.docker.daemon_json)
        wish = _with_runtime(wished, settings, host, toolkit, found, ledger or ())
        if toolkit.skipped and _lacks_runtime(wish, found, host.docker):
            return DaemonPlan(skipped=toolkit.skipped)
        merged = merge(host.docker.daemon_json, wish, ledger or (), keys)
    except ValueError as error:
        return DaemonPlan(refusal=unmergeable(FILE, str(error)))
    plan = _settle(settings, host, keys, toolkit, wish, found, merged)
    if ledger is None and not plan.refusal:
        note = Note("nothing is taken back in daemon.json", "our record of what we set in it cannot be read")
        return replace(plan, notes=(*plan.notes, note))
    return plan


def digest(text: str | None) -> str:
    """SHA-256 of the file's text in hexadecimal, or "absent"."""
    return "absent" if text is None else hashlib.sha256(text.encode()).hexdigest()


def _version(host: Host, docker: DockerPlan) -> str:
    """The Docker that the file will be read by; "" for the newest, which is what is installed where none is named."""
    if docker.packages and (docker.restarts or not host.docker.installed):
        return docker.release
    return host.docker.server_version or host.docker.client_version or ""


def _with_runtime(
    wish: Wish, settings: Settings, host: Host, toolkit: ToolkitPlan, found: Config, ledger: tuple[Entry, ...]
) -> Wish:
    """The wish and our runtime. One that somebody else has defined, in file or flags, stays as it is."""
    path = ("runtimes", RUNTIME)
    if toolkit.absent:
        return replace(wish, without_runtime=RUNTIME)
    if any(key[:2] == path for key, _ in wish.keys):
        return wish
    ours = next((entry.ours for entry in ledger if entry.path == path), MISSING)
    there = at(found, path)
    if there is not MISSING:
        return replace(wish, keys=(*wish.keys, (path, ours))) if same(there, ours) else wish
    if settings.nvidia_driver == "absent" or toolkit.refusal or toolkit.skipped or _is_flagged(host.docker):
        return wish
    return replace(wish, keys=(*wish.keys, (path, {"path": RUNTIME_PATH, "runtimeArgs": []})))


def _names_runtime(wish: Wish) -> bool:
    """Whether the settings ask for the runtime by name."""
    return any(
        path[:2] == ("runtimes", RUNTIME) or (path, value) == (("default-runtime",), RUNTIME)
        for path, value in wish.keys
    )


def _lacks_runtime(wish: Wish, found: Config, docker: Docker) -> bool:
    """Whether the runtime is to be the default, and nothing defines it."""
    is_there = at(found, ("runtimes", RUNTIME)) is not MISSING or _is_flagged(docker)
    is_set = any(path[:2] == ("runtimes", RUNTIME) for path, _ in wish.keys)
    return _names_runtime(wish) and not is_set and not is_there


def _is_flagged(docker: Docker) -> bool:
    """Whether the daemon has the runtime by its flags."""
    return RUNTIME in _flagged_runtimes(docker)


def _flagged_runtimes(docker: Docker) -> frozenset[str]:
    """Names of the runtimes that the daemon has by its flags, or will have once it runs."""
    names = {value.partition("=")[0] for value in flag_values(docker.daemon_flags or "", "add-runtime")}
    return frozenset(name for name in names if name in docker.runtimes or not docker.running)


def _settle(
    settings: Settings, host: Host, keys: Keys, toolkit: ToolkitPlan, wish: Wish, found: Config, merged: Merged
) -> DaemonPlan:
    text, docker = host.docker.daemon_json, host.docker
    wanted = _is_wanted(settings, toolkit, merged.config, docker)
    expected = _expected(wish, merged, keys, wanted=wanted)
    changed = keys.changed(found, merged.config)
    unheeded = _unheeded(expected, docker)
    runtimes = (RUNTIME,) if wanted else ()
    paths = tuple(dict.fromkeys((*changed, *unheeded)))
    is_idle = merged.text == text and not unheeded and not docker.pending
    problems = validate(merged.config, _circumstances(host, keys, wish))
    if problems and not is_idle:
        return DaemonPlan(refusal=misconfigured(FILE, problems))
    gone = _gone_runtimes(wish, merged, unheeded)
    refusal = refuse_runtimes_in_use(host, gone) or refuse_data_root(host, changed, merged.config)
    if refusal:
        return DaemonPlan(refusal=refusal)
    waiting = () if is_idle else _waiting(paths, merged.config, docker, keys)
    action = Action.RESTART if waiting else Action.NONE if is_idle else Action.RELOAD
    # With a mistake in the file Docker would not start again.
    gpus = wanted and not problems and _has_unseen_hook(host, toolkit)
    way = plan_activation(settings, host, keys, files=(found, merged.config), action=action, waiting=waiting, gpus=gpus)
    if isinstance(way, Refusal):
        return DaemonPlan(refusal=way)
    if way.action is Action.NONE:
        mistakes = tuple(
            Note("daemon.json has a mistake that Docker will not start with", str(one)) for one in problems
        )
        return DaemonPlan(runtimes=runtimes, notes=(*_right(docker, wanted, wish), *way.notes, *mistakes))
    plan = _changing(host, keys, way, merged, expected)
    notes = (*_why(docker, wish, merged, unheeded), *_two_roots(docker, changed, keys), *way.notes, *_by_reload(way))
    return replace(plan, diff=_diff(found, merged, text), runtimes=runtimes, notes=notes)


def _changing(host: Host, keys: Keys, way: Activation, merged: Merged, expected: dict[str, Path]) -> DaemonPlan:
    text = host.docker.daemon_json
    bridge = merge(text, Wish(((("live-restore",), True),)), (), keys).text if way.is_bridged else None
    return DaemonPlan(
        text=merged.text if merged.text is not None else render({}, None),
        found=digest(text),
        action=way.action,
        bridge=bridge,
        stops_containers=way.stops_containers,
        for_gpus=way.for_gpus,
        ledger=write_ledger(merged.ledger),
        expected=tuple(expected),
        executables=_executables(merged),
    )


def _circumstances(host: Host, keys: Keys, wish: Wish) -> Circumstances:
    in_force = dict(line.split("=", 1) for line in host.docker.in_force if "=" in line)
    return Circumstances(
        keys,
        flags=host.docker.daemon_flags or "",
        swarm=host.docker.swarm,
        log_driver=in_force.get("log-driver", "json-file"),
        wished=frozenset(path[0] for path, _ in (*wish.keys, *wish.items)),
    )


def _expected(wish: Wish, merged: Merged, keys: Keys, *, wanted: bool) -> dict[str, Path]:
    """What `docker info` must say of what we set and took back, each line with its path."""
    lines: dict[str, Path] = {f"runtime={RUNTIME}": ("runtimes", RUNTIME)} if wanted else {}
    if wish.without_runtime:
        lines[f"!runtime={wish.without_runtime}"] = ("runtimes", wish.without_runtime)
    for path, value in wish.keys:
        lines |= dict.fromkeys(keys.lines(path, value), path)
    for path, value in wish.items:
        lines |= dict.fromkeys(keys.lines(path, [value]), path)
    for entry in merged.withdrawn:
        now = at(merged.config, entry.path)
        if not entry.is_item and now is not MISSING:
            lines |= dict.fromkeys(keys.lines(entry.path, now), entry.path)
        elif not keys.has_default(entry.path):
            gone = keys.lines(entry.path, [entry.ours] if entry.is_item else entry.ours)
            lines |= {f"!{line}": entry.path for line in gone if line not in lines}
    return lines


def _unheeded(expected: dict[str, Path], docker: Docker) -> tuple[Path, ...]:
    """Paths of what the daemon does otherwise; none where it could not be asked."""
    return tuple(path for line, path in expected.items() if docker.running and not is_heeded(line, docker))


def is_heeded(line: str, docker: Docker) -> bool:
    """Whether a line of ``DaemonPlan.expected`` is in force, or with "!" before it is not."""
    known = {*docker.in_force, *(f"runtime={name}" for name in docker.runtimes)}
    known |= {f"default-runtime={docker.default_runtime}"} if docker.default_runtime else set()
    return (line.removeprefix("!") in known) is not line.startswith("!")


def _waiting(paths: tuple[Path, ...], new: Config, docker: Docker, keys: Keys) -> tuple[Path, ...]:
    """Those of the changed paths that wait for a restart, and the runtimes where a reload would lose some."""
    # A reload takes the file's runtimes in place of all others, and forgets those of the flags: moby daemon/config
    # Reload reads only the file, and reload_unix.go replaces them. At a start both hold.
    forgets = "runtimes" in new and bool(_flagged_runtimes(docker).difference(new["runtimes"] or ()))
    waiting = (path for path in paths if keys.action(path, new) is Action.RESTART)
    return tuple(path for path in waiting if not _is_in_force(path, new, docker, keys)) + (("runtimes",),) * forgets


def _is_in_force(path: Path, new: Config, docker: Docker, keys: Keys) -> bool:
    """Whether the daemon does already what the one value at a path asks for, as where it is its default."""
    lines = tuple(keys.lines(path, at(new, path)))
    return keys.has_default(path) and bool(lines) and all(is_heeded(line, docker) for line in lines)


def _gone_runtimes(wish: Wish, merged: Merged, unheeded: tuple[Path, ...]) -> frozenset[str]:
    """Names of the runtimes that the daemon will not know any more."""
    paths = [entry.path for entry in merged.withdrawn] + [path for path in unheeded if wish.without_runtime in path]
    names = {path[1] for path in paths if path[0] == "runtimes" and path[1:]}
    return frozenset(name for name in names if at(merged.config, ("runtimes", name)) is MISSING)


def _is_wanted(settings: Settings, toolkit: ToolkitPlan, config: Config, docker: Docker) -> bool:
    if toolkit.absent:
        return False
    is_there = at(config, ("runtimes", RUNTIME)) is not MISSING or _is_flagged(docker)
    return is_there and settings.nvidia_driver != "absent"


def _has_unseen_hook(host: Host, toolkit: ToolkitPlan) -> bool:
    """Whether dockerd has to start anew before `--gpus` finds NVIDIA's hook."""
    # In csv mode, which auto is on Tegra, it is the runtime that gives containers the GPU.
    mode = host.toolkit.mode
    if mode == "csv" or (host.jetson and mode in (None, "auto")):
        return False
    since, started = host.toolkit.hook_since, host.docker.started
    if since is None:
        return bool(toolkit.packages)
    if started is None or since <= started or GPUS not in other_mechanisms(host):
        return False
    # An update changes the hook that dockerd has found; where `--gpus` has worked since it started, it works on.
    return not _has_given_gpus(host.proof, started)


def _has_given_gpus(proof: Proof | None, since: int) -> bool:
    return (
        proof is not None
        and proof.time >= since
        and any(one.mechanism == GPUS and one.result == "ok" for one in proof.others)
    )


def _executables(merged: Merged) -> tuple[str, ...]:
    """Of the runtimes that are ours: they must be on the host before the daemon is told of them."""
    names = dict.fromkeys(entry.path[1] for entry in merged.ledger if entry.path[0] == "runtimes" and entry.path[1:])
    paths = (at(merged.config, ("runtimes", name, "path")) for name in names)
    return tuple(path for path in paths if isinstance(path, str))


def _diff(found: Config, merged: Merged, text: str | None) -> tuple[str, ...]:
    if merged.text == text:
        return ()
    before = [] if text is None else render(redacted(found), text).splitlines()
    after = render(redacted(merged.config), text).splitlines()
    return tuple(difflib.unified_diff(before, after, FILE, f"{FILE}, new", lineterm=""))


def _right(docker: Docker, wanted: bool, wish: Wish) -> tuple[Note, ...]:
    others = any(path[:2] != ("runtimes", RUNTIME) for path, _ in (*wish.keys, *wish.items))
    flagged = "by the daemon's flags" if _is_flagged(docker) else "daemon.json and the daemon have it"
    runtime = Note("the nvidia runtime is registered", flagged)
    return (runtime,) * wanted + (Note("daemon.json is as the settings have it", "nothing in it differs"),) * others


def _why(docker: Docker, wish: Wish, merged: Merged, unheeded: tuple[Path, ...]) -> tuple[Note, ...]:
    """What is set and taken back, and why."""
    notes = []
    if docker.pending:
        notes.append(Note("settles an interrupted change of daemon.json", "a transaction began and did not finish"))
    runtime = ("runtimes", RUNTIME)
    if runtime in merged.set:
        others = "no daemon.json yet" if docker.daemon_json is None else "its other keys stay as they are"
        notes.append(Note("adds the nvidia runtime to daemon.json", others))
    wished = [path for path, _ in (*wish.keys, *wish.items) if path in merged.set and path != runtime]
    if wished:
        notes.append(Note(f"sets {_names(wished)} in daemon.json", "the settings ask for it"))
    if wish.without_runtime and any(entry.path == runtime for entry in merged.withdrawn):
        notes.append(Note("takes the nvidia runtime out of daemon.json", "nvidia_toolkit is absent"))
    ours = [entry for entry in merged.withdrawn if entry.ours not in ({}, [], wish.without_runtime)]
    back = [entry.path for entry in ours if entry.path != runtime]
    if back:
        notes.append(Note(f"takes back {_names(back)}", "no setting asks for it any more"))
    if merged.disowned:
        notes.append(
            Note(f"leaves {_names(list(merged.disowned))} as it is", "somebody has changed it since we set it")
        )
    if unheeded and not merged.set and not merged.withdrawn:
        seen = "the file has the nvidia runtime, the daemon does not"
        because = seen if runtime in unheeded else f"the daemon does not heed {_names(unheeded)}"
        notes.append(Note("makes the daemon read daemon.json again", because))
    return tuple(notes)


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(dict.fromkeys(".".join(path) for path in paths))


def _two_roots(docker: Docker, changed: tuple[Path, ...], keys: Keys) -> tuple[Note, ...]:
    """With containerd's image store, Docker 29's own, images are not in the data root (docs, storage/containerd)."""
    has_own_store = docker.storage_driver in keys.storage_drivers
    if ("data-root",) not in changed or keys.is_before("29.0") or has_own_store:
        return ()
    because = "Docker keeps them with containerd, whose root is set in /etc/containerd/config.toml"
    return (Note("images do not move with data-root", because),)


def _by_reload(way: Activation) -> tuple[Note, ...]:
    is_plain = way.action is Action.RELOAD and not way.for_gpus
    return (Note("Docker takes it up by SIGHUP, without a restart", "every changed key can be reloaded"),) * is_plain
