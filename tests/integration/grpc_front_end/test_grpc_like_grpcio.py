"""Our port and grpcio's own server get the same bytes, and send the same bytes back on each stream."""

import asyncio
import gzip
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import pytest
from integration.grpc_front_end.grpc_wire import GET, SAVE, Answer, Client, data, framed, get, save, serving
from servers.grpc_protos import DAPR, methods
from servers.limits import grpc_limits

from pannier_sidecar.http2 import frames

INITIAL = frames.INITIAL_WINDOW_SIZE
STREAMS = 100
LIMIT = 32_768
OURS_ALONE = {"grpc-message"}
"""Headers that each server words differently, besides those about compression."""


class Peer:
    """grpcio's server with the same stored values."""

    def __init__(self) -> None:
        self._stored: dict[str, Any] = {}
        request, self._answer = methods(DAPR)[GET]
        method = grpc.unary_unary_rpc_method_handler(self._get, request.FromString, self._answer.SerializeToString)
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", LIMIT)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(DAPR, {GET: method}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _get(self, request: Any, context: Any) -> Any:
        return self._stored.get(request.key) or self._answer()

    def store(self, key: str, framed_answer: bytes) -> None:
        self._stored[key] = self._answer.FromString(framed_answer[5:])

    def close(self) -> None:
        self._server.stop(None).wait(20)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def in_pieces(chance: random.Random, stream: int, content: bytes) -> list[bytes]:
    """DATA frames of a request, some of them empty. No padding: grpcio does not take it."""
    pieces = []
    while content:
        size = chance.choice([0, 1, 7, 60])
        pieces.append(content[:size])
        content = content[size:]
    if chance.random() < 0.3:
        pieces.append(b"")
    last = len(pieces) - 1
    return [
        frames.frame(frames.DATA, frames.END_STREAM if number == last else 0, stream, piece)
        for number, piece in enumerate(pieces)
    ]


async def play(port: int, requests: list[bytes], seed: int) -> list[Answer]:
    """Send all requests in interleaved pieces, and open windows by what has arrived and by chance."""
    chance = random.Random(seed)
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    client.send(frames.PREFACE, frames.settings({INITIAL: 1000}))
    waiting = {}
    for request in requests:
        stream = client.begin(GET)
        waiting[stream] = in_pieces(chance, stream, framed(request))
    streams, granted = list(waiting), dict.fromkeys(waiting, 0)
    while waiting:
        stream = chance.choice(list(waiting))
        client.send(waiting[stream].pop(0))
        if not waiting[stream]:
            del waiting[stream]
    while open_ones := [stream for stream in streams if not has_ended(client, stream)]:
        assert await client.read()
        least = max(open_ones, key=lambda stream: taken(client, stream) - granted[stream])
        for stream in [*filter(partial(has_ended, client), streams), *chance.sample(streams, 5), least]:
            step = taken(client, stream) - granted[stream]
            if step > 0:
                client.send(frames.window_update(0, step), frames.window_update(stream, step))
                granted[stream] += step
    await client.close()
    return [client.answers[stream] for stream in streams]


def has_ended(client: Client, stream: int) -> bool:
    return stream in client.answers and client.answers[stream].is_ended


def taken(client: Client, stream: int) -> int:
    return len(client.answers[stream].data) if stream in client.answers else 0


def shown(answer: Answer) -> tuple[dict[str, str], bytes, int | None]:
    """The content of an answer, without compression and wording."""
    headers = {
        name: value for name, value in answer.headers.items() if name not in OURS_ALONE and "encoding" not in name
    }
    return headers, answer.data, answer.reset or None  # NO_ERROR: grpcio answers before it has read the last frame


@pytest.mark.parametrize("seed", range(3))
async def test_a_hundred_streams_at_once_are_answered_alike(peer: Peer, seed: int) -> None:
    chance = random.Random(seed)
    values = {f"k{number}": chance.randbytes(chance.choice([0, 1, 999, 3_000, 20_000])) for number in range(STREAMS)}
    async with serving() as here:
        client = await here.connect({INITIAL: 2**20})
        client.send(frames.window_update(0, 2**24))
        for key, value in values.items():
            await client.ask(SAVE, save(key, value))
            found = await client.ask(GET, get(key))
            peer.store(key, found.data)
        requests = [get(key) for key in chance.sample([*values, "none", "nor this"], STREAMS)]
        ours, theirs = [await play(port, requests, seed) for port in (here.port, peer.port)]
        assert [shown(answer) for answer in ours] == [shown(answer) for answer in theirs]


REQUESTS = {
    "a call that is well": ((), framed(get("k"))),
    "no message": ((), b""),
    "a message over the limit": ((), framed(b"x" * 40_000)),
    "no protobuf": ((), framed(b"\xff\xff\xff")),
    "gzip": ((("grpc-encoding", "gzip"),), framed(gzip.compress(get("k")), is_compressed=True)),
    "no gzip": ((("grpc-encoding", "gzip"),), framed(b"no gzip", is_compressed=True)),
    "a suffix of its type": ((("content-type", "application/grpc+proto"),), framed(get("k"))),
    "metadata": ((("x-trace", "1"), ("x-bytes-bin", "AAEC")), framed(get("k"))),
    "a deadline": ((("grpc-timeout", "20S"),), framed(get("k"))),
}


async def test_requests_end_alike(peer: Peer, subtests: pytest.Subtests) -> None:
    async with serving(limits=grpc_limits(message=LIMIT)) as here:
        for name, (extra, content) in REQUESTS.items():
            with subtests.test(name):
                answers = []
                for port in (here.port, peer.port):
                    client = Client(*await asyncio.open_connection("127.0.0.1", port))
                    client.send(frames.PREFACE, frames.settings({}))
                    stream = client.begin(GET, *extra)
                    client.send(data(stream, content))
                    answers.append(shown(await client.answer(stream)))
                    await client.close()
                assert answers[0] == answers[1]
