"""Docker's daemon as it is, other engines beside it, and the toolkit's files."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from facts.model import CdiSpec, Container, SourceFile
from facts.parse import parse_probe
from tests.facts.answers import file_line, host_of
from tests.facts.machines import link_tools, run_probe


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of links to the plain tools."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return link_tools(folder)


def write(root: Path, path: str, content: str) -> None:
    """A file below ``root`` with its folders."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


def process(root: Path, pid: int, name: str, *arguments: str) -> None:
    """A process below ``root``: its name as the kernel cuts it and its command line."""
    write(root, f"proc/{pid}/comm", f"{name}\n")
    write(root, f"proc/{pid}/cmdline", "".join(f"{argument}\0" for argument in arguments))


def info_line(fields: dict[str, object]) -> str:
    """What a daemon that answers says of itself."""
    return f"docker.info={json.dumps({'ServerVersion': '28.5.2'} | fields)}"


def test_nothing_is_in_force_where_no_daemon_answers() -> None:
    silent = '{"LiveRestoreEnabled":false,"Debug":false,"CDISpecDirs":null,"ServerErrors":["no such file"]}'
    assert host_of(f"docker.info={silent}").docker.in_force == ()


def test_fields_that_an_old_daemon_does_not_have_give_no_lines() -> None:
    assert host_of(info_line({"DefaultRuntime": "runc", "HttpProxy": ""})).docker.in_force == ("default-runtime=runc",)


@pytest.mark.parametrize(
    "fields",
    [
        {"RegistryConfig": None, "Runtimes": [], "Labels": None, "DefaultAddressPools": {}, "Swarm": "active"},
        {"RegistryConfig": {"Mirrors": None, "IndexConfigs": [], "InsecureRegistryCIDRs": None}},
        {"RegistryConfig": {"IndexConfigs": {"docker.io": None}}, "DefaultAddressPools": [None], "Debug": "yes"},
    ],
)
def test_fields_of_another_kind_give_no_lines(fields: dict[str, object]) -> None:
    docker = host_of(info_line(fields)).docker
    assert docker.in_force == ()
    assert not docker.swarm


@pytest.mark.parametrize(
    ("state", "member"),
    # The states of moby's api/types/swarm/swarm.go; one that fails is a member all the same.
    [("active", True), ("pending", True), ("locked", True), ("error", True), ("inactive", False), ("", False)],
)
def test_swarm_member(state: str, member: bool) -> None:
    assert host_of(info_line({"Swarm": {"LocalNodeState": state}})).docker.swarm is member


@pytest.mark.parametrize(("folders", "cdi"), [(["/etc/cdi", "/var/run/cdi"], True), ([], False), (None, False)])
def test_cdi_is_on_where_the_daemon_has_folders_for_it(folders: list[str] | None, cdi: bool) -> None:
    assert host_of(info_line({"CDISpecDirs": folders})).docker.cdi is cdi


def test_stopped_containers_and_those_without_a_runtime_are_listed() -> None:
    docker = host_of(
        "docker.listed=containers",
        'docker.container=aa /train nvidia nvcr.io/nvidia/pytorch:25.04-py3 true sha256:11 running 0  ["",""]',
        'docker.container=bb /old  debian:9 false sha256:22 exited 137  ["",""]',
        "docker.container=half a row",
    ).docker
    train = Container("aa", "train", "nvcr.io/nvidia/pytorch:25.04-py3", "nvidia", image_id="sha256:11")
    assert docker.containers == (train, Container("bb", "old", "debian:9", None, False, "sha256:22", exit_code=137))
    assert docker.running_containers == (train,)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        # Docker's states and what its clients print of them: moby, api/types/container/state.go and health.go.
        ("true sha256:1 running 0 healthy", {"running": True, "health": "healthy"}),
        ("true sha256:1 running 0 none", {"running": True, "health": ""}),
        ("true sha256:1 paused 0 ", {"running": True}),
        ("true sha256:1 restarting 1 ", {"running": True, "restarting": True}),
        ("false sha256:1 exited 0 ", {"exit_code": 0}),
        ("false sha256:1 dead 255 unhealthy", {"exit_code": 255, "health": "unhealthy"}),
        # One that never ran has not ended well.
        ("false sha256:1 created 0 ", {"exit_code": None}),
    ],
)
def test_state_of_a_container(state: str, said: dict[str, object]) -> None:
    found = host_of("docker.listed=containers", f'docker.container=aa /a runc b {state} ["",""]').docker.containers
    plain = {"running": False, "health": "", "exit_code": None, "restarting": False}
    assert found
    assert {key: getattr(found[0], key) for key in plain} == plain | said


@pytest.mark.parametrize(
    ("labels", "project", "service"),
    [
        ('["gpu-hosts-cam","hello-video"]', "gpu-hosts-cam", "hello-video"),
        # Anybody may set these labels to anything.
        (r'["two words","\" \" [\"x\",\"y\"]"]', "two words", '" " ["x","y"]'),
        (r'["\n",""]', "\n", ""),
        ("[null,null]", "", ""),
        ('["one"]', "", ""),
        ("{}", "", ""),
        ("", "", ""),
    ],
)
def test_labels_of_compose(labels: str, project: str, service: str) -> None:
    line = f"docker.container=aa /a runc b true sha256:1 running 0  {labels}"
    found = host_of("docker.listed=containers", line).docker.containers
    assert [(one.project, one.service) for one in found or ()] == [(project, service)]


@pytest.mark.parametrize(
    ("label", "one_off"), [(',"True"', True), (',"False"', False), (',""', False), (",null", False), ("", False)]
)
def test_label_of_what_compose_run_made(label: str, one_off: bool) -> None:
    line = f'docker.container=aa /debug runc b true sha256:1 running 0  ["mine","web"{label}]'
    found = host_of("docker.listed=containers", line).docker.containers
    assert [(one.project, one.service, one.one_off) for one in found or ()] == [("mine", "web", one_off)]


# Made up: it says whether `docker compose run` made the container where it is asked that.
DOCKER = """#!/bin/sh
case $* in
    info*) echo '{"ServerVersion":"28.5.2"}' ;;
    ps*) echo aa ;;
    inspect*'.service")}},{{json (index .Config.Labels "com.docker.compose.oneoff")}}] aa')
        echo 'aa /debug runc b true sha256:1 running 0  ["mine","web","True"]' ;;
    inspect*) echo 'aa /debug runc b true sha256:1 running 0  ["mine","web"]' ;;
esac
"""


def test_probe_asks_whether_compose_run_made_it(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "run/docker.sock", "")
    write(tmp_path, "bin/docker", DOCKER)
    (tmp_path / "bin/docker").chmod(0o755)
    found = parse_probe(run_probe(tmp_path, [tmp_path / "bin", tools])).docker.containers
    assert [(one.name, one.one_off) for one in found or ()] == [("debug", True)]


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (["docker.compose=2.40.3"], "2.40.3"),
        (["docker.compose=v2.0.0-rc.3"], "2.0.0"),
        (["docker.compose=2.26.1-4"], "2.26.1"),  # Debian 13
        (["docker.compose=Docker Compose version v2.40.3-desktop.1"], "2.40.3"),
        (["docker.docker_compose=1.29.2"], "1.29.2"),
        (["packages.dpkg=ii |docker-compose|1.25.0-1"], "1.25.0"),  # Ubuntu 20.04
        # It stands alone: `docker compose` is still not there.
        (["docker.docker_compose=2.40.3"], None),
        (["docker.compose=", "docker.docker_compose="], None),
        ([], None),
    ],
)
def test_version_of_compose(lines: list[str], version: str | None) -> None:
    assert host_of("packages.manager=apt-get", *lines).docker.compose == version


def test_files_of_containers_arrive_and_of_those_that_only_root_may_read_the_digest(
    tmp_path: Path, tools: Path
) -> None:
    folder = "etc/gpu-hosts/containers"
    text = "services:\n  a:\n    image: b  # für\n"
    for path, mode in {
        "a/compose.yaml": 0o644,
        "a/app/two words.py": 0o755,
        "a/app/deep/x": 0o644,
        "b/key": 0o600,
    }.items():
        write(tmp_path, f"{folder}/{path}", text)
        (tmp_path / folder / path).chmod(mode)
    files = parse_probe(run_probe(tmp_path, [tools])).docker.container_files
    paths = [f"/{folder}/a/app/two words.py", f"/{folder}/a/compose.yaml"]
    digest = SourceFile(f"/{folder}/b/key", f"sha256:{sha256(text.encode()).hexdigest()}\n")
    assert files == (*(SourceFile(path, text) for path in paths), digest)


@pytest.mark.parametrize(
    ("value", "started"),
    [
        # proc(5): the 22nd field counts from boot in clock ticks, of which a second has 100.
        ("btime 1795280000 S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 6099 20 21", 1795280060),
        ("btime 1795280000 S 1 2 3", None),
        ("S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 6099 20 21", None),
    ],
)
def test_start_of_the_daemon(value: str, started: int | None) -> None:
    assert host_of(f"docker.dockerd={value}").docker.started == started


@pytest.mark.parametrize(
    ("line", "members"),
    [("docker:x:999:alice,bob", ("alice", "bob")), ("docker:x:999:", ()), ("docker:x", ("x",)), (None, ())],
)
def test_members_of_the_group(line: str | None, members: tuple[str, ...]) -> None:
    assert host_of(*([f"docker.group={line}"] if line else [])).docker.group == members


def test_ledger_arrives_as_it_is() -> None:
    text = '{"version": 1, "keys": [{"path": ["log-driver"], "ours": "local"}]}\n'
    assert host_of(file_line("/var/lib/gpu-hosts/daemon-json/ledger", text)).docker.ledger == text


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ('[nvidia-container-runtime]\nmode = "legacy"\n', "legacy"),
        ('[nvidia-container-runtime]\n#mode = "legacy"\n', None),
        ('nvidia-container-runtime.mode = "cdi"\n', "cdi"),
        ('[nvidia-container-runtime-hook]\nmode = "legacy"\n', None),
        ("nvidia-container-runtime = 1\n", None),
        ("[nvidia-container-runtime\n", None),
    ],
)
def test_mode_of_the_runtime(text: str, mode: str | None) -> None:
    assert host_of(file_line("/etc/nvidia-container-runtime/config.toml", text)).toolkit.mode == mode


def test_the_later_hook_counts() -> None:
    assert host_of("docker.hook=1795280000", "docker.hook=1795290000").toolkit.hook_since == 1795290000
    assert host_of("docker.hook=").toolkit.hook_since is None


def test_hook_is_as_old_as_its_installation(tmp_path: Path, tools: Path) -> None:
    """A package gives its files times of long ago; the inode's own is of today."""
    hook = tmp_path / "usr/bin/nvidia-container-runtime-hook"
    write(tmp_path, "usr/bin/nvidia-container-runtime-hook", "")
    installed = int(hook.stat().st_ctime)
    assert parse_probe(run_probe(tmp_path, [tools])).toolkit.hook_since == installed


YAML_SPEC = """
cdiVersion: 0.5.0
containerEdits:
  mounts:
  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05
  - hostPath: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05
kind: nvidia.com/gpu
"""
JSON_SPEC = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "containerEdits": {
        "mounts": [{"hostPath": "/usr/lib64/libnvidia-ml.so.595.84"}, {"hostPath": "/usr/lib64/libcuda.so.595.84"}]
    },
}
WSL_SPEC = """kind: "nvidia.com/gpu"\nhostPath: /usr/lib/wsl/lib/libcuda.so.1.1\n"""


@pytest.mark.parametrize(
    ("name", "text", "specs"),
    [
        ("nvidia.yaml", YAML_SPEC, (CdiSpec("/etc/cdi/nvidia.yaml", "580.95.05"),)),
        ("one.json", json.dumps(JSON_SPEC), (CdiSpec("/etc/cdi/one.json", "595.84"),)),
        ("more.json", json.dumps(JSON_SPEC, indent=2), (CdiSpec("/etc/cdi/more.json", "595.84"),)),
        ("two words.yaml", WSL_SPEC, (CdiSpec("/etc/cdi/two words.yaml", None),)),
        ("empty.yaml", "", ()),
        ("pva.yaml", "kind: nvidia.com/pva\n", ()),
        ("other.json", '{"kind": "nvidia.com/gpu-feature"}', ()),
        ("spec.txt", "kind: nvidia.com/gpu\n", ()),
    ],
)
def test_cdi_specifications_of_gpus(
    tmp_path: Path, tools: Path, name: str, text: str, specs: tuple[CdiSpec, ...]
) -> None:
    write(tmp_path, f"etc/cdi/{name}", text)
    assert parse_probe(run_probe(tmp_path, [tools])).toolkit.cdi_specs == specs


def test_containers_of_other_engines_are_told_from_dockers(tmp_path: Path, tools: Path) -> None:
    # Docker keeps its plugins in a namespace of their own (moby, cmd/dockerd); the kernel cuts names to 15 bytes.
    shim = "/usr/bin/containerd-shim-runc-v2"
    process(tmp_path, 10, "containerd-shim", shim, "-namespace", "moby", "-id", "k8s.io")
    process(tmp_path, 11, "containerd-shim", shim, "-namespace", "plugins.moby", "-id", "b")
    process(tmp_path, 12, "containerd-shim", shim, "-namespace", "k8s.io", "-id", "c")
    process(tmp_path, 13, "conmon", "/usr/bin/conmon", "-n", "moby")
    process(tmp_path, 14, "containerd", "/usr/bin/containerd")
    docker = parse_probe(run_probe(tmp_path, [tools])).docker
    assert docker.shims == ("conmon (pid 13)", "containerd-shim (pid 12)")


def test_a_host_with_dockers_containers_only_has_no_other_engine(tmp_path: Path, tools: Path) -> None:
    process(tmp_path, 10, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby")
    assert parse_probe(run_probe(tmp_path, [tools])).docker.shims == ()


def test_rootless_daemons_are_named_by_their_users(tmp_path: Path, tools: Path) -> None:
    write(tmp_path, "etc/passwd", "carol:x:10001:10001::/home/carol:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    for pid, user, program in ((10, 1000, "dockerd-rootless.sh"), (11, 2000, "dockerd"), (12, 1000, "buildkitd")):
        process(tmp_path, pid, "rootlesskit", "rootlesskit", "--net=slirp4netns", f"/usr/bin/{program}")
        write(tmp_path, f"proc/{pid}/status", f"Name:\trootlesskit\nUid:\t{user}\t{user}\t{user}\t{user}\n")
    assert parse_probe(run_probe(tmp_path, [tools])).docker.rootless == ("alice (pid 10)", "2000 (pid 11)")
