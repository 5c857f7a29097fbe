"""Raw requests, valid and broken, are accepted and refused exactly as by uvicorn's httptools protocol.

Many users know uvicorn; if this server behaves differently, the reason is here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from integration.http_front_end.http_wire import Wire, get, serving
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pannier_sidecar.http_api.messages import Answer, Call

SERVED = {
    "a plain request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "spaces around a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:   1  \r\n\r\na",
    "a GET with a body": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "8 bits in a header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\xffc\r\n\r\n",
    "an empty header": b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n",
    "two spaces before the target": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target *": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target for a proxy": b"GET http://h/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bad escape": b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "empty lines before": b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a POST without a length": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an offer of websocket": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "Upgrade alone": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
    "an offer with a body": (
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    ),
    "an unknown expectation": b"POST / HTTP/1.1\r\nHost: x\r\nExpect: something\r\nContent-Length: 1\r\n\r\na",
}
"""Answered, and the connection goes on."""

SERVED_LAST = {
    "a request after close": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty line after close": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with a body without a length": b"POST / HTTP/1.0\r\n\r\nabc",
    "HTTP/1.0 with keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "keep-alive and close": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
    "Proxy-Connection": b"GET / HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n\r\n",
}
"""Answered once, and closed."""

REFUSED = {
    "garbage": b"\x00\x01\x02\x03",
    "text": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03",
    "a method in lower case": b"get / HTTP/1.1\r\n\r\n",
    "an unknown method": b"FOO / HTTP/1.1\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a length twice": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a list of lengths": b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "an encoding without an end": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "chunked and then another": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an encoding called identity": b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
    "an encoding called xchunked": b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
    "a length in hexadecimal": b"POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\na",
    "an empty length": b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "a length in two parts": b"POST / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\na",
    "a length of 23 digits": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "a chunk of xyz bytes": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk of -1 bytes": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "a chunk of 2^84 bytes": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n",
    "a chunk of 0x1 bytes": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "a chunk size ended by LF": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a chunk longer than it says": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n",
    "a chunk without a size": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
    "NUL in the name of a header": b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
    "a control character in a header": b"GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nA\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
    "LF for CRLF": b"GET / HTTP/1.1\nA: b\n\n",
    "CR for CRLF": b"GET / HTTP/1.1\rA: b\r\r",
    "CR in a header": b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\n\r\n",
    "tabs for spaces": b"GET\t/\tHTTP/1.1\r\n\r\n",
    "8 bits in the target": b"GET /\xc3\xbc HTTP/1.1\r\n\r\n",
    "a control character in the target": b"GET /\x01 HTTP/1.1\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n\r\n",
    "a relative target": b"GET a HTTP/1.1\r\n\r\n",
    "a space before": b" GET / HTTP/1.1\r\n\r\n",
}
"""Refused with 400, and closed."""

OTHERWISE = {
    "a request before garbage": (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01",
        [200, 400],
        400,
        "what was asked properly is answered first; uvicorn drops it when both come in one read",
    ),
    "a host to connect to": (
        b"CONNECT h:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        [200],
        400,
        "targets are looked up, not parsed: what is no path is answered by the API, with 404",
    ),
    "a target without a path": (b"GET http://h HTTP/1.1\r\nHost: x\r\n\r\n", [200], 400, "likewise"),
    "a target without a host": (b"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", [200], 400, "likewise"),
    "a target with an impossible port": (
        b"GET http://h:99999/a HTTP/1.1\r\nHost: x\r\n\r\n",
        [200],
        400,
        "likewise",
    ),
    "RTSP": (b"GET / RTSP/1.0\r\n\r\n", [400], 200, "it is not HTTP"),
    "ICE": (b"SOURCE / ICE/1.0\r\n\r\n", [400], 200, "it is not HTTP"),
    "a length of 5,000 zeros": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n",
        [400],
        200,
        "no client sends so long a number, and it takes long to read",
    ),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", [400], 200, "RFC 9112, 3.2: it must be refused"),
    "two Hosts": (
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        [400],
        200,
        "RFC 9112, 3.2: it must be refused, because a proxy may use a different one than we do",
    ),
    "encodings that end in chunked": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        [400],
        200,
        "nobody would decompress it",
    ),
    "an encoding, and chunked": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        [400],
        200,
        "likewise",
    ),
    "HTTP/0.9 without a version": (b"GET /\r\n\r\n", [400], 200, "no client speaks it any more"),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n\r\n", [400], 200, "likewise"),
    "HTTP/2.0 in words": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", [400], 200, "it is another protocol"),
    "HTTP/1.0 in chunks": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        [400],
        200,
        "RFC 9112, 6.1: a proxy of that time passes it on without knowing where it ends",
    ),
}
"""Requests that both answer differently: our answer, uvicorn's, and why."""


@pytest.fixture
async def ours() -> AsyncIterator[int]:
    async def answer(call: Call) -> Answer:
        return Answer(200, call.method)

    async with serving(answer) as here:
        yield here.port


@pytest.fixture
async def uvicorns() -> AsyncIterator[int]:
    config = uvicorn.Config(plain_app, http="httptools", ws="none", lifespan="off", log_level="critical")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpToolsProtocol(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for connection in list(state.connections):
        connection.shutdown()
    for task in state.tasks:
        task.cancel()


async def plain_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    message = await receive()
    while message["type"] == "http.request" and message["more_body"]:
        message = await receive()
    if message["type"] == "http.request":
        body = scope["method"].encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def statuses(port: int, raw: bytes, *, expected: int, goes_on: bool) -> list[int]:
    """Return the statuses of the expected number of answers, and assert how the connection continues."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    await wire.send(raw)
    answers = [(await wire.answer()).status for _ in range(expected)]
    if goes_on:
        assert (await wire.ask(get("/"))).status == 200
    else:
        assert await wire.rest() == b""
    await wire.close()
    return answers


async def test_both_serve_it_and_go_on(ours: int, uvicorns: int, subtests: pytest.Subtests) -> None:
    for name, raw in SERVED.items():
        with subtests.test(name):
            for port in (ours, uvicorns):
                assert await statuses(port, raw, expected=1, goes_on=True) == [200]


async def test_both_serve_it_and_close(ours: int, uvicorns: int, subtests: pytest.Subtests) -> None:
    for name, raw in SERVED_LAST.items():
        with subtests.test(name):
            for port in (ours, uvicorns):
                assert await statuses(port, raw, expected=1, goes_on=False) == [200]


async def test_both_refuse_it_and_close(ours: int, uvicorns: int, subtests: pytest.Subtests) -> None:
    for name, raw in REFUSED.items():
        with subtests.test(name):
            for port in (ours, uvicorns):
                assert await statuses(port, raw, expected=1, goes_on=False) == [400]


async def test_each_difference_from_uvicorn_has_a_reason(ours: int, uvicorns: int, subtests: pytest.Subtests) -> None:
    for name, (raw, expected, uvicorns_status, reason) in OTHERWISE.items():
        with subtests.test(name):
            assert reason
            # The bytes behind a CONNECT belong to the host that it connects to.
            goes_on = expected[-1] == 200 and not raw.startswith(b"CONNECT")
            assert await statuses(ours, raw, expected=len(expected), goes_on=goes_on) == expected
            wire = Wire(*await asyncio.open_connection("127.0.0.1", uvicorns))
            assert (await wire.ask(raw)).status == uvicorns_status
            await wire.close()
