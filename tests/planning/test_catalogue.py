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
        assert row.first <= row.last, row.name
        covered |= set(range(row.first, row.last + 1))
    assert covered == set(range(0x10000))


def test_narrow_ranges_stand_before_the_wider_ones_around_them(catalogue: Catalogue) -> None:
    for i, wide in enumerate(catalogue.gpus):
        hidden = [row.name for row in catalogue.gpus[i + 1 :] if wide.first <= row.first and row.last <= wide.last]
        assert not hidden, f"{wide.name} hides {hidden}"


def test_only_gpus_whose_last_branch_has_ended_are_without_one(catalogue: Catalogue) -> None:
    served = {row.name for row in catalogue.gpus for one in catalogue.branch if row.is_served_by(one.branch)}
    assert {row.name for row in catalogue.gpus} - served == {"Kepler or older"}
    assert all(row.oldest_branch <= row.newest_branch for row in catalogue.gpus)


def test_repositories_that_packages_name_serve_their_distribution(catalogue: Catalogue) -> None:
    served = {(row.name, where) for row in catalogue.repository for where in row.distributions}
    for row in catalogue.packages:
        wanted = {(row.repository, row.distribution), (row.repository, f"{row.distribution}-{row.version}")}
        assert row.repository is None or wanted & served, f"{row.distribution} {row.version}"


def test_packages_are_known_once_per_release(catalogue: Catalogue) -> None:
    keys = [(row.distribution, row.version, row.architecture) for row in catalogue.packages]
    assert len(keys) == len(set(keys))


def test_package_names_are_names_once_filled_in(catalogue: Catalogue) -> None:
    words = {"branch": "580", "release": "580.95.05", "kernel": "6.8.0-45-generic", "flavour": "generic"}
    for row in catalogue.packages:
        for name in (*row.first, row.lead, *row.common, *row.open, *row.proprietary):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name.format(**words)), name
        assert row.lead in row.common


def test_repositories_are_fetched_by_tls_and_checked_by_a_whole_fingerprint(catalogue: Catalogue) -> None:
    for row in catalogue.repository:
        assert row.uri.startswith("https://"), row.name
        assert row.key_url.startswith("https://"), row.name
        assert re.fullmatch(r"[0-9A-F]{40}", row.fingerprint), row.name


def test_the_proof_image_is_pinned(catalogue: Catalogue) -> None:
    assert re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", catalogue.proof.image)
