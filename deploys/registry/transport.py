"""One HTTP request and its answer, whole and of bounded size; and what goes wrong on the way, in people's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ProxyError, RequestException, SSLError
from urllib3.exceptions import HTTPError, NameResolutionError, ReadTimeoutError
from urllib3.util import Retry

from deploys.planning.lookups import Trouble

CONNECT_SECONDS, READ_SECONDS = 10, 30
# Registries should take manifests of 4 MiB (OCI distribution-spec, "Pushing Manifests"); lists of tags are longer.
MAX_BODY = 8 << 20  # bytes
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
PORTS = {"https": ":443", "http": ":80"}
MAX_WORDS = 200  # characters of a registry's own that are shown
# Of anything else two parsers may have two opinions: urlsplit takes evil.test\@nvcr.io for nvcr.io, urllib3 does not.
PLAIN_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?", re.ASCII)


class RegistryError(Exception):
    """No answer, and why: the fields of lookups.Missing."""

    def __init__(self, trouble: Trouble, seen: str, *, retry_after: int | None = None) -> None:
        """``seen`` is for people and has no secrets. ``retry_after`` in seconds."""
        super().__init__(seen)
        self.trouble, self.seen, self.retry_after = trouble, seen, retry_after
        self.close: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A complete answer. ``url`` is where it came from, behind all redirects; headers in any case."""

    url: str
    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def host(self) -> str:
        """Who answered: name and port, nothing else of the address."""
        return host_of(self.url)


class _Header(AuthBase):
    """Sends this Authorization or none: without it requests would send what ~/.netrc has for the host."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None. Even where it follows no redirect, requests would look at the next address and read the whole body."""


class Transport:
    """The way to all registries of one run. Where it is blocked once, it is not tried again."""

    def __init__(self) -> None:
        """Without secrets and authorities. Both may be added."""
        self._session = _Session()
        # A connection that a registry has closed between two requests is no trouble: once more, on a new one.
        again = Retry(1, connect=0, status=0, respect_retry_after_header=False)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=again))
        self._blocked: dict[str, RegistryError] = {}
        # Origin -> file with the certificate that its own must be signed by. For all others: those that requests has.
        self.authorities: dict[str, str] = {}
        self.secrets: set[str] = set()  # never shown, though a registry repeat them

    def close(self) -> None:
        """End all connections."""
        self._session.close()

    def ask(self, method: str, url: str, *, authorization: str = "", accept: str = "*/*") -> Reply:
        """The answer, of any status. Redirects are followed; another origin never sees ``authorization``.

        Raises RegistryError where there is no complete answer.
        """
        first = host_of(url)
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._ask_once(method, url, authorization, accept)
            if reply.status not in REDIRECTS or "Location" not in reply.headers:
                return reply
            try:
                target = urljoin(url, reply.headers["Location"])
                is_same = origin_of(target) == origin_of(url)
            except ValueError:
                break
            if not is_plain(target) or not may_follow(target, url):
                break
            url, authorization = target, authorization if is_same else ""
        raise RegistryError(
            Trouble.BROKEN, f"{first} sends us on without end, or to an address without TLS, or to none"
        )

    def _ask_once(self, method: str, url: str, authorization: str, accept: str) -> Reply:
        origin, host = origin_of(url), host_of(url)
        if origin in self._blocked:
            raise self._blocked[origin]
        try:
            with self._session.request(
                method,
                url,
                headers={"Accept": accept},
                auth=_Header(authorization),
                allow_redirects=False,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=self.authorities.get(origin, True),
            ) as response:
                body = _read_body(response, host)
                return Reply(url, response.status_code, response.reason or "", response.headers, body)
        except OSError as error:  # requests' own, and a certificate's file that is not there
            trouble, reason = _explain(error)
            found = RegistryError(trouble, f"{host}: {clean(reason, self.secrets)}")
            if trouble is not Trouble.BROKEN:
                self._blocked[origin] = found
            raise found from None
        except (HTTPError, ValueError) as error:  # requests lets some of urllib3's through: names with too long parts
            raise RegistryError(Trouble.BROKEN, f"{host}: {type(error).__name__}") from None


def may_follow(target: str, url: str) -> bool:
    """Whether a redirect is taken: over TLS. Only what is on this machine may send us to something else on it."""
    return target.startswith("https://") or (is_loopback(host_of(target)) and is_loopback(host_of(url)))


def _read_body(response: requests.Response, host: str) -> bytes:
    body = bytearray()
    for part in response.iter_content(1 << 16):
        body += part
        if len(body) > MAX_BODY:
            raise RegistryError(Trouble.BROKEN, f"{host} sends more than {MAX_BODY >> 20} MiB")
    return bytes(body)


def _explain(error: OSError) -> tuple[Trouble, str]:
    causes = tuple(_causes(error))
    reason = next((text for cause in reversed(causes) if (text := _reason(cause))), str(causes[-1]))
    if isinstance(error, ProxyError):
        return Trouble.PROXY, f"the proxy on the way: {reason}"
    if isinstance(error, SSLError):
        return Trouble.TLS, reason
    if isinstance(error, ConnectTimeout):
        return Trouble.UNREACHABLE, f"no connection within {CONNECT_SECONDS} s"
    if isinstance(error, ChunkedEncodingError):
        return Trouble.BROKEN, "the answer ends too early"
    if any(isinstance(cause, ReadTimeoutError) for cause in causes):
        return Trouble.UNREACHABLE, f"no answer within {READ_SECONDS} s"
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return Trouble.DNS, reason
    if isinstance(error, requests.exceptions.ConnectionError):
        return Trouble.UNREACHABLE, reason
    if isinstance(error, RequestException):
        return Trouble.BROKEN, f"{type(error).__name__} in its address or answer"
    return Trouble.TLS, f"the file with the certificate of its authority cannot be read: {reason}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what lies under it. urllib3 has that as ``reason``, requests as its argument."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        inner = (getattr(found, "reason", None), *found.args, found.__cause__)
        found = next((each for each in inner if isinstance(each, BaseException)), None)


def _reason(cause: BaseException) -> str:
    return str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or "")


def host_of(url: str) -> str:
    """Name and port of an address; nobody's user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def origin_of(url: str) -> str:
    """Scheme, name and port, with the scheme's own port left out."""
    scheme = urlsplit(url).scheme
    return f"{scheme}://{host_of(url).removesuffix(PORTS.get(scheme, ''))}"


def is_plain(url: str) -> bool:
    """Whether everybody reads the same host in this address: a name or an IP address, and a port."""
    return PLAIN_HOST.fullmatch(urlsplit(url).netloc) is not None


def is_loopback(host: str) -> bool:
    """Whether a name, with or without a port, is this machine. Docker itself speaks plain HTTP to these alone."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def clean(text: str, secrets: set[str]) -> str:
    """A stranger's words on one line: printable, not long, without our secrets, of addresses no user and no query."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://)[^\s\"']*@", r"\1", text)
    text = re.sub(r"(://[^\s?#\"']*)[?#][^\s\"']*", r"\1", text)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]} …"
