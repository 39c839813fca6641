"""Docker Engine where there is none, or one that is kept: packages by release, what is in their way, users."""

from dataclasses import replace

import pytest

from deploys.planning.advisories import docker_advisories
from deploys.planning.catalogue import load_catalogue
from deploys.planning.docker import plan_docker
from deploys.planning.records import DockerPlan
from deploys.planning.settings import Settings
from facts.model import Container, Docker, Host, SourceFile
from tests.planning.hosts import BARE, DOCKER, DOCKER_DESKTOP, JETSON, READY, WSL, on, on_ubuntu, with_jetson

CATALOGUE = load_catalogue()
DEFAULTS = Settings()
# docs.docker.com/engine/install: the five packages of its own command line, on every system.
DOCKERS_OWN = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin")
# GHSA-x744-4wpc-v9h2, moby pull request 52067.
BAD = {("29.0.0", "29.3.0"), ("0", "29.3.1")}


def plan(host: Host, settings: Settings = DEFAULTS) -> DockerPlan:
    """The plan for Docker with these settings."""
    return plan_docker(settings, host, CATALOGUE)


def said(found: DockerPlan) -> str:
    """All notes, as people read them."""
    return "\n".join(f"{note.choice} ({note.because})" for note in found.notes)


@pytest.mark.parametrize(
    "host", [BARE, on_ubuntu("6.8.0-45-generic"), WSL, JETSON, on("rocky-8.10"), on("rhel-9.6"), on("almalinux-9.6")]
)
def test_missing_docker_comes_from_docker(host: Host) -> None:
    found = plan(host)
    assert found.packages == DOCKERS_OWN
    # docs.docker.com: docker-ce=VERSION docker-ce-cli=VERSION; the others have versions of their own.
    assert found.same_version == ("docker-ce-cli",)
    # What an upgrade of would restart the daemon or containerd, and the client of the same version.
    assert found.hold == ("docker-ce", "docker-ce-cli", "containerd.io")
    assert set(found.avoid) == BAD
    assert found.repository
    assert (found.release, found.floor, found.remove, found.restarts) == ("", "", (), False)
    # docs.docker.com, RHEL: nothing starts it. Debian starts what it installs.
    assert found.start == (host.packages.manager == "dnf")


@pytest.mark.parametrize("release", ["rhel-10.0", "rocky-10.0", "almalinux-10.0"])
def test_enterprise_linux_10_gets_the_module_that_docker_needs(release: str) -> None:
    """docker-ce-packaging issue 1340: dockerd does not start without xt_addrtype, which nothing brings."""
    found = plan(on(release))
    assert found.packages == (*DOCKERS_OWN, "kernel-modules-extra-6.12.0-55.9.1.el10_0.x86_64")
    assert found.repository


@pytest.mark.parametrize(
    ("release", "packages", "lacks"),
    [
        # apt-cache on Debian 12: docker-compose is 1.29.2, the one in Python; there is no docker-buildx.
        ("debian-12", ("docker.io",), True),
        ("debian-13", ("docker.io", "docker-cli", "docker-buildx", "docker-compose"), False),
        ("ubuntu-22.04", ("docker.io", "docker-buildx", "docker-compose-v2"), False),
        ("ubuntu-24.04", ("docker.io", "docker-buildx", "docker-compose-v2"), False),
        ("ubuntu-26.04", ("docker.io", "docker-buildx", "docker-compose-v2"), False),
    ],
)
def test_the_distributions_docker_where_wished(release: str, packages: tuple[str, ...], lacks: bool) -> None:
    found = plan(on(release), Settings(docker_source="distribution"))
    assert (found.packages, found.repository, found.avoid) == (packages, None, ())
    assert {"docker.io", "containerd"} <= set(found.hold)
    assert on(release).os.pretty_name in found.notes[0].choice
    assert ("`docker compose` and `docker buildx` are not there" in said(found)) is lacks


@pytest.mark.parametrize(
    ("release", "says", "remedy"),
    [
        ("rocky-9.6", "has no Docker of its own", 'docker_source = "docker"'),
        ("debian-11", "has no Docker of its own", "by hand"),
    ],
)
def test_a_distribution_without_docker_is_refused(release: str, says: str, remedy: str) -> None:
    found = plan(replace(on(release), packages=on("debian-12").packages), Settings(docker_source="distribution"))
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert says in found.refusal.brief
    assert remedy in found.refusal.remedy


@pytest.mark.parametrize(
    ("wish", "release", "floor", "avoided"),
    [
        ("auto", "", "", BAD),
        # 29 has good and bad versions, 29.3 too (29.3.0 has the CVE): the bad ones are passed over.
        ("29", "29", "", BAD),
        ("29.3", "29.3", "", BAD),
        (">=28.3", "", "28.3", BAD),
        # Nothing of these is good: who asks for them gets them, and is told.
        ("28", "28", "", {("29.0.0", "29.3.0")}),
        ("29.1", "29.1", "", set()),
        ("29.3.0", "29.3.0", "", {("29.0.0", "29.3.0")}),
        ("29.4.3", "29.4.3", "", BAD),
    ],
)
def test_wished_versions_and_bad_ones(wish: str, release: str, floor: str, avoided: set[tuple[str, str]]) -> None:
    found = plan(BARE, Settings(docker_version=wish))
    assert (found.release, found.floor, set(found.avoid)) == (release, floor, avoided)
    assert ("CVE-2026-34040" in said(found)) is (("0", "29.3.1") not in avoided)


@pytest.mark.parametrize(
    ("release", "installed", "removed"),
    [
        # docs.docker.com, debian and ubuntu; and docker-cli, with which docker-ce-cli's control file has a conflict.
        (
            "debian-13",
            "podman-docker runc containerd docker-doc",
            ("docker-doc", "podman-docker", "containerd", "runc"),
        ),
        ("debian-13", "docker-cli docker-compose", ("docker-cli", "docker-compose")),
        ("ubuntu-24.04", "docker-compose-v2 docker-buildx", ("docker-compose-v2", "docker-buildx")),
        ("debian-13", "podman crun", ()),
        ("rocky-9.6", "docker-client docker-common podman-docker", ("docker-client", "docker-common", "podman-docker")),
        ("rocky-9.6", "podman crun", ()),
    ],
)
def test_what_is_in_the_way_goes(release: str, installed: str, removed: tuple[str, ...]) -> None:
    found = plan(on(release, packages=installed))
    assert found.remove == removed
    assert ("removes" in said(found)) is bool(removed)


def test_what_is_in_the_way_of_the_distributions_goes() -> None:
    found = plan(on("debian-13", packages="containerd.io docker-ce-cli runc"), Settings(docker_source="distribution"))
    assert found.remove == ("docker-ce-cli", "containerd.io")


@pytest.mark.parametrize("shims", [("containerd-shim (pid 77)",), ("conmon (pid 78)",)])
def test_nothing_is_removed_under_what_runs_on_it(shims: tuple[str, ...]) -> None:
    host = on("debian-13", packages="containerd runc")
    found = plan(replace(host, docker=replace(host.docker, shims=shims)))
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert "containerd, runc" in found.refusal.brief
    assert shims[0] in found.refusal.seen
    assert "stop what runs" in found.refusal.remedy


@pytest.mark.parametrize("name", ["runc", "containerd"])
def test_what_podman_runs_on_is_never_removed_from_an_enterprise_linux(name: str) -> None:
    """containerd.spec: containerd.io obsoletes both, so that dnf would take them away without a word."""
    found = plan(on("rocky-8.10", packages=f"podman {name}"))
    assert found.refusal
    assert name in found.refusal.seen
    assert f"dnf remove {name}" in found.refusal.remedy


@pytest.mark.parametrize("origin", ["docker-ce", "docker.io", "moby-engine", "snap", None])
@pytest.mark.parametrize("source", ["auto", "docker", "distribution"])
def test_installed_docker_is_kept_whatever_its_origin(origin: str | None, source: str) -> None:
    found = plan(
        replace(BARE, docker=replace(DOCKER, origin=origin)), Settings.model_validate({"docker_source": source})
    )
    assert found == DockerPlan(notes=found.notes)
    assert (origin or "unknown") in found.notes[0].because


def test_kept_packages_of_somebody_are_not_held_and_that_is_said() -> None:
    assert "not on hold" in said(plan(READY))
    held = replace(READY, packages=replace(READY.packages, held=("docker-ce",)))
    assert "not on hold" not in said(plan(held))
    locked = replace(READY, packages=replace(READY.packages, held=("docker-ce-3:29.4.3-1.el9.*",)))
    assert "not on hold" not in said(plan(locked))
    client = replace(READY, packages=replace(READY.packages, held=("docker-ce-cli",)))
    assert "not on hold" in said(plan(client))


@pytest.mark.parametrize(
    ("origin", "version", "named"),
    [
        ("docker-ce", "29.1.5", ["API floor 1.44", "CVE-2026-34040"]),
        ("docker-ce", "29.3.0", ["CVE-2026-34040"]),
        ("docker-ce", "28.5.2", ["CVE-2026-34040"]),
        ("docker-ce", "29.3.1", []),
        # A distribution mends its packages without raising the number.
        ("docker.io", "29.1.3", []),
        ("docker.io", "20.10.24+dfsg1", []),
    ],
)
def test_known_trouble_of_a_docker_is_that_of_dockers_own_packages(origin: str, version: str, named: list[str]) -> None:
    host = replace(READY, docker=replace(DOCKER, origin=origin, server_version=version))
    assert plan(host).packages == ()
    known = {one.name for one in docker_advisories(host, CATALOGUE)}
    assert known & {"API floor 1.44", "CVE-2026-34040"} == set(named)


@pytest.mark.parametrize(("version", "is_old"), [("18.09.9", True), ("19.03.0", False), ("20.10.24+dfsg1", False)])
def test_a_docker_without_the_gpus_option_is_kept_and_that_is_said(version: str, is_old: bool) -> None:
    found = plan(replace(READY, docker=replace(DOCKER, server_version=version)))
    assert ("--runtime=nvidia alone" in said(found)) is is_old


def test_stopped_docker_is_started() -> None:
    found = plan(replace(READY, docker=replace(DOCKER, running=False, server_version=None)))
    assert (found.start, found.packages) == (True, ())


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        (replace(WSL, init="init(Ubuntu)", docker=replace(DOCKER, running=False)), "init(Ubuntu)"),
        (replace(READY, docker=replace(DOCKER, origin="snap", running=False)), "snap"),
    ],
)
def test_stopped_docker_that_systemd_does_not_start_is_refused(host: Host, seen: str) -> None:
    found = plan(host)
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert seen in found.refusal.seen


def test_docker_that_did_not_answer_is_not_started_over() -> None:
    assert not plan(replace(READY, docker=replace(DOCKER, running=None, server_version=None))).start


def test_docker_desktop_is_used_as_it_is() -> None:
    assert plan(replace(DOCKER_DESKTOP, docker=BARE.docker)).packages == ()


ROOTLESS = ("alice (pid 812)",)


@pytest.mark.parametrize("engine", [BARE.docker, replace(DOCKER, running=False, server_version=None)])
def test_a_rootless_docker_alone_is_refused_plainly(engine: Docker) -> None:
    found = plan(replace(BARE, docker=replace(engine, rootless=ROOTLESS)))
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert "only a rootless Docker runs here" in found.refusal.brief
    assert "alice (pid 812)" in found.refusal.seen
    assert "systemctl --user" in found.refusal.remedy


@pytest.mark.parametrize("running", [True, None])
def test_a_rootless_docker_beside_the_systems_is_left_alone(running: bool | None) -> None:
    found = plan(replace(READY, docker=replace(DOCKER, running=running, rootless=ROOTLESS)))
    assert found.refusal is None
    assert "alice (pid 812)" in said(found)


@pytest.mark.parametrize(
    ("l4t", "wish", "release"),
    [
        # moby issues 49505, 49508, 49557; JetPack 6.2.1 release notes: L4T 36.4.4 has the iptables raw table.
        ("36.3.0", "auto", "27"),
        ("36.4", "auto", "27"),
        ("36.4.3", "auto", "27"),
        ("36.4.3", "27.5.1", "27.5.1"),
        ("36.4.3", "26", "26"),
        ("36.4.3", ">=26.1", "27"),
        ("36.4.4", "auto", ""),
        ("36.4.7", "auto", ""),
        ("36.5.0", "29", "29"),
        (None, "auto", ""),
    ],
)
def test_an_l4t_kernel_gets_the_newest_docker_that_starts_on_it(l4t: str | None, wish: str, release: str) -> None:
    found = plan(with_jetson(JETSON, l4t=l4t), Settings(docker_version=wish))
    assert found.refusal is None
    assert (found.packages, found.release) == (DOCKERS_OWN, release)
    # All of 27 is before the fix: with it passed over, there would be nothing to install.
    assert (("0", "29.3.1") in found.avoid) is (release[:2] not in ("26", "27"))
    assert ("raw table" in said(found)) is (release == "27")


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"docker_version": "28"}, "docker_version is 28"),
        ({"docker_version": "29.4.3"}, "docker_version is 29.4.3"),
        ({"docker_version": ">=28.3"}, "docker_version is 28.3 or newer"),
        # packages.ubuntu.com: docker.io of jammy-updates is 29.1.3.
        ({"docker_source": "distribution"}, "the Docker of Ubuntu 22.04.5 LTS is newer than that"),
    ],
)
def test_a_docker_that_would_not_start_is_refused(data: dict[str, str], seen: str) -> None:
    found = plan(with_jetson(JETSON, l4t="36.4.3"), Settings.model_validate(data))
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert seen in found.refusal.seen
    assert "36.4.4" in found.refusal.remedy
    assert 'docker_version = "27"' in found.refusal.remedy


def test_docker_that_runs_on_such_a_kernel_is_kept() -> None:
    assert plan(replace(with_jetson(JETSON, l4t="36.4.3"), docker=DOCKER)).refusal is None
    # Whoever runs 29 there has given it the table, or told it to do without.
    changed = plan(replace(with_jetson(JETSON, l4t="36.4.3"), docker=DOCKER), Settings(docker_version="29.9.0"))
    assert (changed.refusal, changed.release) == (None, "29.9.0")


@pytest.mark.parametrize(
    ("host", "says", "remedy"),
    [
        (
            replace(BARE, packages=replace(BARE.packages, half_configured=("linux-image-amd64",))),
            "linux-image-amd64",
            "",
        ),
        (replace(WSL, init="init(Ubuntu)"), "init(Ubuntu)", ""),
        (replace(BARE, os=replace(BARE.os, version="11", pretty_name="Debian 11")), "Debian 11", "docs.docker.com"),
        (replace(on("fedora-43"), packages=on("rocky-9.6").packages), "fedora-43", "docs.docker.com"),
        (
            replace(BARE, packages=replace(BARE.packages, manager="zypper")),
            "zypper",
            "zypper install docker docker-compose docker-buildx",
        ),
        (replace(BARE, packages=replace(BARE.packages, manager=None)), "package manager unknown", "by hand"),
    ],
    ids=["half-configured", "no-systemd", "debian-11", "fedora", "suse", "no-manager"],
)
def test_what_keeps_packages_out_refuses_docker_and_says_what_was_seen(host: Host, says: str, remedy: str) -> None:
    found = plan(host)
    assert found.refusal
    assert found == DockerPlan(refusal=found.refusal)
    assert says in found.refusal.seen
    assert remedy in found.refusal.remedy


def test_unreadable_dpkg_state_is_not_taken_for_broken() -> None:
    assert plan(replace(BARE, packages=replace(BARE.packages, half_configured=None))).refusal is None


@pytest.mark.parametrize("host", [BARE, READY], ids=["installed now", "kept"])
def test_users_get_into_the_group_and_what_that_means_is_said(host: Host) -> None:
    found = plan(replace(host, docker=replace(host.docker, group=("alice",))), Settings(docker_users=("alice", "bob")))
    assert found.users == ("bob",)
    assert "as good as root" in said(found)
    assert plan(replace(host, docker=replace(host.docker, group=("bob",))), Settings(docker_users=("bob",))).users == ()


@pytest.mark.parametrize("host", [DOCKER_DESKTOP, replace(READY, docker=replace(DOCKER, origin="snap"))])
def test_users_of_docker_desktop_and_of_the_snap_are_not_ours_to_set(host: Host) -> None:
    found = plan(host, Settings(docker_users=("bob",)))
    assert (found.users, found.refusal) == ((), None)
    assert "docker_users is left alone: bob" in said(found)


def test_somebodys_source_files_are_named_where_ours_takes_their_place() -> None:
    files = (
        SourceFile(
            "/etc/apt/sources.list.d/docker.list", "deb https://download.docker.com/linux/debian trixie stable\n"
        ),
        SourceFile(
            "/etc/apt/sources.list.d/old.list", "deb https://download.docker.com/linux/debian bookworm stable\n"
        ),
    )
    found = plan(replace(BARE, packages=replace(BARE.packages, sources=files)))
    assert "takes away /etc/apt/sources.list.d/docker.list, and keeps a copy" in said(found)
    assert "old.list is left as it is (it gives bookworm, and is switched on)" in said(found)


def test_a_container_that_runs_does_not_matter_to_a_docker_that_is_kept() -> None:
    running = (Container("ab", "training", "pytorch", "nvidia"),)
    assert plan(replace(READY, docker=replace(DOCKER, containers=running))).refusal is None
