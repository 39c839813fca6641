"""A registry of the tests' own: a real HTTP server on this machine. What it gives is made up, its forms are the
documents': OCI distribution-spec and image-spec, Docker's token authentication, Docker Hub's rate limit headers.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str  # with the query
    headers: Mapping[str, str]

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


@dataclass(frozen=True)
class Response:
    """What it gets. ``length`` is what is claimed of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


Answer = Callable[[Request], Response]


def error(status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """An error as the distribution API has it."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Response(status, body, {"Content-Type": "application/json", **(headers or {})})


def document(content: object, media_type: str = "application/json") -> Response:
    """A JSON document."""
    return Response(200, json.dumps(content).encode(), {"Content-Type": media_type})


class Site:
    """A running server: its port, and the requests it got."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[Request] = []
        self.connections = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """``METHOD path`` of every request, in order."""
        return [f"{request.method} {request.path}" for request in self.requests]


@contextmanager
def serve(answer: Answer, *, tls: SSLContext | None = None) -> Iterator[Site]:
    """Run ``answer`` as a server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # headers and body in one piece: two would wait for each other

        def setup(self) -> None:
            site.connections += 1
            super().setup()

        def do_GET(self) -> None:
            request = Request(self.command, self.path, self.headers)  # type: ignore[arg-type]
            site.requests.append(request)
            response = answer(request)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(response.length or len(response.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(response.body)
            self.close_connection = response.length is not None

        do_HEAD = do_GET  # noqa: N815 - http.server's names

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Nothing: the requests are kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site = Site(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def digest_of(body: bytes) -> str:
    """The digest of a body."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


class Shelf:
    """The content of a registry that anybody may read: images by repository and tag."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], Response] = {}  # by repository and digest or tag
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, list[str]] = {}

    def add(self, repository: str, content: Mapping[str, object], *tags: str) -> str:
        """Put a manifest or index there; return its digest."""
        body = json.dumps(content).encode()
        digest = digest_of(body)
        headers = {"Content-Type": str(content["mediaType"]), "Docker-Content-Digest": digest}
        for reference in (digest, *tags):
            self.manifests[repository, reference] = Response(200, body, headers)
        self.tags.setdefault(repository, []).extend(tags)
        return digest

    def add_image(self, repository: str, architecture: str, *tags: str, layers: int = 2) -> str:
        """Put an image of that platform there; return its manifest's digest. Its layers have 100, 200 … bytes."""
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [layer(f"{architecture}{n} unpacked") for n in range(layers)]},
            }
        ).encode()
        self.blobs[digest_of(config)] = config
        packed = [{"digest": layer(f"{architecture}{n}"), "size": 100 * (n + 1)} for n in range(layers)]
        pointer = {"digest": digest_of(config), "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": pointer, "layers": packed}
        return self.add(repository, manifest, *tags)

    def add_index(self, repository: str, platforms: Mapping[str, str], *tags: str) -> str:
        """Put an index there over these digests, by platform ``os/architecture[/variant]``; return its digest."""
        listed = []
        for platform, digest in platforms.items():
            os, architecture, *variant = platform.split("/")
            about = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
            listed.append({"mediaType": MANIFEST, "digest": digest, "size": 7, "platform": about})
        return self.add(repository, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, *tags)

    def __call__(self, request: Request) -> Response:
        """Answer as a registry without limits does."""
        path, _, _ = request.path.partition("?")
        repository, kind, name = path.removeprefix("/v2/").rsplit("/", 2)
        if kind == "tags":
            if repository not in self.tags:
                return error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return document({"name": repository, "tags": self.tags[repository]})
        if kind == "blobs" and name in self.blobs:
            return Response(200, self.blobs[name])
        missing = error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return self.manifests.get((repository, name), missing)


def layer(name: str) -> str:
    """A digest for something that nobody asks for."""
    return digest_of(name.encode())
