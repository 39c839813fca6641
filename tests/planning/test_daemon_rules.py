"""What dockerd would not start with is found; what the world's daemon.json files hold is left in peace."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.catalogue import load_catalogue
from deploys.planning.daemon_config import Config
from deploys.planning.daemon_rules import Circumstances, flag_names, validate
from tests.planning.daemon_files import keys_of
from tests.planning.test_daemon_config import VALUES

KEYS = sorted(name for row in load_catalogue().daemon_key for name in row.names if "." not in name)
UNIT = "-H fd:// --containerd=/run/containerd/containerd.sock"  # of Docker's own docker.service
POOLS = "default-address-pools"
LISTS = st.lists(
    st.text(max_size=8) | st.sampled_from(["http://[", "a=", "::/0", "//@", "[::1", "https://?"]), max_size=2
)
TYPED = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("labels", "exec-opts", "registry-mirrors", "insecure-registries"), LISTS),
        POOLS: st.lists(st.dictionaries(st.sampled_from(["base", "size"]), VALUES | st.just("10.0.0.0/8")), max_size=2),
        "runtimes": st.dictionaries(
            st.text(max_size=3), st.none() | st.dictionaries(st.just("path"), st.text()), max_size=1
        ),
        "log-opts": st.dictionaries(st.sampled_from(["max-size", "max-file", "mode"]), st.text(max_size=3)),
        "features": st.dictionaries(st.just("cdi"), st.booleans()) | st.none(),
        **{key: st.text(max_size=3) for key in ("default-runtime", "log-driver", "storage-driver", "log-level")},
    },
)


DEBIAN_13 = Circumstances(keys_of("26.1.5"))


def paths(config: Config, about: Circumstances = DEBIAN_13) -> list[str]:
    """The paths of what is wrong with a configuration, for a Docker of Debian 13 by default."""
    return [problem.path for problem in validate(config, about)]


# The table of rejected configurations, measured on 26.1.5: what `dockerd --validate` passes or not and dockerd
# does not start with.
@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"no-such-key": 1}, "no-such-key", "no key"),
        ({"debug": "true"}, "debug", "true or false"),
        ({"log-opts": {"max-file": 3}}, "log-opts", "texts"),
        ({"default-runtime": "nvidia"}, "default-runtime", "nvidia, which is not in runtimes"),
        ({"runtimes": {"nvidia": {}}}, "runtimes.nvidia", "neither path nor runtimeType"),
        ({"runtimes": {"runc": {"path": "runc"}}}, "runtimes.runc", "Docker's own"),
        ({"exec-opts": ["native.cgroupdriver=foo"]}, "exec-opts[0]", "cgroup driver"),
        ({"log-opts": {"max-sizes": "10m"}}, "log-opts.max-sizes", "no option of the log driver json-file"),
        ({"log-driver": "local", "log-opts": {"labels": "a"}}, "log-opts.labels", "local"),
        ({"registry-mirrors": ["mirror.lab:5000"]}, "registry-mirrors[0]", "scheme"),
        ({"storage-driver": "overlay3"}, "storage-driver", "overlay2"),
        ({"min-api-version": "1.24"}, "min-api-version", "no key of this Docker, 26.1.5"),
    ],
)
def test_each_rejected_configuration_is_found(config: Config, path: str, says: str) -> None:
    (found,) = validate(config, DEBIAN_13)
    assert found.path == path
    assert says in found.reason
    assert found.remedy


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"runtimes": {"x": {"path": "/x", "runtimeType": "io.containerd.x.v1"}}}, "runtimes.x"),
        ({"runtimes": {"x": "/x"}}, "runtimes"),
        ({"runtimes": {"x": {"path": "/x", "runtimeArgs": "--debug"}}}, "runtimes"),
        ({"exec-opts": ["native.cgroupdriver"]}, "exec-opts[0]"),
        ({"log-opts": {"max-size": "ten"}}, "log-opts.max-size"),
        ({"log-opts": {"max-file": "0"}}, "log-opts.max-file"),
        ({"log-opts": {"mode": "fast"}}, "log-opts.mode"),
        ({"log-opts": {"max-buffer-size": "4m"}}, "log-opts.max-buffer-size"),
        ({"registry-mirrors": ["https://mirror.lab?x=1"]}, "registry-mirrors[0]"),
        ({"registry-mirrors": ["https://user:secret@mirror.lab"]}, "registry-mirrors[0]"),
        ({"registry-mirrors": "https://mirror.lab"}, "registry-mirrors"),
        ({"insecure-registries": ["ftp://registry.lab"]}, "insecure-registries[0]"),
        ({"insecure-registries": ["registry.lab/images"]}, "insecure-registries[0]"),
        ({"insecure-registries": ["a b"]}, "insecure-registries[0]"),
        ({"labels": ["rack"]}, "labels[0]"),
        ({"labels": ["com.docker.rack=1"]}, "labels[0]"),
        ({"labels": ["rack=1", "rack=2"]}, "labels[1]"),
        ({POOLS: [{"base": "172.30.0.0", "size": 24}]}, f"{POOLS}[0].base"),
        ({POOLS: [{"base": "172.30.0.0/16", "size": 8}]}, f"{POOLS}[0].size"),
        ({POOLS: [{"base": "172.30.0.0/16", "size": 33}]}, f"{POOLS}[0].size"),
        ({POOLS: [{"base": "172.30.0.0/16", "size": "24"}]}, f"{POOLS}[0].size"),
        ({"proxies": {"http_proxy": "http://proxy.lab"}}, "proxies.http_proxy"),
        ({"default-shm-size": 64}, "default-shm-size"),
        ({"default-ipc-mode": "host"}, "default-ipc-mode"),
        ({"mtu": "1500"}, "mtu"),
        ({"mtu": 1500.0}, "mtu"),
        ({"features": {"cdi": "true"}}, "features"),
        ({"log-level": "loud"}, "log-level"),
        ({"bridge": "br0", "bip": "172.17.0.1/16"}, "bip"),
        ({"ip6tables": True}, "ip6tables"),
        ({"icc": False, "iptables": False}, "icc"),
    ],
)
def test_other_mistakes_are_found(config: Config, path: str) -> None:
    assert paths(config) == [path]


@pytest.mark.parametrize(
    ("config", "version", "is_right"),
    [
        ({"proxies": {"http-proxy": "http://p.lab"}}, "20.10.24", False),
        ({"proxies": {"http-proxy": "http://p.lab"}}, "23.0.0", True),
        ({"min-api-version": "1.24"}, "28.5.2", False),
        ({"min-api-version": "1.24"}, "29.3.0", True),
        ({"cdi-spec-dirs": ["/etc/cdi"]}, "24.0.9", False),
        ({"cdi-spec-dirs": ["/etc/cdi"]}, "25.0.0", True),
        ({"allow-direct-routing": True}, "28.1.1", False),
        ({"allow-direct-routing": True}, "28", True),  # the newest 28
        ({"graph": "/data"}, "23.0.6", True),
        ({"graph": "/data"}, "24.0.0", False),
        ({"oom-score-adjust": -500}, "25.0.5", True),
        ({"oom-score-adjust": -500}, "26.0.0", False),
        ({"registry-mirrors": ["https://mirror.lab/hub"]}, "23.0.15", False),
        ({"registry-mirrors": ["https://mirror.lab/hub"]}, "24.0.0", True),
        ({"storage-driver": "aufs"}, "20.10.24", True),
        ({"storage-driver": "devicemapper"}, "24.0.0", True),
        ({"storage-driver": "devicemapper"}, "25.0.0", False),
        ({"storage-driver": "overlayfs"}, "29.0.0", True),  # a snapshotter
        ({"log-driver": "local", "log-opts": {"tag": "x"}}, "29.7.2", True),
        ({"key-of-the-future": 1}, "31.0.0", True),  # `dockerd --validate` on the host will tell
        ({"disable-legacy-registry": True}, "18.09.9", True),  # older than what the catalogue knows
        ({"key-of-the-future": 1}, "", False),
    ],
)
def test_keys_are_those_of_the_version(config: Config, version: str, is_right: bool) -> None:
    assert (paths(config, Circumstances(keys_of(version))) == []) is is_right


@pytest.mark.parametrize(
    ("config", "flags", "path"),
    [
        ({"hosts": ["unix:///run/docker.sock"]}, UNIT, "hosts"),
        ({"containerd": "/run/containerd/containerd.sock"}, UNIT, "containerd"),
        ({"log-driver": "local"}, "--log-driver journald", "log-driver"),
        ({"log-opts": {"max-size": "1m"}}, "--log-opt max-size=2m", "log-opts"),
        ({"data-root": "/data"}, "--data-root=/srv", "data-root"),
        ({"insecure-registries": ["r.lab"]}, "--insecure-registry=s.lab", "insecure-registries"),
        ({"debug": True}, "-D", "debug"),
        ({"proxies": {"http-proxy": "http://p.lab"}}, "--http-proxy=http://q.lab", "http-proxy"),
    ],
)
def test_what_the_flags_say_too_is_found(config: Config, flags: str, path: str) -> None:
    assert paths(config, replace(DEBIAN_13, flags=flags)) == [path]


def test_runtimes_may_be_in_flags_and_file() -> None:
    config = {"default-runtime": "nvidia", "runtimes": {"kata": {"path": "kata"}}}
    assert paths(config, replace(DEBIAN_13, flags="--add-runtime=nvidia=/usr/bin/nvidia-container-runtime")) == []


def test_flags_are_known_by_long_names() -> None:
    assert flag_names("-H fd:// -D --label a=b --mtu=1400 $DOCKER_OPTS") == {"host", "debug", "label", "mtu"}


def test_live_restore_does_not_go_with_a_swarm() -> None:
    assert paths({"live-restore": True}, replace(DEBIAN_13, swarm=True)) == ["live-restore"]


def test_only_our_pools_must_not_overlap() -> None:
    config = {POOLS: [{"base": "172.30.0.0/16", "size": 24}, {"base": "172.30.128.0/17", "size": 24}]}
    assert paths(config) == []
    assert paths(config, replace(DEBIAN_13, wished=frozenset([POOLS]))) == [f"{POOLS}[1]"]


def test_a_flags_name_is_no_key_to_wish_for() -> None:
    assert paths({"insecure-registry": ["r.lab"]}) == []
    (found,) = validate({"insecure-registry": ["r.lab"]}, replace(DEBIAN_13, wished=frozenset(["insecure-registry"])))
    assert "insecure-registries" in found.remedy


def test_log_options_are_those_of_the_driver_in_force() -> None:
    config = {"log-opts": {"max-size": "10m"}}
    assert paths(config, replace(DEBIAN_13, log_driver="journald")) == ["log-opts.max-size"]
    assert paths(config, replace(DEBIAN_13, flags="--log-driver=local", log_driver="journald")) == []


def test_no_value_is_shown() -> None:
    config = {
        "proxies": {"http-proxy": 1},
        "registry-mirrors": ["ftp://user:secret@mirror.lab", "secret"],
        "insecure-registries": ["https://user:secret@registry.lab/x"],
        "log-opts": {"splunk-token": "secret"},
        "labels": ["secret"],
    }
    for name, value in config.items():
        found = validate({name: value}, DEBIAN_13)
        assert found, name
        assert "secret" not in repr(found)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(min_size=1, max_size=3), VALUES, max_size=4), TYPED)
def test_validation_never_raises(config: Config, typed: Config) -> None:
    about = Circumstances(keys_of("29"), swarm=True, wished=frozenset(KEYS))
    assert all(found.remedy for found in (*validate(config, about), *validate(typed, about)))


# Facts of configurations that people have posted or that documents give, with the Docker they are for: typed anew.
IN_THE_WORLD: dict[str, tuple[str, Config]] = {
    "NVIDIA/nvidia-docker 490": ("18.06", {"hosts": ["tcp://127.0.0.1:2375", "unix:///var/run/docker.sock"]}),
    "NVIDIA/nvidia-docker 1651": (
        "20.10.17",
        {
            "data-root": "/data",
            "default-runtime": "nvidia",
            "runtimes": {"nvidia": {"path": "/usr/bin/n", "runtimeArgs": []}},
        },
    ),
    "NVIDIA/gpu-operator 182": (
        "20.10.6",
        {
            "exec-opts": ["native.cgroupdriver=systemd"],
            "log-driver": "json-file",
            "log-opts": {"max-size": "100m"},
            "storage-driver": "overlay2",
        },
    ),
    "mesh-iit/appsAway 221": (
        "20.10.8",
        {
            "insecure-registries": ["10.0.0.1:5000"],
            "default-runtime": "nvidia",
            "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime", "runtimeArgs": []}},
            "node-generic-resources": ["gpu=GPU-d53fc9bd"],
        },
    ),
    "geerlingguy/ansible-role-docker 84": (
        "23.0.1",
        {
            "default-runtime": "nvidia",
            "default-shm-size": "8G",
            "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}},
        },
    ),
    "NVIDIA/nvidia-docker 542": (
        "19.03.15",
        {
            "registry-mirrors": ["https://mirror.example"],
            "insecure-registries": ["10.142.55.199:5006"],
            "graph": "/data/dockerdata",
        },
    ),
    "nickjj/ansible-docker 31": ("24.0.2", {"insecure-registries": ["example.com:5000"], "live-restore": True}),
    "concourse/docker-image-resource 143": ("26.1.4", {"max-concurrent-downloads": 1, "max-concurrent-uploads": 1}),
    "NVIDIA/nvidia-docker 1420": ("20.10.0", {"dns": ["172.17.0.1"], "dns-opts": ["ndots:1"], "dns-search": ["lab"]}),
    "nvidia-ctk runtime configure": (
        "28.5.2",
        {"runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}},
    ),
    "nvidia-ctk with CDI": ("26.1.5", {"features": {"cdi": True}, "runtimes": {"nvidia": {"args": [], "path": "n"}}}),
    "dockerd reference: runtimes": (
        "27.5.1",
        {
            "runtimes": {
                "gvisor": {
                    "runtimeType": "io.containerd.runsc.v1",
                    "options": {"TypeUrl": "io.containerd.runsc.v1.options"},
                },
                "youki": {"path": "/usr/local/bin/youki"},
                "custom": {"path": "/usr/local/bin/my-runc", "runtimeArgs": ["--debug"]},
            },
            "default-runtime": "io.containerd.runsc.v1",
        },
    ),
    "dockerd reference: ulimits, builder": (
        "29.0.0",
        {
            "default-ulimits": {"nofile": {"Hard": 64000, "Name": "nofile", "Soft": 64000}},
            "builder": {
                "gc": {"enabled": True, "policy": [{"maxUsedSpace": "512MB", "filter": ["type=source.local"]}]}
            },
            "log-opts": {"cache-disabled": "false", "cache-max-size": "20m", "env": "os,customer", "max-file": "5"},
            "default-network-opts": {"bridge": {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}},
        },
    ),
    "dockerd reference: empty values": (
        "28.0.0",
        {
            "bip": "",
            "bridge": "",
            "log-level": "",
            "storage-driver": "",
            "hosts": [],
            "dns": [],
            "labels": [],
            "data-root": "",
        },
    ),
    "Docker docs: proxies": (
        "23.0.0",
        {"proxies": {"http-proxy": "http://proxy.example.com:3128", "no-proxy": "*.test.example.com,127.0.0.0/8"}},
    ),
    "Docker docs: address pools": (
        "20.10.24",
        {POOLS: [{"base": "172.17.0.0/12", "size": 20}, {"base": "fd00::/48", "size": 64}]},
    ),
    "Docker docs: hardening": (
        "25.0.3",
        {
            "icc": False,
            "userns-remap": "default",
            "no-new-privileges": True,
            "userland-proxy": False,
            "live-restore": True,
        },
    ),
    "Docker docs: devicemapper": (
        "23.0.0",
        {"storage-driver": "devicemapper", "storage-opts": ["dm.directlvm_device=/dev/xdf", "dm.thinp_percent=95"]},
    ),
    "Prometheus": ("20.10.7", {"metrics-addr": "127.0.0.1:9323", "experimental": True}),
    "Loki's plugin": (
        "26.1.5",
        {"log-driver": "loki", "log-opts": {"loki-url": "https://logs.example/loki/api/v1/push"}},
    ),
    "AWS": ("25.0.8", {"log-driver": "awslogs", "log-opts": {"awslogs-region": "us-east-1", "awslogs-group": "g"}}),
    "BuildKit, old form": ("19.03.15", {"features": {"buildkit": True}, "experimental": False, "debug": False}),
    "IPv6": ("26.1.5", {"ipv6": True, "fixed-cidr-v6": "2001:db8:1::/64", "experimental": True, "ip6tables": True}),
    "registry by address": (
        "28.5.2",
        {"insecure-registries": ["http://registry.lab:5000", "[::1]:5000", "10.0.0.0/8", "my_reg"]},
    ),
    "null is nothing": ("28.5.2", {"runtimes": None, "log-opts": None, "features": None, "registry-mirrors": None}),
}


@pytest.mark.parametrize("name", IN_THE_WORLD)
def test_files_of_the_world_are_left_in_peace(name: str) -> None:
    version, config = IN_THE_WORLD[name]
    assert paths(config, Circumstances(keys_of(version))) == []
    assert json.loads(json.dumps(config)) == config
