"""What is to be pulled, judged for the whole fleet. Hosts, images and answers are made up; numbers are typed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.lookups import Answers, Found, Layer, Manifest, Missing, Question, Rate, Trouble
from deploys.planning.mirrors import make_pull
from deploys.planning.preflight import HostPulls, questions, settle
from deploys.planning.preflight_table import Row, render_preflight
from deploys.planning.records import Archive, Area, ImagesPlan, MirrorsPlan, Refusal
from facts.model import Docker, Host
from tests.planning.hosts import DOCKER, JETSON, READY

CUDA = "nvidia/cuda:12.6.3-base-ubuntu24.04"
TORCH = "nvcr.io/nvidia/pytorch:25.04-py3"
L4T = "nvcr.io/nvidia/l4t-jetpack:r36.4.0"
NO_MIRRORS = MirrorsPlan()
NO_ANSWERS = Answers({}, {})
GB = 10**9
BASE, ABOVE = "sha256:" + "a" * 64, "sha256:" + "b" * 64
BOARD = replace(JETSON, docker=DOCKER)


def digest(digit: str) -> str:
    """A made-up digest."""
    return f"sha256:{digit * 64}"


def manifest(architecture: str, *layers: int, digit: str = "1") -> Manifest:
    """An image of one platform, with layers of these sizes: their blobs and diff IDs are numbered from the digit on."""
    return Manifest(
        digest(digit),
        "linux",
        architecture,
        layers=tuple(Layer(f"sha256:{digit}{place:063x}", size) for place, size in enumerate(layers)),
        diff_ids=tuple(f"sha256:{digit}{place:062x}f" for place, _ in enumerate(layers)),
    )


def found(reference: str, *manifests: Manifest) -> dict[str, Found | Missing]:
    """What a registry says of an image that it has."""
    return {reference: Found(reference, digest("f"), manifests)}


def missing(reference: str, trouble: Trouble, *close: str) -> dict[str, Found | Missing]:
    """What a registry says, or the network, where the image does not come."""
    return {reference: Missing(reference, trouble, "404 as typed here", close)}


def pulls(
    name: str, *references: str, host: Host = READY, mirrors: MirrorsPlan = NO_MIRRORS, load: tuple[Archive, ...] = ()
) -> HostPulls:
    """A host that lacks these images."""
    plan = ImagesPlan(pull=tuple(make_pull(one, mirrors) for one in references), load=load, wanted=references)
    return HostPulls(name, host, plan, mirrors)


def with_docker(host: Host, docker: Docker) -> Host:
    """The host with another state of Docker."""
    return replace(host, docker=docker)


def with_free(free: int | None) -> Host:
    """The server with so many bytes free."""
    return with_docker(READY, replace(DOCKER, images_free=free))


def settle_one(one: HostPulls, images: dict[str, Found | Missing]) -> tuple[ImagesPlan, tuple[Row, ...]]:
    """The plan and the rows of a fleet of one."""
    plans, rows = settle([one], Answers(images, {}))
    assert list(plans) == [one.name]
    return plans[one.name], rows


def refusal_of(plan: ImagesPlan) -> Refusal:
    """The plan's refusal, which must be there, and nothing to do with it."""
    assert plan.refusal
    assert plan == ImagesPlan(refusal=plan.refusal)
    assert plan.refusal.area is Area.IMAGES
    return plan.refusal


def test_each_image_is_asked_for_once_with_all_its_platforms() -> None:
    refused = replace(pulls("c", "python:3.13").plan, refusal=Refusal(Area.IMAGES, "no", "no", "no"))
    skipped = ImagesPlan(pull=refused.pull, skipped="docker")
    fleet = [
        pulls("a", CUDA, TORCH),
        pulls("b", TORCH, host=BOARD),
        HostPulls("c", READY, refused, NO_MIRRORS),
        HostPulls("d", READY, skipped, NO_MIRRORS),
    ]
    assert questions(fleet) == (
        Question(CUDA, frozenset({"amd64"})),
        Question(TORCH, frozenset({"amd64", "arm64"})),
    )


def test_without_missing_images_there_is_nothing_to_ask_and_no_table() -> None:
    fleet = [pulls("a"), pulls("b", host=BOARD)]
    assert questions(fleet) == ()
    plans, rows = settle(fleet, NO_ANSWERS)
    assert plans == {"a": fleet[0].plan, "b": fleet[1].plan}
    assert rows == ()
    assert render_preflight(rows) == []


def test_refused_and_skipped_plans_stay_as_they_are() -> None:
    refused = replace(pulls("a", CUDA).plan, refusal=Refusal(Area.IMAGES, "no", "no", "no"))
    skipped = replace(pulls("b", CUDA).plan, skipped="docker")
    fleet = [HostPulls("a", READY, refused, NO_MIRRORS), HostPulls("b", READY, skipped, NO_MIRRORS)]
    assert settle(fleet, Answers(found(CUDA, manifest("amd64", GB)), {})) == ({"a": refused, "b": skipped}, ())


def test_hosts_of_two_platforms_get_their_own_manifest_of_one_index() -> None:
    images = found(TORCH, manifest("amd64", 5 * GB, GB, digit="1"), manifest("arm64", 4 * GB, digit="2"))
    plans, rows = settle([pulls("server", TORCH), pulls("board", TORCH, host=BOARD)], Answers(images, {}))
    server, board = plans["server"].pull[0], plans["board"].pull[0]
    assert server.digest == board.digest == digest("f")
    assert server.source == board.source == f"nvcr.io/nvidia/pytorch@{digest('f')}"
    assert server.tag == TORCH
    assert (server.manifest, board.manifest) == (digest("1"), digest("2"))
    assert (server.size, board.size) == (6 * GB, 4 * GB)
    assert rows == (
        Row(TORCH, "linux/amd64", "server", 6 * GB, 15 * GB, 200 * GB, "ok", digest("f")),
        Row(TORCH, "linux/arm64", "board", 4 * GB, 10 * GB, 200 * GB, "ok", digest("f")),
    )


def test_layers_that_are_there_are_neither_downloaded_nor_counted() -> None:
    image = replace(manifest("amd64", 4 * GB, GB), diff_ids=(BASE, ABOVE))
    docker = replace(DOCKER, layers=("aaaaaaaaaaaaaaaa",))
    plan, rows = settle_one(pulls("a", TORCH, host=with_docker(READY, docker)), found(TORCH, image))
    assert [size for _, size in plan.pull[0].layers] == [GB]
    assert (rows[0].download, rows[0].on_disk) == (GB, 2_500_000_000)


def test_a_layer_that_two_images_have_is_counted_once_on_a_host() -> None:
    base = Layer(digest("9"), 4 * GB)
    first = replace(manifest("amd64"), layers=(base,), diff_ids=(BASE,))
    second = replace(manifest("amd64"), layers=(base, Layer(digest("8"), GB)), diff_ids=(BASE, ABOVE))
    plan, rows = settle_one(pulls("a", CUDA, TORCH), found(CUDA, first) | found(TORCH, second))
    assert [pull.size for pull in plan.pull] == [4 * GB, GB]
    assert sum(row.on_disk or 0 for row in rows) == 12_500_000_000


def test_an_image_for_other_platforms_only_is_refused() -> None:
    attestation = Manifest(digest("3"), "unknown", "unknown")
    images = found(CUDA, manifest("amd64", GB), attestation)
    plan, rows = settle_one(pulls("board", CUDA, host=BOARD), images)
    assert f"{CUDA} exists, but only linux/amd64; host is arm64" in refusal_of(plan).seen
    assert rows[0].verdict == "only linux/amd64"


@pytest.mark.parametrize(
    ("trouble", "close", "verdict", "remedy"),
    [
        (Trouble.NO_TAG, ("r36.4.0", "r36.3.0"), "no such tag: r36.4.0?", "did you mean r36.4.0, r36.3.0?"),
        (Trouble.NO_TAG, (), "no such tag", "correct the tag"),
        (Trouble.NO_REPOSITORY, (), "no such repository", "correct the name"),
        (Trouble.UNAUTHORIZED, (), "needs credentials", "give images_credentials for nvcr.io"),
        (Trouble.FORBIDDEN, (), "not allowed", "give images_credentials for nvcr.io"),
    ],
)
def test_what_is_certain_is_refused(trouble: Trouble, close: tuple[str, ...], verdict: str, remedy: str) -> None:
    images = missing(L4T, trouble, *close) | found(CUDA, manifest("amd64", GB))
    plan, rows = settle_one(pulls("a", L4T, CUDA), images)
    refusal = refusal_of(plan)
    assert refusal.brief == "1 of 2 images cannot be had, and none is pulled"
    assert L4T in refusal.seen
    assert "404 as typed here" in refusal.seen
    assert refusal.remedy.startswith(remedy)
    assert [row.verdict for row in rows] == [verdict, "ok"]


def test_every_image_that_is_wrong_is_named() -> None:
    images = missing(L4T, Trouble.NO_TAG) | missing(CUDA, Trouble.UNAUTHORIZED)
    refusal = refusal_of(settle_one(pulls("a", L4T, CUDA), images)[0])
    assert refusal.brief.startswith("2 of 2")
    assert L4T in refusal.seen
    assert CUDA in refusal.seen
    assert "images_credentials for docker.io" in refusal.remedy


@pytest.mark.parametrize(
    "trouble",
    [Trouble.TLS, Trouble.DNS, Trouble.PROXY, Trouble.UNREACHABLE, Trouble.RATE_LIMIT, Trouble.BROKEN],
)
def test_what_only_ails_the_way_from_here_is_left_to_the_host(trouble: Trouble) -> None:
    plan, rows = settle_one(pulls("a", L4T), missing(L4T, trouble))
    assert plan.refusal is None
    assert (plan.pull[0].source, plan.pull[0].digest, plan.pull[0].size) == (L4T, "", 0)
    assert "404 as typed here" in plan.notes[-1].because
    assert rows[0] == Row(L4T, "linux/amd64", "a", None, None, 200 * GB, f"not asked: {trouble}")


def test_a_digest_needs_no_registry() -> None:
    pinned = f"{L4T}@{digest('d')}"
    plan, rows = settle_one(pulls("a", pinned), {})
    assert plan.pull[0].source == f"nvcr.io/nvidia/l4t-jetpack@{digest('d')}"
    assert plan.pull[0].digest == digest("d")
    assert rows[0].verdict == "not asked"


def test_a_cache_may_be_let_in_where_we_are_not() -> None:
    mirrors = MirrorsPlan(rewrites=(("nvcr.io", "cache.lab:5001"),))
    plan, _ = settle_one(pulls("a", L4T, mirrors=mirrors), missing(L4T, Trouble.UNAUTHORIZED))
    assert plan.refusal is None
    assert plan.pull[0].source == "cache.lab:5001/nvidia/l4t-jetpack:r36.4.0"
    assert settle_one(pulls("a", L4T, mirrors=mirrors), missing(L4T, Trouble.NO_TAG))[0].refusal


def test_images_that_just_fit_are_pulled_and_a_byte_less_refuses_all() -> None:
    # 39.2 GB packed are 98 GB unpacked, and 2 GB stay free.
    images = found(CUDA, manifest("amd64", 19_600_000_000)) | found(TORCH, manifest("amd64", 19_600_000_000, digit="2"))
    plan, rows = settle_one(pulls("a", CUDA, TORCH, host=with_free(100 * GB)), images)
    assert plan.refusal is None
    assert [row.verdict for row in rows] == ["ok", "ok"]
    plan, rows = settle_one(pulls("a", CUDA, TORCH, host=with_free(100 * GB - 1)), images)
    refusal = refusal_of(plan)
    assert refusal.brief == "the images do not fit on the disk: 1 B short"
    assert f"{CUDA} 49 GB, {TORCH} 49 GB; /var/lib/docker has 100 GB free, of which 2 GB are kept" in refusal.seen
    assert [row.verdict for row in rows] == ["1 B short", "1 B short"]


def test_a_large_image_on_a_small_board_is_refused_with_the_missing_gigabytes() -> None:
    plan, rows = settle_one(
        pulls("orin", L4T, host=with_docker(BOARD, replace(DOCKER, images_free=3 * GB))),
        found(L4T, manifest("arm64", 6 * GB)),
    )
    # 15 GB and a tenth of the 3 GB.
    assert refusal_of(plan).brief == "the images do not fit on the disk: 12.3 GB short"
    assert rows[0] == Row(L4T, "linux/arm64", "orin", 6 * GB, 15 * GB, 3 * GB, "12.3 GB short", digest("f"))


def test_containerds_store_needs_the_packed_layers_besides() -> None:
    store = replace(DOCKER, containerd_store=True, images_root="/var/lib/containerd", images_free=30 * GB)
    images = found(CUDA, manifest("amd64", 8 * GB))
    plan, _ = settle_one(pulls("a", CUDA, host=with_docker(READY, store)), images)
    assert plan.refusal is None  # 28 GB and 2 GB that stay free
    plan, _ = settle_one(pulls("a", CUDA, host=with_docker(READY, replace(store, images_free=30 * GB - 1))), images)
    assert "/var/lib/containerd has 30 GB free" in refusal_of(plan).seen


def test_too_few_inodes_refuse_as_well() -> None:
    few = with_docker(READY, replace(DOCKER, images_free_inodes=100))
    plan, rows = settle_one(pulls("a", CUDA, host=few), found(CUDA, manifest("amd64", GB)))
    # 2.5 GB at 16 kB a file
    assert refusal_of(plan).brief == "the images do not fit on the disk: 156150 inodes short"
    assert "/var/lib/docker has 100 inodes free" in refusal_of(plan).seen
    assert rows[0].verdict == "156150 inodes short"


def test_free_space_that_is_not_known_is_a_note() -> None:
    plan, rows = settle_one(pulls("a", CUDA, host=with_free(None)), found(CUDA, manifest("amd64", 50 * GB)))
    assert plan.refusal is None
    assert plan.notes[-1].because == "how much is free there is not known"
    assert rows[0].free is None
    assert "unknown" in render_preflight(rows)[1]


def test_a_docker_that_is_stopped_may_have_filled_the_disk_with_these_very_images() -> None:
    stopped = with_docker(READY, replace(DOCKER, running=False, images=None, layers=None, images_free=GB))
    plan, _ = settle_one(pulls("a", CUDA, host=stopped), found(CUDA, manifest("amd64", 50 * GB)))
    assert plan.refusal is None
    assert plan.notes[-1].because == "what is there already is not known yet"


def test_how_long_a_registry_wants_to_be_left_alone_is_told() -> None:
    plan, _ = settle_one(pulls("a", CUDA), {CUDA: Missing(CUDA, Trouble.RATE_LIMIT, "429", retry_after=90)})
    assert "answers again in 90 s" in plan.notes[-1].because


def test_archives_are_judged_by_platform_and_exact_size() -> None:
    archive = Archive("/srv/images/torch.tar", 4 * GB, (TORCH,), (digest("e"),), ("amd64",), 9 * GB)
    plan, rows = settle_one(pulls("a", load=(archive,)), {})
    assert (plan.refusal, plan.load) == (None, (archive,))
    assert rows == (Row("torch.tar", "linux/amd64", "a", 4 * GB, 13 * GB, 200 * GB, "ok"),)
    plan, rows = settle_one(
        pulls("a", CUDA, host=with_free(16 * GB), load=(archive,)), found(CUDA, manifest("amd64", GB))
    )
    # 13 GB, 2.5 GB and the tenth of 16 GB that stays free
    assert refusal_of(plan).brief.endswith("1.1 GB short")
    plan, rows = settle_one(pulls("board", host=BOARD, load=(archive,)), {})
    assert refusal_of(plan).seen == "torch.tar exists, but only linux/amd64; host is arm64"
    assert rows[0].verdict == "only linux/amd64"


HUB = Rate("docker.io", limit=100, remaining=20, window=21600, source="192.0.2.7")
THREE = ("python:3.13", "redis:8", "nvidia/cuda:12.6.3-base-ubuntu24.04")


def hub_images() -> dict[str, Found | Missing]:
    """Three small images of Docker Hub."""
    answers: dict[str, Found | Missing] = {}
    for digit, reference in enumerate(THREE, 1):
        answers |= found(reference, manifest("amd64", 10**8, digit=str(digit)))
    return answers


def test_more_pulls_than_the_registry_allows_are_refused_with_the_cache_as_remedy() -> None:
    fleet = [pulls(f"gpu{n}", *THREE) for n in range(8)] + [pulls("other", TORCH)]
    images = hub_images() | found(TORCH, manifest("amd64", GB, digit="5"))
    plans, rows = settle(fleet, Answers(images, {"docker.io": HUB}))
    refusals = [plans[f"gpu{n}"].refusal for n in range(8)]
    assert all(refusals)
    refusal = refusals[0]
    assert refusal
    assert "which makes 24 pulls for all hosts" in refusal.seen
    assert "docker.io leaves 20 of 100 in 6 h to 192.0.2.7" in refusal.seen
    assert all(image in refusal.seen for image in THREE)
    assert "deploys/registry_cache.py" in refusal.remedy
    assert "images_credentials" in refusal.remedy
    assert plans["other"].refusal is None
    assert {row.verdict for row in rows if row.host != "other"} == {"24 pulls, 20 left"}
    assert rows[-1].verdict == "ok"


@pytest.mark.parametrize(
    ("hosts", "remaining", "allowed"), [(8, 24, True), (8, 23, False), (6, 18, True), (1, 0, False)]
)
def test_the_limit_counts_every_image_on_every_host(hosts: int, remaining: int, allowed: bool) -> None:
    fleet = [pulls(f"gpu{n}", *(THREE if hosts > 1 else THREE[:1])) for n in range(hosts)]
    plans, _ = settle(fleet, Answers(hub_images(), {"docker.io": replace(HUB, remaining=remaining)}))
    assert {plan.refusal is None for plan in plans.values()} == {allowed}


@pytest.mark.parametrize(
    "mirrors", [MirrorsPlan(mirrored=("docker.io",)), MirrorsPlan(rewrites=(("docker.io", "cache.lab:5000"),))]
)
def test_pulls_through_a_cache_do_not_count(mirrors: MirrorsPlan) -> None:
    fleet = [pulls(f"gpu{n}", *THREE, mirrors=mirrors) for n in range(8)] + [pulls("direct", *THREE)]
    plans, _ = settle(fleet, Answers(hub_images(), {"docker.io": replace(HUB, remaining=3)}))
    assert not any(plan.refusal for plan in plans.values())


def test_hosts_that_are_refused_anyway_do_not_count() -> None:
    full = with_free(0)
    fleet = [pulls("full", *THREE, host=full), pulls("gpu", *THREE)]
    plans, _ = settle(fleet, Answers(hub_images(), {"docker.io": replace(HUB, remaining=3)}))
    assert "do not fit" in refusal_of(plans["full"]).brief
    assert plans["gpu"].refusal is None


TABLE = """\
image                                digest        platform     hosts    download  on disk  free     verdict
nvidia/cuda:12.6.3-base-ubuntu24.04  ffffffffffff  linux/amd64  5 hosts  4 GB      10 GB    50 GB    ok
nvidia/cuda:12.6.3-base-ubuntu24.04  ffffffffffff  linux/arm64  board    142 MB    355 MB   200 GB   ok
nvidia/cuda:12.6.3-base-ubuntu24.04  ffffffffffff  linux/amd64  small    4 GB      10 GB    10 GB    1 GB short
nvcr.io/nvidia/pytorch:25.04-py3     unknown       linux/amd64  new      unknown   unknown  unknown  needs credentials
"""


def test_hosts_for_which_all_is_the_same_share_a_line() -> None:
    images = found(CUDA, manifest("amd64", 4 * GB), manifest("arm64", 142_000_000, digit="2"))
    images |= missing(TORCH, Trouble.UNAUTHORIZED)
    fleet = [
        *(pulls(f"gpu{n}", CUDA, host=with_free((50 + n) * GB)) for n in range(5)),
        pulls("board", CUDA, host=BOARD),
        pulls("small", CUDA, host=with_free(10 * GB)),
        pulls("new", TORCH, host=with_free(None)),
    ]
    _, rows = settle(fleet, Answers(images, {}))
    assert render_preflight(rows) == TABLE.splitlines()


@pytest.mark.parametrize("reference", ["localhost:5000/lab/x:1", "127.0.0.1:5000/lab/x:1"])
def test_a_hosts_own_registry_is_not_asked_from_here(reference: str) -> None:
    fleet = [pulls("a", reference)]
    assert questions(fleet) == ()
    plans, rows = settle(fleet, NO_ANSWERS)
    assert [pull.source for pull in plans["a"].pull] == [reference]
    assert rows[0].verdict == "not asked"
