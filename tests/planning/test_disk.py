"""Layers that are missing, and the room that they take. All layers and hosts are made up; numbers are typed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.disk import (
    Need,
    bytes_short,
    chain_ids,
    format_size,
    inodes_short,
    lacking,
    layer_keys,
    load_need,
    pull_need,
)
from deploys.planning.lookups import Layer, Manifest
from deploys.planning.records import Archive
from facts.model import Docker
from tests.planning.hosts import DOCKER, NO_DOCKER

# Diff IDs and blobs of three made-up layers.
BASE, CUDA, TORCH = (f"sha256:{digit * 64}" for digit in "abc")
PACKED = tuple(Layer(f"sha256:{digit * 64}", size) for digit, size in (("1", 100), ("2", 2000), ("3", 30000)))
MANIFEST = Manifest("sha256:m", "linux", "amd64", layers=PACKED, diff_ids=(BASE, CUDA, TORCH))
STORE = replace(DOCKER, containerd_store=True, images_root="/var/lib/containerd")

# As sha256sum prints them of "sha256:aaa… sha256:bbb…", and of that with "sha256:ccc…" (OCI image-spec, config.md).
CHAIN_2 = "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c"
CHAIN_3 = "sha256:c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588"


def sizes(docker: Docker, *there: str) -> tuple[int, ...]:
    """Bytes of each layer that is to be downloaded where these keys are there."""
    return tuple(layer.size for layer in lacking(MANIFEST, docker, frozenset(there)))


def test_chain_ids_are_those_of_the_specification() -> None:
    assert chain_ids((BASE, CUDA, TORCH)) == (BASE, CHAIN_2, CHAIN_3)
    assert chain_ids(()) == ()


def test_layers_of_a_graph_driver_are_there_by_their_chain() -> None:
    assert sizes(DOCKER) == (100, 2000, 30000)
    assert sizes(DOCKER, "aaaaaaaaaaaaaaaa") == (2000, 30000)
    assert sizes(DOCKER, "aaaaaaaaaaaaaaaa", CHAIN_2[7:23]) == (30000,)


def test_the_same_layer_above_another_base_is_not_there() -> None:
    """By its own digest it would seem to be: what tools say that compare layers one by one."""
    assert sizes(DOCKER, "bbbbbbbbbbbbbbbb", "2222222222222222") == (100, 2000, 30000)
    other = chain_ids(("sha256:" + "d" * 64, CUDA))
    assert sizes(DOCKER, *(name[7:23] for name in other)) == (100, 2000, 30000)


def test_blobs_of_containerds_store_are_there_whatever_is_below_them() -> None:
    assert sizes(STORE, "2222222222222222") == (100, 30000)
    assert sizes(STORE, "bbbbbbbbbbbbbbbb") == (100, 2000, 30000)


def test_a_layer_that_is_twice_in_an_image_is_downloaded_once() -> None:
    empty = Layer("sha256:" + "e" * 64, 32)
    manifest = replace(MANIFEST, layers=(PACKED[0], empty, PACKED[1], empty), diff_ids=(BASE, CUDA, TORCH, CUDA))
    for docker in (DOCKER, STORE):
        assert lacking(manifest, docker, frozenset()) == (PACKED[0], empty, PACKED[1])


def test_without_the_configuration_nothing_counts_as_being_there() -> None:
    unknown = replace(MANIFEST, diff_ids=())
    assert lacking(unknown, DOCKER, frozenset(layer_keys(MANIFEST, DOCKER))) == PACKED


@pytest.mark.parametrize(
    ("docker", "need"),
    [
        (DOCKER, Need(2_500_000_000, 2_500_000_000)),  # unpacked alone
        (STORE, Need(3_500_000_000, 2_500_000_000)),
        (NO_DOCKER, Need(3_500_000_000, 2_500_000_000)),  # Docker 29 begins with containerd's store
    ],
)
def test_room_of_a_gigabyte(docker: Docker, need: Need) -> None:
    assert pull_need((Layer("sha256:1", 10**9),), docker) == need


def test_room_of_an_archive() -> None:
    archive = Archive("/srv/a.tar", 3 * 10**9, ("a:1",), ("sha256:1",), ("amd64",), 5 * 10**9)
    assert load_need(archive, DOCKER) == Need(8 * 10**9, 5 * 10**9)
    assert load_need(archive, STORE) == Need(11 * 10**9, 5 * 10**9)


@pytest.mark.parametrize(
    ("free", "need", "short"),
    [
        (100 * 10**9, 98 * 10**9, 0),  # just enough: 2 GB stay free
        (100 * 10**9 - 1, 98 * 10**9, 1),
        (10 * 10**9, 9 * 10**9, 0),  # a tenth stays free on a small disk
        (10 * 10**9, 9 * 10**9 + 1, 1),
        (3 * 10**9, 14 * 10**9, 11_300_000_000),
        (0, 1, 1),
        (0, 0, 0),  # every layer is there already
        (None, 98 * 10**9, 0),
    ],
)
def test_bytes_that_are_missing(free: int | None, need: int, short: int) -> None:
    assert bytes_short(Need(need), replace(DOCKER, images_free=free)) == short


@pytest.mark.parametrize(("free", "short"), [(1000, 0), (999, 1), (0, 1000), (None, 0)])
def test_inodes_that_are_missing(free: int | None, short: int) -> None:
    assert inodes_short(Need(16_000_000, 16_000_000), replace(DOCKER, images_free_inodes=free)) == short


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (77_900_000, "77.9 MB"),
        (999_400_000, "999 MB"),
        (999_999_999, "1 GB"),
        (5_912_345_678, "5.91 GB"),
        (12 * 10**9, "12 GB"),
        (123_456_000_000, "123 GB"),
        (2_500_000_000_000, "2.5 TB"),
    ],
)
def test_sizes_are_written_as_docker_writes_them(size: int, text: str) -> None:
    assert format_size(size) == text
