"""Answers of hostile or broken servers, by protocol."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from servers.hostile_proxy import SSL_REQUEST, Fault, Peer

MANY = 100_000
"""The depth of nested answers."""
PIECE = 64 * 1024
BOMB_MIB = 512
"""The unpacked size of a compressed bomb."""


async def silent(peer: Peer) -> None:
    await peer.linger()


async def closes(peer: Peer) -> None:
    """Return a fault that closes each connection, after reading its request or without."""


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def garbage(peer: Peer) -> None:
    await peer.request()
    await peer.send(random.Random(9).randbytes(4096))
    await peer.linger()


async def endless_line(peer: Peer) -> None:
    await peer.request()
    await peer.flood(b"A" * PIECE)


async def endless_zeros(peer: Peer) -> None:
    await peer.request()
    await peer.flood(bytes(PIECE))


def says(first: bytes, then: bytes = b"", *, drips: bool = False) -> Fault:
    """Return a fault that answers with `first`, and then with `then` without end, or nothing more."""

    async def fault(peer: Peer) -> None:
        await peer.request()
        if drips:
            await peer.drip(first, 0.3)
        await peer.send(first)
        await (peer.flood(then) if then else peer.linger())

    return fault


def unasked(answer: bytes) -> Fault:
    """Return a fault that sends answers before they are requested, and more than are requested."""

    async def fault(peer: Peer) -> None:
        await peer.send(answer)
        while await peer.request():
            await peer.send(answer * 3)

    return fault


def each(reply: bytes) -> Fault:
    """Return a fault that answers each command of Redis with the same."""

    async def fault(peer: Peer) -> None:
        while commands := await peer.request():
            await peer.send(reply * (commands.count(b"\r\n*") + commands.startswith(b"*")))

    return fault


ANY: dict[str, Fault] = {
    "never answers": silent,
    "closes each connection": closes,
    "resets each connection": resets,
    "garbage": garbage,
    "a line that does not end": endless_line,
    "zeros that do not end": endless_zeros,
}

REDIS: dict[str, Fault] = {
    "a byte now and then": says(b"$1000000\r\n1", drips=True),
    "a value of 2 GB": says(b"$2147483648\r\n", b"x" * PIECE),
    "a value of 512 MB": says(b"$536870912\r\n", b"x" * PIECE),
    "a list of 2 billion": says(b"*2147483647\r\n", b":1\r\n" * 10_000),
    "nested lists": says(b"*1\r\n" * MANY + b":1\r\n"),
    "lists nested without end": says(b"", b"*1\r\n" * 10_000),
    "an error that does not end": says(b"-ERR ", b"x" * PIECE),
    "answers to nothing": unasked(b"+OK\r\n"),
    "answers without end": says(b"", b"+OK\r\n" * 10_000),
    "numbers": each(b":1\r\n"),
    "lists of other things": each(b"*3\r\n:1\r\n:2\r\n*0\r\n"),
    "messages of channels": says(b"", b">3\r\n+message\r\n+a\r\n+b\r\n" * 2_000),
}
MEMCACHED: dict[str, Fault] = {
    "a byte now and then": says(b"VA 1000000 f0\r\nx", drips=True),
    "a value of 1 GB": says(b"VA 1073741824 f0\r\n", b"x" * PIECE),
    "a value of 2 GB": says(b"VA 2147483648 f0\r\n", b"x" * PIECE),
    "answers to nothing": unasked(b"EN\r\n"),
    "answers without end": says(b"", b"HD\r\n" * 10_000),
    "statistics without end": says(b"", b"".join(b"STAT %d %d\r\n" % (number, number) for number in range(10_000))),
}


def postgresql(fault: Fault) -> Fault:
    """Return a fault that first answers that the server has no TLS, and then goes on as given."""

    async def without_tls(peer: Peer) -> None:
        first = await peer.request()
        if first == SSL_REQUEST:
            await peer.send(b"N")
        else:
            peer.give_back(first)
        await fault(peer)

    return without_tls


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


HUGE = struct.pack("!I", 2**31 - 1)
POSTGRESQL: dict[str, Fault] = {
    "a byte now and then": postgresql(says(b"R" + HUGE + b"0", drips=True)),
    "a login of 2 GB": postgresql(says(b"R" + HUGE, b"x" * PIECE)),
    "a row of 2 GB": postgresql(says(b"D" + HUGE, b"x" * PIECE)),
    "a length of nothing": postgresql(says(b"R" + struct.pack("!I", 0))),
    "rows without end": postgresql(says(b"", message(b"D", struct.pack("!HI", 1, 1000) + b"x" * 1000) * 60)),
    "settings without end": postgresql(says(b"", message(b"S", b"a\0b\0") * 6000)),
    "notices without end": postgresql(says(b"", message(b"N", b"SNOTICE\0Mx\0\0") * 4000)),
    "ready without end": postgresql(says(b"", message(b"Z", b"I") * 10_000)),
    "TLS that is none": says(b"S", b"x" * PIECE),
    "an error that does not end": postgresql(says(b"E" + HUGE, b"x" * PIECE)),
}


def mysql(body: bytes, number: int = 1) -> bytes:
    """Return one of MySQL's packets."""
    return len(body).to_bytes(3, "little") + bytes([number % 256]) + body


_COLUMN = b"\3def\0\0\0\1c\0\x0c\x3f\0\xff\xff\0\0\xfc\0\0\0\0\0"
_NUMBERS = range(256)
MYSQL: dict[str, Fault] = {
    "a byte now and then": says(mysql(b"\xfe" * 100_000)[:20], drips=True),
    "packets of 16 MB without end": says(b"", b"".join(b"\xff\xff\xff" + bytes([1]) + b"x" * PIECE for _ in range(2))),
    "columns without end": says(mysql(b"\xfd\xff\xff\xff"), b"".join(mysql(_COLUMN, 2 + at) for at in _NUMBERS)),
    "rows without end": says(
        mysql(b"\1") + mysql(_COLUMN, 2) + mysql(b"\xfe\0\0\0\0", 3),
        b"".join(mysql(b"\3abc", 4 + at) for at in _NUMBERS),
    ),
    "empty rows without end": says(
        mysql(b"\1") + mysql(_COLUMN, 2) + mysql(b"\xfe\0\0\0\0", 3),
        b"".join(mysql(b"\0", 4 + at) for at in _NUMBERS) * 40,
    ),
    "results without end": says(b"", b"".join(mysql(b"\0\0\0\x0a\0\0\0", 1 + at) for at in _NUMBERS) * 40),
    "a request for a file": says(mysql(b"\xfb/etc/passwd")),
    "a request for the password": says(mysql(b"\xfemysql_clear_password\0")),
    "an error without a number": says(mysql(b"\xff")),
    "a number that is not next": says(mysql(b"\0\1\0\2\0\0\0", 77)),
    "nothing": says(mysql(b"")),
}


def tds(body: bytes, *, is_last: bool = True, length: int | None = None) -> bytes:
    """Return a packet of SQL Server's answer."""
    return struct.pack(">BBHHBB", 4, is_last, len(body) + 8 if length is None else length, 51, 1, 0) + body


_TDS_DONE = struct.pack("<BHHQ", 0xFD, 0, 0, 0)
_TDS_COLUMN = bytes(6) + b"\x26\x04\x01c\0"
_TDS_BYTES = bytes(6) + b"\xa5\xff\xff\x01c\0"
_TDS_ROWS = b"\x81\1\0" + _TDS_COLUMN
SQLSERVER: dict[str, Fault] = {
    "a byte now and then": says(tds(_TDS_DONE), drips=True),
    "packets without end": says(b"", tds(bytes(30_000), is_last=False)),
    "empty packets without end": says(b"", tds(b"", is_last=False) * 4000),
    "rows without end": says(tds(_TDS_ROWS, is_last=False), tds(b"\xd1\x04\1\0\0\0" * 4000, is_last=False)),
    "more rows than anybody asked for": says(
        tds(_TDS_ROWS, is_last=False) + tds(b"\xd1\0" * 5000, is_last=False) * 9 + tds(_TDS_DONE)
    ),
    "a part of 4 GB": says(tds(b"\x81\1\0" + _TDS_BYTES + b"\xd1" + struct.pack("<QI", 2**32, 2**32 - 1))),
    "columns without number": says(tds(b"\x81\xfe\xff" + _TDS_COLUMN)),
    "an answer that goes on in no message": says(tds(struct.pack("<BHHQ", 0xFD, 1, 0, 0))),
    "an unknown token": says(tds(b"\x42\x42")),
    "a packet of no length": says(tds(b"", length=0)),
    "a request instead of an answer": says(b"\x01" + tds(_TDS_DONE)[1:]),
    "nothing": says(tds(b"")),
    "two answers": says(tds(_TDS_DONE) * 2),
    "another packet size": says(tds(b"\xe3\x08\0\x04\x011\0\x011\0" + _TDS_DONE)),
}


def bson(depth: int) -> bytes:
    """Return a document with this many levels of nested documents."""
    overhead = 4 + 1 + 2 + 1
    parts = [struct.pack("<i", 5 + overhead * (depth - at)) + b"\x03a\0" for at in range(depth)]
    return b"".join(parts) + struct.pack("<i", 5) + b"\0" + b"\0" * depth


def op(code: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<iiii", len(body) + 16 if length is None else length, 1, 1, code) + body


def mongodb_answer(body: Callable[[int], bytes]) -> Fault:
    """Return a fault that answers the number of the request."""

    async def fault(peer: Peer) -> None:
        while request := await peer.request():
            number = struct.unpack_from("<i", request, 4)[0] if len(request) >= 8 else 0
            await peer.send(body(number))

    return fault


def numbered(code: int, body: bytes) -> Fault:
    return mongodb_answer(lambda number: struct.pack("<iiii", len(body) + 16, 7, number, code) + body)


@cache
def deflated() -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(BOMB_MIB)) + packer.flush()


MONGODB: dict[str, Fault] = {
    "a byte now and then": says(struct.pack("<iiii", 1_000_000, 1, 1, 2013) + b"x", drips=True),
    "a message of 2 GB": says(op(2013, b"", 2**31 - 1), b"x" * PIECE),
    "a message of 47 MB": says(op(2013, b"", 47_000_000), b"x" * PIECE),
    "a message of less than nothing": says(op(2013, b"", -1), b"x" * PIECE),
    "answers to nothing": unasked(op(2013, b"\0\0\0\0\0" + bson(0))),
    "nested documents": numbered(2013, b"\0\0\0\0\0" + bson(MANY)),
    "a bomb": mongodb_answer(
        lambda number: (
            struct.pack("<iiii", len(deflated()) + 25, 7, number, 2012)
            + struct.pack("<iiB", 2013, BOMB_MIB << 20, 2)
            + deflated()
        )
    ),
}


@cache
def gzipped() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(BOMB_MIB)) + packer.flush()


async def gzip_bomb(peer: Peer) -> None:
    while await peer.request():
        await peer.send(http(b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(gzipped())) + gzipped())


def http(headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n" + headers + b"\r\n"


def http_says(body: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> Fault:
    async def fault(peer: Peer) -> None:
        while await peer.request():
            await peer.send(http(headers + b"Content-Length: %d\r\n" % len(body), status) + body)

    return fault


def cut_off(answer: bytes) -> Fault:
    """Return a fault that sends this and closes the connection."""

    async def fault(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    return fault


CHUNKED = b"Transfer-Encoding: chunked\r\n"
HTTP: dict[str, Fault] = {
    "a byte now and then": says(http(b"Content-Length: 1000000\r\n") + b" ", drips=True),
    "a head that does not end": says(b"HTTP/1.1 200 OK\r\n", b"a: " + b"x" * 1000 + b"\r\n"),
    "a field that does not end": says(b"HTTP/1.1 200 OK\r\na: ", b"x" * PIECE),
    "a body without length": says(http(b""), b" " * PIECE),
    "a body of 2 TB": says(http(b"Content-Length: 2199023255552\r\n"), b" " * PIECE),
    "a body of 2 TB with an error": says(http(b"Content-Length: 2199023255552\r\n", b"400 Bad"), b" " * PIECE),
    "chunks without end": says(http(CHUNKED), b"400\r\n" + b" " * 1024 + b"\r\n"),
    "small chunks without end": says(http(CHUNKED), b"1\r\n \r\n" * 10_000),
    "a chunk of 2 TB": says(http(CHUNKED) + b"20000000000\r\n", b" " * PIECE),
    "a chunk whose length does not end": says(http(CHUNKED), b"1" * PIECE),
    "trailers without end": says(http(CHUNKED) + b"0\r\n", b"a: b\r\n" * 10_000),
    "answers that come before": says(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a gzip bomb": gzip_bomb,
    "nested JSON": http_says(b"[" * MANY + b"]" * MANY),
    "nested objects": http_says(b'{"a":' * MANY + b"1" + b"}" * MANY),
    "answers to nothing": unasked(http(b"Content-Length: 2\r\n") + b"{}"),
    "a body that is cut off": cut_off(http(b"Content-Length: 1000\r\n") + b"{"),
    "a chunk without a length": says(http(CHUNKED) + b"none\r\n{}\r\n"),
    "a page": http_says(b"<html>log in</html>"),
    "a list": http_says(b"[]"),
    "words that are no text": http_says(b'"\xff\xfe"'),
    "a number of 1 MB": http_says(b"1" * 1_000_000),
}


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack("!I", len(body))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + body


SETTINGS = frame(4, 0, 0, b"")
HEADERS_OK = b"\x88" + b"\x00\x0ccontent-type\x10application/grpc"


def streams(data: bytes) -> list[int]:
    """Return the streams whose HEADERS are in the data, where they are whole."""
    at, found = 0, []
    if data.startswith(b"PRI"):
        at = 24
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3])
        if data[at + 3] == 1:
            found.append(int.from_bytes(data[at + 5 : at + 9]))
        at += 9 + length
    return found


def http2(answer: Callable[[int], bytes], then: Callable[[int], bytes] | None = None) -> Fault:
    """Return a fault that answers each stream that is opened, and then goes on without end."""

    async def fault(peer: Peer) -> None:
        await peer.send(SETTINGS)
        while data := await peer.request():
            if b"PRI" in data or data[3:4] == b"\x04":
                await peer.send(frame(4, 1, 0, b""))
            for stream in streams(data):
                await peer.send(answer(stream))
                if then is not None:
                    await peer.flood(then(stream))

    return fault


def head(stream: int, more: bytes = b"") -> bytes:
    return frame(1, 4, stream, HEADERS_OK + more)


def grpc_flood(stream: int) -> bytes:
    return frame(0, 0, stream, b"x" * 16384)


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header field in HPACK's form, without compression."""
    length, rest = bytes([min(len(value), 127)]), b""
    if len(value) >= 127:
        left = len(value) - 127
        while left >= 128:
            rest += bytes([left % 128 + 128])
            left //= 128
        rest += bytes([left])
    return b"\0" + bytes([len(name)]) + name + length + rest + value


HTTP2: dict[str, Fault] = {
    "a byte now and then": says(SETTINGS + frame(0, 0, 0, b"")[:3], drips=True),
    "a header that does not end": http2(
        lambda stream: frame(1, 0, stream, HEADERS_OK), lambda stream: frame(9, 0, stream, b"\x00\x01a\x01b" * 3000)
    ),
    "a header field that does not end": http2(
        lambda stream: frame(1, 0, stream, HEADERS_OK + b"\x00\x01a\x7f\xff\xff\xff\xff\x07"),
        lambda stream: frame(9, 0, stream, b"x" * 16384),
    ),
    "resets of each call": http2(lambda stream: frame(3, 0, stream, struct.pack("!I", 7)) * 100),
    "refusals of each call": http2(lambda stream: frame(3, 0, stream, struct.pack("!I", 7))),
    "goodbyes": http2(lambda stream: frame(7, 0, 0, struct.pack("!II", 0, 0)) * 100),
    "settings without end": http2(lambda _: b"", lambda _: frame(4, 0, 0, b"") * 1000),
    "pings without end": http2(lambda _: b"", lambda _: frame(6, 0, 0, b"12345678") * 1000),
    "a message of 4 GB": http2(lambda stream: head(stream) + frame(0, 0, stream, b"\0\xff\xff\xff\xff"), grpc_flood),
    "a message of 2 GB": http2(lambda stream: head(stream) + frame(0, 0, stream, b"\0\x7f\xff\xff\xff"), grpc_flood),
    "messages without end": http2(head, lambda stream: frame(0, 0, stream, bytes(5) * 3000)),
    "data of streams that are not open": http2(lambda _: b"", lambda _: frame(0, 0, 99, b"x" * 16384)),
    "a gzip bomb": http2(
        lambda stream: head(stream, b"\x00\x0dgrpc-encoding\x04gzip") + bomb_frames(stream),
    ),
    "a status with a long text": http2(
        lambda stream: frame(
            1, 5, stream, HEADERS_OK + literal(b"grpc-status", b"13") + literal(b"grpc-message", b"canary" * 1000)
        )
    ),
}


def bomb_frames(stream: int) -> bytes:
    packed = gzipped()
    message = b"\x01" + struct.pack("!I", len(packed)) + packed
    pieces = [message[at : at + 16384] for at in range(0, len(message), 16384)]
    return b"".join(frame(0, 0, stream, piece) for piece in pieces) + frame(1, 5, stream, b"\x00\x0bgrpc-status\x010")
