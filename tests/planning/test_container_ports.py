"""Ports of the host that several containers have or are to have."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_plan import LocalFiles
from deploys.planning.plan import make_plan
from deploys.planning.records import Area, ContainersPlan
from deploys.planning.settings import Settings
from facts.devices import Listener
from facts.model import Container, Host, SourceFile
from tests.planning.hosts import READY
from tests.planning.test_second_run_containers import after, with_devices

FOLDER = "/etc/gpu-hosts/containers"
HOST = replace(READY, cpus=8, docker=replace(READY.docker, compose="2.40.3"))


def text_of(ports: str) -> str:
    """Made up: a compose file that publishes the same ports of the container's."""
    return f'services:\n  web:\n    image: example/web:1\n    ports:\n      - "{ports}:{ports}"\n'


def plan(host: Host, ports: dict[str, str]) -> ContainersPlan:
    """The containers' part of a plan: a compose file of the owner's for each name."""
    wished = Settings.model_validate({"containers": {name: {"kind": "compose", "file": name} for name in ports}})
    files = LocalFiles(texts=tuple((name, text_of(port)) for name, port in ports.items()))
    return make_plan(wished, host, load_catalogue(), areas=frozenset({Area.CONTAINERS}), files=files).containers


def runs(host: Host, ports: dict[str, str]) -> Host:
    """The host with such projects that run, and with dockerd on their ports."""
    digests = {name: sha256(text_of(port).encode()).hexdigest() for name, port in ports.items()}
    files = (SourceFile(f"{FOLDER}/{name}/owner.yaml", f"sha256:{digest}\n") for name, digest in digests.items())
    made = (
        Container("0", f"{name}-web-1", "example/web:1", "runc", project=f"gpu-hosts-{name}", service="web")
        for name in ports
    )
    return replace(
        host,
        docker=replace(host.docker, container_files=tuple(files), containers=tuple(made)),
        listeners=tuple(Listener("0.0.0.0", int(port), "dockerd (pid 9)") for port in ports.values()),
    )


def refused(found: ContainersPlan) -> dict[str, str]:
    """What was seen, by name."""
    return {one.name: one.refusal.seen for one in found.refused}


def test_port_of_a_container_that_is_not_ours_is_taken_while_ours_run() -> None:
    host = runs(HOST, {"mine": "8080"})
    host = replace(host, listeners=(*host.listeners, Listener("::", 9090, "dockerd (pid 9)")))
    found = plan(host, {"mine": "8080", "other": "9090"})
    assert refused(found) == {
        "other": "dockerd (pid 9) listens on [::]:9090; docker ps on the host names the container"
    }
    # What runs after a change that was broken off need not be of the files.
    unfinished = SourceFile(f"{FOLDER}/mine/unfinished", "a change has begun\n")
    docker = replace(host.docker, container_files=(*host.docker.container_files, unfinished))
    assert not refused(plan(replace(host, docker=docker), {"mine": "8080", "other": "9090"}))


def test_range_of_ports_is_told_at_once_and_taken_as_a_whole() -> None:
    found = plan(HOST, {"one": "10000-20000", "two": "30000-32000", "three": "20000-20001", "four": "9000"})
    assert refused(found) == {"three": "container one has it as well"}
    assert [one.refusal.brief for one in found.refused] == ["three: port 20000 is taken"]
    assert [note.choice for note in found.notes if "others reach" in note.choice] == [
        "one: others reach 0.0.0.0:10000-20000",
        "two: others reach 0.0.0.0:30000-32000",
        "four: others reach 0.0.0.0:9000",
    ]
    nginx = replace(HOST, listeners=(Listener("127.0.0.1", 15000, "nginx (pid 7)"),))
    found = plan(nginx, {"one": "10000-20000"})
    assert refused(found) == {"one": "nginx (pid 7) listens on 127.0.0.1:15000"}
    assert [one.refusal.brief for one in found.refused] == ["one: port 15000 is taken"]


def wish(ports: dict[str, int]) -> Settings:
    """A hello_video, a, and a ModelBox, m: the host tells their files in plain text."""
    kinds = {"a": ("hello_video", "port"), "m": ("modelbox", "http_port")}
    return Settings.model_validate(
        {"containers": {name: {"kind": kinds[name][0], kinds[name][1]: port} for name, port in ports.items()}}
    )


# What runs, what is wished, what is started in which order, and what is refused because of whom.
@pytest.mark.parametrize(
    ("there", "wished", "start", "because"),
    [
        # One leaves the port that another takes.
        ({"a": 8090}, {"m": 8090, "a": 8092}, ["a", "m"], {}),
        ({"a": 8090, "m": 8091}, {"m": 8090, "a": 8092}, ["a", "m"], {}),
        ({"a": 8090, "m": 8091}, {"a": 8092, "m": 8090}, ["a", "m"], {}),
        # A swap has no order.
        ({"a": 8090, "m": 8091}, {"a": 8091, "m": 8090}, [], {"a": ("m", 8091), "m": ("a", 8090)}),
        # What goes is gone before.
        ({"a": 8090, "m": 8091}, {"a": 8091}, ["a"], {}),
        ({"a": 8090, "m": 8091}, {"a": 8090, "m": 8091}, [], {}),
    ],
)
def test_who_leaves_a_port_comes_before_who_takes_it(
    there: dict[str, int], wished: dict[str, int], start: list[str], because: dict[str, tuple[str, int]]
) -> None:
    areas = frozenset({Area.IMAGES, Area.CONTAINERS})
    bare = with_devices(HOST)
    host = after(bare, make_plan(wish(there), bare, load_catalogue(), areas=areas))
    proxies = tuple(Listener("127.0.0.1", port, "docker-proxy (pid 9)") for port in there.values())
    found = make_plan(wish(wished), replace(host, listeners=proxies), load_catalogue(), areas=areas).containers
    assert [project.name for project in found.start] == start
    assert {one.name: (one.refusal.brief, one.refusal.seen) for one in found.refused} == {
        name: (f"{name}: port {port} is taken", f"container {other} runs with it, and nothing frees it before")
        for name, (other, port) in because.items()
    }


def test_order_where_it_is_not_known_what_the_owners_files_had() -> None:
    found = plan(runs(HOST, {"a": "8090"}), {"b": "8090", "a": "8092"})
    assert [project.name for project in found.start] == ["a", "b"]


def test_port_of_a_container_that_is_refused_and_runs_on_is_taken() -> None:
    bare = with_devices(HOST)
    host = after(bare, make_plan(wish({"a": 8090}), bare, load_catalogue(), areas=frozenset({Area.CONTAINERS})))
    found = make_plan(wish({"a": 8092, "m": 8090}), replace(host, cameras=()), load_catalogue()).containers
    assert [one.name for one in found.refused] == ["a", "m"]
    assert "container a runs with it" in found.refused[1].refusal.seen
