"""Who is told what we are: challenges, realms, tokens, passwords, redirects."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deploys.planning.lookups import Found, Missing, Question, Trouble
from deploys.registry import transport
from deploys.registry.client import look_up
from deploys.registry.credentials import Secret
from deploys.registry.tokens import Challenge, is_trusted, parse_challenges, token_address
from tests.registry.server import Answer, Request, Response, Shelf, Site, document, error, serve

REPOSITORY = "nvidia/private"
NGC = Secret("$oauthtoken", "made-up-key")
NGC_BASIC = "Basic " + base64.b64encode(b"$oauthtoken:made-up-key").decode()
TOKEN = "made-up-token"
HTML_401 = b"<html>\n<head><title>401 Authorization Required</title></head>\n</html>"


@pytest.fixture
def shelf() -> Shelf:
    """One image."""
    shelf = Shelf()
    shelf.add_image(REPOSITORY, "amd64", "1")
    return shelf


def ask(
    site: Site, secret: Secret | None = None, *, host: str = "", mirrors: Mapping[str, str] | None = None
) -> Found | Missing:
    """Look the image up, with this secret for the site."""
    reference = f"{host or site.host}/{REPOSITORY}:1"
    question = Question(reference, frozenset({"amd64"}))
    credentials = {site.host: secret} if secret else {}
    return look_up([question], credentials=credentials, mirrors=mirrors or {}, ca=None).images[reference]


def trouble(site: Site, secret: Secret | None = None) -> tuple[Trouble, str]:
    """What is in the way, where there must be something, and that no secret is told."""
    answer = ask(site, secret)
    assert isinstance(answer, Missing), answer
    for hidden in (NGC.password, NGC_BASIC.split()[1], TOKEN):
        assert hidden not in repr(answer)
    return answer.trouble, answer.seen


def guarded(
    shelf: Answer, challenge: Callable[[Request], str], *, key: str = "token", body: bytes = HTML_401, uses: int = 99
) -> Answer:
    """A registry that wants a token, and gives one at /token; each is good for so many uses."""
    given: dict[str, int] = {}

    def answer(request: Request) -> Response:
        if request.path.startswith("/token"):
            token = f"{TOKEN}-{len(given)}"
            given[token] = uses
            return document({key: token})
        token = request.authorization.removeprefix("Bearer ")
        if given.get(token, 0) > 0:
            given[token] -= 1
            return shelf(request)
        return Response(401, body, {"WWW-Authenticate": challenge(request)})

    return answer


def hub(request: Request) -> str:
    """Docker Hub's challenge, with a realm of its own."""
    host = request.headers["Host"]
    return f'Bearer realm="http://{host}/token",service="registry.docker.io",scope="repository:{REPOSITORY}:pull"'


def nvcr(request: Request) -> str:
    """nvcr.io's: the scope in the realm, and for more than pulling. https://issues.apache.org/jira/browse/MESOS-10092"""
    return f'Bearer realm="http://{request.headers["Host"]}/token?scope=repository:{REPOSITORY}:pull,push"'


def token_requests(site: Site) -> list[dict[str, list[str]]]:
    """The queries of all requests for a token."""
    return [parse_qs(urlsplit(each.path).query) for each in site.requests if each.path.startswith("/token")]


def test_docker_hubs_flow(shelf: Shelf) -> None:
    with serve(guarded(shelf, hub)) as site:
        assert isinstance(ask(site), Found)
    assert token_requests(site) == [
        {"service": ["registry.docker.io"], "scope": [f"repository:{REPOSITORY}:pull"]},
    ]
    assert [request.authorization for request in site.requests][:3] == ["", "", f"Bearer {TOKEN}-0"]


def test_nvcrs_flow_asks_for_no_more_than_pulling(shelf: Shelf) -> None:
    with serve(guarded(shelf, nvcr, key="access_token")) as site:
        assert isinstance(ask(site, NGC), Found)
    assert token_requests(site) == [{"scope": [f"repository:{REPOSITORY}:pull"]}]
    sent = [request.authorization for request in site.requests]
    assert sent[:3] == ["", NGC_BASIC, f"Bearer {TOKEN}-0"]
    assert sent.count(NGC_BASIC) == 1


def test_a_token_that_has_ended_is_renewed(shelf: Shelf) -> None:
    with serve(guarded(shelf, hub, uses=1)) as site:
        assert isinstance(ask(site), Found)
    assert len(token_requests(site)) == 3  # HEAD, the manifest, its configuration


def test_basic(shelf: Shelf) -> None:
    def answer(request: Request) -> Response:
        if request.authorization == NGC_BASIC:
            return shelf(request)
        return error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="Cache"'})

    with serve(answer) as site:
        assert isinstance(ask(site, NGC), Found)
        assert trouble(site)[0] is Trouble.UNAUTHORIZED
        kind, seen = trouble(site, Secret("$oauthtoken", "other"))
    assert kind is Trouble.UNAUTHORIZED
    assert "does not take" in seen


def test_a_wrong_password_is_not_repeated_by_us(shelf: Shelf) -> None:
    def answer(request: Request) -> Response:
        if request.path.startswith("/token"):
            echo = f"incorrect username or password ({NGC.password}, {request.authorization})"
            return Response(401, f'{{"details": "{echo}"}}'.encode())
        return error(401, "UNAUTHORIZED", "", {"WWW-Authenticate": hub(request)})

    with serve(answer) as site:
        kind, seen = trouble(site, NGC)
    assert kind is Trouble.UNAUTHORIZED
    assert "incorrect username or password" in seen


@pytest.mark.parametrize(
    ("status", "code", "secret", "expected"),
    [
        (401, "UNAUTHORIZED", None, Trouble.UNAUTHORIZED),
        (401, "UNAUTHORIZED", NGC, Trouble.FORBIDDEN),
        (403, "DENIED", None, Trouble.UNAUTHORIZED),
        (403, "DENIED", NGC, Trouble.FORBIDDEN),
    ],
)
def test_a_token_that_does_not_cover_the_image(
    status: int, code: str, secret: Secret | None, expected: Trouble
) -> None:
    def refuse(request: Request) -> Response:
        return error(status, code, f"Access Denied {request.authorization}", {"WWW-Authenticate": hub(request)})

    with serve(guarded(refuse, hub)) as site:
        kind, seen = trouble(site, secret)
    assert kind is expected
    assert f"{status}" in seen
    assert "Access Denied" in seen


def test_a_password_goes_to_no_realm_of_another_domain(shelf: Shelf) -> None:
    with serve(guarded(shelf, hub)) as other:
        there = f'Bearer realm="http://localhost:{other.port}/token"'
        with serve(guarded(shelf, lambda _: there)) as site:
            kind, seen = trouble(site, NGC)
            assert not other.requests
            assert kind is Trouble.UNAUTHORIZED
            assert f"localhost:{other.port}" in seen
            ask(site)
            assert [request.authorization for request in other.requests] == [""] * len(other.requests) != []


@pytest.mark.parametrize(
    "realm",
    ["http://tokens.test/", "//x", "", "ftp://127.0.0.1/", "https://me:pw@127.0.0.1/", "https://[x/", "http://[x/"],
)
def test_a_realm_that_is_no_safe_address(realm: str) -> None:
    with serve(lambda _: Response(401, b"", {"WWW-Authenticate": f'Bearer realm="{realm}"'})) as site:
        kind, seen = trouble(site)
    assert kind is Trouble.BROKEN
    assert "pw" not in seen


@pytest.mark.parametrize(
    "realm", [r"https://evil.test\.nvcr.io/token", "https://evil.test%2f.nvcr.io/", "https://é.nvcr.io/"]
)
def test_a_realm_that_parsers_read_differently(realm: str) -> None:
    """urlsplit sees a host of nvcr.io in the first; urllib3, which sends the password, sees evil.test."""
    assert token_address(Challenge("bearer", {"realm": realm}), "a/b") == ""


@pytest.mark.parametrize("answer", [b'{"token": ""}', b"{}", b'{"token": "a\\r\\nb"}', b"<html>", b'{"token": 5}'])
def test_no_token(answer: bytes) -> None:
    def registry(request: Request) -> Response:
        if request.path.startswith("/token"):
            return Response(200, answer)
        return Response(401, b"", {"WWW-Authenticate": hub(request)})

    with serve(registry) as site:
        assert trouble(site)[0] is Trouble.BROKEN


def test_a_redirect_to_another_host_is_followed_without_the_token(shelf: Shelf) -> None:
    """As nvcr.io and Docker Hub do for blobs."""
    with serve(shelf) as store:

        def redirecting(request: Request) -> Response:
            away = {"Location": f"http://localhost:{store.port}{request.path}?X-Signature=made-up"}
            return Response(307, b"", away) if "/blobs/" in request.path else shelf(request)

        with serve(guarded(redirecting, hub)) as site:
            assert isinstance(ask(site), Found)
        assert [request.authorization for request in store.requests] == [""]


def test_a_redirect_on_the_same_host_keeps_the_token(shelf: Shelf) -> None:
    def redirecting(request: Request) -> Response:
        path = request.path.replace("/blobs/", "/moved/blobs/", 1)
        if "/moved/" in request.path:
            return shelf(Request(request.method, request.path.replace("/moved", ""), request.headers))
        return Response(302, b"", {"Location": path}) if path != request.path else shelf(request)

    with serve(guarded(redirecting, hub)) as site:
        assert isinstance(ask(site), Found)


def test_a_host_that_we_were_sent_to_is_not_told_the_password() -> None:
    refusal = {"WWW-Authenticate": 'Basic realm="x"'}
    with serve(lambda _: Response(401, b"", refusal)) as other:
        away = Response(307, b"", {"Location": f"http://localhost:{other.port}/"})
        with serve(lambda _: away) as site:
            assert trouble(site, NGC)[0] is Trouble.UNAUTHORIZED
        assert {request.authorization for request in other.requests} == {""}


def test_a_redirect_that_only_looks_like_the_same_host_is_not_followed(shelf: Shelf) -> None:
    """urlsplit sees the registry in it, urllib3 the other one: it would be told the token."""
    with serve(shelf) as other:

        def redirecting(request: Request) -> Response:
            away = f"http://{other.host}\\@{request.headers['Host']}{request.path}"
            return Response(307, b"", {"Location": away}) if "/blobs/" in request.path else shelf(request)

        with serve(guarded(redirecting, hub)) as site:
            assert trouble(site)[0] is Trouble.BROKEN
        assert not other.requests


def test_a_registry_elsewhere_cannot_have_us_ask_this_machine() -> None:
    here = "http://127.0.0.1:8080/"
    assert not transport.may_follow(here, "https://nvcr.io/v2/")
    assert transport.may_follow(here, "http://localhost:5000/v2/")
    assert transport.may_follow("https://cdn.test/", "https://nvcr.io/v2/")


@pytest.mark.parametrize(
    "target", ["", "http://[x/", "ftp://127.0.0.1/", "http://:0/", "https://a..b/", "http://x.test"]
)
def test_redirects_without_end_or_to_nowhere(target: str) -> None:
    with serve(lambda request: Response(302, b"", {"Location": target or f"{request.path}x"})) as site:
        assert trouble(site)[0] is Trouble.BROKEN


def test_netrc_is_not_used(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests would put it in place of the token."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serve(guarded(shelf, hub)) as site:
        assert isinstance(ask(site), Found)
    assert not [request for request in site.requests if request.authorization.startswith("Basic")]


def test_a_mirror_is_not_told_the_registrys_password(shelf: Shelf) -> None:
    def basic(request: Request) -> Response:
        if request.authorization:
            return shelf(request)
        return error(401, "UNAUTHORIZED", "", {"WWW-Authenticate": "Basic"})

    with serve(basic) as mirror, serve(shelf) as site:
        answer = ask(site, NGC, mirrors={site.host: f"http://{mirror.host}"})
        assert isinstance(answer, Missing)
        assert answer.trouble is Trouble.UNAUTHORIZED
        assert {request.authorization for request in mirror.requests} == {""}
        assert isinstance(ask(mirror, NGC, host=site.host, mirrors={site.host: f"http://{mirror.host}"}), Found)
        assert not site.requests


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            'Bearer realm="https://nvcr.io/proxy_auth?scope=repository:nvidia/tensorflow:pull,push"',
            [("bearer", {"realm": "https://nvcr.io/proxy_auth?scope=repository:nvidia/tensorflow:pull,push"})],
        ),
        ('Basic realm="a \\"b\\", c"', [("basic", {"realm": 'a "b", c'})]),
        (
            'Negotiate, Bearer Realm = https://x/ , service=y, Basic realm=""',
            [("negotiate", {}), ("bearer", {"realm": "https://x/", "service": "y"}), ("basic", {"realm": ""})],
        ),
        ("", []),
        ('"', []),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(each.scheme, each.parameters) for each in parse_challenges(header)] == expected


def test_a_scope_that_is_no_repositorys_stays() -> None:
    """public.ecr.aws: distribution/distribution#3842."""
    challenge = Challenge("bearer", {"realm": "https://public.ecr.aws/token/", "scope": "aws"})
    assert token_address(challenge, "a/b") == "https://public.ecr.aws/token/?scope=aws"


@pytest.mark.parametrize(
    ("realm", "address", "trusted"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://nvcr.io/proxy_auth", "https://nvcr.io", True),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com", True),
        ("https://auth.lab.co.uk/token", "https://registry.lab.co.uk", True),
        ("https://registry.lab:5001/token", "https://registry.lab:5000", True),
        ("https://evil.co.uk/token", "https://lab.co.uk", False),
        ("https://evil.io/token", "https://nvcr.io", False),
        ("https://nvcr.io.evil.test/token", "https://nvcr.io", False),
        ("https://notdocker.io/token", "https://registry-1.docker.io", False),
        ("https://192.0.2.8/token", "https://192.0.2.7", False),
        ("https://evil/token", "https://cache", False),
    ],
)
def test_whom_a_password_is_told(realm: str, address: str, *, trusted: bool) -> None:
    assert is_trusted(realm, address) is trusted
