"""The HTTP/2 engine without a server: a client's frames go in, and its calls and output are recorded."""

from collections.abc import Callable
from dataclasses import dataclass, field

import hpack

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.connection import Http2Connection
from pannier_sidecar.http2.frames import Http2ConnectionError, Prepared
from pannier_sidecar.http2.headers import Headers, literal
from pannier_sidecar.http2.limits import Limits

LIMITS = Limits(streams=4, window=70_000, header_list=4_000, resets=20, idle_frames=200, least_data=5)
HEADERS = Prepared(frames.HEADERS, frames.END_HEADERS, literal(b":status", b"200"))
TRAILERS = Prepared(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, literal(b"is-well", b"yes"))
GREETING = frames.PREFACE + frames.settings({})
FIELDS = ((":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "x"))

Event = tuple[object, ...]
Answer = Callable[["Server", Event], None]
"""A server's reaction when a request begins or its data arrives."""


def no_answer(server: "Server", event: Event) -> None: ...


class Server:
    """Handler and writer: records events, and answers as the test says."""

    def __init__(self, limits: Limits = LIMITS, answer: Answer = no_answer):
        self.events: list[Event] = []
        self.open: set[int] = set()
        self.whole: set[int] = set()
        """Open streams whose requests are unfinished."""
        self.waiting: dict[int, int] = {}
        """Reported bytes that wait on each open stream."""
        self.calls_to_write = self.calls_to_write_late = 0
        self.written = self.now = b""
        self.error: Http2ConnectionError | None = None
        self._answer = answer
        self.connection = Http2Connection(limits, self, self)
        self.connection.start()

    def receive(self, *data: bytes) -> bool:
        """Receive bytes; an error ends the connection, as it should."""
        try:
            return self.connection.receive(b"".join(data))
        except Http2ConnectionError as error:
            assert self.error is None
            self.error = error
            self.connection.end(error.code, str(error))
            return True

    def write(self) -> bytes:
        """Write the output that is due now, and return it."""
        data, self.now = self.now + self.connection.output.take(), b""
        self.written += data
        return data

    def write_all(self) -> bytes:
        """Write until there is nothing more to write."""
        start = len(self.written)
        while self.write() or self.connection.output.has_more:
            self.connection.go_on()
        return self.written[start:]

    def request_begun(self, stream_id: int, headers: Headers) -> None:
        assert stream_id not in self.open
        self.open.add(stream_id)
        self._happened(("begun", stream_id, dict(headers)))

    def data_arrived(self, stream_id: int, data: bytes, is_last: bool) -> None:
        assert stream_id in self.open and stream_id not in self.whole
        if is_last:
            self.whole.add(stream_id)
        self._happened(("data", stream_id, data, is_last))

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        self._answer(self, event)

    def data_queued(self, stream_id: int, size: int) -> None:
        assert stream_id in self.open and size > 0
        self.waiting[stream_id] = self.waiting.get(stream_id, 0) + size

    def data_dequeued(self, stream_id: int, size: int) -> None:
        assert stream_id in self.open and 0 < size <= self.waiting[stream_id]
        self.waiting[stream_id] -= size

    def stream_closed(self, stream_id: int) -> None:
        self.open.remove(stream_id)
        self.whole.discard(stream_id)
        self.waiting.pop(stream_id, None)
        self.events.append(("closed", stream_id))

    def output_ready(self) -> None:
        self.calls_to_write += 1

    def write_now(self, data: bytes) -> None:
        assert not self.connection.output.take()
        self.now += data

    def output_may_wait(self) -> None:
        self.calls_to_write_late += 1


@dataclass(frozen=True)
class Frame:
    """One frame of what a server wrote."""

    kind: int
    flags: int
    stream: int
    payload: bytes = field(repr=False)


def parsed(data: bytes) -> list[Frame]:
    """The frames in a server's output, which must be complete."""
    found, at = [], 0
    while at < len(data):
        upper, lower, kind, flags, stream = frames.read_header(data, at)
        end = at + frames.HEADER_SIZE + (upper << 8 | lower)
        assert end <= len(data)
        found.append(Frame(kind, flags, stream, data[at + frames.HEADER_SIZE : end]))
        at = end
    return found


def data_of(written: bytes, stream: int) -> bytes:
    return b"".join(one.payload for one in parsed(written) if one.kind == frames.DATA and one.stream == stream)


def headers(stream: int, *extra: tuple[str, str], ends: bool = False, flags: int = frames.END_HEADERS) -> bytes:
    """HEADERS of a request; without compression, so that requests may come in any order."""
    block = b"".join(literal(name.encode(), value.encode()) for name, value in (*FIELDS, *extra))
    return frames.frame(frames.HEADERS, flags | (frames.END_STREAM if ends else 0), stream, block)


def data(stream: int, content: bytes, *, ends: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if ends else 0, stream, content)


def fields(frame: Frame) -> dict[str, str]:
    """The fields of a header block that a server wrote: it uses no dynamic table."""
    return {str(name): str(value) for name, value in hpack.Decoder().decode(frame.payload)}
