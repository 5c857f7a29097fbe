"""The fast path divides what a client sends into requests as the general way does, whatever it sends."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, pairwise, product
from random import Random

import pytest
from integration.http_front_end.failing_store import serving_stores
from integration.http_front_end.http_wire import Serving, get, save, without_fast_path

from pannier_sidecar.stores.in_memory import InMemoryStore

CHANGING = re.compile(rb"(?:date|traceparent): [^\r]*\r\n")
"""Header fields that differ: in these tests the general way lacks the layer that adds `traceparent` to answers."""
ITEM = '[{"key":"k","value":{"a" : 1}}]'
LINES: tuple[str, ...] = (
    "POST {} HTTP/1.1\r\n",
    "PUT {} HTTP/1.1\r\n",
    "GET {}/k HTTP/1.1\r\n",
    "DELETE {}/k HTTP/1.1\r\n",
)
ODD_LINES: tuple[str, ...] = (
    "HEAD {}/k HTTP/1.1\r\n",
    "get {}/k HTTP/1.1\r\n",
    "POST  {} HTTP/1.1\r\n",
    "OPTIONS {} HTTP/1.1\r\n",
)
ODD_LINES += ("POST {} HTTP/1.1\n", "POST {} HTTP/2.0\r\n", "POST {} HTTP/1.1 \r\n", "GET {}/k\r\n")
HOST = "Host: test"
ODD_HOSTS = (
    "host: test",
    "Host:test",
    "Host: ",
    "Accept: */*",
    "Host: test\r\nHost: test",
    "",
    "Host: test\r\n",
    "Host",
)
LENGTH = "Content-Length: {}"
LENGTHS: tuple[str, ...] = (
    LENGTH,
    "content-length: {}",
    "Content-Length:{}",
    "Content-Length: 0{}",
    "Content-Length: +{}",
)
LENGTHS += (
    "Content-Length: ",
    "Content-Length: {} ",
    "Content-Length: {}\t",
    "Content-Length: {}, {}",
    "Content-Length : {}",
)
LENGTHS += ("Content-Length: {}\r\nContent-Length: {}", "Accept: ength: {}\r\nContent-Length: 1", "Accept: ength: {}")
LENGTHS += ("Content-Length: {}\n", "Content-Length:\r\n {}", "Content-Length: {}\r\n 1", "Content-Length : {}")
LENGTHS += (
    "Content-Length: \0{}",
    "Transfer-Encoding: chunked",
    "Content-Length: {}\r\nTransfer-Encoding: chunked",
    "Accept: */*",
)
TRACE = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LENGTHS += (
    f"Content-Length: {{}}\r\n{TRACE}",
    f"{TRACE}\r\nContent-Length: {{}}",
    f"{TRACE}\r\n{TRACE}\r\nContent-Length: {{}}",
)
LENGTHS += (
    f"{TRACE}\nContent-Length: {{}}",
    f"{TRACE}\r\n folded\r\nContent-Length: {{}}",
    TRACE,
    f"Accept: */*\r\n\r\n{TRACE}",
)
END = "\r\n\r\n"
ODD_ENDS = ("\n\n", "\r\n\n", "\n\r\n", "\r\n", "\r\r", "\r\n\r\n\r\n\r\n", "\r\n \r\n")
CONTENTS = (
    ITEM.encode(),
    b"",
    b"1",
    TRACE.encode(),
    TRACE.encode() + b"\r\n",
    ITEM.encode() * 2,
    get("/v1.0/state/statestore/k"),
)
OFF = (0, -1, 1)
"""By how much `content-length` differs from the body's size."""


def divided(line: str, host: str, length: str, off: int, end: str, body: bytes) -> bytes:
    fields = f"{host}\r\n{length.replace('{}', str(len(body) + off))}"
    return (line.replace("{}", "/v1.0/state/statestore") + fields + end).encode("latin-1") + body


def nearly_plain() -> Iterator[bytes]:
    """Yield plain requests with one or two odd parts, which two servers could read differently."""
    for line, length, off, body in product(LINES[::2], LENGTHS, OFF, CONTENTS):
        yield divided(line, HOST, length, off, END, body)
    for line, end, body in product(LINES + ODD_LINES, (END, *ODD_ENDS), CONTENTS):
        yield divided(line, HOST, LENGTH, 0, end, body)
    for line, host, body in product(LINES, ODD_HOSTS, CONTENTS):
        yield divided(line, host, LENGTH, 0, END, body)


@pytest.mark.parametrize("parts", [1, 3])
async def test_every_stream_is_divided_as_without_the_fast_path(parts: int) -> None:
    """Each request is sent twice, in one piece or cut. If the first taught the fast path too much, it would take the
    second."""
    got = []
    for has_fast_path in (True, False):
        dice = Random(parts)
        store = InMemoryStore({})
        store._etags = count(7)
        async with serving_stores(statestore=store) as here:
            await (await here.connect()).ask(save(ITEM))  # its header fields are known from now on
            if not has_fast_path:
                without_fast_path(here)
            seen = []
            for raw in nearly_plain():
                cuts = sorted(dice.randrange(len(raw)) for _ in range(parts - 1))
                sent = [raw[start:end] for start, end in pairwise([0, *cuts, len(raw)])]
                seen.append((raw, await whole_answers(here, sent), await whole_answers(here, [raw])))
            got.append(seen)
    for fast, general in zip(*got, strict=True):
        assert fast == general


async def whole_answers(here: Serving, parts: list[bytes]) -> bytes:
    """Send parts one after another, and return all that is answered until the connection is closed."""
    wire = await here.connect()
    for part in parts:
        wire.writer.write(part)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with suppress(RuntimeError, OSError):  # it was refused, and closed already
        wire.writer.write_eof()
    got = CHANGING.sub(b"", await wire.rest())
    await wire.close()
    return got
