"""The simulated registries: who gets in, how often, and what is there. No container is needed for that."""

from __future__ import annotations

import base64
import io
import json
from urllib.parse import urlsplit

import pytest

from tests.sandbox.files.vendors.access import DOCKER_HUB, NVCR, Access, Rates
from tests.sandbox.files.vendors.server import Answer, page
from tests.sandbox.registry_images import IMAGES, repositories
from tests.sandbox.vendors import bytes_of, requests_of

CUDA, L4T, PRIVATE = "nvidia/cuda", "nvidia/l4t-base", "nvidia/private-thing"
USER = "Basic " + base64.b64encode(b"$oauthtoken:the-key").decode()
STRANGER = "Basic " + base64.b64encode(b"$oauthtoken:another-key").decode()


@pytest.fixture
def access() -> Access:
    """That of registries with these repositories."""
    return Access({DOCKER_HUB: [CUDA], NVCR: [L4T, PRIVATE]}, "the-key")


def ask(access: Access, registry: str, repository: str, authorization: str = "") -> tuple[int, str]:
    """Status of a manifest's request after the token's, or of the token's where none is given; and the challenge."""
    given = access.give_token(registry, f"scope=repository:{repository}:pull", authorization)
    if given.status != 200:
        return given.status, "no token"
    token = json.loads(given.body)["token"]
    refusal = access.refuse(registry, f"/v2/{repository}/manifests/1", f"Bearer {token}")
    return (refusal.status, refusal.headers.get("Www-Authenticate", "")) if refusal else (200, "")


@pytest.mark.parametrize(
    ("registry", "path", "challenge"),
    [
        (DOCKER_HUB, "/v2/", 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'),
        (
            DOCKER_HUB,
            "/v2/nvidia/cuda/manifests/latest",
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:nvidia/cuda:pull"',
        ),
        (NVCR, "/v2/", 'Bearer realm="https://nvcr.io/proxy_auth"'),
        (
            NVCR,
            "/v2/nvidia/l4t-base/tags/list?n=1",
            'Bearer realm="https://nvcr.io/proxy_auth?scope=repository:nvidia/l4t-base:pull"',
        ),
    ],
)
def test_challenges_are_the_registries_own(access: Access, registry: str, path: str, challenge: str) -> None:
    refusal = access.refuse(registry, path, "")
    assert refusal
    assert (refusal.status, refusal.headers["Www-Authenticate"]) == (401, challenge)


def test_public_images_need_a_token_and_no_password(access: Access) -> None:
    assert ask(access, DOCKER_HUB, CUDA) == ask(access, NVCR, L4T) == (200, "")


def test_private_image_is_for_its_user(access: Access) -> None:
    assert ask(access, NVCR, PRIVATE) == (401, "no token")
    assert ask(access, NVCR, PRIVATE, STRANGER) == (401, "no token")
    assert ask(access, NVCR, PRIVATE, USER) == (200, "")


def test_what_is_not_there_is_told_as_each_registry_does(access: Access) -> None:
    status, challenge = ask(access, DOCKER_HUB, "nvidia/l4t-base")
    assert (status, 'error="insufficient_scope"' in challenge) == (401, True)
    assert ask(access, NVCR, "nvidia/nothing", USER)[0] == 403


def test_token_of_one_registry_or_repository_is_none_of_another(access: Access) -> None:
    token = "Bearer " + json.loads(access.give_token(NVCR, f"scope=repository:{L4T}:pull", "").body)["token"]
    assert access.refuse(NVCR, f"/v2/{L4T}/blobs/sha256:0", token) is None
    assert access.refuse(NVCR, f"/v2/{PRIVATE}/blobs/sha256:0", token)
    assert access.refuse(DOCKER_HUB, f"/v2/{CUDA}/blobs/sha256:0", token)


def test_pulls_are_counted_by_client_once_a_rate_is_set() -> None:
    rates, settings = Rates(), {"192.0.2.7": (2, "mark"), "": (50, "other")}
    rates.count("192.0.2.9", {})
    assert rates.remaining("192.0.2.9", {}) == 100
    for left in (1, 0, 0):
        rates.count("192.0.2.7", settings)
        assert rates.remaining("192.0.2.7", settings) == left
    assert rates.remaining("192.0.2.8", settings) == 50
    assert rates.remaining("192.0.2.7", {"192.0.2.7": (2, "set anew")}) == 2


def test_tags_come_in_pages() -> None:
    body = json.dumps({"name": "a", "tags": ["c", "a", "b"]}).encode()
    seen, url = [], "/v2/a/tags/list?n=2"
    while url:
        one = page(Answer(200, {}, io.BytesIO(body), len(body)), urlsplit(url))
        seen.append(json.load(one.body)["tags"])
        url = one.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == [["a", "b"], ["c"]]


def test_cuda_images_share_their_lower_layers() -> None:
    layers = {image.tag: image.layers for image in IMAGES if image.repository == CUDA}
    base, runtime = layers["12.6.3-base-ubuntu24.04"], layers["12.6.3-runtime-ubuntu24.04"]
    assert len(base) == 2
    assert runtime[:2] == base


def test_repositories_are_at_their_registries() -> None:
    there = repositories()
    assert {"nvidia/cuda", "library/python", "library/registry"} <= set(there[DOCKER_HUB])
    assert {L4T, "nvidia/l4t-jetpack", PRIVATE} <= set(there[NVCR])


def test_bytes_are_those_of_blobs() -> None:
    log = [
        {"client": "192.0.2.7", "path": "/v2/nvidia/cuda/manifests/1", "bytes": 1},
        {"client": "192.0.2.7", "path": "/v2/nvidia/cuda/blobs/sha256:0", "bytes": 20},
        {"client": "192.0.2.8", "path": "/v2/nvidia/cuda/blobs/sha256:0", "bytes": 300},
        {"client": "192.0.2.7", "path": "/v2/nvidia/cuda-gl/blobs/sha256:0", "bytes": 4000},
        {"client": "192.0.2.7", "path": "/token?scope=repository:nvidia/cuda:pull", "bytes": 50000},
    ]
    assert bytes_of(log) == 4320
    assert bytes_of(log, repository="nvidia/cuda") == 320
    assert bytes_of(log, repository="nvidia/cuda", client="192.0.2.7") == 20
    assert len(requests_of(log, client="192.0.2.7")) == 3
