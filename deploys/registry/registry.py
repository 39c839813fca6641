"""One registry, or a mirror of one, as we speak with it: who we are there, what it refuses, what it still allows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from deploys.planning.lookups import Rate, Trouble
from deploys.registry.credentials import Secret
from deploys.registry.documents import ACCEPT, TAG, Document, Errors, TagList, TokenAnswer, read
from deploys.registry.tokens import Challenge, basic, is_trusted, parse_challenges, token_address
from deploys.registry.transport import RegistryError, Reply, Transport, clean, host_of, origin_of

MAX_PAGES = 100  # of a thousand tags each
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Registry:
    """Raises RegistryError from every method where the registry does not give what it is asked for."""

    def __init__(self, transport: Transport, name: str, address: str, secret: Secret | None) -> None:
        """``name`` as people know it: docker.io. A path of ``address`` is a mirror's project, as Harbor has them."""
        self.name = name
        self._transport, self._address, self._secret = transport, origin_of(address), secret
        self._project = urlsplit(address).path.strip("/")
        self._authorizations: dict[str, str] = {}  # by repository
        self.rate: Rate | None = None  # as it was told last; None: never
        if secret:
            transport.secrets |= {secret.password, basic(secret).removeprefix("Basic ")}

    @property
    def host(self) -> str:
        """Name and port."""
        return host_of(self._address)

    def digest_of(self, repository: str, reference: str) -> str:
        """The digest that a tag or a digest stands for. Costs no pull: Docker Hub does not count HEAD.

        Source: https://docs.docker.com/docker-hub/usage/pulls/
        """
        url = self._url(repository, "manifests", reference)
        reply = self._ask("HEAD", url, repository)
        digest = reply.headers.get("Docker-Content-Digest", "")
        if reply.status != 200 or not _DIGEST.fullmatch(digest):
            # An answer to HEAD has no words: GET has the reason, or the manifest where a registry knows no HEAD.
            digest = f"sha256:{hashlib.sha256(self._get(url, repository)).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise self.broken(f"{reference} was asked for, {digest} is there")
        return digest

    def read(self, kind: type[Document], repository: str, digest: str, part: str = "manifests") -> Document:
        """The document of that digest, whose content is checked to have it. ``part``: manifests or blobs."""
        body = self._get(self._url(repository, part, digest), repository)
        found = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if found != digest:
            raise self.broken(f"{digest} was asked for, {found} came{_kind_of(body)}")
        return self._parsed(kind, body)

    def tags(self, repository: str) -> tuple[str, ...]:
        """All tags, in the registry's own order."""
        url = f"{self._url(repository, 'tags', 'list')}?n=1000"
        found: list[str] = []
        for _ in range(MAX_PAGES):
            reply = self._ask("GET", url, repository)
            if reply.status == 404:
                raise RegistryError(Trouble.NO_REPOSITORY, self._refusal(reply, repository).seen)
            if reply.status != 200:
                raise self._refusal(reply, repository)
            found += filter(TAG.fullmatch, self._parsed(TagList, reply.body).tags or ())
            link = re.search(r'<([^>]*)>\s*;[^,]*\brel="?next\b', reply.headers.get("Link", ""))
            if not link:
                return tuple(found)
            # Its path, and nothing else: behind a proxy registries name themselves wrongly.
            path, _, query = re.sub(r"^\w+://[^/]*", "", link[1]).partition("?")
            url = f"{self._address}{path if path.startswith('/') else urlsplit(url).path}?{query}"
        raise self.broken(f"its list of tags has no end after {len(found)}")

    def _url(self, repository: str, part: str, name: str) -> str:
        return f"{self._address}/v2/{quote(self._full(repository))}/{part}/{quote(name, safe=':')}"

    def _full(self, repository: str) -> str:
        return f"{self._project}/{repository}" if self._project else repository

    def _get(self, url: str, repository: str) -> bytes:
        reply = self._ask("GET", url, repository)
        if reply.status != 200:
            raise self._refusal(reply, repository)
        return reply.body

    def _ask(self, method: str, url: str, repository: str) -> Reply:
        """The answer, asked again with a token or password where the registry wants one. Old tokens are renewed."""
        authorization = self._authorizations.get(repository, "")
        reply = self._transport.ask(method, url, authorization=authorization, accept=ACCEPT)
        if reply.status == 401:
            authorization = self._authorize(reply, repository)
            if authorization:
                self._authorizations[repository] = authorization
                reply = self._transport.ask(method, url, authorization=authorization, accept=ACCEPT)
        self.rate = parse_rate(self.name, reply.headers) or self.rate
        return reply

    def _authorize(self, reply: Reply, repository: str) -> str:
        """The Authorization header that answers a challenge; "" where we have none."""
        for challenge in parse_challenges(reply.headers.get("WWW-Authenticate", "")):
            if challenge.scheme == "bearer":
                return f"Bearer {self._token(challenge, repository)}"
            if challenge.scheme == "basic" and self._secret:
                return basic(self._secret)
        return ""

    def _token(self, challenge: Challenge, repository: str) -> str:
        realm = token_address(challenge, self._full(repository))
        if not realm:
            raise self.broken("it sends us for a token to an address without TLS, or to none")
        if self._secret and not is_trusted(realm, self._address):
            seen = f"{self.host} wants the password sent to {host_of(realm)}, which is not of its domain; it was not"
            raise RegistryError(Trouble.UNAUTHORIZED, seen)
        reply = self._transport.ask("GET", realm, authorization=basic(self._secret) if self._secret else "")
        if reply.status != 200:
            raise self._refusal(reply)
        answer = self._parsed(TokenAnswer, reply.body)
        token = answer.token or answer.access_token or ""
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self.broken("it gives no token")
        self._transport.secrets.add(token)
        return token

    def _parsed(self, kind: type[Document], body: bytes) -> Document:
        document = read(kind, body)
        if document is None:
            raise self.broken(f"no {kind.__name__} came{_kind_of(body)}")
        return document

    def broken(self, seen: str) -> RegistryError:
        """The error for an answer that makes no sense."""
        return RegistryError(Trouble.BROKEN, f"{self.host}: {clean(seen, self._transport.secrets)}")

    def _refusal(self, reply: Reply, repository: str = "") -> RegistryError:
        """Why an answer is none, in the registry's words where it has some. No repository: there is no token yet."""
        errors = read(Errors, reply.body)
        code = errors.errors[0].code if errors else ""
        words = f": {code} {errors.errors[0].message}" if errors else _kind_of(reply.body)
        has_token = self._authorizations.get(repository, "").startswith("Bearer")
        trouble = _trouble_of(reply.status, code, has_secret=self._secret is not None, has_token=has_token)
        seen = clean(f"{reply.host} answers {reply.status} {reply.phrase}{words}", self._transport.secrets)
        if trouble is Trouble.UNAUTHORIZED and self._secret:
            seen += "; it does not take the user name or the password"
        elif trouble is Trouble.UNAUTHORIZED:
            seen += "; asked without credentials, where many registries say so of repositories that are not there, too"
        return RegistryError(trouble, seen, retry_after=parse_retry_after(reply.headers))


def _trouble_of(status: int, code: str, *, has_secret: bool, has_token: bool) -> Trouble:
    if status == 401:
        return Trouble.FORBIDDEN if has_secret and has_token else Trouble.UNAUTHORIZED
    if status == 403:
        # A registry that denies those without a name wants one: ghcr.io for what is private.
        return Trouble.UNAUTHORIZED if code == "DENIED" and not has_secret else Trouble.FORBIDDEN
    if status == 404:
        return Trouble.NO_REPOSITORY if code == "NAME_UNKNOWN" else Trouble.NO_TAG
    if status == 407:
        return Trouble.PROXY
    if status == 429:
        return Trouble.RATE_LIMIT
    return Trouble.UNREACHABLE if status >= 500 else Trouble.BROKEN


def _kind_of(body: bytes) -> str:
    """What a body is that is not what it should be."""
    text = body[:1000].decode(errors="replace").strip()
    if not text:
        return ""
    return ": a page of HTML" if text.startswith("<") else f": {text}"


def parse_rate(registry: str, headers: Mapping[str, str]) -> Rate | None:
    """Docker Hub's limit of pulls: ``ratelimit-limit: 100;w=21600``. None without: not limited.

    Limits of another form are not of pulls: GitLab's count every request.
    Source: https://docs.docker.com/docker-hub/usage/pulls/
    """
    form = re.compile(r"\s*(\d{1,9})\s*;\s*w=(\d{1,9})")
    limit = form.match(headers.get("RateLimit-Limit", ""))
    remaining = form.match(headers.get("RateLimit-Remaining", ""))
    if not limit or not remaining:
        return None
    source = clean(headers.get("Docker-RateLimit-Source", ""), set())
    return Rate(registry, int(limit[1]), int(remaining[1]), int(limit[2]), source)


def parse_retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds to wait, given as such or as a date, which is compared with the answer's own."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(0, int(wait.total_seconds()))
