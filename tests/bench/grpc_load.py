"""Load over gRPC: a small asyncio client that sends what grpcio sends, one call at a time on each connection.

    PYTHONPATH=tests python tests/bench/grpc_load.py PORT PID [SECONDS]   # of a sidecar, or of grpc_peer.py

It prints calls a second and the server's CPU time for each call. Its header blocks are those of grpcio's clients: the
first call puts its fields into the server's table, all others refer to them.
"""

import asyncio
import struct
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import hpack
import uvloop
from process_stats import cpu_seconds

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.http2 import frames
from pannier_sidecar.protobuf import encode

CONNECTIONS = (1, 16, 64)
PREFIX = "/dapr.proto.runtime.v1.Dapr/"
VALUE = b'{"name":"Tatooine","pad":"' + b"a" * 70 + b'"}'
STORE = "bench"
CALLS = {
    "save": ("SaveState", encode(messages.SaveStateRequest(STORE, [messages.StateItem("k0", VALUE)]))),
    "get": ("GetState", encode(messages.GetStateRequest(STORE, "k0"))),
}
WINDOW = 2**30

Servers = dict[str, tuple[int, int]]
"""Port and pid by name."""


class Caller(asyncio.Protocol):
    """Calls, waits for the trailers, calls again."""

    def __init__(self, method: str, message: bytes) -> None:
        self.done = self.errors = 0
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
                    self.done += 1
                    self._call()
            elif kind in (frames.GOAWAY, frames.RST_STREAM):
                self.errors += 1
            at = end
        self._rest = data[at:]

    def _call(self) -> None:
        self._stream += 2
        block = self._encoder.encode(self._fields)
        headers = frames.frame(frames.HEADERS, frames.END_HEADERS, self._stream, block)
        self._write(headers + frames.frame(frames.DATA, frames.END_STREAM, self._stream, self._message))

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


async def load(port: int, pid: int, operation: str, connections: int, seconds: float) -> tuple[float, float, int]:
    """Return calls a second, the server's CPU time for each in microseconds, and how many went wrong."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Caller(*CALLS[operation]), "127.0.0.1", port) for _ in range(connections)
    ]
    callers = [caller for _, caller in made]
    await asyncio.sleep(0.3)  # tables are filled, stores are warm
    before, done, began = cpu_seconds(pid), sum(caller.done for caller in callers), time.perf_counter()
    await asyncio.sleep(seconds)
    took, calls = time.perf_counter() - began, sum(caller.done for caller in callers) - done
    cpu = cpu_seconds(pid) - before
    for transport, _ in made:
        transport.abort()
    return calls / took, cpu / max(calls, 1) * 1e6, sum(caller.errors for caller in callers)


def rows(servers: Servers, seconds: float) -> Iterator[str]:
    """Measure servers in turns, and lay out the medians; after those of one load, compare the first with the last."""
    yield f"{'gRPC':>6}{'conns':>7}{'server':>10}{'calls/s':>10}{'CPU us/call':>13}{'errors':>8}"
    for operation in CALLS:
        for connections in CONNECTIONS:
            figures = _take_turns(servers, operation, connections, seconds)
            for name, (rate, cpu, errors) in figures.items():
                yield f"{operation:>6}{connections:>7}{name:>10}{rate:>10.0f}{cpu:>13.1f}{errors:>8.0f}"
            if len(figures) > 1:
                (first, own), *_, (last, other) = figures.items()
                yield f"{first + '/' + last:>23}{own[0] / max(other[0], 1):>10.2f}{f'1/{other[1] / own[1]:.1f}':>13}"
    yield "The load is tests/bench/grpc_load.py: an asyncio client that sends what grpcio's clients send."


def _take_turns(servers: Servers, operation: str, connections: int, seconds: float) -> dict[str, tuple[float, ...]]:
    """The medians of calls a second and CPU time a call, and the sum of errors, by server."""
    rounds = max(1, min(3, int(seconds)))
    turns: dict[str, list[tuple[float, float, int]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (port, pid) in servers.items():
            turns[name].append(uvloop.run(load(port, pid, operation, connections, seconds / rounds)))
    return {
        name: (median(rates), median(cpus), sum(errors))
        for name, own in turns.items()
        for rates, cpus, errors in [zip(*own, strict=True)]
    }


def main() -> None:
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0
    for row in rows({"server": (port, pid)}, seconds):
        print(row)


if __name__ == "__main__":
    main()
