"""Image references, and what is there of them."""

from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_choice import Choice, choose_image
from deploys.planning.images import is_present, parse_reference, registry_of
from deploys.planning.records import Refusal
from facts.model import Host, Image
from tests.planning.hosts import BARE, DIGEST, READY


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest", "pinned"),
    [
        ("python", "python", None, None, "python:latest"),
        ("python:3.12-slim", "python", "3.12-slim", None, "python:3.12-slim"),
        ("docker.io/library/python:3.12", "python", "3.12", None, "python:3.12"),
        ("index.docker.io/nvidia/cuda:12.6.3", "nvidia/cuda", "12.6.3", None, "nvidia/cuda:12.6.3"),
        ("library/python", "python", None, None, "python:latest"),
        ("nvcr.io/nvidia/cuda:13", "nvcr.io/nvidia/cuda", "13", None, "nvcr.io/nvidia/cuda:13"),
        ("registry.lab:5000/tools", "registry.lab:5000/tools", None, None, "registry.lab:5000/tools:latest"),
        ("registry.lab:5000/a/b:1", "registry.lab:5000/a/b", "1", None, "registry.lab:5000/a/b:1"),
        ("localhost:5000/library/x", "localhost:5000/library/x", None, None, "localhost:5000/library/x:latest"),
        (f"python@{DIGEST}", "python", None, DIGEST, f"python@{DIGEST}"),
        (f"docker.io/library/python:3@{DIGEST}", "python", "3", DIGEST, f"python@{DIGEST}"),
        (f"registry.lab:5000/x:1@{DIGEST}", "registry.lab:5000/x", "1", DIGEST, f"registry.lab:5000/x@{DIGEST}"),
    ],
)
def test_reference(text: str, name: str, tag: str | None, digest: str | None, pinned: str) -> None:
    found = parse_reference(text)
    assert (found.name, found.tag, found.digest, found.pinned) == (name, tag, digest, pinned)


@pytest.mark.parametrize(
    ("text", "registry", "repository"),
    [
        ("python:3.12", "docker.io", "library/python"),
        ("docker.io/nvidia/cuda", "docker.io", "nvidia/cuda"),
        ("modelbox/modelbox-runtime:1", "docker.io", "modelbox/modelbox-runtime"),
        ("nvcr.io/nvidia/l4t-base:r32.7.1", "nvcr.io", "nvidia/l4t-base"),
        ("registry.lab:5000/a/b:1", "registry.lab:5000", "a/b"),
        ("cache:5000/x", "cache:5000", "x"),
        ("localhost/library/x", "localhost", "library/x"),
    ],
)
def test_registry_and_repository(text: str, registry: str, repository: str) -> None:
    found = parse_reference(text)
    assert (found.registry, found.repository) == (registry, repository)


def having(*names: str) -> Host:
    """The ready host with one image of these names."""
    return replace(READY, docker=replace(READY.docker, images=(Image("sha256:77", names),)))


@pytest.mark.parametrize(
    ("names", "wanted", "present"),
    [
        (("python:3.12", f"python@{DIGEST}"), f"docker.io/library/python:3.12@{DIGEST}", True),
        (("python:3.12",), f"docker.io/library/python:3.12@{DIGEST}", False),
        (("python:3.12",), "docker.io/library/python:3.12", True),
        (("python:3.12",), "python", False),
        (("nvcr.io/nvidia/cuda:1",), "nvidia/cuda:1", False),
        # Pulled by another name from a mirror, and given its own: Docker knows the digest with that other name alone.
        ((f"cache.lab:5001/a/b@{DIGEST}", "nvcr.io/a/b:1"), f"nvcr.io/a/b:1@{DIGEST}", True),
        ((f"cache.lab:5001/a/b@{DIGEST}",), f"nvcr.io/a/b:1@{DIGEST}", False),
        ((f"cache.lab:5001/a/b@{DIGEST}", "nvcr.io/a/b:1"), f"nvcr.io/a/b@{DIGEST}", False),
        ((f"cache.lab:5001/a/b@{DIGEST}", "nvcr.io/a/b:2"), f"nvcr.io/a/b:1@{DIGEST}", False),
        ((f"nvcr.io/a/b@{DIGEST}",), f"nvcr.io/a/b:1@{DIGEST}", True),
        ((), "python:3.12", False),
    ],
)
def test_presence_is_by_digest_where_there_is_one(names: tuple[str, ...], wanted: str, present: bool) -> None:
    assert is_present(wanted, having(*names)) is present


def test_name_and_digest_of_two_images_are_not_one_that_is_there() -> None:
    images = (Image("sha256:1", ("nvcr.io/a/b:1",)), Image("sha256:2", (f"cache.lab/a/b@{DIGEST}",)))
    assert not is_present(f"nvcr.io/a/b:1@{DIGEST}", replace(READY, docker=replace(READY.docker, images=images)))


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("python", "docker.io"),
        ("nvidia/cuda:12", "docker.io"),
        ("docker.io/library/python", "docker.io"),
        ("index.docker.io/nvidia/cuda", "docker.io"),
        ("nvcr.io/nvidia/cuda:13", "nvcr.io"),
        (f"cache.lab:5001/nvidia/x@{DIGEST}", "cache.lab:5001"),
        ("localhost/x", "localhost"),
        ("gcr.io", "docker.io"),
        ("python:3.12", "docker.io"),
    ],
)
def test_registry(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


def test_images_that_could_not_be_listed_are_not_there() -> None:
    assert not is_present("python", replace(READY, docker=replace(READY.docker, images=None)))


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f"docker.io/library/python:3@{DIGEST}", "python:3"),
        (f"nvcr.io/nvidia/x@{DIGEST}", "nvcr.io/nvidia/x@sha256:abababababab"),
        ("python", "python"),
    ],
)
def test_what_people_call_it(text: str, short: str) -> None:
    assert parse_reference(text).short == short


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NVIDIA/CUDA:12.6.3-base-ubuntu24.04", "did you mean nvidia/cuda:12.6.3-base-ubuntu24.04?"),
        ("https://nvcr.io/nvidia/pytorch:25.03-py3", "did you mean nvcr.io/nvidia/pytorch:25.03-py3?"),
        ("nvidia/cuda:", "in lower case"),
        ("nvidia/cuda@sha256:abc", "64 DIGITS"),
        ("-v/x:1", "in lower case"),
        ("café/x:1", "in lower case"),
        ("lab//x:1", "in lower case"),
        (f"@{DIGEST}", "in lower case"),
        (f"{'x' * 300}/x:1", "in lower case"),
        ("lab/x:" + "1" * 129, "in lower case"),
    ],
)
def test_what_docker_would_not_read_is_refused(text: str, words: str) -> None:
    found = choose_image(text, BARE, load_catalogue(), driver=None)
    assert isinstance(found, Refusal)
    assert words in found.remedy


def test_a_password_in_a_reference_is_not_echoed() -> None:
    assert "geheim" not in str(choose_image("lab:geheim@registry.lab/x:1", BARE, load_catalogue(), driver=None))


@pytest.mark.parametrize(("wish", "reference"), [(" lab/x:1 ", "lab/x:1"), (" redis ", "redis:latest")])
def test_blanks_around_a_wish_are_not_part_of_it(wish: str, reference: str) -> None:
    found = choose_image(wish, BARE, load_catalogue(), driver=None)
    assert isinstance(found, Choice)
    assert found.reference == reference
