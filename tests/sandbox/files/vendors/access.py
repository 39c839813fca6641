"""Who may read what at the simulated registries, and how often: tokens, private repositories, Docker Hub's pull limit.

Challenges and answers as the registries give them: Docker Hub's as its documentation and its users' reports print them,
nvcr.io's realm with a scope in it and no service (MESOS-9968), its "Access Denied" for a key that may not.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

DOCKER_HUB, NVCR = "registry-1.docker.io", "nvcr.io"
# Where each gives its tokens: host and path.
TOKENS = {("auth.docker.io", "/token"): DOCKER_HUB, ("nvcr.io", "/proxy_auth"): NVCR}
PRIVATE = {(NVCR, "nvidia/private-thing")}
USERNAME = "$oauthtoken"
TOKEN_LIFE = 300  # seconds
LIMIT, WINDOW = 100, 21600  # anonymous pulls, and the seconds they are counted in
JSON = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
HTML = {"Content-Type": "text/html", "Docker-Distribution-Api-Version": "registry/2.0"}
UNAUTHORIZED_PAGE = b"<html>\n<head><title>401 Authorization Required</title></head>\n</html>\n"
REPOSITORY = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs|tags)/(?P<name>[^?]+)")
SCOPE = re.compile(r"repository:(.+):[a-z,*]*pull")


@dataclass(frozen=True)
class Reply:
    """A whole answer: status, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def error(status: int, code: str, message: str, more: Mapping[str, str] | None = None) -> Reply:
    """The answer of a registry that refuses, in the form of the distribution specification."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode() + b"\n"
    return Reply(status, {**JSON, **(more or {})}, body)


@dataclass
class Access:
    """Tokens. ``repositories``: those that each registry has; ``key``: the password of nvcr.io's one user."""

    repositories: Mapping[str, Collection[str]]
    key: str
    _given: dict[str, tuple[float, str, frozenset[str]]] = field(default_factory=dict)

    def give_token(self, registry: str, query: str, authorization: str) -> Reply:
        """The answer of the place that gives tokens for ``registry``."""
        asked = {name for scope in parse_qs(query).get("scope", []) for name in SCOPE.findall(scope)}
        is_user = self._is_user(registry, authorization)
        if authorization and not is_user:
            return self._unauthorized(registry, "incorrect username or password")
        may = {name for name in asked if self._may_read(registry, name, is_user)}
        # nvcr.io gives strangers no token for what is not public. A key that lacks the right learns it later.
        if registry == NVCR and not is_user and may != asked:
            return self._unauthorized(registry, "authentication required")
        token = secrets.token_urlsafe(24)
        self._given[token] = (time.monotonic() + TOKEN_LIFE, registry, frozenset(may))
        body: dict[str, object] = {"token": token}
        if registry == DOCKER_HUB:
            body |= {"access_token": token, "expires_in": TOKEN_LIFE, "issued_at": _now()}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def refuse(self, registry: str, path: str, authorization: str) -> Reply | None:
        """What a request for ``path`` gets instead of an answer; None where it may be answered."""
        found = REPOSITORY.match(path)
        repository = found["repository"] if found else ""
        until, where, may = self._given.get(authorization.removeprefix("Bearer "), (0.0, "", frozenset()))
        is_known = until > time.monotonic() and where == registry
        if is_known and (not repository or repository in may):
            return None
        if is_known and registry == NVCR:
            return error(403, "DENIED", "Access Denied")
        challenge = {"Www-Authenticate": _challenge(registry, repository, is_known)}
        if registry == NVCR:
            return Reply(401, {**HTML, **challenge}, UNAUTHORIZED_PAGE)
        return error(401, "UNAUTHORIZED", "authentication required", challenge)

    def _is_user(self, registry: str, authorization: str) -> bool:
        wanted = base64.b64encode(f"{USERNAME}:{self.key}".encode()).decode()
        return registry == NVCR and secrets.compare_digest(authorization, f"Basic {wanted}")

    def _may_read(self, registry: str, repository: str, is_user: bool) -> bool:
        is_there = repository in self.repositories.get(registry, ())
        return is_there and (is_user or (registry, repository) not in PRIVATE)

    def _unauthorized(self, registry: str, details: str) -> Reply:
        if registry == NVCR:
            return Reply(401, HTML, UNAUTHORIZED_PAGE)
        return Reply(401, JSON, json.dumps({"details": details}).encode())


def _challenge(registry: str, repository: str, is_known: bool) -> str:
    """WWW-Authenticate. A token that is known but does not cover the repository has too little scope."""
    scope = f"repository:{repository}:pull"
    if registry == NVCR:
        return f'Bearer realm="https://nvcr.io/proxy_auth{"?scope=" + scope if repository else ""}"'
    parameters = ['realm="https://auth.docker.io/token"', 'service="registry.docker.io"']
    parameters += [f'scope="{scope}"'] if repository else []
    parameters += ['error="insufficient_scope"'] if is_known else []
    return f"Bearer {','.join(parameters)}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Rates:
    """Docker Hub's pulls, counted by client from the moment its rate is set; before that it has all of them."""

    _used: dict[tuple[str, str], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remaining(self, client: str, settings: Mapping[str, tuple[int, str]]) -> int:
        """What is left. ``settings``: client, or "" for all others -> pulls left, and a mark of the setting."""
        allowed, mark = settings.get(client, settings.get("", (LIMIT, "")))
        with self._lock:
            return max(0, allowed - self._used.get((client, mark), 0))

    def count(self, client: str, settings: Mapping[str, tuple[int, str]]) -> None:
        """A pull: the GET of an image's manifest. A HEAD is none, nor is an index, which a manifest's GET follows."""
        _, mark = settings.get(client, settings.get("", (LIMIT, "")))
        if mark:
            with self._lock:
                self._used[client, mark] = self._used.get((client, mark), 0) + 1


def rate_headers(remaining: int, client: str) -> dict[str, str]:
    """Docker Hub's headers of an answer for a manifest."""
    return {
        "ratelimit-limit": f"{LIMIT};w={WINDOW}",
        "ratelimit-remaining": f"{remaining};w={WINDOW}",
        "docker-ratelimit-source": client,
    }


def rate_exceeded() -> Reply:
    """Docker Hub's answer when nothing is left."""
    message = "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
    return error(429, "TOOMANYREQUESTS", message)
