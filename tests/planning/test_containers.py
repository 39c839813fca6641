"""Wished containers: what is started, left alone, refused and removed; and Docker Compose, which they need."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.containers import container_faults
from deploys.planning.image_plan import LocalFiles
from deploys.planning.plan import make_plan, settle_images
from deploys.planning.records import Area, ContainersPlan, Refusal
from deploys.planning.settings import Settings, read_settings
from facts.devices import Listener
from facts.model import Container, Host, SourceFile
from tests.planning.hosts import BARE, DOCKER_DESKTOP, PROOF_IMAGE, READY, on

CATALOGUE = load_catalogue()
FOLDER = "/etc/gpu-hosts/containers"
# Made up: two services, of which one ends.
TEXT = """\
services:
  web:
    image: example/web:1   # ours
    ports:
      - "127.0.0.1:8080:80"
  migrate:
    image: 'example/web:1'
"""
HOST = replace(READY, cpus=8, docker=replace(READY.docker, compose="2.40.3"))


def settings(wish: dict[str, object] | None = None) -> Settings:
    """One compose file of the owner's, wished for as "mine", with these options."""
    found = read_settings({"containers": {"mine": {"kind": "compose", "file": "my.yaml", **(wish or {})}}})
    assert isinstance(found, Settings), found
    return found


def plan(host: Host = HOST, wished: Settings | None = None, text: str = TEXT, only: bool = False) -> ContainersPlan:
    """The containers' part of a whole plan, or, with ``only``, of that of deploys/containers.py."""
    areas = frozenset({Area.MIRRORS, Area.IMAGES, Area.CONTAINERS}) if only else frozenset(Area) - {Area.CACHE}
    files = LocalFiles(texts=(("my.yaml", text),))
    return make_plan(wished or settings({"done": ["migrate"]}), host, CATALOGUE, areas=areas, files=files).containers


def container(service: str, name: str = "") -> Container:
    """One of the project's containers, which runs."""
    made = Container("0", name or f"gpu-hosts-mine-{service}-1", "example/web:1", "runc", project="gpu-hosts-mine")
    return replace(made, service=service)


def with_project(host: Host, *containers: Container, text: str = TEXT, name: str = "mine") -> Host:
    """The host with the owner's file, as the probe tells of it, and these containers."""
    digest = f"sha256:{sha256(text.encode()).hexdigest()}\n"
    files = (SourceFile(f"{FOLDER}/{name}/owner.yaml", digest),)
    return replace(host, docker=replace(host.docker, container_files=files, containers=containers))


WEB, DONE = container("web"), replace(container("migrate"), running=False, exit_code=0)
RIGHT = with_project(HOST, WEB, DONE)


def test_missing_project_is_started() -> None:
    planned = plan()
    (project,) = planned.start
    assert (project.name, project.files) == ("mine", (("owner.yaml", TEXT),))
    assert project.services == (("migrate", "done"),)
    assert project.images == ("example/web:1",)
    assert container_faults(planned, HOST) == ("mine: it is not there",)


def test_service_that_was_there_when_it_came_up_is_missed() -> None:
    """What an owner's file has is known on the host alone."""
    host = with_project(HOST, DONE)
    assert container_faults(plan(host), host) == ()
    noted = SourceFile(f"{FOLDER}/mine/services", "migrate\nweb\n")
    host = replace(host, docker=replace(host.docker, container_files=(*host.docker.container_files, noted)))
    assert container_faults(plan(host), host) == ("mine: web is not there",)


def test_right_project_is_left_alone() -> None:
    planned = plan(RIGHT)
    assert planned.start == ()
    assert [project.name for project in planned.projects] == ["mine"]
    assert container_faults(planned, RIGHT) == ()


@pytest.mark.parametrize(
    ("containers", "fault"),
    [
        ((WEB,), "migrate is not there"),
        ((WEB, container("migrate")), "migrate has not ended yet"),
        ((WEB, replace(container("migrate"), running=False, exit_code=2)), "migrate has ended with 2"),
        # Made, and never started: Docker says 0 of it, too.
        ((WEB, replace(container("migrate"), running=False)), "migrate was never started"),
        ((replace(container("web"), running=False), DONE), "web does not run, and was never started"),
        ((replace(container("web"), running=False, exit_code=137), DONE), "web does not run, and has ended with 137"),
        ((replace(container("web"), restarting=True), DONE), "web starts again and again"),
        ((replace(container("web"), health="unhealthy"), DONE), "web is unhealthy"),
        ((replace(container("web"), health="starting"), DONE), "web is starting"),
        ((replace(container("web"), health="healthy"), DONE), None),
        # Two of a service, and one that somebody ran by hand.
        (
            (WEB, replace(container("web", "gpu-hosts-mine-web-2"), running=False, exit_code=1), DONE),
            "web does not run",
        ),
        ((WEB, DONE, replace(container("web", "debug"), running=False, exit_code=0, one_off=True)), None),
        # By its label alone: `container_name` may be anything.
        (
            (WEB, replace(container("web", "gpu-hosts-mine-web-run-0123456789ab"), running=False), DONE),
            "web does not run",
        ),
        # Another project's do not count.
        ((WEB, DONE, replace(container("db"), running=False, project="theirs")), None),
    ],
)
def test_containers_that_are_not_right(containers: tuple[Container, ...], fault: str | None) -> None:
    host = with_project(HOST, *containers)
    planned = plan(host)
    faults = container_faults(planned, host)
    assert [one.name for one in planned.start] == (["mine"] if fault else [])
    assert [one.startswith(f"mine: {fault}") for one in faults] == ([True] if fault else [])


def test_changed_file_and_unknown_containers_start_it_anew() -> None:
    assert plan(RIGHT, text=TEXT + "# more\n").start
    asleep = replace(RIGHT, docker=replace(RIGHT.docker, running=False, containers=None))
    assert plan(asleep).start


def test_project_of_which_nothing_is_there_but_files() -> None:
    host = with_project(HOST)
    assert container_faults(plan(host, settings()), host) == ("mine: no container of it is there",)


def test_what_nothing_wishes_for_is_removed() -> None:
    planned = plan(RIGHT, Settings())
    assert planned.remove == ("mine",)
    assert container_faults(planned, RIGHT) == ("mine is still there",)
    assert container_faults(planned, HOST) == ()
    # What a change that was broken off has left beside them is no name of a container.
    other = with_project(HOST, name="../containers.new/x")
    assert plan(other, Settings()).remove == ()


def test_gpu_comes_in_a_file_of_ours_before_the_owners() -> None:
    (project,) = plan(wished=settings({"gpu": ["web"]})).start
    ours = "services:\n  web:\n    runtime: nvidia\n    environment:\n      NVIDIA_VISIBLE_DEVICES: all\n"
    assert project.files == (("compose.yaml", ours), ("owner.yaml", TEXT))


@pytest.mark.parametrize(
    ("wished", "host", "brief"),
    [
        (
            settings({"gpu": ["web"], "gpu_by": "gpus"}),
            replace(HOST, docker=replace(HOST.docker, compose="2.26.1")),
            "by gpus",
        ),
        (settings({"gpu": ["web"]}), replace(HOST, gpus=()), "can have a GPU"),
        (settings({"cpus": 1.5}), HOST, "cpus and memory are not for compose files"),
        (settings({"cpus": 16.0}), HOST, "so many processors"),
    ],
)
def test_refused_wish_is_named_and_the_others_go_on(wished: Settings, host: Host, brief: str) -> None:
    both = Settings.model_validate(
        {"containers": {**wished.containers, "other": {"kind": "compose", "file": "my.yaml"}}}
    )
    planned = plan(host, both, text="services:\n  a:\n    image: example/a:1\n")
    (refused,) = planned.refused
    assert refused.name == "mine"
    assert refused.refusal.brief.startswith("mine: ")
    assert brief in refused.refusal.brief
    assert [project.name for project in planned.start] == ["other"]


def test_a_run_of_containers_alone_gives_no_gpu_that_another_run_would() -> None:
    """On a host without toolkit the whole run registers the runtime first, and this one does not."""
    host = replace(HOST, toolkit=BARE.toolkit, docker=replace(HOST.docker, runtimes=("runc",), daemon_json=None))
    wished = settings({"gpu": ["web"]})
    assert not plan(host, wished).refused
    assert plan(host, wished, only=True).refused


def test_an_image_that_does_not_come_holds_up_its_own_containers_alone() -> None:
    """The rest is started, and what nothing wishes for still goes."""
    names = {"lacks": "lacks.yaml", "has": "has.yaml"}
    wished = Settings.model_validate(
        {"containers": {name: {"kind": "compose", "file": file} for name, file in names.items()}}
    )
    texts = tuple(
        (file, f"services:\n  a:\n    image: {image}\n")
        for file, image in zip(names.values(), ("example/web:2", PROOF_IMAGE), strict=True)
    )
    host = with_project(HOST, name="old")
    first = make_plan(wished, host, CATALOGUE, files=LocalFiles(texts=texts))
    images = replace(first.images, refusal=Refusal(Area.IMAGES, "example/web:2 is not to be had", "404", "correct it"))
    found = settle_images(first, host, images).containers
    assert [project.name for project in found.start] == ["has"]
    assert found.remove == ("old",)
    (refused,) = found.refused
    assert (refused.name, refused.refusal.seen) == ("lacks", "example/web:2: images, which is refused")


def listening(host: Host, address: str, port: int, process: str) -> Host:
    """The host with something that listens."""
    return replace(host, listeners=(Listener(address, port, process),))


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        (listening(HOST, "0.0.0.0", 8080, "nginx (pid 7)"), "nginx (pid 7) listens on 0.0.0.0:8080"),
        (listening(HOST, "::", 8080, ""), "a process listens on [::]:8080"),
        (listening(HOST, "127.0.0.1", 8080, "docker-proxy (pid 7)"), "docker ps on the host names the container"),
        (listening(HOST, "192.0.2.1", 8080, "nginx (pid 7)"), None),
        (listening(HOST, "127.0.0.1", 80, "nginx (pid 7)"), None),
        # Docker's proxy for this very project.
        (listening(with_project(HOST, WEB), "127.0.0.1", 8080, "docker-proxy (pid 7)"), None),
        (listening(with_project(HOST, WEB), "127.0.0.1", 8080, "nginx (pid 7)"), "nginx (pid 7) listens"),
        # With userland-proxy false, dockerd listens; without ss, nobody knows who does.
        (listening(HOST, "127.0.0.1", 8080, "dockerd (pid 7)"), "docker ps on the host names the container"),
        (listening(with_project(HOST, WEB), "127.0.0.1", 8080, "dockerd (pid 7)"), None),
        (listening(with_project(HOST, WEB), "127.0.0.1", 8080, ""), None),
        # Its file changes: what it has now is not known.
        (listening(with_project(HOST, WEB, text="other"), "127.0.0.1", 8080, "dockerd (pid 7)"), None),
    ],
)
def test_taken_port(host: Host, seen: str | None) -> None:
    refused = plan(host).refused
    assert [seen in one.refusal.seen for one in refused if seen] == ([True] if seen else [])
    assert bool(refused) is bool(seen)


def test_two_wishes_for_one_port() -> None:
    wished = {name: {"kind": "compose", "file": "my.yaml"} for name in ("one", "two")}
    planned = plan(wished=Settings.model_validate({"containers": wished}))
    assert [(one.name, one.refusal.seen) for one in planned.refused] == [("two", "container one has it as well")]


@pytest.mark.parametrize(("port", "is_told"), [("127.0.0.1:8080:80", False), ("8080:80", True), ("[::1]:80:80", False)])
def test_port_that_others_reach_is_told(port: str, is_told: bool) -> None:
    planned = plan(text=TEXT.replace("127.0.0.1:8080:80", port))
    assert any("others reach 0.0.0.0:8080" in note.choice for note in planned.notes) is is_told


@pytest.mark.parametrize(
    ("host", "tools"),
    [
        (RIGHT, ()),
        # It comes with Docker itself, or, on Debian 12, in a package of its own.
        (BARE, ()),
        (replace(HOST, docker=replace(HOST.docker, compose=None)), ("docker-compose-plugin",)),
        # The one in Python says 'ContainerConfig' and stops, half-way through, where Docker is 26 or newer.
        (replace(HOST, docker=replace(HOST.docker, compose="1.29.2", server_version="25.0.5")), ()),
        (
            replace(HOST, docker=replace(HOST.docker, compose="1.29.2", server_version="26.0.0")),
            ("docker-compose-plugin",),
        ),
        (replace(on("debian-12"), docker=replace(HOST.docker, compose=None, origin="docker.io")), ("docker-compose",)),
        (
            replace(on("ubuntu-24.04"), docker=replace(HOST.docker, compose=None, origin="docker.io")),
            ("docker-compose-v2",),
        ),
        (replace(on("rocky-9.6"), docker=replace(HOST.docker, compose=None)), ("docker-compose-plugin",)),
    ],
)
def test_docker_compose_comes_from_where_docker_came(host: Host, tools: tuple[str, ...]) -> None:
    planned = plan(host)
    assert planned.refusal is None
    assert planned.tools == tools


@pytest.mark.parametrize(
    "host",
    [
        DOCKER_DESKTOP,
        replace(HOST, docker=replace(HOST.docker, compose=None, origin="snap")),
        # JetPack 5's Ubuntu 20.04: docker-compose 1.25 wants a version in every file.
        replace(on("ubuntu-20.04"), docker=replace(HOST.docker, compose="1.25.0", origin="docker.io")),
    ],
)
def test_no_compose_to_be_had_is_a_refusal(host: Host) -> None:
    refusal = plan(host).refusal
    assert refusal is not None
    assert "docs.docker.com/compose/install" in refusal.remedy
