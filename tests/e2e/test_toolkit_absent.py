"""The toolkit comes in one version and on hold, and goes: first out of daemon.json, then its packages and holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import DEPLOY, Controller, Machine, data_of, machine

TOOLKIT = {
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
}


@pytest.fixture(scope="module")
def wsl() -> Iterator[Machine]:
    """A host that has Docker, and lacks the toolkit. The tests of this module use it in order."""
    with machine("wsl", "t-toolkit") as fresh:
        yield fresh


def toolkit(host: Machine) -> dict[str, str]:
    """The toolkit's installed packages and their versions."""
    lines = host.sh("dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'").splitlines()
    words = (line.split() for line in lines)
    return {name: version for status, name, version in words if status[1] == "i" and "nvidia-container" in name}


def test_it_comes_in_one_version_and_on_hold_and_users_join_the_group(wsl: Machine, controller: Controller) -> None:
    wsl.sh("useradd lab")
    inventory = data_of(wsl)
    inventory[wsl.name]["docker_users"] = ["lab"]
    run = controller.run(inventory, DEPLOY, "-y")
    assert (run.status, run.verdicts) == (0, {wsl.name: "good"}), run.text
    assert set(toolkit(wsl)) == TOOLKIT
    assert len(set(toolkit(wsl).values())) == 1
    assert set(wsl.sh("apt-mark showhold").split()) >= TOOLKIT
    assert "docker" in wsl.sh("id -nG lab").split()
    second = controller.run(inventory, DEPLOY, "-y")
    assert (second.status, second.verdicts) == (0, {wsl.name: "good"}), second.text
    assert "nothing is done here" in second.said_of(wsl.name)


def test_unknown_users_are_an_error_that_names_them(wsl: Machine, controller: Controller) -> None:
    inventory = data_of(wsl)
    inventory[wsl.name]["docker_users"] = ["lab", "nobody-here"]
    run = controller.run(inventory, DEPLOY, "-y")
    assert (run.status, run.verdicts) == (1, {wsl.name: "bad"}), run.text
    assert "unknown here: nobody-here" in run.said_of(wsl.name)


def test_it_goes_after_the_daemon_has_let_go_of_it(wsl: Machine, controller: Controller) -> None:
    inventory = data_of(wsl)
    inventory[wsl.name]["nvidia_toolkit"] = "absent"
    run = controller.run(inventory, DEPLOY, "-y")
    assert run.status == 0, run.text
    assert toolkit(wsl) == {}
    assert not TOOLKIT & set(wsl.sh("apt-mark showhold").split())
    assert "nvidia-container-runtime" not in wsl.sh("cat /etc/docker/daemon.json 2>/dev/null; true")
    assert wsl.does("docker info")
