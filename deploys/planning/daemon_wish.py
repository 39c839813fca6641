"""What the settings wish for in daemon.json."""

from __future__ import annotations

import json
from collections.abc import Iterator

from deploys.planning.daemon_config import Config, Path, Wish, leaves, same
from deploys.planning.daemon_keys import CGROUP_DRIVER, Keys
from deploys.planning.daemon_rules import Problem
from deploys.planning.mirrors import daemon_mirror
from deploys.planning.settings import Settings

Wished = tuple[Path, object, bool, str]  # path, value, whether it is an item of a list, the setting's name


def read_wish(settings: Settings, keys: Keys) -> Wish | tuple[Problem, ...]:
    """The wish, or the settings that contradict each other or are none."""
    try:
        # As JSON has it: an inventory is Python, where a list may be a tuple and a date is a value.
        free = json.loads(json.dumps(settings.docker_daemon_json, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return (Problem("docker_daemon_json", "holds what JSON cannot say", "use texts, numbers, lists and objects"),)
    wished: list[Wished] = []
    problems = []
    for one in (*_named(settings), *_free(free, keys)):
        against = next((other for other in wished if _contradict(one, other, keys)), None)
        if against:
            problems.append(Problem(f"{one[3]}.{'.'.join(one[0])}", f"contradicts {against[3]}", "say it in one place"))
        wished.append(one)
    if problems:
        return tuple(problems)
    return Wish(
        tuple((path, value) for path, value, is_item, _ in wished if not is_item),
        tuple((path, value) for path, value, is_item, _ in wished if is_item),
    )


def _named(settings: Settings) -> Iterator[Wished]:
    single: tuple[tuple[str, object], ...] = (
        ("live-restore", settings.docker_live_restore),
        ("log-driver", settings.docker_log_driver),
        ("default-address-pools", [dict(pool) for pool in settings.docker_default_address_pools] or None),
        ("data-root", settings.docker_data_root),
        ("default-runtime", settings.docker_default_runtime),
    )
    for key, value in single:
        if value is not None:
            yield (key,), value, False, f"docker_{key.replace('-', '_')}"
    for option, text in settings.docker_log_opts.items():
        yield ("log-opts", option), text, False, "docker_log_opts"
    for feature, is_on in settings.docker_features.items():
        yield ("features", feature), is_on, False, "docker_features"
    for kind in ("http_proxy", "https_proxy", "no_proxy"):
        proxy = getattr(settings, f"docker_{kind}")
        if proxy is not None:
            yield ("proxies", kind.replace("_", "-")), proxy, False, f"docker_{kind}"
    for mirror in settings.docker_registry_mirrors:
        yield ("registry-mirrors",), mirror, True, "docker_registry_mirrors"
    if hub := daemon_mirror(settings):
        yield ("registry-mirrors",), hub, True, "images_mirrors"
    for registry in settings.docker_insecure_registries:
        yield ("insecure-registries",), registry, True, "docker_insecure_registries"
    if settings.docker_cgroup_driver:
        yield ("exec-opts",), f"{CGROUP_DRIVER}={settings.docker_cgroup_driver}", True, "docker_cgroup_driver"


def _free(free: Config, keys: Keys) -> Iterator[Wished]:
    for path, value in leaves(free):
        row = keys.row(path)
        if row and row.items and isinstance(value, list):
            yield from ((path, item, True, "docker_daemon_json") for item in value)
        elif path:
            yield path, value, False, "docker_daemon_json"


def _contradict(one: Wished, other: Wished, keys: Keys) -> bool:
    """Whether two wishes cannot both come true: other values for one key, or a value where the other has an object."""
    (outer, value, is_item, _), (inner, another, _, _) = sorted((one, other), key=lambda wished: len(wished[0]))
    if inner[: len(outer)] != outer:
        return False
    if inner != outer:
        return value != {}
    if is_item:
        is_one = keys.item_key(outer, value) == keys.item_key(outer, another)
        return is_one and not keys.is_same_item(outer, value, another)
    return not same(value, another)
