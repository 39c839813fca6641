"""A host's images: wishes resolved, archives loaded, what is missing pulled, what nobody wishes for pruned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_plan import LocalFiles, has_archive, plan_images
from deploys.planning.records import Archive, DriverPlan, ImagesPlan, MirrorsPlan, ProofPlan
from deploys.planning.settings import Settings
from facts.model import Container, Driver, Host, Image
from tests.planning.hosts import DIGEST, READY

NEW = "sha256:" + "cd" * 32
ARCHIVE = Archive("/srv/tools.tar", 5_000, ("lab/tools:1",), ("sha256:11",), ("amd64",), 9_000)


def having(*images: Image, containers: tuple[Container, ...] = ()) -> Host:
    """The ready host with these images and containers."""
    return replace(READY, docker=replace(READY.docker, images=images, containers=containers))


def plan(
    host: Host,
    settings: Settings,
    *archives: Archive,
    proof: str = "",
    mirrors: MirrorsPlan | None = None,
    driver: DriverPlan | None = None,
) -> ImagesPlan:
    """Its images' plan."""
    return plan_images(
        settings,
        host,
        load_catalogue(),
        LocalFiles(archives=archives),
        driver=driver or DriverPlan(),
        proof=ProofPlan(image=proof),
        mirrors=mirrors or MirrorsPlan(),
    )


def pulled(found: ImagesPlan) -> list[str]:
    """References of what is pulled."""
    return [one.reference for one in found.pull]


def test_only_missing_images_are_pulled_in_the_order_wished() -> None:
    found = plan(having(Image("sha256:77", ("a:1",))), Settings(images=("b:1", "a:1", "python:3.12")))
    assert pulled(found) == ["b:1", "python:3.12"]
    assert found.wanted == ("b:1", "a:1", "python:3.12")
    assert [note.choice for note in found.notes] == ["pulls b:1", "pulls python:3.12", "1 of 3 images are there"]


def test_a_pull_of_an_earlier_run_is_told_where_there_is_more_to_pull() -> None:
    host = replace(READY, docker=replace(READY.docker, images=(), pulling="docker (pid 90)"))
    assert "docker (pid 90)" in [note.because for note in plan(host, Settings(images=("lab/a:1",))).notes]
    assert plan(host, Settings()).notes == ()


def test_nothing_wished_is_nothing_to_do() -> None:
    assert plan(READY, Settings()) == ImagesPlan()


def test_the_proofs_image_is_wanted_once() -> None:
    found = plan(having(), Settings(images=("lab/a:1", "lab/b:1")), proof="lab/a:1")
    assert found.wanted == ("lab/a:1", "lab/b:1")


def test_a_wish_is_resolved_and_the_reason_is_told() -> None:
    found = plan(having(), Settings(images=("cuda 12.6 base",)))
    assert len(found.pull) == 1
    assert found.pull[0].reference.startswith("nvidia/cuda:12.6.")
    assert any(note.choice == f"takes {found.pull[0].reference}" and note.because for note in found.notes)


def test_every_refused_wish_is_named_and_nothing_is_pulled() -> None:
    found = plan(having(), Settings(images=("lab/good:1", "no such family at all", "l4t-pytorch")))
    assert found.refusal is not None
    assert found.pull == ()
    assert "no such family at all" in str(found.refusal)
    assert "l4t-pytorch" in str(found.refusal)


def test_an_archive_is_loaded_in_place_of_a_pull() -> None:
    found = plan(having(), Settings(images=("lab/tools:1", "lab/other:1")), ARCHIVE)
    assert found.load == (ARCHIVE,)
    assert pulled(found) == ["lab/other:1"]


def test_an_archive_of_another_architecture_is_told_and_left() -> None:
    found = plan(having(), Settings(images=("lab/tools:1",)), replace(ARCHIVE, architectures=("arm64",)))
    assert found.load == ()
    assert pulled(found) == ["lab/tools:1"]
    assert "does not load /srv/tools.tar" in [note.choice for note in found.notes]


def test_an_archive_that_is_there_is_not_loaded_again() -> None:
    found = plan(having(Image("sha256:11", ("lab/tools:1",))), Settings(), ARCHIVE)
    assert found.load == ()


@pytest.mark.parametrize(
    ("identity", "in_containerd", "there"),
    [("sha256:11", False, True), ("sha256:22", False, False), ("sha256:22", True, True)],
)
def test_an_archive_is_there_by_identity_where_the_store_names_images_by_it(
    identity: str, in_containerd: bool, there: bool
) -> None:
    host = having(Image(identity, ("lab/tools:1",)))
    assert has_archive(ARCHIVE, replace(host.docker, containerd_store=in_containerd)) is there


def test_an_image_of_two_names_is_one_of_an_archive() -> None:
    two = replace(ARCHIVE, names=("lab/tools:1", "lab/tools:latest"))
    assert not has_archive(two, having(Image("sha256:11", ("lab/tools:1",))).docker)
    assert has_archive(two, having(Image("sha256:11", two.names)).docker)


@pytest.mark.parametrize(
    "wishes",
    [
        ("python", "python:latest", "docker.io/library/python"),
        ("docker.io/nvidia/cuda:12.6.3-base-ubuntu24.04", "nvidia/cuda:12.6.3-base-ubuntu24.04"),
        (f"lab/a:1@{DIGEST}", f"index.docker.io/lab/a:1@{DIGEST}"),
    ],
)
def test_an_image_that_is_written_in_several_ways_is_pulled_once(wishes: tuple[str, ...]) -> None:
    found = plan(having(), Settings(images=wishes))
    assert len(found.pull) == 1
    assert found.wanted == (pulled(found)[0],)


@pytest.mark.parametrize(
    "driver",
    [
        Driver(None, None, "580.95.05", None, None, "580.95.05", (), False, False, False),
        Driver("535.183.01", None, "580.95.05", None, None, "580.95.05", (), False, False, False),
        Driver("535.183.01", None, None, None, "580.95.05", "580.95.05", (), False, False, False),
    ],
)
def test_a_driver_that_waits_for_its_reboot_is_chosen_for_by_this_run_and_the_next(driver: Driver) -> None:
    settings = Settings(images=("cuda",))
    first = plan(having(), settings, driver=DriverPlan(branch="580", packages=("nvidia-driver",)))
    assert first.wanted == plan(replace(having(), driver=driver), settings).wanted


OLD = Image("sha256:0123456789abcdef", ("lab/a:0", f"lab/a@{DIGEST}"))


def test_old_images_stay_unless_asked_for() -> None:
    assert plan(having(OLD), Settings(images=("lab/a:1",))).prune == ()


def test_other_images_of_the_same_repository_are_pruned_on_request() -> None:
    stranger, current = Image("sha256:5", ("lab/b:0",)), Image("sha256:6", ("lab/a:1", "lab/a:latest"))
    found = plan(having(OLD, stranger, current), Settings(images=("lab/a:1",), images_prune=True))
    assert found.prune == OLD.names


def test_an_image_whose_tag_goes_to_what_is_pulled_is_pruned_in_the_same_run() -> None:
    host, settings = having(OLD), Settings(images=(f"lab/a:0@{NEW}",), images_prune=True)
    assert plan(host, settings).prune == (f"lab/a@{DIGEST}",)
    untagged, pulled = replace(OLD, names=()), Image("sha256:2", ("lab/a:0", f"lab/a@{NEW}"))
    assert plan(having(untagged, pulled), settings).prune == ()


def test_an_old_image_from_a_cache_loses_that_name_too() -> None:
    from_cache = Image("sha256:5", ("nvcr.io/lab/a:0", f"cache.lab:5001/lab/a@{DIGEST}"))
    now = Image("sha256:6", ("nvcr.io/lab/a:1", f"cache.lab:5001/lab/a@{NEW}"))
    mirrors = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"),))
    found = plan(having(from_cache, now), Settings(images=("nvcr.io/lab/a:1",), images_prune=True), mirrors=mirrors)
    assert found.prune == from_cache.names


def test_an_image_that_is_there_by_a_caches_name_alone_stays_to_be_given_its_own() -> None:
    nameless = Image("sha256:5", (f"cache.lab:5001/lab/a@{NEW}",))
    mirrors = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"),))
    settings = Settings(images=(f"nvcr.io/lab/a:1@{NEW}",), images_prune=True)
    found = plan(having(nameless), settings, mirrors=mirrors)
    assert (len(found.pull), found.prune) == (1, ())


def test_the_proofs_image_stays_where_this_run_does_not_come_to_the_proof() -> None:
    proofs, old = Image("sha256:8", (f"lab/a@{DIGEST}",)), Image("sha256:9", ("lab/a:0",))
    settings = Settings(images=("lab/a:1",), images_prune=True, gpu_proof_image=f"lab/a:cuda@{DIGEST}")
    assert plan(having(proofs, old), settings).prune == ("lab/a:0",)


# docker ps names what was asked for when the container was made: without its tag, or with one that has moved since.
@pytest.mark.parametrize("named", ["lab/a", "lab/a:1", "docker.io/lab/a:0", "lab/a:0"])
def test_an_image_that_a_container_uses_is_kept_and_told(named: str) -> None:
    stopped = Container("c1", "old", named, None, running=False, image_id=OLD.id)
    found = plan(having(OLD, containers=(stopped,)), Settings(images=("lab/a:1",), images_prune=True))
    assert found.prune == ()
    assert "keeps lab/a:0" in [note.choice for note in found.notes]


def test_a_pull_through_a_cache_has_its_name() -> None:
    mirrors = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"),))
    found = plan(having(), Settings(images=(f"nvcr.io/nvidia/x:1@{DIGEST}",)), mirrors=mirrors)
    assert found.pull[0].source == f"cache.lab:5001/nvidia/x@{DIGEST}"
    assert found.pull[0].tag == "nvcr.io/nvidia/x:1"
