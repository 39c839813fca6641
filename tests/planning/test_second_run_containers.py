"""A second run is empty: hosts with cameras, sound cards and GPUs as a plan for containers and cameras leaves them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from deploys.planning.cameras import camera_faults
from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Verdict, check, sum_up
from deploys.planning.compose_files import OWNERS
from deploys.planning.containers import PREFIX
from deploys.planning.host_plan import Plan
from deploys.planning.image_plan import LocalFiles
from deploys.planning.images import parse_reference
from deploys.planning.plan import make_plan
from deploys.planning.records import Area, Project
from deploys.planning.service_image import PROJECTS
from deploys.planning.settings import Settings, read_settings
from facts.devices import Camera, Devices, Group, SoundCard
from facts.model import Container, Host, Image, SourceFile
from tests.planning.hosts import JETSON, READY, needs_something

CATALOGUE = load_catalogue()
FILES = LocalFiles(
    texts=(
        ("my.yaml", "services:\n  web:\n    image: example/web:1\n"),
        ("my.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me\n"),
    )
)
WISHES: dict[str, dict[str, Any]] = {
    "gpu": {"kind": "hello_gpu"},
    "sound": {"kind": "hello_audio"},
    "front": {"kind": "hello_video", "camera": "video0"},
    "rear": {"kind": "hello_video", "camera": "video2", "access": "hotplug", "port": 8091},
    "box": {"kind": "modelbox"},
    "dev": {"kind": "modelbox", "ssh": "key", "authorized_keys": "my.pub", "editor": True, "http_port": 8081},
    "mine": {"kind": "compose", "file": "my.yaml", "gpu": ["web"]},
}
BY_ID = "/dev/v4l/by-id/usb-Webcam-video-index0"
CAMERA = Camera("/dev/video0", "Webcam", BY_ID, 0, captures=True, group="video", mode="660")
REAR = Camera("/dev/video2", "Other", None, captures=True, group="video", mode="660")
BOARD = replace(JETSON, docker=READY.docker, toolkit=READY.toolkit)
DEVICES = Devices(
    usb=(),
    sound_cards=(SoundCard(0, "PCH", "HDA Intel", True, True),),
    groups=(Group("video", 44, ()), Group("audio", 29, ())),
)


def with_devices(host: Host, *cameras: Camera) -> Host:
    """The host with a camera, or these, a sound card and Docker Compose."""
    docker = replace(host.docker, compose="2.40.3")
    return replace(host, cameras=cameras or (CAMERA,), devices=DEVICES, cgroup=2, cpus=8, memory=2**34, docker=docker)


def container(project: Project, service: str, state: str) -> Container:
    """One that has come to what it must."""
    name, runs = f"{PREFIX}{project.name}", state != "done"
    made = Container("0", name, "an image", None, running=runs, project=name, service=service)
    return replace(made, health="healthy" if state == "healthy" else "", exit_code=None if runs else 0)


def after(host: Host, plan: Plan) -> Host:
    """The host as the plan leaves it, where no step fails."""
    docker = host.docker
    projects = plan.containers.projects
    files = tuple(
        SourceFile(f"{PROJECTS}/{project.name}/{path}", text if path != OWNERS else f"sha256:{digest(text)}\n")
        for project in projects
        for path, text in project.files
    )
    containers = tuple(
        container(project, service, state)
        for project in projects
        for service, state in project.services or (("web", "running"),)
    )
    pulled = tuple(Image(f"sha256:{digest(one.reference)}", names(one.reference)) for one in plan.images.pull)
    taken = {name for image in pulled for name in image.names}
    kept = (replace(one, names=tuple(name for name in one.names if name not in taken)) for one in docker.images or ())
    docker = replace(docker, container_files=files, containers=containers, images=(*kept, *pulled))
    groups = tuple(
        replace(group, members=tuple(user for user, of in plan.cameras.expected if of == group.name))
        for group in host.devices.groups
    )
    tools = (*host.packages.tools, *("v4l2-ctl" if one == "v4l-utils" else one for one in plan.cameras.tools))
    return replace(
        host,
        docker=docker,
        devices=replace(host.devices, groups=groups),
        packages=replace(host.packages, tools=tools),
    )


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def names(reference: str) -> tuple[str, ...]:
    """What an image goes by once it was pulled by this reference."""
    parsed = parse_reference(reference)
    return (parsed.pinned, f"{parsed.name}:{parsed.tag or 'latest'}")


@pytest.mark.parametrize("host", [READY, BOARD], ids=lambda host: host.platform.kind)
def test_what_a_run_leaves_needs_nothing(host: Host) -> None:
    found = read_settings({"containers": WISHES, "camera_users": ["alice"]})
    assert isinstance(found, Settings), found
    areas = frozenset({Area.MIRRORS, Area.IMAGES, Area.CAMERAS, Area.CONTAINERS})
    start = with_devices(host, CAMERA, REAR)
    first = make_plan(found, start, CATALOGUE, areas=areas, files=FILES)
    refused = {one.name for one in first.containers.refused}
    # ModelBox has no image for L4T (modelbox-ai/modelbox, docker/README.md).
    assert refused == ({"box", "dev"} if host.jetson else set()), first.refusals
    assert {project.name for project in first.containers.start} == set(WISHES) - refused
    assert first.cameras.memberships == (("alice", "video"),)
    assert camera_faults(first.cameras, start)
    left = after(start, first)
    second = make_plan(found, left, CATALOGUE, areas=areas, files=FILES)
    assert not needs_something(second), second
    assert sum_up(check(first, left, CATALOGUE)) is (Verdict.BAD if refused else Verdict.GOOD)


def test_what_is_wished_for_no_more_goes() -> None:
    found = read_settings({"containers": {"gpu": {"kind": "hello_gpu"}}})
    assert isinstance(found, Settings), found
    left = after(with_devices(READY), make_plan(found, with_devices(READY), CATALOGUE))
    assert make_plan(Settings(), left, CATALOGUE).containers.remove == ("gpu",)


def test_a_camera_is_one_containers() -> None:
    """Whatever they call it, and however they get it: the second would never be healthy."""
    wishes: dict[str, dict[str, Any]] = {
        "a": {"kind": "hello_video", "camera": BY_ID},
        "b": {"kind": "hello_video", "camera": "video0", "access": "hotplug", "port": 8091},
        "c": {"kind": "hello_video", "camera": "video2", "port": 8092},
    }
    found = read_settings({"containers": wishes})
    assert isinstance(found, Settings), found
    plan = make_plan(found, with_devices(READY, CAMERA, REAR), CATALOGUE).containers
    assert [project.name for project in plan.start] == ["a", "c"]
    assert [(one.name, one.refusal.brief) for one in plan.refused] == [("b", "b: the container a has this camera")]


DEVELOP = "modelbox/modelbox-develop-tensorrt_8.4.2-cuda_11.2-ubuntu-x86_64:latest"
ONE, OTHER = f"@sha256:{'11' * 32}", f"@sha256:{'22' * 32}"


@pytest.mark.parametrize(
    ("wish", "image"),
    [
        ({"kind": "hello_gpu"}, "lab/gpu:1"),
        ({"kind": "hello_gpu", "by": "tensorflow"}, "lab/tf:1"),
        ({"kind": "hello_audio"}, "lab/sound:1"),
        ({"kind": "hello_video"}, "lab/video:1"),
        ({"kind": "modelbox"}, "lab/box:1"),
        ({"kind": "modelbox", "systemd": True}, DEVELOP),  # of which an image is made on the host
    ],
)
def test_another_digest_under_the_same_tag_is_another_container(wish: dict[str, Any], image: str) -> None:
    def change(host: Host, reference: str) -> Plan:
        found = read_settings({"containers": {"one": {**wish, "image": reference}}})
        assert isinstance(found, Settings), found
        return make_plan(found, host, CATALOGUE, files=FILES)

    host = with_devices(replace(READY, docker=replace(READY.docker, server_version="28.5.2")))
    # Back at last to what is there, and goes by that tag no more.
    for reference in (f"{image}{ONE}", f"{image}{OTHER}", f"{image}{ONE}"):
        plan = change(host, reference)
        assert [project.name for project in plan.containers.start] == ["one"], reference
        assert reference in [pull.reference for pull in plan.images.pull]
        host = after(host, plan)
        assert not change(host, reference).containers.start
        assert reference not in [pull.reference for pull in change(host, reference).images.pull]
    # Without a digest nobody knows what the tag means today, and a newer image is none of this run's business.
    host = after(host, change(host, image))
    elsewhere = replace(host, docker=replace(host.docker, images=(Image("sha256:33", (image,)),)))
    assert not change(elsewhere, image).containers.start


def test_another_digest_of_the_proofs_image_is_another_hello() -> None:
    def change(host: Host, proof: str) -> Plan:
        found = read_settings({"containers": {"gpu": {"kind": "hello_gpu"}}, "gpu_proof_image": proof})
        assert isinstance(found, Settings), found
        return make_plan(found, host, CATALOGUE)

    left = after(with_devices(READY), change(with_devices(READY), f"lab/gpu:1{ONE}"))
    assert [project.name for project in change(left, f"lab/gpu:1{OTHER}").containers.start] == ["gpu"]


def test_a_tag_is_for_what_is_started_by_it() -> None:
    """The owner's own compose file names images by digest, and what runs needs no name."""
    wished = read_settings({"containers": {"mine": {"kind": "compose", "file": "my.yaml"}}})
    assert isinstance(wished, Settings), wished
    files = LocalFiles(texts=(("my.yaml", f"services:\n  web:\n    image: example/web:1{ONE}\n"),))
    images = (Image("sha256:44", (f"example/web{ONE}",)),)
    host = with_devices(replace(READY, docker=replace(READY.docker, images=images)))
    found = make_plan(wished, host, CATALOGUE, files=files)
    assert [project.name for project in found.containers.start] == ["mine"]
    assert f"example/web:1{ONE}" not in [pull.reference for pull in found.images.pull]
