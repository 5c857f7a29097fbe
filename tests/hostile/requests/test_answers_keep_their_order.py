"""Each connection gets its own answers, in the order of its requests, however they are sent and whatever fails."""

from __future__ import annotations

import json
import random
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from hostile.conftest import Promise
from hostile.effort import Effort
from servers.component_files import component
from servers.pannier_process import Pannier
from servers.redis_server import single

CONNECTIONS = 64
STORE = "/v1.0/state/statestore"
PATIENCE_S = 120.0
ODD = "".join(f"X-{number}: {'y' * 100}\r\n" for number in range(9))
"""Header fields with which a request goes the general way."""


def request(method: str, target: str, body: bytes = b"", more: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{more}{length}\r\n".encode() + body


class Client:
    """Sends requests over one connection in random ways, and knows the answer to each."""

    def __init__(self, number: int, port: int, dice: random.Random):
        self.answered = 0
        self.fault: BaseException | None = None
        self._number = number
        self._port = port
        self._dice = dice
        self._values: dict[str, bytes] = {}

    def run(self, rounds: int) -> None:
        try:
            with closing(socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answers = sock.makefile("rb")
                for _ in range(rounds):
                    asked = [self._request() for _ in range(self._dice.choice((1, 1, 1, 2, 5, 20)))]
                    self._send(sock, b"".join(sent for sent, _, _ in asked), asked)
                    for sent, status, body in asked:
                        assert read(answers) == (status, body), sent
                        self.answered += 1
        except BaseException as fault:
            self.fault = fault

    def _send(self, sock: socket.socket, data: bytes, asked: list[tuple[bytes, int, bytes]]) -> None:
        """At once, request by request, or in pieces of any size."""
        way = self._dice.randrange(3)
        if way == 0:
            sock.sendall(data)
        elif way == 1:
            for sent, _, _ in asked:
                sock.sendall(sent)
        else:
            while data:
                size = self._dice.randrange(1, 400)
                sock.sendall(data[:size])
                data = data[size:]

    def _request(self) -> tuple[bytes, int, bytes]:
        """Return a request, and the status and body of its answer."""
        key = f"{self._number}-{self._dice.randrange(20)}"
        more = self._dice.choice(("", "", "", "Accept: */*\r\n", ODD))
        kind = self._dice.random()
        if kind < 0.35:
            size = self._dice.choice((1, 10, 300, 300, 20_000))
            value = json.dumps(f"{key} {self._dice.random()} " + "x" * size).encode()
            self._values[key] = value
            return request("POST", STORE, b'[{"key":"%b","value":%b}]' % (key.encode(), value), more), 201, b""
        if kind < 0.45:
            self._values.pop(key, None)
            return request("DELETE", f"{STORE}/{key}", more=more), 200, b""
        if kind < 0.5:
            found = json.dumps({"keys": [key]}).encode()
            return request("POST", f"{STORE}/bulk", found, more), 200, self._bulk(key)
        if kind < 0.55:
            return request("GET", "/v1.0/healthz", more=more), 204, b""
        value = self._values.get(key, b"")
        return request("GET", f"{STORE}/{key}", more=more), 200 if value else 204, value

    def _bulk(self, key: str) -> bytes:
        value = self._values.get(key)
        return key.encode() if value is None else value


def read(answers: BinaryIO) -> tuple[int, bytes]:
    """Read one answer. Of a bulk get, the value or the key is returned."""
    status = int(answers.readline().split()[1])
    length = 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = answers.read(length)
    if body.startswith(b"["):
        [item] = json.loads(body)
        body = item["key"].encode() if "data" not in item else json.dumps(item["data"]).encode()
    return status, body


def test_of_requests_sent_in_any_way(tmp_path: Path, promise: Promise, effort: Effort) -> None:
    """Plain requests and others are mixed, pipelined or torn; all share one connection to Redis."""
    seed = random.randrange(2**32)
    rounds = effort.times(60, 500)
    with single(tmp_path / "redis") as redis:
        folder = tmp_path / "components"
        folder.mkdir()
        (folder / "statestore.yaml").write_text(component("statestore", "state.redis", redis.settings))
        arguments = ("--app-id", "app", "--components", str(folder), "--http-port", "0", "--grpc-port", "0")
        pannier = Pannier("serve", *arguments)
        try:
            port = pannier.port()
            clients = [Client(number, port, random.Random(seed + number)) for number in range(CONNECTIONS)]
            threads = [threading.Thread(target=client.run, args=(rounds,)) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            pannier.close()
    faults = [client.fault for client in clients if client.fault is not None]
    assert not faults, (seed, faults[0])
    answered = sum(client.answered for client in clients)
    promise(
        "Each connection gets its own answers, in the order of its requests",
        on="HTTP, Redis",
        fault="plain requests mixed with others, pipelined, sent in pieces, with values of up to 20 KB",
        times=answered,
        counted=f"{answered} answers in order over {CONNECTIONS} connections; 0 of another request",
    )
