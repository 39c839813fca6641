"""A host's images: wishes resolved, archives loaded, what is missing pulled, what nobody wishes for pruned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_plan import LocalFiles, has_archive, plan_images
from deploys.planning.records import Archive, DriverPlan, ImagesPlan, MirrorsPlan, ProofPlan
from deploys.planning.settings import Settings
from facts.model import Container, Host, Image
from tests.planning.hosts import DIGEST, READY

ARCHIVE = Archive("/srv/tools.tar", 5_000, ("lab/tools:1",), ("sha256:11",), ("amd64",), 9_000)


def having(*images: Image, containers: tuple[Container, ...] = ()) -> Host:
    """The ready host with these images and containers."""
    return replace(READY, docker=replace(READY.docker, images=images, containers=containers))


def plan(
    host: Host, settings: Settings, *archives: Archive, proof: str = "", mirrors: MirrorsPlan | None = None
) -> ImagesPlan:
    """Its images' plan."""
    return plan_images(
        settings,
        host,
        load_catalogue(),
        LocalFiles(archives=archives),
        driver=DriverPlan(),
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


OLD = Image("sha256:0123456789abcdef", ("lab/a:0", f"lab/a@{DIGEST}"))


def test_old_images_stay_unless_asked_for() -> None:
    assert plan(having(OLD), Settings(images=("lab/a:1",))).prune == ()


def test_other_images_of_the_same_repository_are_pruned_on_request() -> None:
    stranger, current = Image("sha256:5", ("lab/b:0",)), Image("sha256:6", ("lab/a:1", "lab/a:latest"))
    found = plan(having(OLD, stranger, current), Settings(images=("lab/a:1",), images_prune=True))
    assert found.prune == OLD.names


@pytest.mark.parametrize("named", ["lab/a:0", "sha256:0123456789abcdef", "0123456789ab"])
def test_an_image_that_a_container_uses_is_kept_and_told(named: str) -> None:
    stopped = Container("c1", "old", named, None, running=False)
    found = plan(having(OLD, containers=(stopped,)), Settings(images=("lab/a:1",), images_prune=True))
    assert found.prune == ()
    assert "keeps lab/a:0" in [note.choice for note in found.notes]


def test_a_pull_through_a_cache_has_its_name() -> None:
    mirrors = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"),))
    found = plan(having(), Settings(images=(f"nvcr.io/nvidia/x:1@{DIGEST}",)), mirrors=mirrors)
    assert found.pull[0].source == f"cache.lab:5001/nvidia/x@{DIGEST}"
    assert found.pull[0].tag == "nvcr.io/nvidia/x:1"
