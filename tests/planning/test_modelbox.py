"""ModelBox' development container: what its compose file says on each kind of host, and where it is refused and why.

Names of images, devices and folders are typed from ModelBox' documents. What is expected of systemd was measured with
Docker 20.10, 26.1 and 28.5 on both versions of control groups.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.container_settings import Modelbox
from deploys.planning.docker_choice import Engine
from deploys.planning.gpu_access import GpuAccess
from deploys.planning.image_plan import LocalFiles
from deploys.planning.modelbox import plan_modelbox
from deploys.planning.records import Answer, Area, DriverPlan, Project, Refusal
from facts.devices import Devices
from facts.model import Host, Platform, PlatformKind
from tests.planning.hosts import DOCKER_DESKTOP, JETSON, READY

CATALOGUE = load_catalogue()
TENSORRT = "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpKeyForTheseTestsOnlyAndNothingElse00000 lab@desk\n"
FILES = LocalFiles(texts=(("keys.pub", KEY), ("empty.pub", "# none\n")))
BY_RUNTIME = GpuAccess({"runtime": "nvidia", "environment": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "runtime")
BY_GPUS = GpuAccess({"gpus": [{"count": "all"}]}, "gpus")
NO_WAY = Refusal(Area.CONTAINERS, "no container of this host gets the GPU", "no toolkit", "install it")
HOST = replace(READY, cgroup=2, cpus=8, memory=16 * 1024**3)
# Made-up hosts: without any accelerator, and with two processors of Ascend.
PLAIN = replace(HOST, gpus=())
ASCEND = replace(PLAIN, devices=Devices(ascend=("/dev/davinci0", "/dev/davinci1")))
ARM_ASCEND = replace(ASCEND, platform=Platform(PlatformKind.ARM64_SERVER, ("uname -m says aarch64",), "aarch64"))
ENGINE = Engine("29.4.3", "", False)
KEYED: dict[str, object] = {"ssh": "key", "authorized_keys": "keys.pub"}


def engine(host: Host) -> Engine:
    """Docker and Docker Compose of a host on which they stay as they are; the newest where there are none."""
    return Engine(host.docker.server_version or "", host.docker.compose or "", host.docker.cdi)


def plan(
    wish: dict[str, object] | None = None, host: Host = HOST, gpu: GpuAccess | Refusal = BY_RUNTIME
) -> Project | Refusal:
    """The plan for a wish of these settings."""
    settings = Modelbox.model_validate({"kind": "modelbox", **(wish or {})})
    return plan_modelbox("box", settings, host, CATALOGUE, FILES, driver=DriverPlan(), gpu=gpu, docker=engine(host))


def project(wish: dict[str, object] | None = None, host: Host = HOST, gpu: GpuAccess | Refusal = BY_RUNTIME) -> Project:
    """The project, which there must be."""
    found = plan(wish, host, gpu)
    assert isinstance(found, Project), str(found)
    return found


def compose(wish: dict[str, object] | None = None, host: Host = HOST, gpu: GpuAccess | Refusal = BY_RUNTIME) -> str:
    """Its compose file."""
    return dict(project(wish, host, gpu).files)["compose.yaml"]


def with_docker(host: Host, version: str | None, *, compose: str | None = "2.40.3") -> Host:
    """The host with another Docker, or with none yet."""
    return replace(host, docker=replace(host.docker, server_version=version, compose=compose))


def said(found: Project) -> str:
    """Its notes as one text."""
    return "\n".join(f"{note.choice}: {note.because}" for note in found.notes)


# Named cases: what the documents' own command does


def test_nothing_is_published_to_others() -> None:
    """The documents publish a login as root and an editor without one on all addresses."""
    text = compose({**KEYED, "editor": True})
    ports = ["127.0.0.1:50022:2222", "127.0.0.1:1104:1104", "127.0.0.1:8080:8080"]
    assert "    ports:\n" + "".join(f'      - "{port}"\n' for port in ports) in text


def test_it_is_not_privileged_and_home_is_not_shared() -> None:
    """The documents ask for --privileged and gdb, and give the container everybody's ~/.ssh."""
    for setting in ("gdb", "systemd", "editor"):
        text = compose({setting: True})
        assert "privileged" not in text
        assert "/home:" not in text
    assert '      - "/srv/modelbox:/root/modelbox"\n' in compose()


def test_its_name_stays() -> None:
    """The documents' name has the time in it, and so each run leaves another container."""
    assert "    container_name: gpu-hosts-box\n" in compose()
    assert compose() == compose()


def test_control_groups_are_not_bound_read_only() -> None:
    """Where they are, systemd freezes, and `docker ps` says that it runs."""
    for host in (HOST, replace(HOST, cgroup=1), with_docker(HOST, "26.1.5")):
        assert "/sys/fs/cgroup:ro" not in compose({"systemd": True}, host)


# Which image, and what it computes with


@pytest.mark.parametrize(
    ("wish", "host", "image"),
    [
        ({}, HOST, TENSORRT),
        ({"engine": "tensorflow"}, HOST, "modelbox/modelbox-develop-tensorflow_2.6.0-cuda_11.2-ubuntu-x86_64:latest"),
        ({}, ASCEND, "modelbox/modelbox-develop-mindspore_1.9.0-cann_6.0.1-ubuntu-x86_64:latest"),
        ({}, ARM_ASCEND, "modelbox/modelbox-develop-mindspore_1.9.0-cann_6.0.1-ubuntu-aarch64:latest"),
        ({"image": "modelbox/modelbox_cuda101_develop:v1.0.8"}, HOST, "modelbox/modelbox_cuda101_develop:v1.0.8"),
    ],
)
def test_the_image_for_the_host(wish: dict[str, object], host: Host, image: str) -> None:
    found = project(wish, host)
    assert found.images == (image,)
    assert f'    image: "{image}"\n    pull_policy: never\n' in dict(found.files)["compose.yaml"]


@pytest.mark.parametrize(
    ("access", "keys"),
    [
        (BY_RUNTIME, ["    runtime: nvidia\n", "      NVIDIA_VISIBLE_DEVICES: all\n"]),
        (BY_GPUS, ["    gpus:\n      - count: all\n"]),
    ],
)
def test_the_gpu_in_the_way_of_the_host(access: GpuAccess, keys: list[str]) -> None:
    """A Docker older than 19.03 has the runtime alone, which the documents need another command for."""
    found = project({}, gpu=access)
    text = dict(found.files)["compose.yaml"]
    for key in [*keys, '      NVIDIA_DRIVER_CAPABILITIES: "compute,utility,video"\n']:
        assert key in text
    ((service, script, answer),) = found.proofs
    assert (service, answer) == ("modelbox", "cuInit says 0")
    assert "libcuda.so.1" in script


@pytest.mark.parametrize(
    ("wish", "host", "gpu"),
    [
        ({}, PLAIN, NO_WAY),
        ({"accelerator": "none"}, HOST, NO_WAY),
        ({"accelerator": "none"}, HOST, BY_RUNTIME),
        ({"engine": "tensorrt"}, ASCEND, NO_WAY),
        ({"engine": "mindspore"}, HOST, BY_RUNTIME),
    ],
)
def test_the_processor_alone(wish: dict[str, object], host: Host, gpu: GpuAccess | Refusal) -> None:
    found = project(wish, host, gpu)
    text = dict(found.files)["compose.yaml"]
    assert "      NVIDIA_VISIBLE_DEVICES: void\n" in text
    assert "runtime: nvidia" not in text
    assert "davinci" not in text
    assert not found.proofs
    assert "only what computes on the processor works in it" in said(found)


def test_ascend_processors_and_the_driver_read_only() -> None:
    text = compose({}, ASCEND)
    for device in ("davinci0", "davinci1", "davinci_manager", "hisi_hdc", "devmm_svm"):
        assert f'      - "/dev/{device}:/dev/{device}"\n' in text
    bind = "      - type: bind\n        source: {0}\n        target: {0}\n        read_only: true\n"
    assert bind.format("/usr/local/Ascend/driver/lib64") in text
    assert bind.format("/usr/local/dcmi") in text
    assert project({}, ASCEND).proofs == (("modelbox", "ls /dev/davinci0", "/dev/davinci0"),)
    # docker-compose 1.29's schema has no such key (compose_spec.json), and it makes nothing that is not there.
    assert "create_host_path: false" in text
    assert "create_host_path" not in compose({}, with_docker(ASCEND, "20.10.24", compose="1.29.2"))


# How people get in


def test_without_ssh_it_idles_under_an_init() -> None:
    found = project()
    text = dict(found.files)["compose.yaml"]
    assert "    init: true\n    entrypoint:\n      - /bin/sh\n      - /opt/gpu-hosts/start.sh\n" in text
    assert (found.services, found.answers) == ((("modelbox", "running"),), ())
    assert "docker exec -it gpu-hosts-box bash" in said(found)
    assert ":2222" not in text
    assert "sshd_config" not in dict(found.files)


def test_ssh_is_for_keys_alone() -> None:
    found = project(KEYED)
    files = dict(found.files)
    assert files["authorized_keys"] == KEY
    mounted = "/etc/gpu-hosts/containers/box/authorized_keys:/opt/gpu-hosts/authorized_keys:ro"
    assert f'      - "{mounted}"\n' in files["compose.yaml"]
    assert found.answers == (Answer("127.0.0.1", 50022, "SSH-2.0"),)
    for line in ("PasswordAuthentication no", "AuthenticationMethods publickey", "PermitRootLogin prohibit-password"):
        assert f"\n{line}\n" in files["sshd_config"]
    capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "AUDIT_WRITE", "SYS_CHROOT"]
    added = "".join(f"      - {name}\n" for name in capabilities)
    assert f"    cap_add:\n{added}    ports:\n" in files["compose.yaml"]
    assert "    cap_drop:\n      - ALL\n" in files["compose.yaml"]
    assert '      - "no-new-privileges:true"\n' in files["compose.yaml"]
    assert "ssh -J server -p 50022 root@127.0.0.1" in said(found)


def test_another_key_makes_the_container_anew() -> None:
    """Compose looks at its definition alone."""
    others = LocalFiles(texts=(("keys.pub", KEY.replace("lab@", "new@")),))
    wish = Modelbox.model_validate({"kind": "modelbox", **KEYED})
    changed = plan_modelbox("box", wish, HOST, CATALOGUE, others, driver=DriverPlan(), gpu=BY_RUNTIME, docker=ENGINE)
    assert isinstance(changed, Project)
    assert dict(changed.files)["compose.yaml"] != compose(KEYED)


def test_the_editor_must_let_the_host_in() -> None:
    """It answers 403 to others, and that is an answer over HTTP too."""
    found = project({"editor": True, "editor_port": 11104})
    assert found.answers == (Answer("127.0.0.1", 11104, "HTTP/1.1 200", "/editor/"),)
    assert "ssh -L 11104:127.0.0.1:11104 server" in said(found)
    assert "      GPU_HOSTS_START: editor\n" in dict(found.files)["compose.yaml"]


def test_an_address_that_others_reach() -> None:
    found = project({**KEYED, "address": "2001:db8::10"})
    assert '      - "[2001:db8::10]:50022:2222"\n' in dict(found.files)["compose.yaml"]
    assert "`ssh -p 50022 root@2001:db8::10`" in said(found)


@pytest.mark.parametrize("address", ["::", "0.0.0.0", "192.0.2.10"])
def test_the_editor_is_published_to_nobody(address: str) -> None:
    """It has no password. Docker's proxy, of IPv6 above all, makes everybody come from the address that may in."""
    found = project({**KEYED, "editor": True, "address": address})
    assert '      - "127.0.0.1:1104:1104"\n' in dict(found.files)["compose.yaml"]
    assert "ssh -L 1104:127.0.0.1:1104 server" in said(found)
    assert Answer("127.0.0.1", 1104, "HTTP/1.1 200", "/editor/") in found.answers


def test_gdb_without_privileges() -> None:
    found = project({"gdb": True})
    text = dict(found.files)["compose.yaml"]
    assert "      - SETUID\n      - SYS_PTRACE\n    ports:\n" in text
    assert '      - "seccomp:seccomp.json"\n' in text
    profile = dict(found.files)["seccomp.json"]
    assert '"personality"' not in profile
    # Those that moby/profiles (seccomp/default.json) gives to capabilities alone, and the kernel to others, too.
    for call in ("bpf", "fanotify_init", "io_uring_setup", "perf_event_open", "syslog", "unshare", "userfaultfd"):
        assert f'"{call}"' in profile
    assert "SYS_PTRACE" not in compose()


def test_limits() -> None:
    text = compose()
    assert '    cpus: 8.0\n    mem_limit: "12g"\n    memswap_limit: "12g"\n' in text
    assert '    mem_limit: "2g"\n' in compose({"memory": "2g"})
    assert "    restart: unless-stopped\n" in text
    assert '        max-size: "10m"\n' in text


# systemd


def test_systemd_with_control_groups_v1() -> None:
    """Its own hierarchy is all that it needs; the others stay out of reach."""
    text = compose({**KEYED, "systemd": True}, replace(HOST, cgroup=1))
    assert '      - "/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd"\n' in text
    assert '    command:\n      - /sbin/init\n      - "--log-target=journal"\n    stop_signal: "SIGRTMIN+3"\n' in text
    assert "    tmpfs:\n" in text
    assert "/run/lock" in text
    assert "/etc/systemd/system/gpu-hosts.service:ro" in text
    assert "init: true" not in text


@pytest.mark.parametrize("version", ["28.0.0", "29.4.3", None])
def test_systemd_with_control_groups_v2(version: str | None) -> None:
    """The image's volume would hide them, and a volume goes away only with the image."""
    found = project({**KEYED, "systemd": True}, with_docker(HOST, version))
    files = dict(found.files)
    assert found.build
    assert found.images == (TENSORRT,)
    assert f"FROM {TENSORRT} AS stock\nFROM scratch\nCOPY --from=stock / /\n" in files["Dockerfile"]
    assert "VOLUME" not in files["Dockerfile"]
    assert '    image: "gpu-hosts-modelbox:' in files["compose.yaml"]
    assert '      - "writable-cgroups=true"\n' in files["compose.yaml"]
    assert "/sys/fs/cgroup" not in files["compose.yaml"]
    # `docker inspect` says running of a systemd that is frozen.
    assert ("modelbox", "systemctl show -p ActiveState multi-user.target", "ActiveState=active") in found.proofs


def test_an_environment_that_is_not_known_is_not_lost() -> None:
    """The images for Ascend processors have one of their own."""
    for wish, host in (({"engine": "mindspore"}, ASCEND), ({"image": "lab/box:1"}, HOST)):
        found = plan({"systemd": True, **wish}, host)
        assert isinstance(found, Refusal)
        assert "would be lost" in found.seen
        # Docker is new enough, and no other helps.
        assert "images with CUDA" in found.remedy
        assert "bring Docker" not in found.remedy
        assert isinstance(plan({"systemd": True, **wish}, replace(host, cgroup=1)), Project)


def test_systemd_with_an_older_docker_is_loud() -> None:
    found = project({**KEYED, "systemd": True}, with_docker(HOST, "26.1.5"))
    text = dict(found.files)["compose.yaml"]
    assert "    cgroup: host\n" in text
    assert '      - "/sys/fs/cgroup:/sys/fs/cgroup:rw"\n' in text
    assert "BEWARE: root in the container can write the control groups of the whole host" in said(found)


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        (replace(HOST, cgroup=None), "could not be told"),
        (with_docker(HOST, "20.10.24", compose="1.29.2"), "Docker Compose 1.29.2, which has no `cgroup`"),
        (with_docker(replace(DOCKER_DESKTOP, cgroup=2), "27.4.0"), "Docker Desktop with Docker 27.4.0"),
    ],
)
def test_systemd_is_refused(host: Host, seen: str) -> None:
    found = plan({"systemd": True, "accelerator": "none"}, host)
    assert isinstance(found, Refusal)
    assert seen in found.seen
    assert "systemd = false" in found.remedy


# What cannot be had


@pytest.mark.parametrize(
    ("wish", "host", "brief"),
    [
        ({}, JETSON, "there is no image 'modelbox tensorrt develop' for this host"),
        ({"accelerator": "ascend"}, HOST, "the host has no Ascend processor"),
        (
            {"accelerator": "ascend", "engine": "tensorrt"},
            ASCEND,
            "the images for Ascend processors have mindspore alone",
        ),
        ({"accelerator": "gpu", "engine": "mindspore"}, HOST, "the images with mindspore are for Ascend processors"),
        ({"project": "/home"}, HOST, "/home is not a project's folder"),
        ({"project": "/home/alice"}, HOST, "/home/alice is not a project's folder"),
        ({"project": "/srv/../etc"}, HOST, "/srv/../etc is not a project's folder"),
        ({"project": "/var/run"}, HOST, "/var/run is not a project's folder"),
        ({"project": "//"}, HOST, "// is not a project's folder"),
        ({"address": "localhost"}, HOST, "the ports are published on an IP address"),
        ({"editor": True, "editor_port": 8080}, HOST, "each port can be published once"),
        ({"ssh": "key"}, HOST, 'ssh = "key" needs public keys'),
        ({"ssh": "key", "authorized_keys": "empty.pub"}, HOST, "there is no public key to log in by"),
    ],
)
def test_refused(wish: dict[str, object], host: Host, brief: str) -> None:
    found = plan(wish, host)
    assert isinstance(found, Refusal)
    assert (found.area, found.brief) == (Area.CONTAINERS, brief)
    assert found.seen
    assert found.remedy


@pytest.mark.parametrize(
    "text", ["-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n", "ssh-ed25519\n", "hello there\n"]
)
def test_what_is_no_public_key(text: str) -> None:
    """A private key's text is in no error."""
    wish = Modelbox.model_validate({"kind": "modelbox", "ssh": "key", "authorized_keys": "k"})
    files = LocalFiles(texts=(("k", text),))
    found = plan_modelbox("box", wish, HOST, CATALOGUE, files, driver=DriverPlan(), gpu=BY_RUNTIME, docker=ENGINE)
    assert isinstance(found, Refusal)
    assert "b3BlbnNzaA" not in str(found)


def test_a_gpu_that_containers_do_not_get_is_not_left_out_in_silence() -> None:
    found = plan({}, gpu=NO_WAY)
    assert isinstance(found, Refusal)
    assert found.brief == NO_WAY.brief
    assert 'set accelerator = "none"' in found.remedy
