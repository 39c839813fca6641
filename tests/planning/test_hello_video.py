"""A camera's container: which camera, what it is given and nothing else, and why a host cannot have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.container_settings import HelloVideo
from deploys.planning.docker_choice import Engine
from deploys.planning.hello_video import plan_hello_video
from deploys.planning.records import Answer, Project, Refusal
from facts.devices import Camera, CameraFormat, Devices, Group
from facts.model import Container, Host
from tests.planning.hosts import DOCKER_DESKTOP, READY

CATALOGUE = load_catalogue()
ID = "usb-046d_HD_Pro_Webcam_C920_5A1B-video-index"
PATH = "pci-0000:00:14.0-usb-0:2:1.0-video-index"


def node(number: int, *, captures: bool | None = True, of: str = ID) -> Camera:
    """A node of a made-up USB camera, with udev's names for it."""
    index = number % 2
    return Camera(
        f"/dev/video{number}",
        "HD Pro Webcam C920",
        f"/dev/v4l/by-id/{of}{index}",
        index,
        f"/dev/v4l/by-path/{PATH}{index}",
        captures,
        "uvcvideo",
        "046d:082d",
        group="video",
        mode="660",
    )


CAMERA, METADATA = node(2), node(3, captures=False)
OTHER = node(4, of="usb-Generic_Webcam-video-index")
NAMELESS = replace(CAMERA, by_id=None)
HOST = replace(
    READY,
    cameras=(CAMERA, METADATA),
    devices=Devices(groups=(Group("video", 44, ()),)),
    docker=replace(READY.docker, cdi=True, compose="2.40.3"),
)


def plan(wish: dict[str, object] | None = None, *cameras: Camera, host: Host = HOST) -> Project | Refusal:
    """The plan for a host, with these cameras where some are given."""
    settings = HelloVideo.model_validate({"kind": "hello_video", **(wish or {})})
    engine = Engine(host.docker.server_version or "", host.docker.compose or "", host.docker.cdi)
    return plan_hello_video("front", settings, replace(host, cameras=cameras or host.cameras), CATALOGUE, engine=engine)


def project(found: Project | Refusal) -> Project:
    """The project, which there must be."""
    assert isinstance(found, Project), str(found)
    return found


def lines(found: Project | Refusal) -> set[str]:
    """The lines of its compose file, without their indentation."""
    return {line.strip() for line in dict(project(found).files)["compose.yaml"].splitlines()}


def with_compose(version: str) -> Host:
    """The host with that Docker Compose."""
    return replace(HOST, docker=replace(HOST.docker, compose=version))


# What the container has


def test_the_camera_its_group_and_no_privileges() -> None:
    """The documents' own file has `privileged: true`, which shows the container every device of the host."""
    found = project(plan())
    assert found.services == (("hello-video", "healthy"),)
    assert found.answers == (Answer("127.0.0.1", 8090, "HTTP/1."),)
    assert found.build
    text = dict(found.files)["compose.yaml"]
    assert f'    devices:\n      - "/dev/v4l/by-id/{ID}0:/dev/video0:rw"\n' in text
    assert '    group_add:\n      - "44"\n' in text
    assert '    ports:\n      - "127.0.0.1:8090:8080"\n' in text
    assert '    cpus: 0.8\n    mem_limit: "100m"\n    memswap_limit: "100m"\n' in text
    assert {"read_only: true", "- ALL", '- "no-new-privileges:true"', "pids_limit: 64", "- /tmp"} <= lines(found)
    assert "restart: unless-stopped" in lines(found)
    assert not any(word in text for word in ("privileged: true", "version:", "cap_add", "/dev:/dev"))


def test_health_is_a_frame() -> None:
    found = project(plan())
    text = dict(found.files)["compose.yaml"]
    assert '      test:\n        - CMD\n        - bash\n        - /frame.sh\n        - "8080"\n' in text
    assert "/snapshot" in dict(found.files)["frame.sh"]


def test_hotplug_has_all_of_dev_by_rule() -> None:
    """Nodes that come later are none of a container's devices: it sees the host's, and may open the video ones."""
    device, hotplug = lines(plan()), lines(plan({"access": "hotplug"}))
    assert hotplug - device == {
        "device_cgroup_rules:",
        '- "c 81:* rw"',
        '- "/dev:/dev:ro"',
        f'- "--device=/dev/v4l/by-id/{ID}0"',
    }
    assert device - hotplug == {
        "devices:",
        f'- "/dev/v4l/by-id/{ID}0:/dev/video0:rw"',
        '- "--device=/dev/video0"',
    }


CDI = """\
cdiVersion: "0.5.0"
kind: gpu-hosts.internal/camera
devices:
  - name: front
    containerEdits:
      deviceNodes:
        - path: /dev/video0
          hostPath: /dev/video2
          permissions: rw
          fileMode: 432
          gid: 44
"""


def test_cdi_names_the_node_and_its_group() -> None:
    """Without fileMode and gid the node is everybody's inside; 432 is 0660. CDI takes no link for a device."""
    found = project(plan({"access": "cdi"}))
    files = dict(found.files)
    assert files["cdi.yaml"].endswith(CDI)
    assert {"- driver: cdi", '- "gpu-hosts.internal/camera=front"'} <= lines(found)
    assert not any("/dev/video2" in line or "/dev/v4l" in line for line in lines(found))


def test_cdi_follows_the_camera_to_another_node() -> None:
    files = dict(project(plan({"access": "cdi"})).files)
    [rule] = files["udev.rules"].splitlines()[1:]
    assert f'SYMLINK=="v4l/by-id/{ID}0"' in rule
    assert "s,hostPath: .*,hostPath: $devnode," in rule
    assert rule.endswith(' /etc/cdi/gpu-hosts-front.yaml /etc/gpu-hosts/containers/front/cdi.yaml"')


def test_names_with_colons_are_written_long() -> None:
    """`source:target:rw` would be cut at the wrong colon."""
    text = dict(project(plan({}, NAMELESS)).files)["compose.yaml"]
    long = f'      - source: "/dev/v4l/by-path/{PATH}0"\n        target: /dev/video0\n        permissions: rw\n'
    assert f"    devices:\n{long}" in text


def test_another_address_and_port() -> None:
    assert '- "0.0.0.0:9000:8080"' in lines(plan({"address": "0.0.0.0", "port": 9000}))
    assert '- "[::1]:8090:8080"' in lines(plan({"address": "::1"}))


def test_an_open_node_needs_no_group() -> None:
    assert "group_add:" not in lines(plan({}, replace(CAMERA, group="root", mode="666")))


# Which camera


@pytest.mark.parametrize("name", [f"{ID}0", f"/dev/v4l/by-id/{ID}0", f"{PATH}0", "/dev/video2", "video2"])
def test_a_camera_goes_by_all_its_names(name: str) -> None:
    """And is given by the one that stays."""
    found = plan({"camera": name}, CAMERA, METADATA, OTHER)
    assert f'- "/dev/v4l/by-id/{ID}0:/dev/video0:rw"' in lines(found)


def test_nodes_that_could_not_be_asked_are_judged_by_their_number() -> None:
    assert isinstance(plan({}, replace(CAMERA, captures=None), replace(METADATA, captures=None)), Project)


def test_the_next_run_finds_its_own_container_at_the_camera() -> None:
    ours = Container("1", "gpu-hosts-front", "x", "runc", project="gpu-hosts-front", service="hello-video")
    running = replace(HOST, docker=replace(HOST.docker, containers=(ours,)))
    busy = replace(CAMERA, users=("pipewire (pid 9)", "main (pid 812)"))  # as ustreamer is called in /proc/PID/comm
    assert isinstance(plan({}, busy, host=running), Project)
    assert isinstance(plan({}, busy), Refusal)
    assert isinstance(plan({}, replace(busy, users=(*busy.users, "ffmpeg (pid 77)")), host=running), Refusal)


@pytest.mark.parametrize(
    ("wish", "cameras", "said"),
    [
        ({}, (METADATA,), "this host has no camera"),
        ({}, (CAMERA, OTHER), "more than one camera, and none is named"),
        ({"camera": ID.replace("C920", "C902") + "0"}, (CAMERA, OTHER), f"did you mean {ID}0?"),
        ({"camera": "video9"}, (METADATA,), "no video device gives pictures: /dev/video3"),
        ({"camera": "video3"}, (CAMERA, METADATA), "/dev/video3 gives no pictures"),
        ({}, (replace(CAMERA, users=("ffmpeg (pid 77)",)),), "ffmpeg (pid 77)"),
        ({}, (replace(CAMERA, formats=(CameraFormat("RG10", ((1920, 1080),)),)),), "gives a sensor's raw data"),
        ({}, (replace(CAMERA, driver="tegra-video"),), "/tmp/argus_socket"),
        ({}, (replace(CAMERA, group="plugdev"),), "no group can be given /dev/video2"),
        ({}, (replace(CAMERA, mode="600"),), "its permissions are 600"),
    ],
)
def test_cameras_are_refused_with_what_there_is(
    wish: dict[str, object], cameras: tuple[Camera, ...], said: str
) -> None:
    found = plan(wish, *cameras)
    assert isinstance(found, Refusal)
    assert said in str(found)


@pytest.mark.parametrize(
    ("wish", "host", "said"),
    [
        ({}, replace(DOCKER_DESKTOP, cameras=HOST.cameras), "machine of its own"),
        ({"access": "cdi"}, replace(HOST, docker=replace(HOST.docker, cdi=False)), 'docker_features = {"cdi": True}'),
        ({"access": "cdi"}, with_compose("1.27.4"), "Docker Compose 1.27.4"),
        ({"address": "localhost"}, HOST, "the ports are published on an IP address"),
        ({"image": "nvcr.io/nvidia/l4t-base:r32.7.1"}, HOST, "cannot run on this host"),
    ],
)
def test_hosts_are_refused_with_what_to_do(wish: dict[str, object], host: Host, said: str) -> None:
    found = plan(wish, host=host)
    assert isinstance(found, Refusal)
    assert said in str(found)


def test_old_composes_cannot_write_colons() -> None:
    found = plan({}, NAMELESS, host=with_compose("1.29.2"))
    assert isinstance(found, Refusal)
    assert 'access = "hotplug"' in found.remedy
    assert isinstance(plan({}, host=with_compose("1.29.2")), Project)
