"""Ports of the host that several containers have or are to have."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_plan import LocalFiles
from deploys.planning.plan import make_plan
from deploys.planning.records import Area, ContainersPlan
from deploys.planning.settings import Settings
from facts.devices import Listener
from facts.model import Container, Host, SourceFile
from tests.planning.hosts import READY

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
