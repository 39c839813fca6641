"""Containers are planned for the Docker and the Docker Compose of after the run: the next run finds the same files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.plan import make_plan
from deploys.planning.records import ContainersPlan
from deploys.planning.settings import Settings, read_settings
from facts.devices import Camera, Devices, Group
from facts.model import Docker, Host
from tests.planning.hosts import DOCKER, NO_DOCKER, READY, on

CATALOGUE = load_catalogue()
BY_PATH = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0"
CAMERA = Camera("/dev/video0", "Webcam", None, 0, BY_PATH, captures=True, group="video", mode="660")
DEVICES = Devices(groups=(Group("video", 44, ()),), ascend=("/dev/davinci0",))
CE = replace(DOCKER, images=())
SYSTEMD = {"kind": "modelbox", "systemd": True, "accelerator": "none"}
ASCEND = {"kind": "modelbox", "accelerator": "ascend", "engine": "mindspore"}
VIDEO = {"kind": "hello_video"}
CDI = {"kind": "hello_video", "access": "cdi"}
FROM_DEBIAN = {"docker_source": "distribution"}
SWITCHED_ON = '{"features": {"cdi": true}}'
SWITCHED_OFF = '{"features": {"cdi": false}}'


def debian(release: str, docker: Docker) -> Host:
    """A server of a Debian release with a camera, processors of Ascend and this Docker."""
    host = replace(on(f"debian-{release}"), gpus=READY.gpus, driver=READY.driver, toolkit=READY.toolkit)
    return replace(host, cameras=(CAMERA,), devices=DEVICES, cgroup=2, cpus=8, memory=2**34, docker=docker)


def ce(version: str, *, compose: str | None = "2.40.3", cdi: bool = False, daemon_json: str | None = None) -> Docker:
    """Docker's own packages of a version, with a daemon.json that is as it is wished for."""
    packages = (("docker-ce", f"5:{version}-1"),)
    there = replace(CE, server_version=version, client_version=version, packages=packages, compose=compose, cdi=cdi)
    return replace(there, daemon_json=daemon_json or there.daemon_json)


def distributions(version: str, compose: str) -> Docker:
    """Docker of Debian's own packages."""
    packages = (("docker.io", f"{version}+dfsg1-1"),)
    return replace(ce(version, compose=compose), origin="docker.io", packages=packages)


def plan(host: Host, wish: dict[str, Any], settings: dict[str, Any]) -> ContainersPlan:
    """The containers' part of the plan for one wish."""
    found = read_settings({"containers": {"one": wish}, **settings})
    assert isinstance(found, Settings), found
    planned = make_plan(found, host, CATALOGUE)
    assert not planned.docker.refusal
    assert not planned.daemon.refusal
    return planned.containers


NEW_29 = {"docker_version": "29"}
CHANGES = [
    (SYSTEMD, NEW_29, "13", ce("27.5.1"), ce("29.4.3", cdi=True), "writable-cgroups=true"),
    (SYSTEMD, {}, "13", NO_DOCKER, ce("29.4.3", cdi=True), "writable-cgroups=true"),
    (SYSTEMD, {"docker_version": "26"}, "13", NO_DOCKER, ce("26.1.4"), "cgroup: host"),
    (SYSTEMD, FROM_DEBIAN, "13", NO_DOCKER, distributions("26.1.5", "2.26.1"), "cgroup: host"),
    (SYSTEMD, FROM_DEBIAN, "12", NO_DOCKER, distributions("20.10.24", "1.29.2"), None),
    # One that is there and does not run is not changed.
    (SYSTEMD, {}, "13", replace(ce("27.5.1"), server_version=None, running=False), ce("27.5.1"), "cgroup: host"),
    (
        CDI,
        {"docker_features": {"cdi": True}},
        "13",
        ce("27.5.1"),
        ce("27.5.1", cdi=True, daemon_json=SWITCHED_ON),
        "cdi",
    ),
    (CDI, NEW_29, "13", ce("27.5.1"), ce("29.4.3", cdi=True), "cdi"),
    (CDI, {"docker_version": "26"}, "13", NO_DOCKER, ce("26.1.4"), None),
    (CDI, FROM_DEBIAN, "13", NO_DOCKER, distributions("26.1.5", "2.26.1"), None),
    (
        CDI,
        {"docker_features": {"cdi": False}},
        "13",
        ce("29.4.3", cdi=True),
        ce("29.4.3", daemon_json=SWITCHED_OFF),
        None,
    ),
    (VIDEO, {}, "12", NO_DOCKER, ce("29.4.3", cdi=True), BY_PATH),
    (VIDEO, FROM_DEBIAN, "12", NO_DOCKER, distributions("20.10.24", "1.29.2"), None),
    (ASCEND, FROM_DEBIAN, "12", NO_DOCKER, distributions("20.10.24", "1.29.2"), "/dev/davinci0"),
]


@pytest.mark.parametrize(("wish", "settings", "release", "before", "after", "has"), CHANGES)
def test_next_run_finds_what_was_planned(
    wish: dict[str, Any], settings: dict[str, Any], release: str, before: Docker, after: Docker, has: str | None
) -> None:
    """Docker's versions by release are typed from packages.debian.org. None: refused by both."""
    first, second = (plan(debian(release, docker), wish, settings) for docker in (before, after))
    files = [[project.files for project in one.projects] for one in (first, second)]
    assert files[0] == files[1]
    assert len(files[0]) == (0 if has is None else 1)
    assert all(has in dict(found)["compose.yaml"] for found in files[0] if has)
    assert [one.refusal.brief for one in first.refused] == [one.refusal.brief for one in second.refused]


def test_compose_in_python_does_not_stay_beside_a_docker_that_this_run_brings_to_26_or_newer() -> None:
    host = debian("12", ce("25.0.5", compose="1.29.2"))
    assert plan(host, VIDEO, {"docker_version": "25"}).tools == ()
    assert plan(host, VIDEO, NEW_29).tools == ("docker-compose-plugin",)
