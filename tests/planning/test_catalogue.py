"""The catalogue's rows fit together. Whether they are true is for the tests that type expectations themselves."""

import re

import pytest

from deploys.planning.catalogue import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The catalogue that ships."""
    return load_catalogue()


def test_every_pci_id_has_exactly_one_first_match(catalogue: Catalogue) -> None:
    covered = set()
    for row in catalogue.gpus:
        assert row.first <= row.last or row.devices, row.name
        covered |= set(range(row.first, row.last + 1)) | set(row.devices)
    assert covered == set(range(0x10000))


def test_narrow_ranges_stand_before_the_wider_ones_around_them(catalogue: Catalogue) -> None:
    for i, wide in enumerate(catalogue.gpus):
        later = [(row, {*row.devices, *range(row.first, row.last + 1)}) for row in catalogue.gpus[i + 1 :]]
        hidden = [row.name for row, devices in later if all(wide.has(device) for device in devices)]
        assert not hidden, f"{wide.name} hides {hidden}"


def test_only_gpus_whose_last_branch_has_ended_are_without_one(catalogue: Catalogue) -> None:
    supported = [one.branch for one in catalogue.branch if one.kind in ("lts", "production")]
    served = {row.name for row in catalogue.gpus for branch in supported if row.is_served_by(branch)}
    left = {row.name for row in catalogue.gpus} - served
    assert left == {"newer than Blackwell", "Kepler (GRID K1, K2, K340)", "Kepler", "Fermi", "older than Fermi"}
    assert all(row.oldest_branch <= row.newest_branch for row in catalogue.gpus)


def test_repositories_that_packages_name_serve_their_distribution(catalogue: Catalogue) -> None:
    served = {(row.name, where) for row in catalogue.repository for where in row.distributions}
    for row in catalogue.packages:
        wanted = {(row.repository, name) for name in row.distributions}
        assert row.repository is None or wanted <= served, row.distributions


def test_a_branch_is_known_once_per_release_and_origin(catalogue: Catalogue) -> None:
    keys = [
        (row.origin, distribution, architecture, branch)
        for row in catalogue.packages
        for distribution in row.distributions
        for architecture in row.architectures
        for branch in row.branches
    ]
    assert len(keys) == len(set(keys))
    assert {branch for *_, branch in keys} <= {row.branch for row in catalogue.branch}


def test_package_names_are_names_once_filled_in(catalogue: Catalogue) -> None:
    kernel = "6.8.0-45-generic"
    words = {"branch": "580", "release": "580.95.05", "kernel": kernel, "next_kernel": kernel, "flavour": "generic"}
    for row in catalogue.packages:
        for name in (*row.first, row.lead, *row.build, *row.open, *row.proprietary, *row.compute, *row.desktop):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name.format_map(words | {"open": "-open", "server": ""})), name
        assert row.lead in row.compute
        assert row.lead in row.desktop
        assert row.proprietary


def test_repositories_are_fetched_by_tls_and_checked_by_a_whole_fingerprint(catalogue: Catalogue) -> None:
    for row in catalogue.repository:
        assert row.uri.startswith("https://"), row.name
        assert row.key_url.startswith("https://"), row.name
        assert re.fullmatch(r"[0-9A-F]{40}|[0-9a-f]{64}|", row.fingerprint), row.name


def test_the_proof_image_is_pinned(catalogue: Catalogue) -> None:
    assert re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", catalogue.proof.image)
