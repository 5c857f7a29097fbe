"""What a hostile or broken server of Cassandra answers. Clients that speak in segments are answered in segments."""

from __future__ import annotations

import io
import struct

from cassandra.segment import CrcException, SegmentCodec
from servers.hostile_proxy import Fault, Peer
from servers.server_faults import MANY, PIECE, says, unasked

ERROR, READY, SUPPORTED, RESULT, EVENT = 0, 2, 6, 8, 12
CODEC = SegmentCodec()
HEADER = 9


def cql(opcode: int, body: bytes, stream: int = 0, version: int = 0x84, length: int | None = None) -> bytes:
    return struct.pack("!BBhBi", version, 0, stream, opcode, len(body) if length is None else length) + body


def segments(data: bytes) -> bytes:
    buffer = io.BytesIO()
    CODEC.encode(buffer, data)
    return buffer.getvalue()


def as_it_is(data: bytes) -> bytes:
    return data


def frames(data: bytes) -> bytes | None:
    """Return the frames that are in segments; nothing when this is no segment."""
    found, reader = b"", io.BytesIO(data)
    try:
        while reader.tell() < len(data):
            found += CODEC.decode(reader, CODEC.decode_header(reader)).payload
    except (CrcException, struct.error):
        return None
    return found


def streams(data: bytes) -> list[int]:
    """Return the stream of each frame of a client."""
    found, at = [], 0
    while at + HEADER <= len(data):
        stream, _, length = struct.unpack_from("!hBi", data, at + 2)
        found.append(stream)
        at += HEADER + length
    return found


def cql_answers(opcode: int, body: bytes) -> Fault:
    """Return a fault that answers each frame of a client with the same."""

    async def fault(peer: Peer) -> None:
        while data := await peer.request():
            unpacked = frames(data)
            wrap = as_it_is if unpacked is None else segments
            for stream in streams(data if unpacked is None else unpacked):
                await peer.send(wrap(cql(opcode, body, stream)))

    return fault


def cql_says(first: bytes, then: bytes = b"", *, closes: bool = False) -> Fault:
    """Return a fault that answers with `first`, and then with `then` without end, or nothing more."""

    async def fault(peer: Peer) -> None:
        wrap = as_it_is if frames(await peer.request()) is None else segments
        if first:
            await peer.send(wrap(first))
        if not closes:
            await (peer.flood(wrap(then)) if then else peer.linger())

    return fault


ONE_COLUMN = struct.pack("!iii", 2, 1, 1) + b"\0\1k\0\1t\0\1c"
"""Rows with a column of a table, up to the column's type."""
NO_COLUMN = struct.pack("!iii", 2, 1, 0) + b"\0\1k\0\1t"
BLOB = struct.pack("!h", 3)
SET_OF_TEXT = struct.pack("!hh", 0x22, 0xD)
VOID, PREPARED = struct.pack("!i", 1), struct.pack("!ih", 4, 1) + b"q" + struct.pack("!h", 1) + b"m"
UNPREPARED = struct.pack("!ih", 0x2500, 0) + struct.pack("!h", 1) + b"q"
NODE_IS_UP = b"\0\rSTATUS_CHANGE\0\2UP\4\x7f\0\0\1" + struct.pack("!i", 9042)


def descending(count: int) -> bytes:
    """Return a set in descending order, so that each element has to be inserted before all others."""
    elements = b"".join(struct.pack("!i7s", 7, b"%07d" % number) for number in range(count, 0, -1))
    return struct.pack("!ii", 4 + len(elements), count) + elements


def empty_segments() -> bytes:
    buffer = io.BytesIO()
    CODEC.encode(buffer, b"")
    return buffer.getvalue()


CASSANDRA: dict[str, Fault] = {
    "billions of rows": cql_answers(RESULT, ONE_COLUMN + BLOB + struct.pack("!i", 2**31 - 1)),
    "billions of rows without columns": cql_answers(RESULT, NO_COLUMN + struct.pack("!i", 2**31 - 1)),
    "billions of columns": cql_answers(RESULT, struct.pack("!iii", 2, 1, 2**31 - 1) + b"\0\1k\0\1t"),
    "millions of columns": cql_answers(RESULT, struct.pack("!iii", 2, 1, 10**6) + b"\0\1k\0\1t" + b"\0\0\0\3" * 10**6),
    "a set of half a million": cql_answers(
        RESULT, ONE_COLUMN + SET_OF_TEXT + struct.pack("!i", 1) + descending(500_000)
    ),
    "nothing": cql_answers(RESULT, b""),
    "nested types": cql_answers(RESULT, ONE_COLUMN + struct.pack("!h", 0x20) * MANY),
    "rows of other things": cql_answers(RESULT, ONE_COLUMN + BLOB + struct.pack("!iii", 1, 1, 0)),
    "results without rows": cql_answers(RESULT, VOID),
    "statements that are prepared": cql_answers(RESULT, PREPARED + struct.pack("!iii", 4, 0, 0) + NO_COLUMN[4:]),
    "statements that are not prepared": cql_answers(ERROR, UNPREPARED),
    "results of no kind": cql_answers(RESULT, struct.pack("!i", 99)),
    "messages of no kind": cql_answers(0x77, b"canary"),
    "errors of no kind": cql_answers(ERROR, struct.pack("!ih", 0x7FFF, 6) + b"canary"),
    "a byte now and then": says(cql(SUPPORTED, b"", length=1_000_000) + b"x", drips=True),
    "a frame of 2 GB": cql_says(cql(RESULT, b"", length=2**31 - 1), b"x" * PIECE),
    "a frame of 256 MB": cql_says(cql(RESULT, b"", length=2**28), b"x" * PIECE),
    "a frame of less than nothing": cql_says(cql(RESULT, b"", length=-5), b"x" * PIECE),
    "a frame in segments of a byte": cql_says(cql(RESULT, b"", length=2**24), b"x"),
    "half a frame": cql_says(cql(RESULT, b"x" * 100, length=200), closes=True),
    "no segments": says(b"", cql(READY, b"", stream=77) * 5000),
    "segments of nothing": says(b"", empty_segments() * 5000),
    "events without end": cql_says(b"", cql(EVENT, NODE_IS_UP, stream=-1) * 1000),
    "answers to nothing": unasked(cql(READY, b"", stream=77)),
    "answers without end": cql_says(b"", cql(READY, b"", stream=77) * 5000),
    "another version": says(cql(ERROR, struct.pack("!iH", 10, 3) + b"bad", version=0x83)),
}
