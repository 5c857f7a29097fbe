"""Requests that arrive a byte at a time, and requests that two parsers could delimit differently."""

import asyncio
from contextlib import suppress

import pytest
from integration.http_front_end.http_wire import get, save, serving, until
from servers.limits import http_limits

DRIPS = {
    "empty lines": (b"", b"\r\n"),
    "a target": (b"GET /", b"a"),
    "a header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a"),
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"),
    "a body": (save(b"[" + b" " * 4000)[:-4000], b" "),
    "chunks": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "trailers": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    "empty lines after a request": (get("/v1.0/healthz"), b"\r\n"),
    "what follows a refusal": (b"GET / HTTP/1.1\r\n\r\n", b"a"),
}


@pytest.mark.transport
async def test_no_slow_sender_outlives_the_time_for_a_request(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=http_limits(receiving=0.3, idle=60.0, lingering=0.3)) as here:

        async def drip(beginning: bytes, drop: bytes) -> None:
            wire = await here.connect()
            await wire.send(beginning)
            end = asyncio.create_task(wire.rest())
            while not end.done():
                with suppress(ConnectionError):
                    await wire.send(drop)
                await asyncio.sleep(0.02)
            await end

        ends = await asyncio.gather(*(drip(*sent) for sent in DRIPS.values()), return_exceptions=True)
        for name, end in zip(DRIPS, ends, strict=True):
            with subtests.test(name):
                assert end is None
        await until(lambda: not here.listener.open, "the end of all")
        assert (await (await here.connect()).ask(get("/v1.0/healthz"))).status == 204


async def test_an_empty_line_behind_a_request_harms_nobody() -> None:
    async with serving() as here:
        wire = await here.connect()
        for _ in range(3):
            assert (await wire.ask(get("/v1.0/healthz") + b"\r\n")).status == 204


HEAD = b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: test\r\n"
BODY = b'[{"key":"k"}]'
CHUNKS = b"d\r\n" + BODY + b"\r\n0\r\n\r\n"
SMUGGLED = {
    "two lengths": HEAD + b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + BODY,
    "a length and chunks": HEAD + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n" + CHUNKS,
    "another encoding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "another encoding in a line of its own": HEAD
    + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "an encoding after a tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS,
    "an encoding with a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "a folded encoding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "a folded header": HEAD + b"A: b\r\n c\r\nContent-Length: 13\r\n\r\n" + BODY,
    "a line that ends with LF": HEAD + b"A: b\nContent-Length: 13\r\n\r\n" + BODY,
    "a chunk that ends with LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\nd\n" + BODY + b"\n0\n\n",
    "a length in trailers": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\nd\r\n"
    + BODY
    + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "two hosts": HEAD + b"host: other\r\nContent-Length: 13\r\n\r\n" + BODY,
    "no host": HEAD.replace(b"Host: test\r\n", b"") + b"Content-Length: 13\r\n\r\n" + BODY,
}


async def test_requests_that_readers_could_divide_differently_are_refused_and_nothing_after_them_is_read(
    subtests: pytest.Subtests,
) -> None:
    for name, raw in SMUGGLED.items():
        with subtests.test(name):
            async with serving() as here:
                wire = await here.connect()
                await wire.send(raw + get("/v1.0/metadata"))
                answer = await wire.answer()
                assert (answer.status, answer.closes) == (400, True)
                assert b"ERR_MALFORMED_REQUEST" in answer.body
                assert await wire.rest() == b""
                other = await here.connect()
                assert (await other.ask(get("/v1.0/state/statestore/k"))).status == 204, "it was not carried out"
