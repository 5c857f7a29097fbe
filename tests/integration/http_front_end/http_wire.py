"""The HTTP front end on its own port, in this process, and a client that sends bytes, to test the protocol."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from servers.limits import budget as default_budget
from servers.limits import http_limits, state_limits

from pannier_sidecar.http_api.calls import HttpApi
from pannier_sidecar.http_api.connection import HttpConnection
from pannier_sidecar.http_api.fast_path import Connection, FastPath
from pannier_sidecar.http_api.limits import Limits
from pannier_sidecar.http_api.messages import Answer, Call
from pannier_sidecar.http_api.profiles import PROFILES
from pannier_sidecar.http_api.server import HttpServer
from pannier_sidecar.observing.http_calls import observe, with_trace
from pannier_sidecar.observing.tracing import Tracer
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.serving import Budget, Listener
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.service import StateService
from pannier_sidecar.stores.in_memory import InMemoryStore

PATIENCE_S = 20.0
"""Seconds after which a test fails, instead of hanging, if something has not arrived."""


class Unobserved:
    """Ignores calls."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None: ...


async def api_over(store: InMemoryStore, *, profile: str = "spec", token: str | None = None) -> HttpApi:
    """An API of app `app` whose only store is `statestore`."""
    await store.open()
    keys = KeyScheme(store="statestore", app_id="app")
    served = ServedStore("statestore", "state.in-memory", "v1", store, keys, holds_actor_state=True)
    service = StateService(Directory("app", [served]), Unobserved(), state_limits())
    return HttpApi(service, Runtime("app", "1.0.0", is_loaded=True), PROFILES[profile], token)


@dataclass
class Response:
    """One answer as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


@dataclass
class Wire:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> Response:
        """Read one answer; interim ones (100) are returned like any other."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            length = 0 if to_head else int(headers.get("content-length", "0"))
            body = await self.reader.readexactly(length)
        return Response(int(start.split(" ")[1]), headers, body)

    def has_more(self) -> bool:
        """Return whether something has arrived that was not read yet."""
        return bool(self.reader._buffer)  # type: ignore[attr-defined]

    async def ask(self, data: bytes) -> Response:
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Return what still arrives until the server closes its side."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def is_usable(self) -> bool:
        """Return whether another request on the same connection is answered."""
        try:
            await self.send(get("/v1.0/healthz"))
            return (await self.answer()).status == 204
        except (ConnectionError, asyncio.IncompleteReadError):
            return False

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    def abort(self) -> None:
        self.writer.transport.abort()

    def reset(self) -> None:
        """Reset the connection: the other side gets an error, not an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()


@dataclass
class Serving:
    """A listening server and its inner state."""

    server: HttpServer
    port: int
    api: HttpApi | None
    wires: list[Wire] = field(default_factory=list)

    @property
    def listener(self) -> Listener:
        return self.server.listeners[0]

    @property
    def connections(self) -> list[HttpConnection]:
        """The open connections."""
        return cast("list[HttpConnection]", list(self.listener.open))

    def pass_time(self, seconds: float) -> None:
        """Let the server check its time limits as if these seconds had passed since the last time."""
        self.listener.tick(self.listener.now + seconds)
        for connection in self.connections:
            connection.sweep()

    async def connect(self, *, receive_buffer: int | None = None) -> Wire:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        wire = Wire(*await asyncio.open_connection(sock=sock))
        self.wires.append(wire)
        return wire

    async def hang_up(self) -> None:
        for wire in self.wires:
            wire.abort()
        for wire in self.wires:
            await wire.close()


class CountedFastPath(FastPath):
    """A fast path that knows the header fields of this module's `get` from the start, and counts its requests."""

    taken = 0

    def begin(self, data: bytes, connection: Connection) -> int | None:
        size = super().begin(data, connection)
        self.taken += size is not None
        return size


def fast_path_of(api: HttpApi, max_body: int) -> CountedFastPath:
    """The fast path of a listener that answers any host."""
    traced = partial(with_trace, Tracer())
    fast_path = CountedFastPath(api, lambda call: True, lambda *_: lambda status, seconds: None, traced, max_body)
    path = "/v1.0/state/statestore/k"
    fast_path.learn(get(path), Call(b"GET", path.encode(), b"", {b"host": b"test"}))
    return fast_path


def without_fast_path(here: Serving) -> None:
    """Have all requests go the general way."""
    here.listener.fast_path = None  # type: ignore[attr-defined]


@asynccontextmanager
async def serving(
    answer: Callable[[Call], Awaitable[Answer]] | None = None,
    limits: Limits | None = None,
    store: InMemoryStore | None = None,
    budget: Budget | None = None,
) -> AsyncIterator[Serving]:
    """Serve the API over a store in memory, or just `answer`; at the end no connection may be left."""
    api = None if answer else await api_over(store or InMemoryStore({}))
    limits = limits or http_limits()
    server = HttpServer(limits, budget or default_budget())
    # asyncio's own loop sets TCP_NODELAY on sockets that say they are TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    if api is not None:
        answer = api.answer
    assert answer is not None
    served = getattr(answer, "__self__", None)
    if isinstance(served, HttpApi):
        answer = observe(answer, None, Tracer())
    await server.listen([listening], answer, fast_path_of(served, limits.body) if isinstance(served, HttpApi) else None)
    here = Serving(server, listening.getsockname()[1], api)
    try:
        yield here
    finally:
        await here.hang_up()
        await server.stop(PATIENCE_S)
        assert not here.listener.open, "a connection was left"
        assert here.listener.held == 0, "bytes of a body are still counted"


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is true. Fails with the text `what`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not seen in {PATIENCE_S:g} s: {what}") from None


def get(target: str, *headers: str) -> bytes:
    """A GET request."""
    return request("GET", target, None, *headers)


def save(items: str | bytes, *headers: str, target: str = "/v1.0/state/statestore") -> bytes:
    """A request that saves items."""
    return request("POST", target, items.encode() if isinstance(items, str) else items, *headers)


def request(method: str, target: str, body: bytes | None = None, *headers: str) -> bytes:
    """A request with the required headers of HTTP/1.1, and the given ones."""
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*parts: bytes, trailer: bytes = b"") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


class Gate:
    """An answer that waits until the test releases it: a slow store without a clock."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._open = asyncio.Event()

    async def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        await self._open.wait()
        return Answer(200, call.path, b"text/plain")

    def open(self) -> None:
        self._open.set()
