"""Vendors' repositories: which, signed by whom, and adopting somebody else's."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.records import Area, Refusal, Repository
from deploys.planning.repositories import plan_repository
from facts.model import Host
from tests.planning.hosts import BARE, JETSON, ROCKY_9, on, on_ubuntu, with_sources

CATALOGUE = load_catalogue()
DOCKER = "https://download.docker.com/linux/debian"
TOOLKIT = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64"


def plan(name: str, host: Host, *, fingerprint: str | None = None) -> Repository | Refusal | None:
    """The plan for one repository."""
    return plan_repository(name, Area.DOCKER, host, CATALOGUE, fingerprint=fingerprint)


def added(name: str, host: Host, *, fingerprint: str | None = None) -> Repository:
    """The repository, which must be planned."""
    found = plan(name, host, fingerprint=fingerprint)
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
