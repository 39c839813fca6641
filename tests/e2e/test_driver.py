"""The driver that is wished for: installed, upgraded, downgraded, with other modules, removed; and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.driver_story import Story, tell_driver_story
from tests.e2e.harness import Controller

ADD, INSTALL = "Add repositories and refresh package lists", "Install the NVIDIA driver"
RELOAD, REBOOT = "Load the new NVIDIA modules", "Reboot if the driver needs it"
REMOVE, JUDGE = "Remove the NVIDIA driver", "Ask again and judge"
PREFERENCES = "/etc/apt/preferences.d/gpu-hosts-nvidia-driver"
BLACKLIST = "/etc/modprobe.d/gpu-hosts-nouveau.conf"
CHANGES = ("exact", "upgrade", "production", "lts", "absent")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A server on which all of it has happened."""
    folder = tmp_path_factory.mktemp("driver")
    with tell_driver_story(Controller(folder), folder) as told:
        yield told


@pytest.mark.parametrize("change", CHANGES)
def test_every_wish_comes_true_and_the_second_run_does_nothing(story: Story, change: str) -> None:
    made = getattr(story, change)
    assert (made.first.status, made.first.verdicts) == (0, {story.name: "good"}), made.first.text
    second = made.second
    assert (second.status, second.counts, second.operations) == (0, {story.name: 1}, []), second.text


@pytest.mark.parametrize(
    ("change", "version", "licence", "pin"),
    [
        ("exact", "580.95.05", "Dual MIT/GPL", "Pin: version 580.95.05-*"),
        ("upgrade", "580.178.04", "Dual MIT/GPL", "Pin: version 580.178.04-*"),
        ("production", "595.91.07", "NVIDIA", "Pin: version 595.*"),
        ("lts", "580.178.04", "Dual MIT/GPL", "Pin: version 580.*"),
    ],
)
def test_driver_is_the_wished_one_in_all_its_parts(
    story: Story, change: str, version: str, licence: str, pin: str
) -> None:
    """Module, library, daemon; every package of one version and on hold; one pin; nouveau kept away."""
    left = getattr(story, change).left
    assert (left["loaded"], left["on_disk"], left["licence"], left["pin"]) == (version, version, licence, pin)
    assert left["owner"] == "nvidia"
    assert left["persistenced"] == "enabled active"
    assert left["ours"].split() == [PREFERENCES, BLACKLIST]
    packages = dict(word.split("=") for word in left["packages"].split())
    assert {"nvidia-driver-cuda", "libcuda1", "nvidia-persistenced"} <= packages.keys()
    assert set(packages.values()) == {f"{version}-1"}
    assert packages.keys() == set(left["held"].split())


@pytest.mark.parametrize(
    ("change", "operations", "restarts"),
    [
        ("exact", [ADD, INSTALL, REBOOT, JUDGE], 1),
        ("upgrade", [RELOAD, JUDGE], 1),
        ("production", [ADD, INSTALL, RELOAD, REBOOT, JUDGE], 1),
        ("lts", [ADD, INSTALL, REBOOT, JUDGE], 2),
        ("absent", [REMOVE, REBOOT, JUDGE], 3),
    ],
)
def test_modules_are_changed_by_a_reboot_only_where_they_are_not_loaded_anew(
    story: Story, change: str, operations: list[str], restarts: int
) -> None:
    made = getattr(story, change)
    assert (made.first.operations, made.restarts) == (operations, restarts), made.first.text


def test_removed_driver_leaves_nothing_and_nouveau_comes_back(story: Story) -> None:
    left = story.absent.left
    assert {key: value for key, value in left.items() if value} == {
        "owner": "nouveau",
        "persistenced": "not-found inactive",
    }


def test_package_in_the_drivers_way_is_named_and_nothing_is_done(story: Story) -> None:
    run = story.site_package
    assert (run.status, run.verdicts) == (1, {story.name: "bad"}), run.text
    assert run.is_three_part(story.name, "driver: other packages would be removed for it"), run.text
    assert "would remove site-cuda" in run.said_of(story.name), run.text
    left = story.site_package_left
    assert [left[key] for key in ("packages", "held", "pin", "ours")] == ["", "", "", ""]


def test_driver_is_not_changed_under_a_process(story: Story) -> None:
    run = story.busy
    assert run.status == 1
    assert run.is_three_part(story.name, "processes use the GPU"), run.text
    assert "perl" in run.said_of(story.name)
    assert story.busy_left == story.exact.left


def test_modules_in_use_are_not_unloaded_and_that_is_said(story: Story) -> None:
    run = story.in_use
    assert (run.status, run.verdicts) == (1, {story.name: "bad"}), run.text
    assert run.is_three_part(story.name, "driver: its old modules are in use"), run.text
    assert (story.in_use_left["loaded"], story.in_use_left["on_disk"]) == ("580.95.05", "580.178.04")


def test_host_in_use_is_not_rebooted_where_that_is_not_wished(story: Story) -> None:
    assert story.not_idle.status == 1
    assert story.not_idle.is_three_part(story.name, "it is in use"), story.not_idle.text
    assert "perl (pid " in story.not_idle.said_of(story.name)
    assert story.not_idle_restarts == story.exact.restarts
