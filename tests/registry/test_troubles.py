"""Every way in which a registry does not give an image, told apart, with nothing secret in what is seen."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploys.planning.lookups import Found, Missing, Question, Trouble
from deploys.registry import transport
from deploys.registry.client import list_tags, look_up
from deploys.registry.registry import parse_retry_after
from deploys.registry.transport import clean
from tests.registry.server import (
    MANIFEST,
    Answer,
    Request,
    Response,
    Shelf,
    Site,
    digest_of,
    document,
    error,
    layer,
    serve,
)

NAME = "nvidia/cuda"


@pytest.fixture
def shelf() -> Shelf:
    """One image."""
    shelf = Shelf()
    shelf.add_image(NAME, "amd64", "1")
    return shelf


def ask(host: str, *, mirrors: Mapping[str, str] | None = None, ca: str | None = None) -> Found | Missing:
    """Look the image up there."""
    reference = f"{host}/{NAME}:1"
    question = Question(reference, frozenset({"amd64"}))
    return look_up([question], credentials={}, mirrors=mirrors or {}, ca=ca).images[reference]


def missing(host: str) -> Missing:
    """The same, where it must not be."""
    answer = ask(host)
    assert isinstance(answer, Missing), answer
    return answer


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "trouble", "retry_after", "words"),
    [
        (error(403, "DENIED", "geo"), Trouble.UNAUTHORIZED, None, "403 Forbidden: DENIED geo"),
        (Response(403, b"<html>blocked</html>"), Trouble.FORBIDDEN, None, "403 Forbidden: a page of HTML"),
        (error(404, "NAME_UNKNOWN"), Trouble.NO_REPOSITORY, None, "404"),
        (Response(407), Trouble.PROXY, None, "407 Proxy Authentication Required"),
        (
            # https://docs.docker.com/docker-hub/usage/pulls/
            error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", {"Retry-After": "3600"}),
            Trouble.RATE_LIMIT,
            3600,
            "429 Too Many Requests: TOOMANYREQUESTS You have reached your pull rate limit.",
        ),
        (
            # Docker Hub's limit of requests of any kind: docker/hub-feedback#1907
            Response(429, b"Too Many Requests (HAP429)"),
            Trouble.RATE_LIMIT,
            None,
            "Too Many Requests (HAP429)",
        ),
        (Response(503, b"<html>"), Trouble.UNREACHABLE, None, "503 Service Unavailable"),
        (error(400, "NAME_INVALID", "invalid repository name"), Trouble.BROKEN, None, "400 Bad Request: NAME_INVALID"),
        (Response(200, b"<html>Log in to the hotel</html>"), Trouble.BROKEN, None, "a page of HTML"),
        (document({"schemaVersion": 1, "fsLayers": []}), Trouble.BROKEN, None, "is no image"),
        (Response(200, b"[" * 5000), Trouble.BROKEN, None, "ManifestDocument"),
    ],
)
def test_a_refusal(answer: Response, trouble: Trouble, retry_after: int | None, words: str) -> None:
    def digested(request: Request) -> Response:
        """A made-up registry's answer to anything, with its true digest."""
        return Response(answer.status, answer.body, {**answer.headers, "Docker-Content-Digest": digest_of(answer.body)})

    with serve(digested) as site:
        found = missing(site.host)
    assert (found.trouble, found.retry_after) == (trouble, retry_after)
    assert site.host in found.seen
    assert words in found.seen


def broken(shelf: Shelf, path_part: str, response: Response) -> Answer:
    """The shelf, with one GET gone wrong."""

    def answer(request: Request) -> Response:
        return response if path_part in request.path and request.method == "GET" else shelf(request)

    return answer


def manifest(layers: int) -> Response:
    """A manifest whose configuration is on no shelf."""
    return document({"mediaType": MANIFEST, "layers": [{"digest": layer("x"), "size": 1}] * layers})


@pytest.mark.parametrize(
    ("path_part", "response", "words"),
    [
        ("manifests", manifest(1), "was asked for"),
        ("blobs", Response(200, b"{}"), "was asked for"),
        ("blobs", Response(200, b"<html>"), "a page of HTML"),
        ("blobs", Response(200, b"{}", length=100), "ends too early"),
        ("blobs", Response(200, b" " * ((8 << 20) + 1)), "more than 8 MiB"),
        ("blobs", Response(307, b" " * ((8 << 20) + 1), {"Location": "/"}), "more than 8 MiB"),
    ],
    ids=["another manifest", "another configuration", "a page", "half", "too much", "too much on the way"],
)
def test_content_that_is_not_what_was_asked_for(shelf: Shelf, path_part: str, response: Response, words: str) -> None:
    with serve(broken(shelf, path_part, response)) as site:
        found = missing(site.host)
    assert found.trouble is Trouble.BROKEN
    assert words in found.seen


def test_a_digest_for_another_one(shelf: Shelf) -> None:
    digest = shelf.add_image(NAME, "arm64", "2")
    shelf.manifests[NAME, digest] = shelf.manifests[NAME, "1"]
    with serve(shelf) as site:
        reference = f"{site.host}/{NAME}@{digest}"
        found = look_up([Question(reference, frozenset())], credentials={}, mirrors={}, ca=None).images[reference]
    assert isinstance(found, Missing)
    assert found.trouble is Trouble.BROKEN


def test_a_configuration_of_other_layers(shelf: Shelf) -> None:
    config = next(iter(shelf.blobs))
    pointer = {"digest": config, "size": 1}
    shelf.add(NAME, {"mediaType": MANIFEST, "config": pointer, "layers": [{"digest": layer("x"), "size": 1}]}, "1")
    with serve(shelf) as site:
        assert missing(site.host).trouble is Trouble.BROKEN


def test_one_image_that_is_not_there_leaves_the_others(shelf: Shelf) -> None:
    def half(request: Request) -> Response:
        return Response(200, b"{", length=9) if "/half" in request.path else shelf(request)

    with serve(half) as site:
        names = [f"{site.host}/{NAME}:{tag}" for tag in ("none", "half", "1")]
        questions = [Question(name, frozenset({"amd64"})) for name in names]
        answers = look_up(questions, credentials={}, mirrors={}, ca=None)
    assert [type(answers.images[name]) for name in names] == [Missing, Missing, Found]


def test_nobody_answers() -> None:
    found = missing(closed_port())
    assert (found.trouble, found.trouble.is_certain) == (Trouble.UNREACHABLE, False)
    assert "Connection refused" in found.seen


def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.05)
    done = threading.Event()

    def silent(request: Request) -> Response:
        done.wait(60)
        return Response()

    with serve(silent) as site:
        found = missing(site.host)
        done.set()
    assert found.trouble is Trouble.UNREACHABLE
    assert "no answer within" in found.seen


def test_a_connection_that_is_cut() -> None:
    def cut(request: Request) -> Response:
        raise ConnectionResetError

    with serve(cut) as site:
        assert missing(site.host).trouble is Trouble.UNREACHABLE
        assert site.connections == 2  # once more, in case it was an old one


def test_a_name_that_is_not_known() -> None:
    name = ".".join(["made-up" * 8] * 5)  # longer than names can be: nobody is asked for it
    found = missing(name)
    assert found.trouble is Trouble.DNS


@pytest.mark.parametrize("host", [f"{'x' * 64}.test", "host.test:port", "[::1", "a..b"])
def test_a_registry_whose_name_is_none(host: str) -> None:
    found = missing(host)
    assert found.trouble is Trouble.BROKEN


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:made-up-password@{closed_port()}")
    with serve(shelf) as site:
        found = missing(site.host)
        assert not site.requests
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert isinstance(ask(site.host), Found)
    assert found.trouble is Trouble.PROXY
    assert "Connection refused" in found.seen
    assert "made-up-password" not in found.seen


def test_a_proxy_that_refuses_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: Response(403)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:made-up-password@{proxy.host}")
        found = missing("nvcr.test")
    assert found.trouble is Trouble.PROXY
    assert "made-up-password" not in repr(found)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made-up cache")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("cache") / "cache.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def cache(shelf: Shelf, certificate: Path) -> Iterator[Site]:
    """A mirror with that certificate, which has the image."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve(shelf, tls=context) as site:
        yield site


def test_a_mirror_with_its_own_authority(cache: Site, certificate: Path) -> None:
    registry = closed_port()
    found = ask(registry, mirrors={registry: f"https://{cache.host}"}, ca=str(certificate))
    assert isinstance(found, Found)
    assert found.reference == f"{registry}/{NAME}:1"


@pytest.mark.parametrize(
    ("ca", "words"), [(None, "self-signed certificate"), ("/nonexistent/ca.pem", "/nonexistent/ca.pem")]
)
def test_a_mirror_that_is_not_trusted_leaves_the_registry_itself(
    cache: Site, shelf: Shelf, ca: str | None, words: str
) -> None:
    with serve(shelf) as registry:
        mirrors = {registry.host: f"https://{cache.host}"}
        assert isinstance(ask(registry.host, mirrors=mirrors, ca=ca), Found)
    assert not cache.requests
    neither = ask(registry.host, mirrors=mirrors, ca=ca)
    assert isinstance(neither, Missing)
    assert neither.trouble is Trouble.TLS
    assert words in neither.seen
    assert registry.host in neither.seen


def test_a_mirror_that_answers_is_believed_and_has_its_own_path(shelf: Shelf) -> None:
    def harbor(request: Request) -> Response:
        path = request.path.replace("/v2/ngc/", "/v2/", 1)
        return shelf(Request(request.method, path, request.headers)) if path != request.path else Response(404)

    registry = closed_port()
    with serve(harbor) as site:
        mirrors = {registry: f"http://me:made-up-password@{site.host}/ngc/"}
        assert isinstance(ask(registry, mirrors=mirrors), Found)
        assert site.paths[0] == f"HEAD /v2/ngc/{NAME}/manifests/1"
        assert {request.authorization for request in site.requests} == {""}
        none = list_tags([f"{registry}/none"], mirrors=mirrors)[f"{registry}/none"]
    assert isinstance(none, Missing)
    assert none.trouble is Trouble.NO_REPOSITORY
    assert registry not in none.seen


def test_a_mirror_whose_upstream_is_away_leaves_the_registry_itself(shelf: Shelf) -> None:
    with serve(lambda _: Response(502)) as mirror, serve(shelf) as registry:
        assert isinstance(ask(registry.host, mirrors={registry.host: f"http://{mirror.host}"}), Found)


def test_what_a_registry_lacks_may_be_at_a_mirror_that_we_cannot_reach() -> None:
    with serve(Shelf()) as registry:
        found = ask(registry.host, mirrors={registry.host: f"http://{closed_port()}"})
    assert isinstance(found, Missing)
    assert not found.trouble.is_certain
    assert "404" in found.seen


def test_nothing_but_this_machine_is_asked_without_tls(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy sees it: CONNECT for TLS, and never a plain request."""
    with serve(shelf) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
        assert missing("registry.test").trouble is Trouble.PROXY
        found = ask("registry.test", mirrors={"registry.test": "http://cache.test:5000"})
        assert isinstance(found, Missing)
        assert "cache.test:5000" in found.seen
        assert proxy.connections
        assert not proxy.requests


def test_a_way_that_is_blocked_is_not_tried_for_every_image() -> None:
    def cut(request: Request) -> Response:
        raise ConnectionResetError

    with serve(cut) as site:
        questions = [Question(f"{site.host}/{NAME}:{n}", frozenset()) for n in range(4)]
        answers = look_up(questions, credentials={}, mirrors={}, ca=None)
        assert site.connections == 2
    assert {type(answer) for answer in answers.images.values()} == {Missing}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "Sun, 22 Nov 2026 10:01:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 60),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_when_to_come_again(headers: Mapping[str, str], seconds: int | None) -> None:
    assert parse_retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:pw@cdn.test/x?X-Signature=y for more", "see https://cdn.test/x for more"),
        ("\x1b[31mred\x00\r\n  two", "[31mred two"),
        ("key made-up-key!", "key ***!"),
        ("x" * 300, "x" * 200 + " …"),
    ],
)
def test_strangers_words_are_cleaned(text: str, shown: str) -> None:
    assert clean(text, {"made-up-key"}) == shown
