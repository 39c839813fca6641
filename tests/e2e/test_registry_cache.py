"""A site cache on one host, and eight others that pull through it: the upstream's log says what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.harness import Controller, Machine, apply, data_of, machine, wish
from tests.e2e.registries import IMAGES, LARGE, PRIVATE, Traffic, forget, names_of
from tests.sandbox import hosts
from tests.sandbox.state import FOLDER, read_state
from tests.sandbox.vendors import key_file

CACHE, DOCKER = "deploys/registry_cache.py", "deploys/docker.py"
NAMES = tuple(f"t-fan-{number}" for number in range(1, 9))
NVCR, HUB = 5001, 5002  # ports
USER, PASSWORD = "fleet", "a-password-of-the-fleet"
REGISTRY = "docker.io/library/registry:3.0.0"
HOSTS_TOML = "/etc/docker/certs.d/nvcr.io/hosts.toml"
PLACES = "/etc /home /root /run /tmp /var/lib/gpu-hosts /var/log /var/tmp"


@dataclass(frozen=True)
class Cache:
    """The host, what it is wished to be, and where its authority's certificate is put."""

    machine: Machine
    ca: Path

    @property
    def wishes(self) -> dict[str, Any]:
        """Settings of the cache."""
        return {
            "registry_cache_upstreams": {"nvcr.io": NVCR, "docker.io": HUB},
            "registry_cache_address": self.machine.host.address,
            "registry_cache_ca_file": str(self.ca),
            "registry_cache_image": f"registry@{read_state().images[REGISTRY]}",
            "images": [],
        }

    @property
    def clients(self) -> dict[str, Any]:
        """Settings of the hosts that pull through it."""
        address = self.machine.host.address
        return {
            "images": [LARGE],
            "images_mirrors": {"nvcr.io": f"https://{address}:{NVCR}", "docker.io": f"https://{address}:{HUB}"},
            "images_mirror_ca": str(self.ca),
        }

    def answers(self, port: int) -> int:
        """Status of its registry's root, to somebody without a password."""
        address = f"https://{self.machine.host.address}:{port}/v2/"
        return requests.get(address, verify=str(self.ca), timeout=30).status_code


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    """A host that has Docker. The tests of this module use it in order."""
    with machine("wsl", "t-cache") as fresh:
        yield Cache(fresh, tmp_path_factory.mktemp("cache") / "ca.crt")


@pytest.fixture(scope="module")
def fan() -> Iterator[list[Machine]]:
    """Eight hosts with Docker 20.10."""
    with ThreadPoolExecutor(len(NAMES)) as workers:
        try:
            yield [Machine(host) for host in workers.map(lambda name: hosts.start_host("wsl", name), NAMES)]
        finally:
            list(workers.map(hosts.remove_host, NAMES))


@pytest.mark.parametrize(
    ("wishes", "brief"),
    [
        ({"registry_cache_address": "0.0.0.0"}, "a site cache does not listen on 0.0.0.0"),
        (
            {"registry_cache_credentials": {"nvcr.io": {"username": "$oauthtoken", "password_file": "KEY"}}},
            "the cache would give private images of nvcr.io to everybody on the network",
        ),
    ],
)
def test_open_to_strangers_is_refused(cache: Cache, controller: Controller, wishes: dict[str, Any], brief: str) -> None:
    """Nothing is started."""
    for credential in wishes.get("registry_cache_credentials", {}).values():
        credential["password_file"] = str(key_file(FOLDER))
    run = wish(controller, cache.machine, CACHE, cache.wishes | wishes)
    assert (run.status, run.operations) == (1, ["Ask again and judge"]), run.text
    assert run.is_three_part(cache.machine.name, brief), run.text


def test_cache_is_set_up_over_tls_on_one_address(cache: Cache, controller: Controller) -> None:
    """A second run finds it right."""
    apply(controller, cache.machine, CACHE, cache.wishes)
    assert (cache.answers(NVCR), cache.answers(HUB)) == (200, 200)
    listening = cache.machine.sh(f"ss -Hltn 'sport = :{NVCR} or sport = :{HUB}' | awk '{{print $4}}' | sort").split()
    assert listening == [f"{cache.machine.host.address}:{port}" for port in (NVCR, HUB)]


def test_eight_hosts_cost_one_download(cache: Cache, fan: list[Machine], controller: Controller) -> None:
    """The cache alone asks upstream, and no host but the first makes it do so."""
    traffic, inventory = Traffic(), data_of(*fan)
    for data in inventory.values():
        data |= cache.clients
    run = controller.run(inventory, IMAGES, "-y")
    assert run.status == 0, run.text
    assert [row["hosts"] for row in run.preflight] == ["8 hosts"] * len(run.preflight)

    address, others = cache.machine.host.address, {one.host.address for one in fan}
    assert others.isdisjoint(traffic.clients)
    # distribution 2.8, which plays the cache, fetches what it lacks once to store it and once to hand it on; 3 does
    # both at once. That is 91 352 598 bytes here, where eight hosts by themselves fetch 365 410 392.
    blobs = [one for one in traffic.blobs(address) if one["method"] == "GET"]
    asked = Counter(one["path"] for one in blobs)
    assert set(asked.values()) <= {1, 2}, asked
    image = sum({one["path"]: one["bytes"] for one in blobs}.values())
    assert 40_000_000 < image <= traffic.bytes(address) <= 2 * image

    digest = read_state().images[LARGE]
    for one in fan:
        assert LARGE in names_of(one, LARGE)
        assert any(name.endswith(f"@{digest}") for name in names_of(one, LARGE))
    again = Traffic()
    run = controller.run(inventory, IMAGES, "-y")
    assert (run.status, run.operations) == (0, []), run.text
    assert run.counts == dict.fromkeys(NAMES, 1)
    assert (others | {address, controller.client}).isdisjoint(again.clients)


def test_docker_28_takes_nvcr_io_from_its_mirror(cache: Cache, controller: Controller) -> None:
    """By hosts.toml, into containerd's store; the image has its own name and no other."""
    with machine("server", "t-toml") as server:
        docker = {"docker_features": {"containerd-snapshotter": True}, "docker_version": ">=28", "images": []}
        assert wish(controller, server, DOCKER, docker).status == 0
        traffic = Traffic()
        apply(controller, server, IMAGES, docker | cache.clients)
        assert traffic.blobs(server.host.address) == []
        assert f"https://{cache.machine.host.address}:{NVCR}" in server.read(HOSTS_TOML)
        digest = read_state().images[LARGE]
        assert set(names_of(server, LARGE)) == {LARGE, f"{LARGE.rpartition(':')[0]}@{digest}"}


def test_private_images_are_for_those_who_know_the_password(
    cache: Cache, fan: list[Machine], controller: Controller
) -> None:
    """The cache has NVIDIA's key, and the fleet a password of its own."""
    controller.further["FLEET_PASSWORD"] = PASSWORD
    fleet = {"username": USER, "password_env": "FLEET_PASSWORD"}
    nvidia = {"username": "$oauthtoken", "password_file": str(key_file(FOLDER))}
    wishes = cache.wishes | {
        "registry_cache_credentials": {"nvcr.io": nvidia},
        "registry_cache_clients": {"nvcr.io": fleet},
    }
    apply(controller, cache.machine, CACHE, wishes)
    assert (cache.answers(NVCR), cache.answers(HUB)) == (401, 200)
    mirror = f"{cache.machine.host.address}:{NVCR}"
    stranger = wish(controller, fan[0], IMAGES, cache.clients | {"images": [PRIVATE]})
    assert stranger.status == 1
    apply(controller, fan[0], IMAGES, cache.clients | {"images": [PRIVATE], "images_credentials": {mirror: fleet}})
    key = key_file(FOLDER).read_text().strip()
    assert not fan[0].does(f"grep -rlaFq -e '{key}' -e '{PASSWORD}' {PLACES}")
    forget(fan[0], PRIVATE)
