"""Vendors' repositories: which, signed by whom, and adopting somebody else's."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.plan import make_plan
from deploys.planning.records import Area, Refusal, Repository
from deploys.planning.repositories import plan_moved, plan_repository
from deploys.planning.settings import Settings
from facts.model import Host, SourceFile
from tests.planning.hosts import BARE, JETSON, READY, ROCKY_9, needs_something, on, on_ubuntu, with_sources

CATALOGUE = load_catalogue()
DOCKER = "https://download.docker.com/linux/debian"
TOOLKIT = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64"


def plan(
    name: str, host: Host, *, fingerprint: str | None = None, address: str | None = None
) -> Repository | Refusal | None:
    """The plan for one repository."""
    return plan_repository(name, Area.DOCKER, host, CATALOGUE, fingerprint=fingerprint, address=address)


def added(name: str, host: Host, *, fingerprint: str | None = None, address: str | None = None) -> Repository:
    """The repository, which must be planned."""
    found = plan(name, host, fingerprint=fingerprint, address=address)
    assert isinstance(found, Repository)
    return found


def test_docker_repository_as_dockers_installation_page_has_it() -> None:
    # docs.docker.com/engine/install/debian and /ubuntu.
    debian, ubuntu = added("docker", BARE), added("docker", on_ubuntu("6.8.0-45-generic"))
    assert debian.uri == "https://download.docker.com/linux/debian"
    assert ubuntu.uri == "https://download.docker.com/linux/ubuntu"
    assert debian.key_url == "https://download.docker.com/linux/debian/gpg"
    assert debian.fingerprint == "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"


def test_source_is_a_deb822_stanza_signed_by_its_own_key() -> None:
    one = added("docker", BARE)
    fields = dict(line.split(": ", 1) for line in one.source.splitlines())
    assert fields == {
        "Types": "deb",
        "URIs": one.uri,
        "Suites": "trixie",
        "Components": "stable",
        "Signed-By": one.key_path,
    }
    assert one.source.endswith("\n")


def test_flat_repository_has_no_components() -> None:
    one = added("nvidia-container-toolkit", JETSON)
    assert one.uri == "https://nvidia.github.io/libnvidia-container/stable/deb/arm64/"
    assert "Suites: /\n" in one.source
    assert "Components" not in one.source


def test_own_fingerprint_replaces_the_vendors() -> None:
    assert added("docker", BARE, fingerprint="ab" * 20).fingerprint == "AB" * 20


@pytest.mark.parametrize(
    ("name", "host", "uri", "key_url"),
    [
        ("docker", BARE, "linux/debian", "linux/debian/gpg"),
        ("docker", on("rocky-9.6"), "linux/rhel/9/x86_64/stable", "linux/rhel/gpg"),
        ("nvidia-container-toolkit", BARE, "libnvidia-container/stable/deb/amd64/", "libnvidia-container/gpgkey"),
        (
            "nvidia-driver",
            BARE,
            "compute/cuda/repos/debian13/x86_64/",
            "compute/cuda/repos/debian13/x86_64/8793F200.pub",
        ),
    ],
)
def test_a_mirror_takes_the_place_of_the_vendors_host_in_both_addresses(
    name: str, host: Host, uri: str, key_url: str
) -> None:
    for address in ("http://mirror.lab:8081/vendor/", r"https://mirror.lab/\1"):
        one, base = added(name, host, address=address), address.rstrip("/")
        assert (one.uri, one.key_url) == (f"{base}/{uri}", f"{base}/{key_url}")
        assert one.uri in one.source
        assert one.fingerprint == added(name, host).fingerprint
        assert one.source_path == added(name, host).source_path


def test_a_mirrors_source_of_somebody_is_adopted_and_the_vendors_is_none_of_the_mirror() -> None:
    key = "/usr/share/keyrings/docker.gpg"
    theirs = with_sources(BARE, f"deb [signed-by={key}] https://mirror.lab/linux/debian trixie stable", keyrings=(key,))
    vendors = with_sources(BARE, f"deb [signed-by={key}] {DOCKER} trixie stable", keyrings=(key,))
    assert plan("docker", theirs, address="https://mirror.lab") is None
    assert isinstance(plan("docker", vendors, address="https://mirror.lab"), Repository)
    assert added("docker", vendors, address="https://mirror.lab").migrated == ()


def with_our_source(host: Host, source: Repository) -> Host:
    """The host with the source that an earlier run has added."""
    files = (SourceFile(source.source_path, source.source),)
    return replace(host, packages=replace(host.packages, sources=files, keyrings=((source.key_path, "00"),)))


@pytest.mark.parametrize(
    ("before", "now", "moves"),
    [
        (None, None, False),
        (None, "https://mirror.lab", True),
        ("https://mirror.lab", "https://mirror.lab/", False),
        ("https://mirror.lab", "https://mirror.lab/docker", True),
        ("https://mirror.lab/docker", "https://mirror.lab", True),
        ("https://mirror.lab", None, True),
    ],
)
@pytest.mark.parametrize("release", ["debian-13", "rocky-9.6"])
def test_our_source_follows_its_setting_and_then_stays(
    before: str | None, now: str | None, moves: bool, release: str
) -> None:
    host = with_our_source(on(release), added("docker", on(release), address=before))
    moved = plan_moved("docker", host, CATALOGUE, fingerprint=None, address=now)
    assert bool(moved) is moves
    if moved:
        assert moved == added("docker", on(release), address=now)
        again = with_our_source(host, moved)
        assert plan_moved("docker", again, CATALOGUE, fingerprint=None, address=now) is None


def test_a_source_that_we_did_not_add_or_of_another_release_is_not_moved() -> None:
    address = "https://mirror.lab"
    assert plan_moved("docker", BARE, CATALOGUE, fingerprint=None, address=address) is None
    assert plan_moved("docker", on("debian-11"), CATALOGUE, fingerprint=None, address=address) is None
    old = added("nvidia-driver", on("ubuntu-22.04"))
    host = with_our_source(on("ubuntu-24.04"), old)
    assert plan_moved("nvidia-driver", host, CATALOGUE, fingerprint=None, address=None) is None


def test_a_host_that_needs_nothing_else_gets_its_sources_moved() -> None:
    kept = [added(name, READY) for name in ("docker", "nvidia-container-toolkit", "nvidia-driver")]
    sources = tuple(SourceFile(one.source_path, one.source) for one in kept)
    host = replace(READY, packages=replace(READY.packages, sources=sources))
    names = ("docker_repository", "nvidia_toolkit_repository", "nvidia_driver_repository")
    settings = Settings.model_validate(dict.fromkeys(names, "https://mirror.lab"))
    found = make_plan(settings, host, CATALOGUE)
    assert {one.source_path for one in found.repositories} == {one.source_path for one in kept}
    assert not found.package_groups
    assert not found.driver.packages
    assert needs_something(found)
    after = replace(
        host,
        packages=replace(
            host.packages, sources=tuple(SourceFile(one.source_path, one.source) for one in found.repositories)
        ),
    )
    assert not make_plan(settings, after, CATALOGUE).repositories
    assert not make_plan(Settings(), host, CATALOGUE).repositories


@pytest.mark.parametrize(
    "text",
    [
        f"deb [arch=amd64 signed-by=/usr/share/keyrings/docker.gpg] {DOCKER} trixie stable\n",
        f"deb [signed-by=/usr/share/keyrings/docker.gpg] {DOCKER}/ trixie stable",
        f"# by hand\ndeb [signed-by=/usr/share/keyrings/docker.gpg] {DOCKER} trixie stable",
    ],
)
def test_somebody_elses_source_of_the_same_address_is_adopted(text: str) -> None:
    texts = ("deb https://elsewhere.lab/debian trixie main\n", text)
    assert plan("docker", with_sources(BARE, *texts, keyrings=("/usr/share/keyrings/docker.gpg",))) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"# deb {DOCKER} trixie stable\n",
        f"  #deb {DOCKER} trixie stable\n",
        "deb https://download.docker.com/linux/ubuntu noble stable\n",
        f"deb {DOCKER}-old trixie stable\n",
        f"# URIs: {DOCKER}\nTypes: deb\nURIs: https://mirror.lab/\nSuites: x\n",
    ],
)
def test_another_or_commented_source_does_not_count(text: str) -> None:
    assert isinstance(plan("docker", with_sources(BARE, text)), Repository)


def test_toolkit_source_with_and_without_a_slash_is_the_same() -> None:
    for uri in (TOOLKIT, f"{TOOLKIT}/"):
        assert plan("nvidia-container-toolkit", with_sources(BARE, f"deb [signed-by=/k.gpg] {uri} /")) is None


def test_toolkit_source_as_nvidias_own_list_has_it_is_adopted() -> None:
    # nvidia.github.io/libnvidia-container/stable/deb/nvidia-container-toolkit.list, with the guide's Signed-By.
    line = f"deb [signed-by=/k.gpg] {TOOLKIT.replace('amd64', '$(ARCH)')} /"
    assert plan("nvidia-container-toolkit", with_sources(BARE, line)) is None
    assert plan("nvidia-container-toolkit", with_sources(JETSON, line)) is None


@pytest.mark.parametrize("release", ["rhel-8.10", "rocky-9.6", "almalinux-10.0"])
def test_docker_for_enterprise_linux_as_dockers_page_for_rhel_has_it(release: str) -> None:
    one, major = added("docker", on(release)), release.split("-")[1].split(".")[0]
    lines = one.source.splitlines()
    assert f"baseurl=https://download.docker.com/linux/rhel/{major}/x86_64/stable" in lines
    # As in docker-ce.repo: packages are signed, the index is not.
    assert {"gpgcheck=1", "repo_gpgcheck=0", f"gpgkey=file://{one.key_path}"} <= set(lines)
    assert one.key_url == "https://download.docker.com/linux/rhel/gpg"
    assert one.fingerprint == "060A61C51B558A7F742B77AAC52FEB6B621E9F35"


@pytest.mark.parametrize(("arm", "machine"), [(False, "x86_64"), (True, "aarch64")])
def test_toolkit_for_enterprise_linux_as_nvidias_repo_file_has_it(arm: bool, machine: str) -> None:
    one = added("nvidia-container-toolkit", on("rocky-9.6", arm=arm))
    assert one.uri == f"https://nvidia.github.io/libnvidia-container/stable/rpm/{machine}"
    # As in nvidia-container-toolkit.repo: the index is signed, and has the packages' sums.
    assert {"gpgcheck=0", "repo_gpgcheck=1"} <= set(one.source.splitlines())
    assert one.fingerprint == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"


def test_files_of_ours_have_names_that_nobodys_guide_uses() -> None:
    for name in ("docker", "nvidia-container-toolkit", "nvidia-driver"):
        one = added(name, BARE)
        assert one.source_path == f"/etc/apt/sources.list.d/gpu-hosts-{name}.sources"
        assert one.key_path == f"/etc/apt/keyrings/gpu-hosts-{name}.asc"


@pytest.mark.parametrize(
    "text",
    [
        f"deb {DOCKER} bookworm stable",
        f"Enabled: no\nTypes: deb\nURIs: {DOCKER}\nSuites: trixie\nComponents: stable\n",
    ],
)
def test_source_that_a_release_upgrade_left_behind_does_not_count(text: str) -> None:
    assert isinstance(plan("docker", with_sources(BARE, text)), Repository)


@pytest.mark.parametrize(
    "host",
    [
        replace(BARE, os=replace(BARE.os, version="11", codename="bullseye")),
        replace(BARE, os=replace(ROCKY_9, version="7.9")),
        replace(BARE, platform=replace(BARE.platform, architecture="riscv64")),
    ],
    ids=["old-debian", "rocky-7", "riscv"],
)
def test_unserved_system_is_refused(host: Host) -> None:
    found = plan("docker", host)
    assert isinstance(found, Refusal)
    assert found.area is Area.DOCKER
    assert all((found.brief, found.seen, found.remedy))
