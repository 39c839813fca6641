"""Keys of daemon.json by Docker version: how a change is taken up, and how it shows."""

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.daemon_config import Config
from deploys.planning.records import Action
from tests.planning.daemon_files import keys_of

POOLS = "default-address-pools"
RELOAD, RESTART = Action.RELOAD, Action.RESTART


# moby daemon/reload.go and reload_unix.go; measured on 26.1.5 for those marked so in Docker's own list.
@pytest.mark.parametrize(
    ("old", "new", "version", "action"),
    [
        ({}, {"runtimes": {"nvidia": {"path": "n"}}}, "20.10.24", RELOAD),
        ({}, {"default-runtime": "nvidia"}, "26.1.5", RELOAD),
        ({}, {"live-restore": True}, "26.1.5", RELOAD),
        ({}, {"debug": True}, "26.1.5", RELOAD),
        ({}, {"shutdown-timeout": 30}, "26.1.5", RELOAD),
        ({}, {"default-shm-size": "1G"}, "26.1.5", RELOAD),
        ({"registry-mirrors": ["https://a"]}, {"registry-mirrors": []}, "26.1.5", RELOAD),
        ({}, {"log-driver": "local"}, "26.1.5", RESTART),
        ({"log-opts": {"max-size": "1m"}}, {"log-opts": {"max-size": "2m"}}, "26.1.5", RESTART),
        ({}, {"exec-opts": ["native.cgroupdriver=systemd"]}, "26.1.5", RESTART),
        ({}, {"data-root": "/data"}, "26.1.5", RESTART),
        ({}, {POOLS: []}, "26.1.5", RESTART),
        ({}, {"proxies": {}}, "26.1.5", RESTART),
        ({}, {"dns": ["1.1.1.1"]}, "26.1.5", RESTART),
        ({}, {"mtu": 1400}, "26.1.5", RESTART),
        ({}, {"no-new-privileges": True}, "26.1.5", RESTART),
        ({}, {"key-of-the-future": 1}, "31.0.0", RESTART),
        # A bad authorization plugin kills dockerd at SIGHUP.
        ({}, {"authorization-plugins": ["p"]}, "26.1.5", RESTART),
        # Deletion is sticky, but for what each reload sets anew.
        ({"live-restore": True}, {}, "26.1.5", RESTART),
        ({"runtimes": {"x": {"path": "x"}}}, {}, "26.1.5", RESTART),
        ({"labels": ["a=b"]}, {}, "26.1.5", RESTART),
        ({"max-concurrent-downloads": 1}, {}, "26.1.5", RELOAD),
        ({"features": {"buildkit": True}}, {}, "26.1.5", RELOAD),
        # Features are reloaded, but for those that are read at the start.
        ({}, {"features": {"buildkit": True}}, "26.1.5", RELOAD),
        ({}, {"features": {"cdi": True}}, "25.0.0", RESTART),
        ({}, {"features": {"cdi": True}}, "28.1.1", RESTART),
        ({"features": {"cdi": False}}, {"features": {"cdi": True}}, "28.3.0", RESTART),
        ({}, {"features": {"containerd-snapshotter": True}}, "28.5.2", RESTART),
        # What it does anyway is no change.
        ({}, {"features": {"cdi": True}}, "28.3.0", None),
        ({}, {"log-driver": "json-file"}, "26.1.5", None),
        ({"log-opts": {"a": "1", "b": "2"}}, {"log-opts": {"b": "2", "a": "1"}}, "26.1.5", None),
    ],
)
def test_action_of_a_change(old: Config, new: Config, version: str, action: Action | None) -> None:
    keys = keys_of(version)
    actions = {keys.action(path, new) for path in keys.changed(old, new)}
    assert actions == ({action} if action else set())


@pytest.mark.parametrize(
    ("path", "survives"),
    [
        (("log-driver",), True),
        (("exec-opts",), True),
        (("proxies",), True),
        (("features", "cdi"), True),
        (("data-root",), False),
        (("exec-root",), False),
        (("storage-driver",), False),
        (("bip",), False),
        (("bridge",), False),
        (("userns-remap",), False),
        (("features", "containerd-snapshotter"), False),
        (("key-of-the-future",), False),
    ],
)
def test_what_containers_survive_with_live_restore(path: tuple[str, ...], survives: bool) -> None:
    assert keys_of("26.1.5").survives(path) is survives


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        (("runtimes", "nvidia"), {"path": "n"}, ["runtime=nvidia"]),
        (("runtimes",), {"a": {}, "b": {}}, ["runtime=a", "runtime=b"]),
        (("default-runtime",), "nvidia", ["default-runtime=nvidia"]),
        (("live-restore",), True, ["live-restore=true"]),
        (("log-driver",), "local", ["log-driver=local"]),
        (("exec-opts",), ["a=b", "native.cgroupdriver=systemd"], ["cgroup-driver=systemd"]),
        (("registry-mirrors",), ["https://mirror.lab", "https://b/"], ["registry-mirror=https://mirror.lab/", "registry-mirror=https://b/"]),
        (("insecure-registries",), ["10.1.2.3/8"], ["insecure-registry=10.0.0.0/8"]),
        (("insecure-registries",), ["127.0.0.0/8"], []),  # it is, in any case
        (("insecure-registries",), ["r.lab:5000"], ["insecure-registry=r.lab:5000"]),
        (("insecure-registries",), ["HTTP://s.lab"], ["insecure-registry=s.lab"]),
        ((POOLS,), [{"base": "172.30.0.0/16", "size": 24}], ["address-pool=172.30.0.0/16 24"]),
        (("labels",), ["a=b"], ["label=a=b"]),
        (("debug",), False, ["debug=false"]),
        (("mtu",), 1400, []),
        (("log-opts", "max-size"), "1m", []),
    ],
)  # fmt: skip
def test_how_docker_info_shows_it(path: tuple[str, ...], value: object, lines: list[str]) -> None:
    assert list(keys_of("28.5.2").lines(path, value)) == lines


def test_every_key_is_known_once_per_version() -> None:
    rows = load_catalogue().daemon_key
    for version in ("19.03.15", "20.10.24", "23.0.0", "25.0.0", "28.1.1", "28.5.2", "29.7.2"):
        keys = keys_of(version)
        names = [name for row in rows for name in row.names if keys.rows.get(name) == row]
        assert len(names) == len(set(names)) == len(keys.rows)
        # The names that the documents give as Docker's own list of what can be reloaded.
        assert all(keys.rows[name].reload for name in ("debug", "labels", "live-restore", "runtimes", "features"))
