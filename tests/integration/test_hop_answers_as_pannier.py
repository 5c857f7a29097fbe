"""The hop (tests/bench/hop.c) answers gets with Pannier's bytes and commands; otherwise comparing with it would mean
nothing.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from servers.component_files import component
from servers.hop import Hop, NotBuiltError, build
from servers.pannier_process import PATIENCE, Pannier, serving
from servers.redis_server import RedisServer

INSTALL = Path(__file__).parents[2] / "scripts" / "debian-package"
VALUES = {
    "planet": b'{"name":"Tatooine"}',
    "empty": b"",
    "lines": b"\r\n\r\nHTTP/1.1 200 OK\r\n$3\r\n",
    "bytes": bytes(range(256)),
    "large": b"x" * 40_000,
    "Letters-1._~": "ü".encode(),
}
ABSENT = "nowhere"
DATE = re.compile(rb"\r\ndate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n")


class Client:
    """A connection that sends bytes and reads answers."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """Return the next answer, its date left out."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            assert line, head
            head += line
        size = re.search(rb"content-length: (\d+)", head)
        assert len(DATE.findall(head)) == 1, head
        return DATE.sub(b"\r\n", head) + self._file.read(int(size[1]) if size else 0)

    def rest(self) -> bytes:
        """Return what arrives until the server closes the connection."""
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    with server.client() as client:
        for number, (key, value) in enumerate(VALUES.items()):
            client.hset(f"shop||{key}", mapping={"data": value, "version": number})
    yield server
    server.kill()


@pytest.fixture(scope="module")
def pannier(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pannier]:
    folder = tmp_path_factory.mktemp("components")
    (folder / "store.yaml").write_text(component("statestore", "state.redis", redis.settings))
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    subprocess.run([INSTALL, "build-essential", "sh", "-c", "command -v cc || command -v gcc"], check=True)
    return build(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def hop(program: Path, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hop]:
    running = Hop(program, tmp_path_factory.mktemp("hop"), redis.port, "shop")
    yield running
    running.kill()


@pytest.fixture
def client(hop: Hop) -> Iterator[Client]:
    opened = Client(hop.port)
    yield opened
    opened.close()


def get(key: str) -> bytes:
    return f"GET /v1.0/state/statestore/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def answers(port: int, *requests: bytes) -> list[bytes]:
    client = Client(port)
    try:
        client.send(b"".join(requests))
        return [client.answer() for _ in requests]
    finally:
        client.close()


def test_its_answer_is_panniers(hop: Hop, pannier: Pannier, subtests: pytest.Subtests) -> None:
    for key in [*VALUES, ABSENT]:
        with subtests.test(key):
            assert answers(hop.port, get(key)) == answers(pannier.port(), get(key))


def test_its_answers_to_pipelined_requests_are_panniers(hop: Hop, pannier: Pannier) -> None:
    requests = [get(key) for key in [*VALUES, ABSENT]]
    assert answers(hop.port, *requests) == answers(pannier.port(), *requests)


def test_its_commands_are_panniers(hop: Hop, pannier: Pannier, redis: RedisServer) -> None:
    answers(pannier.port(), get(ABSENT))  # opens everything that the first call opens
    assert commands_of(redis, hop.port) == commands_of(redis, pannier.port()) != []


def commands_of(redis: RedisServer, port: int) -> Sequence[str]:
    """Return what a get of a key sends to Redis."""
    with redis.client() as other, redis.client() as client, client.monitor() as monitor:
        answers(port, get("planet"))
        other.echo("that was all")
        heard = [monitor.next_command()["command"]]
        while "that was all" not in heard[-1]:
            heard.append(monitor.next_command()["command"])
    return [command for command in heard if "planet" in command]


def test_each_of_many_clients_gets_its_own_answers(hop: Hop, redis: RedisServer) -> None:
    fill(redis, 100)
    clients = [Client(hop.port) for _ in range(100)]
    for turn in range(20):
        for number, client in enumerate(clients):
            client.send(get(f"own{(number + turn) % 100}"))
        for number, client in enumerate(clients):
            assert client.answer().endswith(b"\r\n\r\n%d" % ((number + turn) % 100))
    for client in clients:
        client.close()


def test_clients_that_go_away_cost_others_nothing(hop: Hop, redis: RedisServer) -> None:
    fill(redis, 100)
    for _ in range(30):
        for number in range(60):
            leaving = Client(hop.port)
            leaving.send(get("large") if number % 2 else get("large")[:30])
            leaving.close()
        assert answers(hop.port, get("own7"), get("own8"))[1].endswith(b"\r\n\r\n8")


def fill(redis: RedisServer, count: int) -> None:
    with redis.client() as client:
        for number in range(count):
            client.hset(f"shop||own{number}", mapping={"data": number, "version": 1})


def test_a_request_may_arrive_byte_by_byte(client: Client, pannier: Pannier) -> None:
    for byte in get("planet"):
        client.send(bytes([byte]))
    assert [client.answer()] == answers(pannier.port(), get("planet"))


def test_it_refuses_what_it_does_not_promise(hop: Hop, subtests: pytest.Subtests) -> None:
    for another_kind in (
        get("a%20b"),
        get("planet?consistency=strong"),
        get("a||b"),
        get(""),
        get("planet").replace(b"GET", b"PUT"),
        get("planet").replace(b"HTTP/1.1", b"HTTP/1.0"),
        get("planet").replace(b"/v1.0/state", b"/v1.0/actors"),
        b"\r\n\r\n",
        b"x" * 4096,
    ):
        with subtests.test(repr(another_kind[:40])), closing(Client(hop.port)) as client:
            client.send(another_kind)
            assert client.rest().startswith(b"HTTP/1.1 501 Not Implemented\r\n")


def test_values_that_expire_or_are_not_state_are_answered_as_not_implemented(hop: Hop, redis: RedisServer) -> None:
    with redis.client() as on_redis:
        on_redis.hset("shop||passing", mapping={"data": "1", "version": 1})
        on_redis.expire("shop||passing", 10_000)
        on_redis.hset("shop||foreign", "field", "1")
    for key in ("passing", "foreign"):
        client = Client(hop.port)
        client.send(get(key))
        assert client.rest().startswith(b"HTTP/1.1 501 Not Implemented\r\n")
        client.close()


def test_connections_of_too_many_clients_are_closed(hop: Hop) -> None:
    clients = [Client(hop.port) for _ in range(512)]
    surplus = Client(hop.port)
    assert surplus.rest() == b""
    surplus.close()
    for client in clients:
        client.close()


def test_it_ends_with_the_reason_if_redis_refuses(redis: RedisServer, program: Path, tmp_path: Path) -> None:
    with redis.client() as on_redis:
        on_redis.set("shop||text", "1")
    other = Hop(program, tmp_path / "other", redis.port, "shop")
    client = Client(other.port)
    client.send(get("text"))
    assert client.rest() == b""
    client.close()
    other.kill()
    assert "hop: cannot take this answer of Redis: -WRONGTYPE" in other.log


def test_without_a_compiler_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NotBuiltError, match="there is no C compiler"):
        build(tmp_path)
