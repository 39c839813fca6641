"""The vendors' HTTPS servers in one: static apt repositories by host name, and the registries' names in front of
docker-registry. Runs in the vendors' container with nothing but the standard library.

    server.py FOLDER

FOLDER holds www/<host name>/… (what is served), tls/server.{crt,key}, requests.jsonl (one line a request, written here)
and faults.json ({vendor: fault} or {"vendor client": fault}, read at every request; faults are "404", "429",
"wrong-signature", "slow", "cut").
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
SLOW_START, SLOW_CHUNK, SLOW_PAUSE = 1.0, 4096, 0.1  # seconds, bytes, seconds: a late answer, then 40 KB/s
MISSING_BODY = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown (simulated)"}]}\n'
RATE_LIMIT_BODY = (
    b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit. (simulated)"}]}\n'
)
FOLDER = Path(sys.argv[1])
LOG_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; one thread a connection, kept alive."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve, or misbehave as faults.json says for the vendor of the name that was asked for."""
        host = self.headers.get("Host", "").split(":")[0].lower()
        vendor = VENDORS.get(host, "unknown")
        faults = json.loads((FOLDER / "faults.json").read_text())
        fault = faults.get(f"{vendor} {self.client_address[0]}", faults.get(vendor))
        if fault == "404":
            status, headers, body = 404, {"Content-Type": "application/json"}, MISSING_BODY
        elif fault == "429" and self.path != "/v2/":
            status, headers, body = 429, {"Retry-After": "60", "Content-Type": "application/json"}, RATE_LIMIT_BODY
        elif vendor == "registry":
            status, headers, body = self.ask_registry()
        else:
            status, headers, body = self.read_file(host, wrong_signature=fault == "wrong-signature")
        sent = self.answer(status, headers, body, fault)
        self.note(vendor, host, status, sent)

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self.do_GET()

    def read_file(self, host: str, *, wrong_signature: bool) -> tuple[int, dict[str, str], bytes]:
        """A file of www/<host>; with ``wrong_signature`` the signatures are those of a stranger's key."""
        root = FOLDER / "www" / host
        path = (root / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if wrong_signature and path.name in ("InRelease", "Release.gpg", "repomd.xml.asc"):
            path = path.with_name(path.name + ".wrong")
        if root not in path.parents or not path.is_file():
            return 404, {}, b"not found\n"
        return 200, {"Content-Type": "application/octet-stream"}, path.read_bytes()

    def ask_registry(self) -> tuple[int, dict[str, str], bytes]:
        """The registry's own answer to this request."""
        upstream = HTTPConnection(*REGISTRY, timeout=60)
        # dockerd sends one Accept header for every manifest type it knows.
        kept = {name: ", ".join(self.headers.get_all(name, [])) for name in ("Accept", "Range", "Host")}
        upstream.request(self.command, self.path, headers={name: value for name, value in kept.items() if value})
        response = upstream.getresponse()
        body = response.read()
        headers = {
            name: value
            for name, value in response.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "date", "server")
        }
        upstream.close()
        return response.status, headers, body

    def answer(self, status: int, headers: dict[str, str], body: bytes, fault: str | None) -> int:
        """Send the answer and return how many bytes of the body went out."""
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return 0
        if fault == "cut" and status == 200 and len(body) > 2:
            self.close_connection = True
            body = body[: len(body) // 2]
        if fault != "slow":
            self.wfile.write(body)
            return len(body)
        time.sleep(SLOW_START)
        for start in range(0, len(body), SLOW_CHUNK):
            self.wfile.write(body[start : start + SLOW_CHUNK])
            time.sleep(SLOW_PAUSE)
        return len(body)

    def note(self, vendor: str, host: str, status: int, sent: int) -> None:
        """Append a line to the request log."""
        line = {
            "time": round(time.time(), 3),
            "client": self.client_address[0],
            "vendor": vendor,
            "host": host,
            "method": self.command,
            "path": self.path,
            "status": status,
            "bytes": sent,
        }
        with LOG_LOCK, (FOLDER / "requests.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing on stderr: the request log has it."""


class Server(ThreadingHTTPServer):
    """TLS is spoken in each connection's own thread, so that a client that stalls holds up nobody else."""

    daemon_threads = True
    tls: ssl.SSLContext

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands, then handle the requests of one connection."""
        try:
            with self.tls.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                super().finish_request(wrapped, client_address)
        except (ssl.SSLError, ConnectionError, BrokenPipeError):
            return


def main() -> None:
    """Serve on port 443 until killed."""
    server = Server(("0.0.0.0", 443), Handler)
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.tls.load_cert_chain(FOLDER / "tls/server.crt", FOLDER / "tls/server.key")
    server.serve_forever()


if __name__ == "__main__":
    main()
