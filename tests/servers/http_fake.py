"""What fakes of HTTP services have in common: they answer from memory, record requests, and misbehave on demand."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from servers.redis_server import Certificates

Query = dict[str, list[str]]


class HttpFake:
    """What a fake knows; tests change it while it runs."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        """The path of each request."""
        self.headers: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None
        """If set, every request gets this status and body."""
        self.is_silent = False
        self.url = ""

    def reply(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        """Return the status of an answer, what it holds (as JSON, unless it is bytes), and its further headers."""
        raise NotImplementedError


def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """Return the TLS of a fake on 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.crt"), certificates.path("server.key"))
    return context


Fake = TypeVar("Fake", bound=HttpFake)


@contextmanager
def running(fake: Fake, tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """Run a fake on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.paths.append(self.path)
            fake.headers.append(headers)
            parts = urlsplit(self.path)
            while fake.is_silent:
                time.sleep(0.01)
            more: Mapping[str, str] = {}
            if fake.answer is not None:
                status, found = fake.answer
            else:
                replied = fake.reply(self.command, unquote(parts.path), parse_qs(parts.query), headers, body)
                status, found, more = (*replied, {})[:3]
            raw = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "http://127.0.0.1:1/")
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # a client that gave up
                self.wfile.write(raw)

        do_GET = do_POST = _answer  # noqa: N815  # the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.is_silent = False
        server.shutdown()
        server.server_close()
