"""The HTTP/2 engine alone, with bytes and frames of any kind, in pieces of any size."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.pannier_sidecar.http2.http2_peer import (
    GREETING,
    HEADERS,
    LIMITS,
    TRAILERS,
    Event,
    Server,
    data,
    headers,
    parsed,
)

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode
from pannier_sidecar.http2.headers import literal

STREAMS = st.integers(0, 9)
SIZES = st.sampled_from([0, 1, 4, 5, 100, 5000, 16_384])
WINDOWS = st.sampled_from([0, 1, 100, 1024, 65_535, 2**20, 2**31 - 1])
NUMBERS = (frames.INITIAL_WINDOW_SIZE, frames.MAX_FRAME_SIZE, frames.ENABLE_PUSH, frames.HEADER_TABLE_SIZE, 99)

REQUESTS = st.builds(headers, STREAMS, ends=st.booleans())
IN_PIECES = st.builds(
    lambda stream, at: [
        frames.frame(frames.HEADERS, 0, stream, headers(stream)[9 : 9 + at]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream, headers(stream)[9 + at :]),
    ],
    st.integers(0, 4).map(lambda number: 2 * number + 1),
    st.integers(0, 20),
)
LIKELY = st.one_of(
    REQUESTS.map(lambda frame: [frame]),
    IN_PIECES,
    st.builds(lambda stream, size, ends: [data(stream, b"d" * size, ends=ends)], STREAMS, SIZES, st.booleans()),
    st.builds(lambda stream, by: [frames.window_update(stream, by)], STREAMS, WINDOWS),
    st.builds(lambda values: [frames.settings(values)], st.dictionaries(st.sampled_from(NUMBERS), WINDOWS, max_size=2)),
    st.builds(lambda stream, code: [frames.rst_stream(stream, code)], STREAMS, st.sampled_from(ErrorCode)),
    st.builds(lambda flags: [frames.frame(frames.PING, flags, 0, b"draining")], st.integers(0, 1)),
    st.just([frames.goaway(0, ErrorCode.NO_ERROR)]),
)
UNLIKELY = st.builds(
    lambda kind, flags, stream, payload: [frames.frame(kind, flags, stream, payload)],
    st.integers(0, 12),
    st.integers(0, 255),
    STREAMS,
    st.binary(max_size=20),
)
CUTS = st.lists(st.integers(0, 2**20), max_size=12)
END_STREAM = frames.END_STREAM

Step = tuple[str, int, int]
"""A step of a test: what happens, on which open stream, and how much."""
LIKELY_STEPS = st.tuples(
    st.sampled_from(["begin", "begin", "data", "data", "end", "reset", "open", "open all", "window", "ping"])
    | st.sampled_from(["stall", "go on", "write", "period"]),
    st.integers(0, 3),
    st.sampled_from([1, 100, 3000, 16_384]),
)


class Client:
    """A client that keeps the rules of RFC 9113, whatever the step."""

    def __init__(self) -> None:
        self.next_id = 1
        self.opened = 0

    def frames(self, step: Step, server: Server) -> Iterable[bytes]:
        """The frames of a step; it first changes the state of the server's transport."""
        what, number, size = step
        self._transport(what, server)
        unfinished = sorted(server.open - server.whole)
        stream = unfinished[number % len(unfinished)] if unfinished else None
        if what == "begin" and self.next_id < 2000:
            self.next_id += 2
            yield headers(self.next_id, ends=size == 1)
        elif what == "open all":
            self.opened += size
            yield frames.window_update(0, size)
        elif what == "window":
            yield frames.settings({frames.INITIAL_WINDOW_SIZE: 20 * size})
        elif what == "ping":
            yield frames.frame(frames.PING, 0, 0, b"12345678")
        elif stream is not None and what in ("data", "end"):
            yield data(stream, b"d" * min(size, 3000), ends=what == "end")
        elif stream is not None and what == "reset":
            yield frames.rst_stream(stream, ErrorCode.CANCEL)
        elif what == "open" and server.open:
            yield frames.window_update(sorted(server.open)[number % len(server.open)], size)

    def _transport(self, what: str, server: Server) -> None:
        output = server.connection.output
        if what in ("stall", "go on"):
            output.is_paused = what == "stall"
            server.connection.go_on()
        elif what == "write":
            server.write()
        elif what == "period":
            server.connection.start_period()


def answer_of_many_kinds(server: Server, event: Event) -> None:
    """Answer in a way that depends only on the stream: at once, at the end, in parts, by a reset, or never."""
    kind, stream = event[0], event[1]
    assert isinstance(stream, int)
    connection, is_last, by = server.connection, kind == "data" and event[3], stream % 10
    if by == 1 and is_last:
        connection.send(stream, HEADERS, b"a" * 100_000, TRAILERS)
    elif by == 3 and kind == "begun":
        connection.end_stream(stream, literal(b":status", b"400"))
    elif by == 5 and kind == "data":
        connection.send(stream, None, b"part" * 1000, TRAILERS if is_last else None)
    elif by == 7 and kind == "data":
        connection.reset(stream, ErrorCode.CANCEL)
    elif by == 9 and is_last:
        connection.send(stream, HEADERS, b"", TRAILERS)


def pieces(content: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[start:end] for start, end in pairwise(places)]


def fed(parts: Iterable[bytes]) -> Server:
    server = Server(answer=answer_of_many_kinds)
    for part in parts:
        server.receive(part)
    server.write_all()
    return server


def check(server: Server, opened: int) -> None:
    """Assert the invariants after any input in which the client has opened the connection's window by this much."""
    assert len(server.open) <= LIMITS.streams
    assert sum(server.waiting.values()) == server.connection.output.queued
    assert server.connection.incomplete <= frames.HEADER_SIZE + LIMITS.header_list + 2 * frames.MAX_FRAME
    written = parsed(server.written)
    assert sum(len(one.payload) for one in written if one.kind == frames.DATA) <= frames.DEFAULT_WINDOW + opened
    ended = [one.stream for one in written if one.kind in (frames.DATA, frames.HEADERS) and one.flags & END_STREAM]
    assert len(ended) == len(set(ended))
    begun = [event[1] for event in server.events if event[0] == "begun"]
    closed = [event[1] for event in server.events if event[0] == "closed"]
    assert len(begun) == len(set(begun)) and set(closed) == set(begun) - server.open
    server.connection.close()
    assert not server.open and server.connection.output.queued == 0


@given(st.binary(max_size=300), st.booleans(), CUTS)
def test_any_bytes_are_read_or_end_the_connection(content: bytes, is_greeted: bool, cuts: list[int]) -> None:
    content = GREETING + content if is_greeted else content
    whole, split = fed([content]), fed(pieces(content, cuts))
    agree(whole, split)
    check(whole, 2**40)


@given(st.lists(LIKELY | UNLIKELY, max_size=20), CUTS)
def test_frames_in_any_pieces_cause_the_same_events(parts: list[list[bytes]], cuts: list[int]) -> None:
    content = GREETING + b"".join(frame for part in parts for frame in part)
    whole, split = fed([content]), fed(pieces(content, cuts))
    agree(whole, split)
    check(split, 2**40)


def agree(one: Server, other: Server) -> None:
    assert one.events == other.events
    assert one.written == other.written
    assert repr(one.error) == repr(other.error)
    assert one.connection.incomplete == other.connection.incomplete


@given(st.lists(LIKELY_STEPS, max_size=60))
def test_a_client_that_keeps_the_rules_is_never_disconnected(steps: list[Step]) -> None:
    """Frames that fit the state of the connection, and a transport that stalls and continues."""
    server = Server(answer=answer_of_many_kinds)
    server.receive(GREETING)
    client = Client()
    for step in steps:
        for frame in client.frames(step, server):
            server.receive(frame)
    server.connection.output.is_paused = False
    server.connection.go_on()
    server.write_all()
    assert server.error is None, server.error
    check(server, client.opened)


REQUEST = st.tuples(
    st.sampled_from((2, 2, 2, 2, 4, 1, 0, -2)),  # how much higher the stream is than the one before
    st.sampled_from((0, 5, 5, 5, 100, 5000, 16_384)),
    st.sampled_from(((),) * 6 + ((("content-length", "5"),), (("a", "b"),))),
    st.sampled_from((END_STREAM,) * 6 + (0, END_STREAM | frames.PADDED)),
    st.sampled_from((0,) * 6 + (2,)),  # how much higher the stream of its DATA is
)
"""A request in two frames, or something like it."""


def answer_or_end(server: Server, event: Event) -> None:
    """Answer in one of many ways; some streams end the connection, or are the last ones that it takes."""
    kind, stream = event[0], event[1]
    assert isinstance(stream, int)
    connection = server.connection
    if stream == 41 and kind == "begun":
        connection.end(ErrorCode.NO_ERROR, "enough")
    elif stream in (25, 31) and kind == ("begun" if stream == 25 else "data"):
        connection.refuse_streams("enough")
    elif stream % 10 == 1 and kind == "data" and event[3]:
        connection.send(stream, HEADERS, b"a" * 100, TRAILERS)
    else:
        answer_of_many_kinds(server, event)


@settings(max_examples=300)
@given(st.lists(REQUEST, max_size=30), st.integers(0, 40))
def test_requests_of_one_piece_cause_the_same_events(
    requests: list[tuple[int, int, Any, int, int]], first: int
) -> None:
    sent, stream = [headers(1), data(1, b"", ends=True)], first
    for more, size, extra, flags, aside in requests:
        stream = max(stream + more, 0)
        sent += [headers(stream, *extra), frames.frame(frames.DATA, flags, stream + aside, b"\1" * size)]
    whole, split = [Server(answer=answer_or_end) for _ in range(2)]
    whole.receive(GREETING)
    whole.receive(b"".join(sent))
    for part in (GREETING, *sent):
        split.receive(part)
    whole.write_all()
    split.write_all()
    agree(whole, split)
    check(whole, 0)
