"""Header fields that no request may have (RFC 9113, 8), and requests that arrive a byte at a time."""

import asyncio

import pytest
from integration.grpc_front_end.grpc_wire import DAPR, GET, Client, data, framed, get, serving
from servers.limits import grpc_limits

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode
from pannier_sidecar.http2.headers import literal

PATH = f"/{DAPR}/{GET}".encode()
SOUND = {b":method": b"POST", b":scheme": b"http", b":path": PATH, b":authority": b"x"}
GRPC = (b"content-type", b"application/grpc"), (b"te", b"trailers")


def block(*extra: tuple[bytes, bytes], **changed: bytes | None) -> bytes:
    pseudo = {**SOUND, **{b":" + name.encode(): value for name, value in changed.items()}}
    fields = [(name, value) for name, value in pseudo.items() if value is not None]
    return b"".join(literal(name, value) for name, value in [*fields, *GRPC, *extra])


MALFORMED = {
    "CR in a value": block((b"a", b"b\rc")),
    "LF in a value": block((b"a", b"b\nc")),
    "CR and LF in a value": block((b"a", b"b\r\nauthorization: c")),
    "NUL in a value": block((b"a", b"b\0c")),
    "LF at the end of a value": block((b"a", b"b\n")),
    "LF in the path": block(path=PATH + b"\n"),
    "NUL in the authority": block(authority=b"x\0y"),
    "a name in upper case": block((b"A", b"b")),
    "a space in a name": block((b"a b", b"c")),
    "a colon in a name": block((b"a:b", b"c")),
    "8 bits in a name": block((b"a\xff", b"c")),
    "an empty name": block((b"", b"c")),
    "a header of HTTP/1.1": block((b"transfer-encoding", b"chunked")),
    "another te": block((b"te", b"gzip")),
    "a length twice": block((b"content-length", b"5"), (b"content-length", b"6")),
    "two hosts": block((b"host", b"x"), (b"host", b"x")),
    "a host that is not the authority": block((b"host", b"y")),
    "a user in the authority": block(authority=b"a@x"),
    "no path": block(path=None),
    "an empty path": block(path=b""),
    "a relative path": block(path=b"a"),
    "an absolute target": block(path=b"http://x/a"),
    "* for a POST": block(path=b"*"),
    "no method": block(method=None),
    "no scheme": block(scheme=None),
    "an unknown pseudo-header": block((b":status", b"200")),
    "a pseudo-header behind the others": block((b":path", PATH)),
}


async def test_a_malformed_request_ends_its_stream_alone(subtests: pytest.Subtests) -> None:
    async with serving() as here:
        for name, fields in MALFORMED.items():
            with subtests.test(name):
                client = await here.connect()
                for _ in range(2):  # errors are remembered
                    stream, client.next_id = client.next_id, client.next_id + 2
                    client.send(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, fields))
                    client.send(data(stream, framed(get("k"))))
                    assert (await client.answer(stream)).reset == ErrorCode.PROTOCOL_ERROR
                assert (await client.ask(GET, get("k"))).status == 0


async def test_a_valid_request_is_answered(subtests: pytest.Subtests) -> None:
    async with serving() as here:
        for name, fields in {
            "a host that is the authority": block((b"host", b"x")),
            "a host alone": block((b"host", b"y"), authority=None),
            "spaces around a value": block((b"a", b" b\t")),
            "what is needed": block(),
        }.items():
            with subtests.test(name):
                client = await here.connect()
                client.next_id += 2
                client.send(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, fields), data(1, framed(get("k"))))
                assert (await client.answer(1)).status == 0


HEADERS = frames.frame(frames.HEADERS, 0, 1, block())
DRIPS = {
    "CONTINUATION frames": (HEADERS, frames.frame(frames.CONTINUATION, 0, 1, literal(b"a", b"b"))),
    "empty CONTINUATION frames": (HEADERS, frames.frame(frames.CONTINUATION, 0, 1, b"")),
    "a frame": (frames.header(4000, frames.HEADERS, frames.END_HEADERS, 1), b"\0"),
    "DATA frames": (
        frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block()),
        frames.frame(frames.DATA, 0, 1, b"\0"),
    ),
}


@pytest.mark.transport
async def test_no_slow_sender_outlives_the_time_for_a_request(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(receiving=0.3)) as here:

        async def drip(client: Client, drop: bytes) -> None:
            while not client.writer.is_closing():
                client.send(drop)
                await asyncio.sleep(0.02)

        async def outcome(beginning: bytes, drop: bytes) -> None:
            client = await here.connect()
            client.send(beginning)
            dripping = asyncio.create_task(drip(client, drop))
            while await client.read():
                if 1 in client.answers and (client.answers[1].is_ended or client.answers[1].reset):
                    break
            dripping.cancel()

        outcomes = await asyncio.gather(*(outcome(*sent) for sent in DRIPS.values()), return_exceptions=True)
        for name, end in zip(DRIPS, outcomes, strict=True):
            with subtests.test(name):
                assert end is None
        other = await here.connect()
        assert (await other.ask(GET, get("k"))).status == 0


@pytest.mark.transport
async def test_a_preface_that_arrives_slowly_is_not_waited_for(fast_clock: None, subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(preface=0.3)) as here:
        for name, greeting in {
            "preface": frames.PREFACE,
            "settings": frames.PREFACE + frames.settings({}) * 2,
        }.items():
            with subtests.test(name):
                client = await here.connect(greets=False)
                await here.until(lambda: len(here.listener.open) == 1, "the connection")
                for byte in greeting[:30]:
                    client.send(bytes([byte]))
                    await asyncio.sleep(0.05)
                    if not here.listener.open:
                        break
                assert not here.listener.open
