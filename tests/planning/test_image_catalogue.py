"""A user's own rows beside those that ship. The families here are made up."""

import re

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.image_catalogue import TABLES, extend_catalogue
from deploys.planning.image_choice import Choice, choose_image
from tests.planning.hosts import BARE, JETSON, with_jetson

OURS = """
[[image_family]]
name = "detector"
repositories = ["registry.lab/detector"]

[[image_repository]]
names = ["registry.lab/detector"]
machines = ["jetson"]
needs_l4t = true

[[image_tags]]
repository = "registry.lab/detector"
tags = ["1.2-r36.4.0", "1.3-r36.4.0", "1.3-r32.7.1"]
"""


def test_a_family_of_ones_own_is_chosen_by_the_same_rules() -> None:
    catalogue = extend_catalogue(load_catalogue(), OURS)
    found = choose_image("detector", with_jetson(JETSON, l4t="36.4.4"), catalogue, driver=None)
    assert isinstance(found, Choice)
    assert found.reference == "registry.lab/detector:1.3-r36.4.0"


def test_tags_and_lines_are_added_to_those_that_ship() -> None:
    more = '[[image_tags]]\nrepository = "nvidia/cuda"\ntags = ["13.3.0-base-ubuntu26.04"]\n'
    catalogue = extend_catalogue(load_catalogue(), more)
    for wish, expected in (("cuda 13.3", "13.3.0-base-ubuntu26.04"), ("cuda 13.2", "13.2.1-base-ubuntu24.04")):
        found = choose_image(wish, BARE, catalogue, driver="610")
        assert isinstance(found, Choice)
        assert found.reference == f"nvidia/cuda:{expected}"


def test_nothing_to_add_changes_nothing() -> None:
    assert extend_catalogue(load_catalogue(), "") == load_catalogue()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[image_tags]\n", "line 1"),
        ('[[image_tag]]\nrepository = "a"\n', "did you mean image_tags?"),
        ("[branch]\n", "there is no table 'branch'"),
        ('[image_tags]\nrepository = "a"\n', "[[image_tags]]"),
        ('[[image_tags]]\nrepository = "a"\n', "row 1 of 'image_tags', tags: Field required"),
        ('[[image_tags]]\nrepository = "Lab/A"\ntags = ["1"]\n', "row 1 of 'image_tags': Lab/A:1 is not the name"),
        ('[[image_tags]]\nrepository = "a"\ntags = ["1", "no tag"]\n', "a:no tag is not the name of an image"),
        ('[[image_family]]\nname = "a"\nrepositories = []\n', "row 1 of 'image_family', repositories: "),
        ("[[image_repository]]\nnames = []\nmachines = []\n", "row 1 of 'image_repository', names: "),
        ('[[image_release]]\nrepositories = ["a"]\ncuda = "twelve"\n', "row 1 of 'image_release', cuda: "),
        (
            '[[cuda_gpus]]\ngpus = ["Ada"]\noldest = "11.8"\nnewest_major = "x"\n',
            "row 1 of 'cuda_gpus', newest_major: ",
        ),
        ('[[image_tags]]\nrepository = "a"\ntags = []\n[[image_tags]]\nrepo = "b"\ntags = []', "row 2 of 'image_tags'"),
    ],
)
def test_bad_text_is_refused_by_its_place(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        extend_catalogue(load_catalogue(), text)


def test_the_tables_are_the_catalogues() -> None:
    assert set(TABLES) <= set(type(load_catalogue()).model_fields)
