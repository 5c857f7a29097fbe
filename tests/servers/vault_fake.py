"""A small fake of HashiCorp Vault: key/value secrets of both versions, and the methods token, kubernetes and approle.

A real Vault can be had neither from Debian nor by building it in the time of a test run. So everything that is tested
against this fake is only as true as the fake; docs/components.md says so.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class VaultFake:
    """What the fake knows; tests change it while it runs."""

    def __init__(self) -> None:
        self.secrets: dict[str, Any] = {}
        """The data of each secret by its whole path, such as `secret/dapr/redis`. None: it was deleted."""
        self.tokens = {"root"}
        self.issued = 0
        self.lease = 3600
        self.roles = {"kubernetes": {"role": "shop", "jwt": "pod-token"}, "approle": {"role_id": "r", "secret_id": "s"}}
        self.paths: list[str] = []
        """The path of each request."""
        self.headers: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None
        """If set, every request gets this status and body."""
        self.is_silent = False
        self.url = ""

    def reply(self, method: str, path: str, query: dict[str, list[str]], token: str, body: bytes) -> tuple[int, Any]:
        for name, role in self.roles.items():
            if path == f"auth/{name}/login" and method == "POST":
                return self._sign_in(json.loads(body) == role)
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        engine, _, rest = path.partition("/")
        if engine == "kv1":
            return self._listed(path) if "list" in query else self._found(path, lambda data: {"data": data})
        kind, _, name = rest.partition("/")
        whole = f"{engine}/{name}"
        if kind == "metadata" and "list" in query:
            return self._listed(whole)
        if kind != "data":
            return 404, {"errors": []}
        version = query.get("version", ["0"])[0]
        if version not in ("0", "1"):
            return 404, {"errors": []}
        return self._found(whole, lambda data: {"data": {"data": data, "metadata": {"version": 1}}})

    def _sign_in(self, is_right: bool) -> tuple[int, Any]:
        if not is_right:
            return 400, {"errors": ["invalid role or secret"]}
        self.issued += 1
        token = f"issued-{self.issued}"
        self.tokens.add(token)
        return 200, {"auth": {"client_token": token, "lease_duration": self.lease, "renewable": True}}

    def _found(self, path: str, wrap: Any) -> tuple[int, Any]:
        if path not in self.secrets:
            return 404, {"errors": []}
        data = self.secrets[path]
        return (404 if data is None else 200), wrap(data)

    def _listed(self, path: str) -> tuple[int, Any]:
        folder = path.rstrip("/") + "/"
        below = {name.removeprefix(folder) for name in self.secrets if name.startswith(folder)}
        keys = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below})
        return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})


@contextmanager
def vault() -> Iterator[VaultFake]:
    """Run the fake on a free port of the loopback interface."""
    fake = VaultFake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            fake.paths.append(self.path)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
            parts = urlsplit(self.path)
            path = unquote(parts.path).removeprefix("/v1/")
            while fake.is_silent:
                time.sleep(0.01)
            token = self.headers.get("x-vault-token", "")
            if fake.answer is not None:
                status, raw = fake.answer
            else:
                status, found = fake.reply(self.command, path, parse_qs(parts.query), token, body)
                raw = json.dumps(found).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "http://127.0.0.1:1/")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # a client that gave up
                self.wfile.write(raw)

        do_GET = do_POST = _answer  # noqa: N815  # the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.is_silent = False
        server.shutdown()
        server.server_close()
