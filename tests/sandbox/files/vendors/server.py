"""The vendors' HTTPS servers in one: static repositories by host name, and the registries' names in front of
docker-registry. Runs in the vendors' container with nothing but the standard library.

    python3 -m tests.sandbox.files.vendors.server FOLDER

FOLDER holds www/<host name>/… (what is served), tls/server.{crt,key}, repositories.json and ngc-key (see access.py),
requests.jsonl (one line a request, written here), and what is read at every request: rates.json and faults.json.
Faults are {vendor: fault} or {"vendor client": fault}. After the fault comes the start of the paths that it is for, if
not for all: "404", "401 /v2/nvidia/cuda". A registry misbehaves below /v2/<repository>/, slow or cut in large blobs.

Port 3128 is an HTTP proxy that knows the vendors' names and no others: the way here for the machine that runs pyinfra.
Port 53 is a name server, for containers inside the hosts: /etc/hosts is not theirs.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from tests.sandbox.files.vendors.access import (
    DOCKER_HUB,
    REPOSITORY,
    TOKENS,
    Access,
    Rates,
    Reply,
    error,
    rate_exceeded,
    rate_headers,
)

VENDORS = {
    "download.docker.com": "docker",
    "nvidia.github.io": "toolkit",
    "developer.download.nvidia.com": "driver",
    "repo.download.nvidia.com": "jetson",
    "registry-1.docker.io": "registry",
    "auth.docker.io": "registry",
    "nvcr.io": "registry",
}
REGISTRY = ("127.0.0.1", 5000)
CHUNK = 65536  # bytes; a blob of more is large
SLOW_START, SLOW_CHUNK, SLOW_PAUSE = 1.0, 4096, 0.1  # seconds, bytes, seconds: a late answer, then 40 KB/s
RETRY_AFTER = {"Retry-After": "60"}
FAULTY = {
    "401": error(401, "UNAUTHORIZED", "authentication required (simulated)"),
    "403": error(403, "DENIED", "requested access to the resource is denied (simulated)"),
    "404": error(404, "MANIFEST_UNKNOWN", "manifest unknown (simulated)"),
    "429": error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit. (simulated)", RETRY_AFTER),
}
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
CLOSE = {"Connection": "close"}
HOP_BY_HOP = ("connection", "transfer-encoding", "date", "server", "content-length")


@dataclass
class Answer:
    """What is sent: the body is read as it goes out, and ``length`` is its bytes."""

    status: int
    headers: Mapping[str, str]
    body: IO[bytes]
    length: int


def whole(reply: Reply) -> Answer:
    """An answer that is there as a whole."""
    return Answer(reply.status, reply.headers, io.BytesIO(reply.body), len(reply.body))


def page(answer: Answer, url: SplitResult) -> Answer:
    """One page of a repository's tags, as the distribution specification has it; docker-registry 2.8 gives all."""
    everything = json.loads(answer.body.read())
    query = dict(parse_qsl(url.query))
    tags = sorted(tag for tag in everything["tags"] if tag > query.get("last", ""))
    size = int(query.get("n", len(tags)))
    headers = dict(answer.headers)
    if size < len(tags):
        headers["Link"] = f'<{url.path}?last={quote(tags[size - 1])}&n={size}>; rel="next"'
    body = json.dumps({"name": everything["name"], "tags": tags[:size]}).encode()
    return whole(Reply(200, headers, body))


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; one thread a connection, kept alive."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Serve, or misbehave as faults.json says for the vendor of the name that was asked for."""
        self.host = self.headers.get("Host", "").split(":")[0].lower()
        self.vendor = VENDORS.get(self.host, "unknown")
        self.sent = 0
        fault = self.fault()
        if self.vendor == "registry":
            answer = self.answer_for_registry(fault)
        elif fault in FAULTY:
            answer = whole(FAULTY[fault])
        else:
            answer = self.read_file(wrong_signature=fault == "wrong-signature")
        try:
            with answer.body:
                self.send(answer, fault)
        finally:
            self.note(answer.status)

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self.do_GET()

    def fault(self) -> str:
        """In which way the vendor misbehaves now towards this client, with this path; "" where it does not."""
        faults: dict[str, str] = json.loads((self.server.folder / "faults.json").read_text())
        told = faults.get(f"{self.vendor} {self.client_address[0]}", faults.get(self.vendor, ""))
        fault, _, start = told.partition(" ")
        return fault if self.path.startswith(start) else ""

    def read_file(self, *, wrong_signature: bool) -> Answer:
        """A file of www/<host>; with ``wrong_signature`` the signatures are those of a stranger's key."""
        root = self.server.folder / "www" / self.host
        path = (root / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if wrong_signature and path.name in ("InRelease", "Release.gpg", "repomd.xml.asc"):
            path = path.with_name(path.name + ".wrong")
        if root not in path.parents or not path.is_file():
            return whole(Reply(404, {}, b"not found\n"))
        return Answer(200, {"Content-Type": "application/octet-stream"}, path.open("rb"), path.stat().st_size)

    def answer_for_registry(self, fault: str) -> Answer:
        """A token, a refusal, or what the registry itself says."""
        url, authorization = urlsplit(self.path), self.headers.get("Authorization", "")
        if registry := TOKENS.get((self.host, url.path)):
            return whole(self.server.access.give_token(registry, url.query, authorization))
        if refusal := self.server.access.refuse(self.host, self.path, authorization):
            return whole(refusal)
        found = REPOSITORY.match(self.path)
        if fault in FAULTY and found:
            return whole(FAULTY[fault])
        if self.host == DOCKER_HUB and found and found["kind"] == "manifests":
            return self.answer_with_rate()
        answer = self.ask_registry()
        return page(answer, url) if found and found["kind"] == "tags" and answer.status == 200 else answer

    def answer_with_rate(self) -> Answer:
        """A manifest of Docker Hub, as long as this client may pull."""
        client, rates = self.client_address[0], self.server.rates
        settings: dict[str, Any] = json.loads((self.server.folder / "rates.json").read_text())
        if self.command == "GET" and rates.remaining(client, settings) == 0:
            reply = rate_exceeded()
            return whole(Reply(reply.status, {**reply.headers, **rate_headers(0, client)}, reply.body))
        answer = self.ask_registry()
        if self.command == "GET" and answer.status == 200 and answer.headers.get("Content-Type") not in INDEXES:
            rates.count(client, settings)
        answer.headers = {**answer.headers, **rate_headers(rates.remaining(client, settings), client)}
        return answer

    def ask_registry(self) -> Answer:
        """The registry's own answer to this request."""
        upstream = HTTPConnection(*REGISTRY, timeout=60)
        # dockerd sends one Accept header for every manifest type it knows.
        kept = {name: ", ".join(self.headers.get_all(name, [])) for name in ("Accept", "Range", "Host")}
        upstream.request(self.command, self.path, headers={n: v for n, v in kept.items() if v} | CLOSE)
        response: HTTPResponse = upstream.getresponse()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        length = response.getheader("Content-Length")
        if length is None:
            content = response.read()
            return Answer(response.status, headers, io.BytesIO(content), len(content))
        return Answer(response.status, headers, response, int(length))

    def send(self, answer: Answer, fault: str) -> None:
        """Send the answer; ``sent`` grows by the bytes of the body that went out."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.vendor == "registry" and not ("/blobs/" in self.path and answer.length > CHUNK):
            fault = ""
        left = answer.length
        if fault == "cut" and answer.status == 200 and left > 2:
            self.close_connection = True
            left //= 2
        if fault == "slow":
            time.sleep(SLOW_START)
        while left > 0:
            # Whoever waits for a slow answer is to get the rest at once when the fault ends.
            is_slow = fault == "slow" and self.fault() == "slow"
            chunk = answer.body.read(min(left, SLOW_CHUNK if is_slow else CHUNK))
            if not chunk:
                self.close_connection = True
                return
            self.wfile.write(chunk)
            self.sent += len(chunk)
            left -= len(chunk)
            if is_slow:
                time.sleep(SLOW_PAUSE)

    def note(self, status: int) -> None:
        """Append a line to the request log."""
        line = {
            "time": round(time.time(), 3),
            "client": self.client_address[0],
            "vendor": self.vendor,
            "host": self.host,
            "method": self.command,
            "path": self.path,
            "status": status,
            "bytes": self.sent,
        }
        with self.server.log_lock, (self.server.folder / "requests.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing on stderr: the request log has it."""


class ProxyHandler(BaseHTTPRequestHandler):
    """A proxy's CONNECT: what comes after it is TLS with the vendors, on the same connection."""

    server: Server

    def do_CONNECT(self) -> None:
        """Let the client speak to a vendor; a name that is none of theirs is not found."""
        self.close_connection = True
        if self.path.removesuffix(":443") not in VENDORS:
            self.send_error(502, "no such host")
            return
        self.send_response(200)
        self.end_headers()
        with self.server.tls.wrap_socket(self.connection, server_side=True) as wrapped:
            Handler(wrapped, (self.user() or self.client_address[0], 0), self.server)

    def user(self) -> str:
        """The proxy's user, who counts as a client of that name: all tests run pyinfra on one machine."""
        _, _, coded = self.headers.get("Proxy-Authorization", "").partition(" ")
        return base64.b64decode(coded).decode().partition(":")[0]

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing on stderr."""


class NameHandler(socketserver.BaseRequestHandler):
    """DNS: our own address for the vendors' names; what else is asked is passed on to Docker's resolver."""

    def handle(self) -> None:
        """Answer one datagram (RFC 1035)."""
        query, socket_ = self.request
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        if ".".join(labels).lower() not in VENDORS:
            self.pass_on(query, socket_)
            return
        is_ipv4 = query[at + 1 : at + 5] == b"\0\1\0\1"  # type A, class IN; of other types we have none
        header = query[:2] + b"\x85\x80\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + b"\0\0\0\0"
        address = socket.inet_aton(socket.gethostbyname(socket.gethostname()))
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address if is_ipv4 else b""
        socket_.sendto(header + query[12 : at + 5] + record, self.client_address)

    def pass_on(self, query: bytes, socket_: socket.socket) -> None:
        """Ask Docker's resolver; silence where it is silent."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream, contextlib.suppress(OSError):
            upstream.settimeout(5)
            upstream.sendto(query, ("127.0.0.11", 53))
            socket_.sendto(upstream.recv(4096), self.client_address)


class Server(ThreadingHTTPServer):
    """TLS is spoken in each connection's own thread, so that a client that stalls holds up nobody else."""

    daemon_threads = True
    log_lock = threading.Lock()
    folder: Path
    tls: ssl.SSLContext
    access: Access
    rates = Rates()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands (where TLS comes first), then handle the requests of one connection."""
        try:
            if self.RequestHandlerClass is ProxyHandler:
                super().finish_request(request, client_address)
                return
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except (ssl.SSLError, ConnectionError):
            return


def main() -> None:
    """Serve on port 443, and behind the proxy on 3128, until killed."""
    folder = Path(sys.argv[1])
    access = Access(json.loads((folder / "repositories.json").read_text()), (folder / "ngc-key").read_text().strip())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "tls/server.crt", folder / "tls/server.key")
    servers = [Server(("0.0.0.0", 443), Handler), Server(("0.0.0.0", 3128), ProxyHandler)]
    for server in servers:
        server.folder, server.tls, server.access = folder, tls, access
    names = socketserver.ThreadingUDPServer(("0.0.0.0", 53), NameHandler)
    for other in (servers[1], names):
        threading.Thread(target=other.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
