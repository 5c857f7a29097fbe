"""Load over gRPC: a small asyncio client that sends what grpcio sends, one call at a time on each connection.

Its header blocks are those of grpcio's clients: the first call puts its fields into the server's table, all others
refer to them.
"""

import asyncio
import struct
import time
from typing import Any

import hpack
import uvloop

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.http2 import frames
from pannier_sidecar.protobuf import encode

PREFIX = "/dapr.proto.runtime.v1.Dapr/"
VALUE = b'{"name":"Tatooine","pad":"' + b"a" * 70 + b'"}'
STORE = "bench"
CALLS = {
    "save": ("SaveState", encode(messages.SaveStateRequest(STORE, [messages.StateItem("k0", VALUE)]))),
    "get": ("GetState", encode(messages.GetStateRequest(STORE, "k0"))),
}
WINDOW = 2**30


class Caller(asyncio.Protocol):
    """Calls, waits for the trailers, calls again."""

    def __init__(self, method: str, message: bytes) -> None:
        self.errors = 0
        self.times: list[float] = []
        """Seconds that each call took."""
        self._began = 0.0
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        fields = [(":scheme", "http"), (":method", "POST"), (":path", PREFIX + method), (":authority", "127.0.0.1")]
        fields += [("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "grpc-python/1.85.1")]
        self._fields = [*fields, ("grpc-accept-encoding", "identity, deflate, gzip")]
        self._message = struct.pack(">BL", 0, len(message)) + message
        self._stream = -1
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        settings = frames.settings({frames.INITIAL_WINDOW_SIZE: WINDOW})
        self._write(frames.PREFACE + settings + frames.window_update(0, WINDOW))
        self._call()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= frames.HEADER_SIZE:
            upper, lower, kind, flags, _ = frames.read_header(data, at)
            end = at + frames.HEADER_SIZE + (upper << 8 | lower)
            if len(data) < end:
                break
            if kind == frames.SETTINGS and not flags & frames.ACK:
                self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
            elif kind == frames.HEADERS:
                fields: Any = self._decoder.decode(data[at + frames.HEADER_SIZE : end])
                if flags & frames.END_STREAM:
                    self.errors += ("grpc-status", "0") not in fields
                    self.times.append(time.perf_counter() - self._began)
                    self._call()
            elif kind in (frames.GOAWAY, frames.RST_STREAM):
                self.errors += 1
            at = end
        self._rest = data[at:]

    def _call(self) -> None:
        self._began = time.perf_counter()
        self._stream += 2
        block = self._encoder.encode(self._fields)
        headers = frames.frame(frames.HEADERS, frames.END_HEADERS, self._stream, block)
        self._write(headers + frames.frame(frames.DATA, frames.END_STREAM, self._stream, self._message))

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


def load(port: int, operation: str, connections: int, seconds: float) -> dict[str, int]:
    """Load a server; return what load.lua counts over HTTP. Raises OSError where nobody listens."""
    return uvloop.run(_load(port, operation, connections, seconds))


async def _load(port: int, operation: str, connections: int, seconds: float) -> dict[str, int]:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Caller(*CALLS[operation]), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    callers = [caller for _, caller in made]
    times = sorted(time for caller in callers for time in caller.times) or [0.0]
    return {
        "requests": sum(len(caller.times) for caller in callers),
        "us": round(took * 1e6),
        "p50_us": round(times[len(times) // 2] * 1e6),
        "p99_us": round(times[len(times) * 99 // 100] * 1e6),
        "errors": sum(caller.errors + (not caller.times) for caller in callers),
    }
