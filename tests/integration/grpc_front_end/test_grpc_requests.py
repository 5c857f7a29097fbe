"""Requests that are too large, broken, compressed, slow or many: each ends with a status."""

import gzip

import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, data, framed, get, save, serving
from servers.limits import grpc_limits

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode
from pannier_sidecar.serving import Budget

GZIP = (("grpc-encoding", "gzip"),)


def zipped(message: bytes) -> bytes:
    return framed(message, is_compressed=True)


REQUESTS: dict[str, tuple[tuple[tuple[str, str], ...], bytes, int | None]] = {
    "a message over the limit": ((), framed(b"x" * 70_000), 8),
    "half of a prefix": ((), framed(b"")[:3], 13),
    "a message that is cut short": ((), framed(get("k"))[:-1], 13),
    "no message": ((), b"", 12),
    "two messages": ((), framed(get("k")) * 2, 12),
    "no protobuf": ((), framed(b"\xff\xff\xff"), 13),
    "gzip": (GZIP, zipped(gzip.compress(get("k"))), 0),
    "gzip that unpacks to too much": (
        GZIP,
        zipped(gzip.compress(b"\0" * 10_000_000)),
        8,
    ),
    "gzip that is cut short": (
        GZIP,
        zipped(gzip.compress(get("k"))[:-9]),
        13,
    ),
    "no gzip": (GZIP, zipped(b"no gzip"), 13),
    "another compression": ((("grpc-encoding", "snappy"),), zipped(b"x"), 12),
    "a timeout without a number": ((("grpc-timeout", "soon"),), framed(get("k")), 13),
    "a timeout of nine digits": ((("grpc-timeout", "123456789S"),), framed(get("k")), 13),
    "more bytes than there are": ((("content-length", "12"),), framed(get("k")), None),
}
"""More fields, content, and the status; None: the stream is reset."""


async def test_requests_end_with_a_status(subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(message=65_536)) as here:
        for name, (extra, content, status) in REQUESTS.items():
            with subtests.test(name):
                client = await here.connect()
                stream = client.begin(GET, *extra)
                client.send(data(stream, content))
                answer = await client.answer(stream)
                if status is None:
                    assert answer.reset == ErrorCode.PROTOCOL_ERROR
                else:
                    assert answer.status == status, answer
                assert here.listener.held == 0
                assert (await client.ask(GET, get("k"))).status == 0


async def test_padding_is_taken_off(subtests: pytest.Subtests) -> None:
    for padding in (0, 1, 255):
        async with serving() as here:
            with subtests.test(f"{padding} bytes"):
                client = await here.connect()
                streams = []
                for _ in range(100):
                    stream = client.begin(GET)
                    for content, last in ((b"", 0), (framed(get("k")), frames.END_STREAM)):
                        payload = bytes([padding]) + content + bytes(padding)
                        client.send(frames.frame(frames.DATA, frames.PADDED | last, stream, payload))
                    streams.append(stream)
                for stream in streams:
                    assert (await client.answer(stream)).status == 0


async def test_trailers_of_a_client_end_its_request() -> None:
    async with serving() as here:
        client = await here.connect()
        stream = client.begin(GET, ("content-length", str(len(framed(get("k"))))))
        client.send(data(stream, framed(get("k")), is_last=False))
        flags = frames.END_HEADERS | frames.END_STREAM
        client.send(frames.frame(frames.HEADERS, flags, stream, client.encoder.encode([("x-checksum", "1")])))
        assert (await client.answer(stream)).status == 0


async def test_a_request_that_stays_incomplete_is_given_up(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(receiving=0.2)) as here:
        for name, content in {"headers alone": b"", "a part of the message": framed(get("k"))[:7]}.items():
            with subtests.test(name):
                client = await here.connect()
                stream = client.begin(GET)
                if content:
                    client.send(data(stream, content, is_last=False))
                assert (await client.answer(stream)).status == 1
                assert here.listener.held == 0
                assert (await client.ask(GET, get("k"))).status == 0


async def test_a_frame_that_stays_incomplete_ends_the_connection(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(receiving=0.2)) as here:
        for name, part in {
            "a part of a frame": b"\0\0",
            "headers without end": frames.frame(frames.HEADERS, 0, 1, b"\x82"),
        }.items():
            with subtests.test(name):
                client = await here.connect()
                client.send(part)
                assert await client.until_closed() == ErrorCode.ENHANCE_YOUR_CALM


async def test_requests_of_all_clients_together_have_a_limit_and_the_slowest_is_given_up_first() -> None:
    async with serving(budget=Budget(100_000)) as here:
        first, second = await here.connect(), await here.connect()
        stream = first.begin(SAVE)
        first.send(data(stream, framed(b"x" * 90_000)[:-1], is_last=False))
        await here.until(lambda: here.listener.held > 80_000, "held")
        assert (await second.ask(SAVE, save("k", b"x" * 30_000))).status == 0
        assert (await first.answer(stream)).status == 8
        assert len((await second.ask(GET, get("k"))).data) > 30_000
