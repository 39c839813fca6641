"""Docker and the toolkit in the versions that are wished for, on a host that began otherwise; each wish made twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.fleet import DAEMON_JSON
from tests.e2e.harness import DEPLOY, Controller, Machine, apply, machine, wish
from tests.sandbox.state import FOLDER

DOCKER, TOOLKIT = "deploys/docker.py", "deploys/container_toolkit.py"
OLD_KEY, OTHER_KEY = "/usr/share/keyrings/docker-archive-keyring.asc", "/etc/apt/keyrings/docker.asc"
# Docker's source as its documentation had it, and once more as it has it now: with two keyrings apt reads neither. And
# Debian's containerd and runc, on which nothing runs.
BEGIN = f"""
export DEBIAN_FRONTEND=noninteractive
apt-get update && apt-get install -y --no-install-recommends containerd runc
useradd --create-home site
cd /etc/apt/sources.list.d
echo 'deb [arch=amd64 signed-by={OLD_KEY}] https://download.docker.com/linux/debian trixie stable' >docker.list
cat >docker.sources <<END
Types: deb
URIs: https://download.docker.com/linux/debian
Suites: trixie
Components: stable
Signed-By: {OTHER_KEY}
END
! apt-get update
"""
# Which keyring belongs to Docker's address.
KEYRINGS = "apt-get indextargets --format '$(SITE) $(SIGNED_BY)' | grep download.docker.com | sort -u"
SITE_CONTAINER = "docker run --detach --name site --network none python:3.12-slim sleep 100000"
ALONE: Mapping[str, object] = {"docker_users": ["site"], "nvidia_toolkit": "absent"}
TOOLKIT_PACKAGES = {
    "libnvidia-container-tools",
    "libnvidia-container1",
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    """A bare server but for that. The tests of this module use it in order."""
    with machine("server", "t-versions") as fresh:
        fresh.sh("mkdir -p /etc/apt/keyrings")
        for path in (OLD_KEY, OTHER_KEY):
            fresh.write(path, (FOLDER / "vendors/www/download.docker.com/linux/debian/gpg").read_text())
        fresh.sh(BEGIN)
        yield fresh


def versions(server: Machine) -> dict[str, str]:
    """The installed packages."""
    lines = server.sh("dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}\\n'").splitlines()
    return {name: version for state, name, version in (line.split("|") for line in lines) if state[1] == "i"}


def held(server: Machine) -> set[str]:
    """What is on hold."""
    return set(server.sh("apt-mark showhold").split())


def daemon_version(server: Machine) -> str:
    """Of the daemon that runs."""
    return server.sh("docker version --format '{{.Server.Version}}'")


def test_exact_version_in_place_of_debians_containerd(server: Machine, controller: Controller) -> None:
    """With its client, on hold, from one source; and a user in its group."""
    apply(controller, server, DOCKER, {"docker_version": "26.1", **ALONE})
    there = versions(server)
    assert daemon_version(server).startswith("26.1.5")
    assert there["docker-ce"] == there["docker-ce-cli"] == "5:26.1.5-1~debian.13~trixie"
    assert not {"containerd", "runc", "docker.io"} & there.keys()
    assert {"docker-ce", "docker-ce-cli", "containerd.io"} <= held(server)
    assert server.sh("getent group docker").split(":")[3] == "site"
    assert server.does("apt-get update --error-on=any")
    assert len(server.sh(KEYRINGS).splitlines()) == 1


def test_newer_version_waits_for_containers(server: Machine, controller: Controller) -> None:
    """One that runs is in the way, unless it may be stopped."""
    server.sh(SITE_CONTAINER)
    process = server.sh("docker inspect --format '{{.State.Pid}}' site")
    newer = {"docker_version": ">=28", **ALONE}
    refused = wish(controller, server, DOCKER, newer)
    assert refused.status == 1
    assert refused.is_three_part(server.name, "which restarts it, and containers run"), refused.text
    assert server.sh("docker inspect --format '{{.State.Pid}}' site") == process
    assert daemon_version(server).startswith("26.1.5")

    apply(controller, server, DOCKER, newer | {"docker_restart": "when-needed"})
    assert int(daemon_version(server).split(".")[0]) >= 28
    there = versions(server)
    assert there["docker-ce"] == there["docker-ce-cli"]
    assert {"docker-ce", "docker-ce-cli", "containerd.io"} <= held(server)


def test_toolkit_is_brought_to_versions_removed_and_brought_back(server: Machine, controller: Controller) -> None:
    """All four packages each time, and daemon.json with them."""
    apply(controller, server, DEPLOY, {"docker_version": ">=28"})
    assert toolkit(server) == dict.fromkeys(TOOLKIT_PACKAGES, "1.20.0-1")

    apply(controller, server, TOOLKIT, {"nvidia_toolkit_version": "1.19.1"})
    assert toolkit(server) == dict.fromkeys(TOOLKIT_PACKAGES, "1.19.1-1")
    assert held(server) >= TOOLKIT_PACKAGES

    # Somebody goes back to one with known holes.
    old = " ".join(f"{name}=1.17.4-1" for name in sorted(TOOLKIT_PACKAGES))
    server.sh(f"apt-get install -y --allow-downgrades --allow-change-held-packages {old}")
    apply(controller, server, TOOLKIT, {})
    assert toolkit(server) == dict.fromkeys(TOOLKIT_PACKAGES, "1.20.0-1")

    apply(controller, server, TOOLKIT, {"nvidia_toolkit": "absent"})
    assert toolkit(server) == {}
    assert not held(server) & TOOLKIT_PACKAGES
    assert "nvidia" not in json.loads(server.read(DAEMON_JSON)).get("runtimes", {})
    assert "nvidia" not in json.loads(server.sh("docker info --format '{{json .Runtimes}}'"))

    back = apply(controller, server, DEPLOY, {"docker_version": ">=28"})
    assert toolkit(server) == dict.fromkeys(TOOLKIT_PACKAGES, "1.20.0-1")
    assert back.table[server.name]["GPU proof"].startswith("ok")


def toolkit(server: Machine) -> dict[str, str]:
    """The toolkit's packages of them."""
    return {name: version for name, version in versions(server).items() if "nvidia-container" in name}
