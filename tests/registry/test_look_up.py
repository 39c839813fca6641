"""What is found of an image, and with which requests."""

from collections.abc import Mapping

import pytest

from deploys.planning.lookups import Answers, Found, Missing, Question, Trouble
from deploys.registry import client, registry
from deploys.registry.client import look_up
from tests.registry.server import INDEX, Request, Response, Shelf, Site, document, error, layer, serve

CUDA = "nvidia/cuda"
BOTH = frozenset({"amd64", "arm64"})


def ask(site: Site, name: str, *architectures: str) -> tuple[Found | Missing, Answers]:
    """Look one image of the site up, for these architectures."""
    reference = f"{site.host}/{name}"
    question = Question(reference, frozenset(architectures or ("amd64",)))
    answers = look_up([question], credentials={}, mirrors={}, ca=None)
    return answers.images[reference], answers


def found(site: Site, name: str, *architectures: str) -> Found:
    """The same, where it must be there."""
    answer, _ = ask(site, name, *architectures)
    assert isinstance(answer, Found), answer
    return answer


def missing(site: Site, name: str) -> Missing:
    """The same, where it must not."""
    answer, _ = ask(site, name)
    assert isinstance(answer, Missing), answer
    return answer


def list_tags(repository: str) -> tuple[str, ...] | Missing:
    """The tags of one repository."""
    return client.list_tags([repository])[repository]


@pytest.fixture
def shelf() -> Shelf:
    """An index over amd64, arm64/v8, arm/v7 and an attestation; a single arm64 image."""
    shelf = Shelf()
    images = {f"linux/{each}": shelf.add_image(CUDA, each.partition("/")[0]) for each in ("amd64", "arm64/v8")}
    others = {"linux/arm/v7": layer("arm"), "windows/amd64": layer("windows"), "unknown/unknown": layer("attestation")}
    shelf.add_index(CUDA, images | others, "12.6.3-base-ubuntu24.04")
    shelf.add_image("nvidia/l4t-base", "arm64", "r32.7.1", layers=3)
    return shelf


def test_an_image_of_several_platforms(shelf: Shelf) -> None:
    with serve(shelf) as site:
        answer = found(site, f"{CUDA}:12.6.3-base-ubuntu24.04", "amd64", "arm64")
    platforms = [f"{each.os}/{each.architecture}/{each.variant}" for each in answer.manifests]
    assert platforms == ["linux/amd64/", "linux/arm64/v8", "linux/arm/v7", "windows/amd64/"]
    amd64, arm64, arm, windows = answer.manifests
    assert [each.size for each in amd64.layers] == [100, 200]
    assert [each.digest for each in arm64.layers] == [layer("arm640"), layer("arm641")]
    assert arm64.diff_ids == (layer("arm640 unpacked"), layer("arm641 unpacked"))
    assert amd64.config
    assert amd64.size == 300 + amd64.config.size
    assert (arm.layers, windows.layers, windows.config) == ((), (), None)
    assert answer.digest == shelf.manifests[CUDA, "12.6.3-base-ubuntu24.04"].headers["Docker-Content-Digest"]


def test_only_what_is_wanted_is_asked_for_and_the_tag_costs_no_pull(shelf: Shelf) -> None:
    with serve(shelf) as site:
        answer = found(site, f"{CUDA}:12.6.3-base-ubuntu24.04", "arm64")
    config = answer.manifests[1].config
    assert config
    assert site.paths == [
        f"HEAD /v2/{CUDA}/manifests/12.6.3-base-ubuntu24.04",
        f"GET /v2/{CUDA}/manifests/{answer.digest}",
        f"GET /v2/{CUDA}/manifests/{answer.manifests[1].digest}",
        f"GET /v2/{CUDA}/blobs/{config.digest}",
    ]


def test_an_image_without_an_index_has_its_platform_in_its_configuration(shelf: Shelf) -> None:
    """As many of NVIDIA's l4t images are."""
    with serve(shelf) as site:
        answer = found(site, "nvidia/l4t-base:r32.7.1", "amd64")
    (manifest,) = answer.manifests
    assert (manifest.os, manifest.architecture, manifest.digest) == ("linux", "arm64", answer.digest)
    assert (len(manifest.layers), len(manifest.diff_ids)) == (3, 3)


def test_an_image_by_digest_and_one_without_a_tag(shelf: Shelf) -> None:
    digest = shelf.add_image("tools", "amd64", "latest")
    with serve(shelf) as site:
        by_digest, by_none = found(site, f"tools:gone@{digest}"), found(site, "tools")
    assert by_digest.digest == by_none.digest == digest
    assert site.paths[0] == f"HEAD /v2/tools/manifests/{digest}"


def test_an_entry_without_a_platform_is_looked_into(shelf: Shelf) -> None:
    digest = shelf.add_image("x", "arm64")
    entry = {"digest": digest, "size": 7, "mediaType": "x"}
    shelf.add("x", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}, "1")
    with serve(shelf) as site:
        assert found(site, "x:1", "arm64").manifests[0].architecture == "arm64"


def test_an_image_for_newer_processors_alone_is_not_for_every_host() -> None:
    shelf = Shelf()
    shelf.add_index("x", {"linux/amd64/v3": layer("v3"), "linux/amd64/v1": shelf.add_image("x", "amd64")}, "1")
    with serve(shelf) as site:
        newer, every = found(site, "x:1").manifests
    assert (newer.variant, newer.layers) == ("v3", ())
    assert every.layers


def test_kernel_words_for_an_architecture_are_gos(shelf: Shelf) -> None:
    shelf.add_image("x", "aarch64", "1")
    with serve(shelf) as site:
        assert found(site, "x:1").manifests[0].architecture == "arm64"


def test_a_registry_without_head(shelf: Shelf) -> None:
    def get_only(request: Request) -> Response:
        return error(405, "UNSUPPORTED") if request.method == "HEAD" else shelf(request)

    with serve(get_only) as site:
        assert found(site, "nvidia/l4t-base:r32.7.1", "arm64").manifests[0].layers


@pytest.mark.parametrize(
    ("wrong", "close"),
    [
        ("r36.4", ("r36.4.0",)),
        ("36.4.0", ("r36.4.0", "r36.2.0", "r35.4.1")),
        ("r36", ("r36.2.0", "r36.4.0", "r36.3.0-extra")),
        ("jammy", ()),
    ],
)
def test_a_wrong_tag_gets_the_close_ones(shelf: Shelf, wrong: str, close: tuple[str, ...]) -> None:
    shelf.add_image("nvidia/l4t-jetpack", "arm64", "r35.4.1", "r36.2.0", "r36.4.0", "r36.3.0-extra")
    with serve(shelf) as site:
        answer = missing(site, f"nvidia/l4t-jetpack:{wrong}")
    assert (answer.trouble, answer.close) == (Trouble.NO_TAG, close)
    assert "404" in answer.seen
    assert "manifest unknown" in answer.seen


def test_tags_that_would_act_on_a_terminal_are_none(shelf: Shelf) -> None:
    shelf.add_image("x", "arm64", "1.2\x1b]0;owned\x07", "1.3\nall is well", "1.4")
    with serve(shelf) as site:
        assert list_tags(f"{site.host}/x") == ("1.4",)
        assert missing(site, "x:1").close == ("1.4",)


def test_a_platform_that_would_act_on_a_terminal_is_none(shelf: Shelf) -> None:
    shelf.add_image("x", "arm64\x1b[2J", "1")
    with serve(shelf) as site:
        answer = missing(site, "x:1")
    assert answer.trouble is Trouble.BROKEN
    assert answer.seen.isprintable()


def test_a_wrong_repository_is_told_apart(shelf: Shelf) -> None:
    with serve(shelf) as site:
        answer = missing(site, "nvidia/l4t-jetpak:r36.4.0")
    assert (answer.trouble, answer.close) == (Trouble.NO_REPOSITORY, ())


def test_a_digest_that_is_gone_has_no_close_ones(shelf: Shelf) -> None:
    with serve(shelf) as site:
        answer = missing(site, f"{CUDA}@{layer('gone')}")
    assert (answer.trouble, answer.close) == (Trouble.NO_TAG, ())


def paged(request: Request) -> Response:
    """Tags on three pages, each with a relative address of the next, as the distribution-spec has it."""
    last = request.path.partition("last=")[2]
    start = int(last or 0)
    link = {"Link": f'</v2/{CUDA}/tags/list?n=2&last={start + 2}>; rel="next"'} if start < 4 else {}
    page = document({"name": CUDA, "tags": [f"1.{start}", f"1.{start + 1}"]})
    return Response(200, page.body, link)


def test_tags_of_several_pages() -> None:
    with serve(paged) as site:
        assert list_tags(f"{site.host}/{CUDA}") == ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
    assert site.paths[1:] == [f"GET /v2/{CUDA}/tags/list?n=2&last={n}" for n in (2, 4)]


@pytest.mark.parametrize("address", ["http://elsewhere.test/v2/x/tags/list?again", "?again", "http://[x"])
def test_tags_without_end_are_all_asked_for_here(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_PAGES", 5)
    answer = Response(200, b'{"tags": ["1"]}', {"Link": f'<{address}>; rel="next"'})
    with serve(lambda _: answer) as site:
        seen = list_tags(f"{site.host}/x")
        assert len(site.requests) == 5
        assert {request.path.partition("?")[0] for request in site.requests} == {"/v2/x/tags/list"}
    assert isinstance(seen, Missing)
    assert seen.trouble is Trouble.BROKEN


def test_an_empty_repository_has_no_tags() -> None:
    with serve(lambda _: document({"name": "x", "tags": None})) as site:
        assert list_tags(f"{site.host}/x") == ()


def test_tags_that_are_not_found_without_a_word() -> None:
    with serve(lambda _: Response(404)) as site:
        answer = list_tags(f"{site.host}/none")
    assert isinstance(answer, Missing)
    assert answer.trouble is Trouble.NO_REPOSITORY


def test_tags_of_no_repository(shelf: Shelf) -> None:
    with serve(shelf) as site:
        answer = list_tags(f"{site.host}/none")
    assert isinstance(answer, Missing)
    assert (answer.trouble, answer.reference) == (Trouble.NO_REPOSITORY, f"{site.host}/none")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "ratelimit-limit": "100;w=21600",
                "ratelimit-remaining": "76;w=21600",
                "docker-ratelimit-source": "192.0.2.7",
            },
            (100, 76, 21600, "192.0.2.7"),
        ),
        ({"ratelimit-limit": "200;w=21600", "ratelimit-remaining": "0;w=21600"}, (200, 0, 21600, "")),
        ({}, None),
        # GitLab's: of requests, not of pulls.
        ({"RateLimit-Limit": "500", "RateLimit-Remaining": "499"}, None),
        ({"ratelimit-limit": "100;w=21600"}, None),
    ],
)
def test_the_rate_that_is_left(
    shelf: Shelf, headers: Mapping[str, str], expected: tuple[int, int, int, str] | None
) -> None:
    def limited(request: Request) -> Response:
        answer = shelf(request)
        counts = "/manifests/" in request.path
        return Response(answer.status, answer.body, {**answer.headers, **(headers if counts else {})})

    with serve(limited) as site:
        _, answers = ask(site, "nvidia/l4t-base:r32.7.1")
    rate = answers.rates.get(site.host)
    assert (rate and (rate.limit, rate.remaining, rate.window, rate.source)) == expected
    assert not rate or rate.registry == site.host
