"""The site cache: what is refused, what is started anew and why, and what the registry is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.records import CachePlan, DockerPlan
from deploys.planning.registry_cache import cache_faults, plan_registry_cache
from deploys.planning.settings import Settings
from facts.model import Container, Host, RegistryCache, SourceFile
from tests.planning.hosts import BARE, DOCKER_DESKTOP, READY

CATALOGUE = load_catalogue()
NOW = READY.time
DAY = 86400
FOLDER = "/etc/gpu-hosts/registry-cache"
ADDRESSES = ("192.0.2.10", "2001:db8::10", "172.17.0.1")
HOST = replace(READY, addresses=ADDRESSES)
SECRET = {"username": "lab", "password_env": "NOT_READ"}
# In these tests' own words, from the documentation of distribution's configuration.
NVCR = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: "192.0.2.10:5001"
  tls:
    certificate: /etc/gpu-hosts/server.crt
    key: /etc/gpu-hosts/server.key
    minimumtls: tls1.2
proxy:
  remoteurl: https://nvcr.io
  ttl: 168h
"""


def wish(changed: dict[str, object] | None = None) -> Settings:
    """A cache of nvcr.io, with these settings besides or in place."""
    data = {"upstreams": {"nvcr.io": 5001}, "address": "192.0.2.10"} | (changed or {})
    return Settings.model_validate({f"registry_cache_{name}": value for name, value in data.items()})


def plan(settings: Settings, host: Host = HOST, mark: str = "", now: int = NOW) -> CachePlan:
    """The plan for a host whose Docker needs nothing."""
    marks = {"nvcr.io": mark}
    return plan_registry_cache(settings, host, CATALOGUE, docker=DockerPlan(), now=now, marks=marks)


def after(settings: Settings, host: Host = HOST, mark: str = "") -> Host:
    """The host as a run of this plan leaves it: its records, certificate and containers."""
    planned = plan(settings, host, mark)
    files = [SourceFile(path, text) for path, text in planned.files]
    files.append(SourceFile(f"{FOLDER}/ca.crt", "-----BEGIN CERTIFICATE-----\n"))
    cache = RegistryCache(tuple(files), planned.address, NOW + 825 * DAY)
    names = [f"gpu-hosts-cache-{upstream.replace(':', '_')}" for upstream, _ in planned.upstreams]
    containers = tuple(Container(str(number), name, "registry", "runc") for number, name in enumerate(names))
    return replace(host, registry_cache=cache, docker=replace(host.docker, containers=containers))


def test_a_new_cache() -> None:
    found = plan(wish({"name": "cache.lab"}))
    assert found.start == ("nvcr.io",)
    ((path, text),) = found.files
    assert path == f"{FOLDER}/nvcr.io.yml"
    assert "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")) == NVCR
    assert found.make_certificate
    assert (found.address, found.name, found.folder) == ("192.0.2.10", "cache.lab", "/var/lib/gpu-hosts-cache")
    # The digest of registry:3.1.1 as public files pin it.
    digest = "1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33"
    assert found.image == f"docker.io/library/registry:3.1.1@sha256:{digest}"


@pytest.mark.parametrize(
    ("upstream", "remote"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.lab:5000", "https://registry.lab:5000"),
    ],
)
def test_where_an_upstream_is(upstream: str, remote: str) -> None:
    ((path, text),) = plan(wish({"upstreams": {upstream: 5001}})).files
    assert f"\n  remoteurl: {remote}\n" in text
    assert path == f"{FOLDER}/{upstream.replace(':', '_')}.yml"


def test_an_ipv6_address_stands_in_brackets() -> None:
    ((_, text),) = plan(wish({"address": "2001:db8::10"})).files
    assert '\n  addr: "[2001:db8::10]:5001"\n' in text


def test_a_second_run_finds_everything_right() -> None:
    settings = wish({"upstreams": {"nvcr.io": 5001, "docker.io": 5002}, "name": "cache.lab"})
    host = after(settings)
    found = plan(settings, host)
    assert (found.start, found.files, found.remove, found.make_certificate) == ((), (), (), False)
    assert [upstream for upstream, _ in found.upstreams] == ["docker.io", "nvcr.io"]
    assert cache_faults(found, host) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"upstreams": {"nvcr.io": 5003}},
        {"folder": "/srv/cache"},
        {"image": f"registry.lab/registry@sha256:{'a' * 64}"},
        {"clients": {"nvcr.io": SECRET}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_starts_it_anew_with_the_same_certificate(change: dict[str, object]) -> None:
    found = plan(wish(change), after(wish()))
    assert (found.start, found.make_certificate) == (("nvcr.io",), False)


@pytest.mark.parametrize(
    "change", [{"address": "172.17.0.1"}, {"name": "cache.lab"}], ids=lambda change: next(iter(change))
)
def test_another_address_or_name_needs_a_certificate(change: dict[str, object]) -> None:
    found = plan(wish(change), after(wish()))
    assert (found.start, found.make_certificate) == (("nvcr.io",), True)


def test_an_address_is_the_same_in_openssls_writing() -> None:
    settings = wish({"address": "2001:db8::10"})
    host = after(settings)
    assert host.registry_cache
    host = replace(host, registry_cache=replace(host.registry_cache, address="2001:DB8:0:0:0:0:0:10"))
    assert plan(settings, host).start == ()


@pytest.mark.parametrize(("days", "renews"), [(31, False), (29, True), (-1, True)])
def test_a_certificate_is_made_anew_before_it_ends(days: int, renews: bool) -> None:
    settings = wish({"upstreams": {"nvcr.io": 5001, "docker.io": 5002}})
    found = plan(settings, after(settings), now=NOW + (825 - days) * DAY)
    assert found.make_certificate is renews
    # They read it when they start.
    assert found.start == (("docker.io", "nvcr.io") if renews else ())


def test_another_password_starts_it_anew() -> None:
    settings = wish({"credentials": {"nvcr.io": SECRET}, "clients": {"nvcr.io": SECRET}})
    host = after(settings, mark="0a0b0c0d")
    assert plan(settings, host, mark="0a0b0c0d").start == ()
    assert plan(settings, host, mark="ffffffff").start == ("nvcr.io",)


def test_a_stopped_container_is_started_anew() -> None:
    host = after(wish())
    stopped = tuple(replace(container, running=False) for container in host.docker.containers or ())
    host = replace(host, docker=replace(host.docker, containers=stopped))
    found = plan(wish(), host)
    assert found.start == ("nvcr.io",)
    assert cache_faults(found, host) == ("no container gpu-hosts-cache-nvcr.io runs",)


def test_an_upstream_that_is_not_wished_for_goes() -> None:
    host = after(wish({"upstreams": {"nvcr.io": 5001, "docker.io": 5002}}))
    found = plan(wish(), host)
    assert (found.remove, found.start) == (("gpu-hosts-cache-docker.io",), ())
    assert cache_faults(found, host) == ("gpu-hosts-cache-docker.io is still there",)
    assert plan(Settings(), host).remove == ("gpu-hosts-cache-docker.io", "gpu-hosts-cache-nvcr.io")


def test_containers_of_others_and_of_an_interrupted_run_are_no_upstreams() -> None:
    names = ("registry", "gpu-hosts-proof", "gpu-hosts-cache-nvcr.io_before")
    containers = tuple(Container(name, name, "registry", "runc") for name in names)
    # Docker Compose's name for what `containers` has as "cache".
    theirs = Container("9", "gpu-hosts-cache-redis-1", "redis", "runc", project="gpu-hosts-cache", service="redis")
    containers = (*containers, theirs)
    assert plan(Settings(), replace(HOST, docker=replace(HOST.docker, containers=containers))) == CachePlan(
        folder="/var/lib/gpu-hosts-cache"
    )


def test_a_host_without_docker_gets_the_same_plan() -> None:
    docker = DockerPlan(packages=("docker-ce",))
    found = plan_registry_cache(wish(), replace(BARE, addresses=ADDRESSES), CATALOGUE, docker=docker, now=NOW)
    assert found.start == ("nvcr.io",)
    assert found.notes[0].because == "Docker comes with this run"


def test_the_cache_goes_the_daemons_way() -> None:
    lines = ("runtime=runc", "https-proxy=http://proxy.lab:3128", "no-proxy=.lab", "http-proxy=")
    found = plan(wish(), replace(HOST, docker=replace(HOST.docker, in_force=lines)))
    assert found.environment == (("HTTPS_PROXY", "http://proxy.lab:3128"), ("NO_PROXY", ".lab"))
    # It is a reason to start anew as well.
    assert plan(wish(), replace(after(wish()), docker=replace(after(wish()).docker, in_force=lines))).start == (
        "nvcr.io",
    )


def test_an_address_of_the_internet_is_said() -> None:
    host = replace(HOST, addresses=("9.9.9.9",))
    assert "everybody who reaches 9.9.9.9 can pull from the cache" in [
        n.choice for n in plan(wish({"address": "9.9.9.9"}), host).notes
    ]


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"address": None}, "registry_cache_address is not set"),
        ({"address": "cache.lab"}, "registry_cache_address is cache.lab"),
        ({"address": "0.0.0.0"}, "it is every address of the host"),
        ({"address": "::"}, "it is every address of the host"),
        ({"address": "127.0.0.1"}, "it is an address that no other host reaches"),
        ({"address": "::1"}, "it is an address that no other host reaches"),
        ({"address": "fe80::1"}, "it is an address that no other host reaches"),
        ({"address": "224.0.0.1"}, "it is no address of one host"),
        ({"address": "192.0.2.11"}, "no interface has it"),
        ({"upstreams": {"nvcr.io": 443}}, "registry_cache_upstreams has nvcr.io: 443"),
        ({"upstreams": {"nvcr.io": 70000}}, "registry_cache_upstreams has nvcr.io: 70000"),
        ({"upstreams": {"a.io": 5001, "b.io": 5001}}, "registry_cache_upstreams has a.io: 5001, b.io: 5001"),
        ({"upstreams": {"https://nvcr.io": 5001}}, "registry_cache_upstreams has 'https://nvcr.io'"),
        ({"upstreams": {"nvcr.io/nvidia": 5001}}, "registry_cache_upstreams has 'nvcr.io/nvidia'"),
        ({"upstreams": {"a b": 5001}}, "registry_cache_upstreams has 'a b'"),
        (
            {"credentials": {"nvcr.io": SECRET}},
            "registry_cache_credentials has it, and registry_cache_clients does not",
        ),
        ({"clients": {"ghcr.io": SECRET}}, "ghcr.io has credentials, and is not in registry_cache_upstreams"),
        ({"image": "registry:3"}, "registry_cache_image is registry:3"),
    ],
)
def test_refused(change: dict[str, object], seen: str) -> None:
    found = plan(wish(change))
    assert found.refusal
    assert found.refusal.seen == seen
    assert found.refusal.remedy
    assert found == CachePlan(refusal=found.refusal)


def test_refused_where_the_address_would_be_another_machines() -> None:
    assert plan(wish(), replace(DOCKER_DESKTOP, addresses=ADDRESSES)).refusal


def test_refused_behind_a_proxy_whose_password_docker_hides() -> None:
    lines = ("https-proxy=http://xxxxx:xxxxx@proxy.lab:3128",)
    assert plan(wish(), replace(HOST, docker=replace(HOST.docker, in_force=lines))).refusal


def test_addresses_that_could_not_be_read_refuse_nothing() -> None:
    assert plan(wish(), READY).refusal is None
