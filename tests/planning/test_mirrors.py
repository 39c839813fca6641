"""Mirrors of registries: which Docker takes them by itself, what is written for it, by what name images come."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.daemon_config import Wish
from deploys.planning.daemon_keys import Keys
from deploys.planning.daemon_wish import read_wish
from deploys.planning.images import is_present
from deploys.planning.mirrors import make_pull, plan_mirrors
from deploys.planning.records import Area, DockerPlan, MirrorsPlan
from deploys.planning.settings import Credential, Settings
from facts.model import Host, Image, SourceFile
from tests.planning.hosts import BARE, DIGEST, DOCKER_DESKTOP, READY

CA = "-----BEGIN CERTIFICATE-----\nmade up\n-----END CERTIFICATE-----\n"
CA_FILE = "/etc/docker/certs.d/cache.lab:5001/gpu-hosts-ca.crt"
NVCR = "/etc/docker/certs.d/nvcr.io/hosts.toml"
HUB = "/etc/docker/certs.d/docker.io/hosts.toml"
MIRRORS = {"nvcr.io": "https://cache.lab:5001", "docker.io": "https://cache.lab:5000/"}
PASSWORD = {"cache.lab:5001": Credential(username="lab", password_env="CACHE_PASSWORD")}
MIRRORED = MirrorsPlan(mirrored=("docker.io",))
REWRITES = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"), ("docker.io", "harbor.lab/hub")))


def having(version: str, *files: tuple[str, str], store: bool = True, origin: str = "docker-ce") -> Host:
    """The ready host with another Docker, and these files below certs.d."""
    found = tuple(SourceFile(path, text) for path, text in files)
    docker = replace(READY.docker, server_version=version, origin=origin, containerd_store=store, registry_files=found)
    return replace(READY, docker=docker)


def plan(host: Host, mirrors: dict[str, str] = MIRRORS, *, ca: str | None = CA, docker: DockerPlan | None = None,
         credentials: dict[str, Credential] | None = None) -> MirrorsPlan:  # fmt: skip
    """The plan for one host."""
    settings = Settings(images_mirrors=mirrors, images_credentials=credentials or {})
    return plan_mirrors(settings, host, ca=ca, docker=docker or DockerPlan())


def after(host: Host, done: MirrorsPlan) -> Host:
    """The host as the plan leaves it."""
    left = {file.path: file.text for file in host.docker.registry_files if file.path not in done.remove}
    files = tuple(SourceFile(path, text) for path, text in sorted({**left, **dict(done.files)}.items()))
    return replace(host, docker=replace(host.docker, registry_files=files))


def registry_mirrors(settings: Settings) -> list[object]:
    """What daemon.json's registry-mirrors are to get."""
    wish = read_wish(settings, Keys.of(load_catalogue(), "28.5.2"))
    assert isinstance(wish, Wish)
    return [value for path, value in wish.items if path == ("registry-mirrors",)]


@pytest.mark.parametrize(
    ("version", "store", "mirrored", "rewritten"),
    [
        # moby: daemon/hosts.go is there from 28.0.0 on, and the classic store asks no mirror but docker.io's.
        ("28.0.0", True, {"nvcr.io", "docker.io"}, set()),
        ("29.4.3", True, {"nvcr.io", "docker.io"}, set()),
        ("28.5.2", False, {"docker.io"}, {"nvcr.io"}),
        ("27.5.1", True, {"docker.io"}, {"nvcr.io"}),
        ("20.10.24+dfsg1", False, {"docker.io"}, {"nvcr.io"}),
        ("", False, {"docker.io"}, {"nvcr.io"}),
    ],
)
def test_which_docker_takes_which_mirror(version: str, store: bool, mirrored: set[str], rewritten: set[str]) -> None:
    found = plan(having(version, store=store))
    assert set(found.mirrored) == mirrored
    assert {registry for registry, _ in found.rewrites} == rewritten
    assert dict(found.rewrites).get("nvcr.io", "cache.lab:5001") == "cache.lab:5001"


def test_a_docker_that_this_run_installs_or_changes_is_not_relied_on() -> None:
    for host in (BARE, having("28.5.2")):
        assert dict(plan(host, docker=DockerPlan(packages=("docker-ce",))).rewrites) == {"nvcr.io": "cache.lab:5001"}


def test_hosts_toml_names_mirror_certificate_and_the_registry_itself() -> None:
    files = dict(plan(having("28.5.2")).files)
    # containerd, docs/hosts.md: hosts come before the server; a *.crt of a folder with a hosts.toml counts for nothing.
    assert tomllib.loads(files[NVCR]) == {
        "server": "https://nvcr.io",
        "host": {"https://cache.lab:5001": {"capabilities": ["pull", "resolve"], "ca": CA_FILE}},
    }
    assert tomllib.loads(files[HUB])["server"] == "https://registry-1.docker.io"
    assert files[CA_FILE] == CA
    assert files[NVCR].startswith("# Written by pyinfra-gpu-hosts")
    names = [path.rpartition("/")[2] for path in files]
    assert names == ["gpu-hosts-ca.crt", "gpu-hosts-ca.crt", "hosts.toml", "hosts.toml"]


def test_without_a_certificate_there_is_none_in_it() -> None:
    files = dict(plan(having("28.5.2"), ca=None).files)
    assert set(files) == {NVCR, HUB}
    assert "ca" not in tomllib.loads(files[NVCR])["host"]["https://cache.lab:5001"]


def test_a_project_of_a_harbor_is_in_the_path() -> None:
    mirrors = {"nvcr.io": "https://harbor.lab/nvcr", "docker.io": "https://harbor.lab/hub"}
    new, old = plan(having("28.5.2"), mirrors), plan(having("20.10.24", store=False), mirrors)
    # goharbor.io, Configure Proxy Cache: /v2/PROJECT with override_path.
    host = tomllib.loads(dict(new.files)[NVCR])["host"]["https://harbor.lab/v2/nvcr"]
    assert host["override_path"] is True
    assert dict(old.rewrites) == {"nvcr.io": "harbor.lab/nvcr", "docker.io": "harbor.lab/hub"}
    # moby, ValidateMirror: a path is refused, and Docker does not start.
    assert registry_mirrors(Settings(images_mirrors=mirrors)) == []


def test_a_mirror_with_a_password_is_pulled_from_by_its_name() -> None:
    found = plan(having("28.5.2"), credentials=PASSWORD)
    assert found.rewrites == (("nvcr.io", "cache.lab:5001"),)
    assert NVCR not in dict(found.files)
    assert CA_FILE in dict(found.files)


def test_files_are_the_same_for_every_docker_so_that_a_new_one_needs_no_second_run() -> None:
    every = [plan(host).files for host in (BARE, having("20.10.24", store=False), having("29.4.3"))]
    assert every[0] == every[1] == every[2]


@pytest.mark.parametrize("version", ["20.10.24", "28.5.2"])
def test_second_run_is_empty_and_says_what_is_right(version: str) -> None:
    host = having(version)
    again = plan(after(host, plan(host)))
    assert (again.files, again.remove) == ((), ())
    assert "its files are right" in [note.choice for note in again.notes]
    assert (again.rewrites, again.mirrored) == (plan(host).rewrites, plan(host).mirrored)


def test_what_is_not_wished_for_any_more_goes_and_others_files_stay() -> None:
    theirs = "/etc/docker/certs.d/registry.lab/lab.crt"
    host = after(having("28.5.2", (theirs, "theirs")), plan(having("28.5.2")))
    assert set(plan(host, {}).remove) == {NVCR, HUB, CA_FILE, CA_FILE.replace("5001", "5000")}
    moved = plan(host, MIRRORS | {"nvcr.io": "https://other.lab"})
    assert set(moved.remove) == {CA_FILE}
    assert set(dict(moved.files)) == {NVCR, "/etc/docker/certs.d/other.lab/gpu-hosts-ca.crt"}
    assert plan(having("28.5.2", (theirs, "theirs")), {}) == MirrorsPlan()


def test_a_hosts_toml_goes_before_the_certificate_that_it_names() -> None:
    host = having("28.5.2")
    removed = plan(after(host, plan(host)), {}).remove
    names = [path.rpartition("/")[2] for path in removed]
    assert names == ["hosts.toml", "hosts.toml", "gpu-hosts-ca.crt", "gpu-hosts-ca.crt"]


def test_certificates_of_the_registry_itself_are_named_because_docker_looks_at_no_others_then() -> None:
    lab = "/etc/docker/certs.d/registry.lab:5000/lab.crt"
    mirrors = {"registry.lab:5000": "https://cache.lab:5001", "cache.lab:5001": "https://b.lab"}
    files = dict(plan(having("28.5.2", (lab, "theirs")), mirrors).files)
    assert tomllib.loads(files["/etc/docker/certs.d/registry.lab:5000/hosts.toml"])["ca"] == [lab]
    assert tomllib.loads(files["/etc/docker/certs.d/cache.lab:5001/hosts.toml"])["ca"] == [CA_FILE]


def test_somebody_elses_hosts_toml_is_refused_unless_it_names_the_mirror() -> None:
    theirs = 'server = "https://nvcr.io"\n[host."https://other.lab"]\nheader = {Authorization = "Basic geheim"}\n'
    found = plan(having("28.5.2", (NVCR, theirs)))
    assert found.refusal
    assert found.refusal.area is Area.MIRRORS
    assert NVCR in found.refusal.seen
    assert '[host."https://cache.lab:5001"]' in found.refusal.remedy
    assert "geheim" not in str(found)
    broken = plan(having("28.5.2", (NVCR, "server = nvcr")))
    assert broken.refusal
    adopted = plan(having("28.5.2", (NVCR, '[host."https://cache.lab:5001/"]\n')))
    assert (adopted.refusal, NVCR in dict(adopted.files), "nvcr.io" in adopted.mirrored) == (None, False, True)


def test_somebody_elses_hosts_toml_that_no_pull_reads_is_left() -> None:
    found = plan(having("28.5.2", (NVCR, "theirs"), store=False))
    assert not found.refusal
    assert NVCR not in (*dict(found.files), *found.remove)
    assert dict(found.rewrites) == {"nvcr.io": "cache.lab:5001"}


@pytest.mark.parametrize("host", [DOCKER_DESKTOP, having("28.5.2", origin="snap")], ids=["desktop", "snap"])
def test_a_docker_that_reads_other_files_is_refused_where_mirrors_are_wished_for(host: Host) -> None:
    refusal = plan(host).refusal
    assert refusal
    assert "images_mirrors = {}" in refusal.remedy
    assert plan(host, {}).refusal is None


@pytest.mark.parametrize("ca", ["", "-----BEGIN PRIVATE KEY-----\n", CA + "-----BEGIN EC PRIVATE KEY-----\ngeheim\n"])
def test_what_is_not_a_certificate_alone_goes_to_no_host(ca: str) -> None:
    found = plan(having("28.5.2"), ca=ca)
    assert found.refusal
    assert "geheim" not in str(found)
    assert not found.files


def test_other_mirrors_of_docker_hub_that_count_no_more_are_named() -> None:
    host = having("28.5.2")
    host = replace(host, docker=replace(host.docker, in_force=("registry-mirror=https://theirs.lab/",)))
    assert any("https://theirs.lab" in note.choice for note in plan(host).notes)
    assert not any("theirs.lab" in note.choice for note in plan(host, {"nvcr.io": "https://cache.lab"}).notes)


def test_docker_hubs_mirror_is_in_daemon_json_besides_the_others() -> None:
    wished = Settings(images_mirrors=MIRRORS, docker_registry_mirrors=("https://b.lab",))
    assert registry_mirrors(wished) == ["https://b.lab", "https://cache.lab:5000"]
    assert registry_mirrors(Settings(images_mirrors={"nvcr.io": "https://cache.lab:5001"})) == []
    twice = Settings(images_mirrors=MIRRORS, docker_registry_mirrors=("https://cache.lab:5000/",))
    assert isinstance(read_wish(twice, Keys.of(load_catalogue(), "28.5.2")), Wish)


@pytest.mark.parametrize(
    ("reference", "digest", "mirrors", "source", "tag", "registry", "cached"),
    [
        ("nvcr.io/a/b:1", DIGEST, MirrorsPlan(), f"nvcr.io/a/b@{DIGEST}", "nvcr.io/a/b:1", "nvcr.io", False),
        ("nvcr.io/a/b:1", "", MirrorsPlan(), "nvcr.io/a/b:1", "", "nvcr.io", False),
        ("docker.io/library/python", DIGEST, MirrorsPlan(), f"python@{DIGEST}", "python:latest", "docker.io", False),
        (f"python@{DIGEST}", "", MirrorsPlan(), f"python@{DIGEST}", "", "docker.io", False),
        (f"python:3@{DIGEST}", "", MIRRORED, f"python@{DIGEST}", "python:3", "docker.io", True),
        ("nvcr.io/a/b:1", DIGEST, REWRITES, f"cache.lab:5001/a/b@{DIGEST}", "nvcr.io/a/b:1", "cache.lab:5001", True),
        ("nvcr.io/a/b:1", "", REWRITES, "cache.lab:5001/a/b:1", "nvcr.io/a/b:1", "cache.lab:5001", True),
        ("python", DIGEST, REWRITES, f"harbor.lab/hub/library/python@{DIGEST}", "python:latest", "harbor.lab", True),
        ("a/b:12", DIGEST, REWRITES, f"harbor.lab/hub/a/b@{DIGEST}", "a/b:12", "harbor.lab", True),
        # Docker lists an image that was pulled by another name and a digest by that name alone.
        (f"nvcr.io/a/b@{DIGEST}", "", REWRITES, f"nvcr.io/a/b@{DIGEST}", "", "nvcr.io", False),
        ("quay.io/a/b:1", DIGEST, REWRITES, f"quay.io/a/b@{DIGEST}", "quay.io/a/b:1", "quay.io", False),
    ],
)  # fmt: skip
def test_pull(
    reference: str, digest: str, mirrors: MirrorsPlan, source: str, tag: str, registry: str, cached: bool
) -> None:
    found = make_pull(reference, mirrors, digest=digest, manifest="sha256:m", layers=(("sha256:l", 5),))
    assert (found.reference, found.source, found.tag, found.registry) == (reference, source, tag, registry)
    assert found.cached is cached
    assert found.digest == (digest or (DIGEST if "@" in reference else ""))
    assert (found.manifest, found.size) == ("sha256:m", 5)


def test_what_was_pulled_by_another_name_is_there_afterwards() -> None:
    wanted = f"nvcr.io/a/b:1@{DIGEST}"
    pull = make_pull(wanted, REWRITES)
    docker = replace(READY.docker, images=(Image("sha256:77", (pull.source, pull.tag)),))
    assert is_present(wanted, replace(READY, docker=docker))
    assert is_present("nvcr.io/a/b:1", replace(READY, docker=docker))


@pytest.mark.parametrize(
    "name", ["cache", "localhost"], ids=["a name that would be Docker Hub's", "one that Docker knows for a host"]
)
def test_a_mirrors_name_without_a_dot(name: str) -> None:
    mirror = dict(plan(having("20.10.24", store=False), {"nvcr.io": f"https://{name}"}).rewrites)["nvcr.io"]
    assert mirror == ("cache:443" if name == "cache" else name)
