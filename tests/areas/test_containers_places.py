"""Files of a compose project with places of their own, and images that are built for one, in a real shell."""

from __future__ import annotations

import pytest

from deploys.areas.containers import containers_input
from deploys.planning.records import Project
from tests.areas.shell import KILLED, Finished, Place

SPEC, RULE = "/etc/cdi/gpu-hosts-front.yaml", "/etc/udev/rules.d/70-gpu-hosts-front.rules"
COMPOSE = ("compose.yaml", "services:\n  hello-video:\n    image: x\n")
BY_CDI = (COMPOSE, ("cdi.yaml", "kind: x\n"), ("udev.rules", "SUBSYSTEM\n"))
# A Docker whose `up` works unless the file `broken` is there, and whose container is healthy.
DOCKER = """
case "$*" in
  *"compose"*" up "*) [ ! -e $here/broken ] || { echo 'no such camera' >&2; exit 1; } ;;
  ps*) echo 1234 ;;
  "container inspect"*State.Error*) ;;
  "container inspect"*Health.Log*) ;;
  "container inspect"*) echo 'hello-video running 0 healthy false 0 2026-01-01T00:00:00Z 1234' ;;
esac
"""


def bring_up(place: Place, *files: tuple[str, str]) -> Finished:
    """Run the script for a project of these files."""
    place.stand_in("docker", DOCKER)
    project = Project("front", files, (("hello-video", "healthy"),), patience=5)
    return place.run("containers", payload=containers_input((project,)))


def test_a_specification_and_its_rule_are_put_in_their_places(place: Place) -> None:
    done = bring_up(place, *BY_CDI)
    assert (done.status, "@@ front good" in done.output) == (0, True), done.output
    assert place.path(SPEC).read_text() == "kind: x\n"
    assert place.path(RULE).read_text() == "SUBSYSTEM\n"
    assert [path.name for path in place.path("/etc/cdi").iterdir()] == ["gpu-hosts-front.yaml"]


def test_they_go_with_the_wish_for_them(place: Place) -> None:
    bring_up(place, *BY_CDI)
    assert bring_up(place, COMPOSE).status == 0
    assert not place.path(SPEC).exists()
    assert not place.path(RULE).exists()


def test_they_go_with_the_container(place: Place) -> None:
    bring_up(place, *BY_CDI)
    place.stand_in("docker", "")
    assert "@@ front removed" in place.run("containers", arguments=("front",), payload="").output
    assert not place.path(SPEC).exists()


def test_a_removal_that_is_broken_off_is_seen_by_the_next_run(place: Place) -> None:
    """What it removes is what has a folder."""
    for step in range(1, 20):
        bring_up(place, *BY_CDI)
        place.stand_in("docker", "")
        place.kill_at(step)
        killed = place.run("containers", arguments=("front",), payload="").status == KILLED
        place.kill_no_more()
        assert place.path("/etc/gpu-hosts/containers/front").exists() or not place.path(SPEC).exists(), step
        if not killed:
            return
    raise AssertionError("it never came to its end")


def test_those_from_before_come_back_where_a_change_fails(place: Place) -> None:
    bring_up(place, *BY_CDI)
    place.path("/broken").touch()
    done = bring_up(place, COMPOSE, ("cdi.yaml", "kind: y\n"))
    assert (done.status, "@@ front up" in done.output) == (1, True), done.output
    assert place.path(SPEC).read_text() == "kind: x\n"
    assert place.path(RULE).read_text() == "SUBSYSTEM\n"


def test_a_first_one_that_fails_leaves_none(place: Place) -> None:
    place.path("/broken").touch()
    assert bring_up(place, *BY_CDI).status == 1
    assert not place.path(SPEC).exists()


PROXY = "http_proxy=http://proxy.lab:3128"


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ("", ""),
        (f"{PROXY}\nno_proxy=localhost, *.lab", f"--build-arg {PROXY} --build-arg no_proxy=localhost,*.lab "),
        # As moby masks credentials (daemon/config, MaskCredentials): what is not known is not handed on.
        ("http_proxy=http://xxxxx:xxxxx@proxy.lab:3128", ""),
    ],
)
def test_images_are_built_by_the_daemons_proxies(place: Place, told: str, given: str) -> None:
    """A daemon's proxies are for its pulls: behind one, what a Dockerfile installs would not be found."""
    place.stand_in("docker", f"case $1 in info) echo '{told}' ;; image) exit 1 ;; esac\n{DOCKER}")
    image = "gpu-hosts-hello-video:0123456789ab"
    compose = ("compose.yaml", f"services:\n  hello-video:\n    image: {image}\n")
    project = Project("front", (compose, ("Dockerfile", "FROM x\n")), (("hello-video", "healthy"),), build=image)
    done = place.run("containers", payload=containers_input((project,)))
    assert "@@ front good" in done.output
    [build] = [call for call in place.calls("docker") if call.startswith("build ")]
    assert build == f"build --network host {given}--tag {image} {place.path('/etc/gpu-hosts/containers.new/front')}"
