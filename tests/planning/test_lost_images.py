"""An image that cannot be had holds up the containers that are made of it, and nothing else that can do without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploys.planning.catalogue import load_catalogue
from deploys.planning.check import Verdict, check
from deploys.planning.host_plan import Plan
from deploys.planning.image_plan import LocalFiles
from deploys.planning.lookups import Answers, Found, Layer, Manifest, Missing, Rate, Trouble
from deploys.planning.plan import ALL_AREAS, make_plan, settle_images
from deploys.planning.preflight import HostPulls, questions, settle
from deploys.planning.records import Area
from deploys.planning.report import describe_plan
from deploys.planning.settings import Settings, read_settings
from facts.model import Host, Image
from tests.planning.hosts import READY
from tests.planning.test_containers import container, with_project

CATALOGUE = load_catalogue()
PROOF_IMAGE = CATALOGUE.proof.image
TYPO, OTHER, PRIVATE = "lab/typo:1", "example/web:1", "lab/private:1"
# Made up: no image is there, and CUDA was not tried yet.
HOST = replace(READY, cpus=8, proof=None, docker=replace(READY.docker, compose="2.40.3", images=()))
LAYER = Layer("sha256:" + "2" * 64, 10**9)
FOUND = (Manifest("sha256:" + "1" * 64, "linux", "amd64", layers=(LAYER,), diff_ids=("sha256:" + "3" * 64,)),)
ARM = (Manifest("sha256:" + "1" * 64, "linux", "arm64"),)
RUN_OF_CONTAINERS = frozenset({Area.MIRRORS, Area.IMAGES, Area.CONTAINERS})


def wish(
    containers: Mapping[str, tuple[str, ...]], others: dict[str, object] | None = None
) -> tuple[Settings, LocalFiles]:
    """Compose files of services of these images, and a container that shows the GPUs."""
    wished = {name: {"kind": "compose", "file": f"{name}.yaml"} for name in containers}
    found = read_settings({"containers": wished | {"see": {"kind": "hello_gpu"}}, **(others or {})})
    assert isinstance(found, Settings), found
    texts = {
        f"{name}.yaml": "services:\n" + "".join(f"  s{at}:\n    image: {image}\n" for at, image in enumerate(images))
        for name, images in containers.items()
    }
    return found, LocalFiles(texts=tuple(texts.items()))


def settled(
    wished: tuple[Settings, LocalFiles],
    *,
    host: Host = HOST,
    areas: frozenset[Area] = ALL_AREAS,
    remaining: int = 100,
    typo: Trouble | None = None,
    private: Trouble | None = None,
) -> Plan:
    """The plan after registries were asked that have all, TYPO and PRIVATE but for trouble; lab/arm:1 is a board's."""
    plan = make_plan(wished[0], host, CATALOGUE, areas=areas, files=wished[1])
    fleet = [HostPulls("a", host, plan.images, plan.mirrors, plan.containers.projects)]
    names = [question.reference for question in questions(fleet)]
    images: dict[str, Found | Missing] = {
        name: Found(name, "sha256:" + "f" * 64, ARM if "lab/arm" in name else FOUND) for name in names
    }
    for lost, trouble in ((TYPO, typo), (PRIVATE, private)):
        images |= {name: Missing(name, trouble, "404") for name in names if trouble and name.endswith(lost)}
    answers = Answers(images, {"docker.io": Rate("docker.io", 100, remaining, 21600, "")})
    return settle_images(plan, host, settle(fleet, answers)[0]["a"])


def started(plan: Plan) -> list[str]:
    """Names of the containers that are to be started."""
    return [project.name for project in plan.containers.start]


def pulled(plan: Plan) -> list[str]:
    """References."""
    return [pull.reference for pull in plan.images.pull]


def refused(plan: Plan) -> dict[str, tuple[str, str]]:
    """What was seen of each refused container, and what is to be done."""
    assert all(one.refusal.area is Area.CONTAINERS for one in plan.containers.refused)
    return {one.name: (one.refusal.seen, one.refusal.remedy) for one in plan.containers.refused}


def test_a_name_that_is_wrong_holds_up_its_own_container_alone() -> None:
    plan = settled(wish({"mine": (TYPO,), "web": (OTHER,)}), typo=Trouble.NO_REPOSITORY)
    assert plan.images.refusal is None
    assert (pulled(plan), started(plan), plan.proof.run) == ([PROOF_IMAGE, OTHER], ["web", "see"], True)
    seen = f"{TYPO}: {Trouble.NO_REPOSITORY} (404)"
    remedy = "correct the name; if it is private, give images_credentials for docker.io"
    assert refused(plan) == {"mine": (seen, remedy)}
    assert plan.refusals[0].brief == "mine: its image cannot be had"


def test_it_is_told_once_and_the_run_ends_badly_for_it() -> None:
    plan = settled(wish({"mine": (TYPO,)}), typo=Trouble.NO_REPOSITORY)
    lines = [line for line in describe_plan(plan, HOST) if TYPO in line or "mine" in line]
    assert [line.partition(" (")[0] for line in lines] == [
        "containers: refused: mine: its image cannot be had",
        f"containers:   seen: {TYPO}: {Trouble.NO_REPOSITORY}",
    ]
    there = replace(HOST, docker=replace(HOST.docker, images=(Image("sha256:1", (PROOF_IMAGE,)),)))
    bad = [one for one in check(plan, there, CATALOGUE) if one.verdict is Verdict.BAD and TYPO in str(one)]
    assert [one.area for one in bad] == [Area.CONTAINERS]


@pytest.mark.parametrize("trouble", [Trouble.NO_REPOSITORY, Trouble.NO_TAG, Trouble.UNAUTHORIZED, Trouble.FORBIDDEN])
def test_whatever_is_certain_to_be_wrong_is(trouble: Trouble) -> None:
    plan = settled(wish({"mine": (TYPO,)}), typo=trouble)
    assert (list(refused(plan)), pulled(plan)) == (["mine"], [PROOF_IMAGE])


def test_an_image_of_another_platform() -> None:
    plan = settled(wish({"mine": ("lab/arm:1",)}))
    seen = "lab/arm:1 exists, but only linux/arm64; host is amd64"
    assert refused(plan) == {"mine": (seen, "choose an image for linux/amd64")}
    assert pulled(plan) == [PROOF_IMAGE]


def test_all_who_name_it_are_refused_and_told_of_all_that_they_lack() -> None:
    both = {"mine": (TYPO, PRIVATE), "his": (f"docker.io/{TYPO}", OTHER)}
    plan = settled(wish(both), typo=Trouble.NO_TAG, private=Trouble.FORBIDDEN)
    answers = refused(plan)
    assert list(answers) == ["mine", "his"]
    assert TYPO in answers["mine"][0]
    assert PRIVATE in answers["mine"][0]
    assert answers["mine"][1] == "correct the tag; give images_credentials for docker.io of a user who may pull it"
    assert answers["his"][1] == "correct the tag"
    assert started(plan) == ["see"]


def test_one_that_runs_all_the_same_is_told_of() -> None:
    """Its image went from the host and from the registry: it goes on, and the run says so."""
    wished = wish({"mine": (TYPO,)})
    host = with_project(HOST, container("s0"), text=dict(wished[1].texts)["mine.yaml"])
    assert started(settled(wished, host=host)) == ["see"]
    plan = settled(wished, host=host, typo=Trouble.NO_TAG)
    assert (list(refused(plan)), plan.containers.remove) == (["mine"], ())


@pytest.mark.parametrize(
    "own",
    [{"images": [TYPO]}, {"images": [f"docker.io/{TYPO}"]}, {"gpu_proof_image": TYPO}],
    ids=["images", "images, otherwise written", "proof"],
)
def test_what_the_host_itself_wants_is_refused_as_a_whole(own: dict[str, object]) -> None:
    plan = settled(wish({"mine": (TYPO,), "web": (OTHER,)}, own), typo=Trouble.NO_REPOSITORY)
    assert plan.images.refusal
    assert "images cannot be had, and none is pulled" in plan.images.refusal.brief
    assert (pulled(plan), started(plan), plan.proof.run) == ([], [], False)
    assert refused(plan)["web"][0] == f"{OTHER}: images, which is refused"


def test_a_run_of_images_alone_has_no_containers_to_refuse() -> None:
    wished = wish({"mine": (TYPO,)})
    alone = settled(wished, areas=frozenset({Area.MIRRORS, Area.IMAGES}), typo=Trouble.NO_TAG)
    assert alone.images.refusal
    assert alone.images.refusal.remedy == "correct the tag"
    assert settled(wished, areas=RUN_OF_CONTAINERS, typo=Trouble.NO_TAG).images.refusal is None


@pytest.mark.parametrize(
    ("free", "remaining", "brief"),
    [(10**9, 100, "the images do not fit on the disk"), (200 * 10**9, 1, "the fleet's pulls are more than docker.io")],
)
def test_what_ails_the_whole_host_is_said_besides(free: int, remaining: int, brief: str) -> None:
    host = replace(HOST, docker=replace(HOST.docker, images_free=free))
    wished = wish({"mine": (TYPO,), "web": (OTHER,)})
    plan = settled(wished, host=host, remaining=remaining, typo=Trouble.NO_TAG)
    assert plan.images.refusal
    assert plan.images.refusal.brief.startswith(brief)
    assert TYPO not in plan.images.refusal.seen
    assert refused(plan)["mine"][1] == "correct the tag"
    assert refused(plan)["web"][0] == f"{OTHER}: images, which is refused"


def test_pulls_that_are_not_made_do_not_count() -> None:
    plan = settled(wish({"mine": (TYPO,)}), remaining=1, typo=Trouble.NO_TAG)
    assert (plan.images.refusal, pulled(plan)) == (None, [PROOF_IMAGE])


def test_no_older_image_goes_for_one_that_does_not_come() -> None:
    images = (Image("sha256:1", ("lab/typo:0",)), Image("sha256:2", ("example/web:0",)))
    host = replace(HOST, docker=replace(HOST.docker, images=images))
    wished = wish({"mine": (TYPO,), "web": (OTHER,)}, {"images_prune": True})
    plan = settled(wished, host=host, typo=Trouble.NO_TAG)
    assert plan.images.prune == ("example/web:0",)
    assert [note.choice for note in plan.images.notes if "removes" in note.choice] == ["removes example/web:0"]
    assert settled(wished, host=host).images.prune == ("lab/typo:0", "example/web:0")
