"""The gRPC front end on its own port, in this process, and a client that sends frames, to test the protocol."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hpack
from servers.limits import grpc_limits, state_limits

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.grpc_api.connection import GrpcConnection
from pannier_sidecar.grpc_api.limits import Limits
from pannier_sidecar.grpc_api.listener import GrpcListener
from pannier_sidecar.grpc_api.served import serve
from pannier_sidecar.grpc_api.services import Services
from pannier_sidecar.http2 import frames
from pannier_sidecar.listening import bind_port, port_of
from pannier_sidecar.protobuf import encode
from pannier_sidecar.runtime import Runtime
from pannier_sidecar.serving import Budget, Server
from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.service import StateService
from pannier_sidecar.stores.in_memory import InMemoryStore

PATIENCE_S = 20.0
GET, SAVE = "GetState", "SaveState"
DAPR = "dapr.proto.runtime.v1.Dapr"
ROOM = 1 << 24


class Unobserved:
    """Ignores calls."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None: ...


@dataclass
class Answer:
    """What has arrived on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    is_ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers["grpc-status"])


class Client:
    """One connection that speaks frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder(ROOM)
        self.answers: dict[int, Answer] = {}
        self.frames: dict[int, list[bytes]] = {}
        """The frames that have arrived on each stream."""
        self.goaway: int | None = None
        self.last_taken: int | None = None
        """The last stream that the server takes, as its GOAWAY says."""
        self.pings = 0
        """Our PINGs that were answered."""
        self.asked: list[bytes] = []
        """PINGs of the server."""
        self.answers_pings = True
        self.next_id = 1

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    def begin(self, method: str, *extra: tuple[str, str], service: str = DAPR) -> int:
        """Send the headers of a call."""
        stream, self.next_id = self.next_id, self.next_id + 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/{service}/{method}"), (":authority", "x")]
        fields += [("content-type", "application/grpc"), ("te", "trailers"), *extra]
        self.send(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, self.encoder.encode(fields)))
        return stream

    def call(self, method: str, message: bytes, *extra: tuple[str, str], service: str = DAPR) -> int:
        stream = self.begin(method, *extra, service=service)
        self.send(data(stream, framed(message)))
        return stream

    async def read(self) -> bool:
        """Take one frame; False at the end."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await self.reader.readexactly(9)
                size = int.from_bytes(head[:3], "big")
                payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        self.frames.setdefault(stream, []).append(head + payload)
        answer = self.answers.setdefault(stream, Answer())
        if kind == frames.HEADERS:
            answer.headers |= {str(name): str(value) for name, value in self.decoder.decode(payload)}
        elif kind == frames.DATA:
            answer.data += payload
        elif kind == frames.RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
        elif kind == frames.GOAWAY:
            self.last_taken, self.goaway = struct.unpack(">LL", payload[:8])
        elif kind == frames.PING:
            self._take_ping(flags, payload)
        if kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM:
            answer.is_ended = True
        return True

    def _take_ping(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self.pings += 1
            return
        self.asked.append(payload)
        if self.answers_pings:
            self.answer_ping()

    def answer_ping(self) -> None:
        self.send(frames.frame(frames.PING, frames.ACK, 0, self.asked[-1]))

    async def answer(self, stream: int) -> Answer:
        while not (stream in self.answers and (self.answers[stream].is_ended or self.answers[stream].reset)):
            assert await self.read(), f"closed, GOAWAY {self.goaway}"
        return self.answers[stream]

    async def ask(self, method: str, message: bytes, *extra: tuple[str, str]) -> Answer:
        return await self.answer(self.call(method, message, *extra))

    async def until_closed(self) -> int | None:
        while await self.read():
            pass
        return self.goaway

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


def framed(message: bytes, *, is_compressed: bool = False) -> bytes:
    return struct.pack(">BL", is_compressed, len(message)) + message


def data(stream: int, content: bytes, *, is_last: bool = True) -> bytes:
    """DATA frames of any content."""
    size = frames.MAX_FRAME
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    last = frames.END_STREAM if is_last else 0
    return b"".join(
        frames.frame(frames.DATA, last if number == len(parts) - 1 else 0, stream, part)
        for number, part in enumerate(parts)
    )


def get(key: str) -> bytes:
    return encode(messages.GetStateRequest("statestore", key))


def save(key: str, value: bytes) -> bytes:
    return encode(messages.SaveStateRequest("statestore", [messages.StateItem(key, value)]))


@dataclass
class Serving:
    """A listening server and its inner state."""

    server: Server
    listener: GrpcListener
    runtime: Runtime
    port: int
    service: StateService
    services: Services
    clients: list[Client] = field(default_factory=list)

    async def connect(self, settings: dict[int, int] | None = None, *, greets: bool = True) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        if greets:
            client.send(frames.PREFACE, frames.settings(settings or {}))
        return client

    async def until(self, holds: object, what: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # type: ignore[operator]
                await asyncio.sleep(0.01)

    async def at_rest(self) -> None:
        """Assert that nothing is left once all clients have gone."""
        for client in self.clients:
            await client.close()
        await self.until(lambda: not self.listener.open, "no connection")
        assert self.listener.held == 0


@asynccontextmanager
async def serving(
    store: InMemoryStore | None = None,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    budget: Budget | None = None,
    is_configured: bool = True,
    is_exact: bool = False,
) -> AsyncIterator[Serving]:
    """Serve a store. At the end nothing may be left, and nothing may have gone wrong in the server."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    store = store or InMemoryStore({})
    await store.open()
    keys = KeyScheme(store="statestore", app_id="app")
    served = ServedStore("statestore", "state.in-memory", "v1", store, keys, holds_actor_state=True)
    service = StateService(Directory("app", [served] if is_configured else []), Unobserved(), state_limits())
    runtime = Runtime("app", "1.0.0", is_loaded=True)
    services = serve(service, runtime, token, is_exact=is_exact)
    listener, server = (
        GrpcListener(services.find, limits or grpc_limits(), service.pace, budget=budget or Budget(2**26)),
        Server(),
    )
    bound = bind_port(0, ["127.0.0.1"], "--grpc-port")
    await server.serve(bound, listener, lambda: GrpcConnection(listener))
    found = Serving(server, listener, runtime, port_of(bound) or 0, service, services)
    try:
        yield found
        await found.at_rest()
        assert not complaints, complaints
    finally:
        for client in found.clients:
            await client.close()
        await server.stop(0)
        await store.close()


async def is_well(here: Serving) -> None:
    """Assert that another client is served."""
    client = await here.connect()
    assert (await client.ask(SAVE, save("well", b"1"))).status == 0
    assert b"1" in (await client.ask(GET, get("well"))).data
