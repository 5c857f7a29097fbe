"""The HTTP/2 engine alone: bytes in, events out; answers in, bytes out."""

import pytest
from msgspec.structs import replace
from unit.pannier_sidecar.http2.http2_peer import (
    GREETING,
    HEADERS,
    LIMITS,
    TRAILERS,
    Event,
    Server,
    data,
    data_of,
    fields,
    headers,
    parsed,
)
from unit.tables import each_row

from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode, PrefaceError
from pannier_sidecar.http2.headers import literal
from pannier_sidecar.http2.output import FRAGMENT, MAX_QUEUED

PING = frames.frame(frames.PING, 0, 0, b"12345678")
GOAWAY, RST = frames.GOAWAY, frames.RST_STREAM
REQUEST = {b":method": b"POST", b":scheme": b"http", b":path": b"/a", b":authority": b"x"}


def greeted(server: Server | None = None, settings: dict[int, int] | None = None) -> Server:
    """A server that has exchanged prefaces and SETTINGS with a client."""
    server = server or Server()
    server.receive(frames.PREFACE, frames.settings(settings or {}))
    server.write()
    return server


def kinds(written: bytes) -> list[tuple[int, int]]:
    return [(one.kind, one.stream) for one in parsed(written)]


def error_of(frame: bytes) -> ErrorCode:
    """The content of the last RST_STREAM or GOAWAY that was written."""
    last = [one for one in parsed(frame) if one.kind in (GOAWAY, RST)][-1]
    at = 4 if last.kind == GOAWAY else 0
    return ErrorCode(int.from_bytes(last.payload[at : at + 4], "big"))


def test_a_server_says_its_limits_first() -> None:
    settings, window = parsed(Server().write())
    assert dict(frames.read_settings(settings.payload)) == {
        frames.MAX_CONCURRENT_STREAMS: LIMITS.streams,
        frames.INITIAL_WINDOW_SIZE: LIMITS.window,
        frames.MAX_HEADER_LIST_SIZE: LIMITS.header_list,
    }
    assert window.payload == (4 * LIMITS.window - frames.DEFAULT_WINDOW).to_bytes(4, "big")


def test_a_request_is_events_and_an_answer_is_bytes() -> None:
    server = greeted()
    server.receive(headers(1), data(1, b"he"), data(1, b"llo", ends=True))
    assert server.events == [("begun", 1, REQUEST), ("data", 1, b"he", False), ("data", 1, b"llo", True)]
    server.connection.send(1, HEADERS, b"good", TRAILERS)
    first, body, last = parsed(server.write())
    assert fields(first) == {":status": "200"} and not first.flags & frames.END_STREAM
    assert body.payload == b"good"
    assert fields(last) == {"is-well": "yes"} and last.flags & frames.END_STREAM
    assert server.events[-1] == ("closed", 1)


def test_an_answer_is_written_once_however_many_parts_it_has() -> None:
    server = greeted()
    server.receive(headers(1, ends=True), headers(3, ends=True))
    before = server.calls_to_write
    for stream in (1, 3):
        server.connection.send(stream, HEADERS, b"a", None)
        server.connection.send(stream, None, b"b", TRAILERS)
    assert server.calls_to_write == before + 1
    written = server.write()
    assert data_of(written, 1) == data_of(written, 3) == b"ab"


def test_a_request_without_a_body_is_whole_at_once() -> None:
    server = greeted()
    server.receive(headers(1, ends=True))
    assert server.events[1:] == [("data", 1, b"", True)]


def test_trailers_end_a_request() -> None:
    server = greeted()
    server.receive(headers(1), data(1, b"a"))
    trailers = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, literal(b"t", b"1"))
    server.receive(trailers)
    assert server.events[1:] == [("data", 1, b"a", False), ("data", 1, b"", True)]


def test_a_header_block_may_come_in_pieces() -> None:
    server = greeted()
    whole = headers(1, flags=0)
    block = whole[frames.HEADER_SIZE :]
    server.receive(frames.frame(frames.HEADERS, frames.END_STREAM, 1, block[:3]))
    assert server.connection.incomplete == frames.HEADER_SIZE + 3
    server.receive(frames.frame(frames.CONTINUATION, 0, 1, block[3:5]))
    server.receive(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[5:]))
    assert server.connection.incomplete == 0
    assert server.events == [("begun", 1, REQUEST), ("data", 1, b"", True)]


def test_incomplete_bytes_are_counted_and_distinguished_from_earlier_ones() -> None:
    server = greeted()
    frame = data(1, b"0123456789")
    assert server.receive(headers(1), frame[:4])
    assert server.connection.incomplete == 4
    assert not server.receive(frame[4:12])
    assert server.connection.incomplete == 12
    assert server.receive(frame[12:], frame[:1])
    assert server.connection.incomplete == 1
    assert server.receive(frame[1:])
    assert server.connection.incomplete == 0


def test_an_empty_header_block_that_does_not_end_is_incomplete_too() -> None:
    server = greeted()
    server.receive(frames.frame(frames.HEADERS, 0, 1))
    assert server.connection.incomplete > 0


@pytest.mark.parametrize("first", [True, False], ids=["of the stream", "of the connection"])
def test_data_beyond_the_windows_waits(first: bool) -> None:
    server = greeted(settings={frames.INITIAL_WINDOW_SIZE: 10 if first else 2**24})
    fits = 10 if first else frames.DEFAULT_WINDOW
    content = bytes(range(256)) * 800
    server.receive(headers(1, ends=True))
    server.connection.send(1, HEADERS, content, TRAILERS)
    assert data_of(server.write_all(), 1) == content[:fits]
    assert server.waiting == {1: len(content) - fits} and server.connection.output.queued == len(content) - fits
    assert server.connection.is_window_open(1) is not first
    for _ in range(3):
        server.receive(frames.window_update(1 if first else 0, 20_000))
        server.receive(frames.window_update(0 if first else 1, 20_000))
        server.write_all()
    assert len(data_of(server.written, 1)) == fits + 60_000 and 1 in server.open
    server.receive(frames.window_update(1 if first else 0, len(content)), frames.window_update(0, len(content)))
    server.write_all()
    assert data_of(server.written, 1) == content
    assert server.events[-1] == ("closed", 1) and server.connection.output.queued == 0


def test_settings_open_the_windows_of_all_streams() -> None:
    server = greeted(settings={frames.INITIAL_WINDOW_SIZE: 0})
    for stream in (1, 3):
        server.receive(headers(stream, ends=True))
        server.connection.send(stream, HEADERS, b"abc", TRAILERS)
    assert data_of(server.write_all(), 1) == b""
    server.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 3}))
    assert data_of(server.write_all(), 1) == data_of(server.written, 3) == b"abc"


def test_nothing_waits_in_the_transport_of_a_client_that_does_not_read() -> None:
    server = greeted()
    server.receive(headers(1, ends=True))
    server.connection.output.is_paused = True
    server.connection.send(1, HEADERS, b"abc", TRAILERS)
    assert kinds(server.write_all()) == [(frames.HEADERS, 1)]
    server.connection.output.is_paused = False
    server.connection.go_on()
    assert kinds(server.write_all()) == [(frames.DATA, 1), (frames.HEADERS, 1)]


def test_delayed_output_is_taken_in_bounded_parts() -> None:
    server = greeted(settings={frames.INITIAL_WINDOW_SIZE: 2**31 - 1})
    content = b"x" * 3_000_000
    server.receive(headers(1, ends=True))
    server.connection.send(1, HEADERS, content, TRAILERS)
    server.write_all()
    server.receive(frames.window_update(0, 2**31 - 1 - len(content)))
    sizes = []
    while server.connection.output.queued:
        sizes.append(len(data_of(server.write(), 1)))
        server.connection.go_on()
    server.write_all()
    assert max(sizes) <= MAX_QUEUED + frames.MAX_FRAME
    assert data_of(server.written, 1) == content


def test_a_window_of_a_few_bytes_waits_for_more_without_keeping_anybody_busy() -> None:
    server = greeted(settings={frames.INITIAL_WINDOW_SIZE: 2**31 - 1})
    content = b"x" * (frames.DEFAULT_WINDOW + 2000)
    for stream in (1, 3):
        server.receive(headers(stream, ends=True))
    server.connection.send(1, HEADERS, content, TRAILERS)
    server.connection.send(3, HEADERS, b"short", TRAILERS)
    server.write_all()
    server.receive(frames.window_update(0, FRAGMENT - 1))
    assert data_of(server.write_all(), 3) == b"short", "what fits is sent, though another stream waits"
    assert not server.connection.output.has_more
    server.receive(frames.window_update(0, 2000))
    server.write_all()
    assert data_of(server.written, 1) == content


def test_larger_frames_are_used_once_the_client_takes_them() -> None:
    server = greeted(settings={frames.MAX_FRAME_SIZE: 50_000})
    server.receive(headers(1, ends=True))
    server.connection.send(1, HEADERS, b"x" * 50_000, TRAILERS)
    assert kinds(server.write()) == [(frames.HEADERS, 1), (frames.DATA, 1), (frames.HEADERS, 1)]


def test_our_window_is_opened_again_as_data_comes() -> None:
    server = greeted(Server(replace(LIMITS, window=20_000)))
    opened = 4 * 20_000
    for stream in range(1, 30, 2):
        server.receive(headers(stream), data(stream, b"x" * 10_000, ends=True))
        server.connection.send(stream, HEADERS, b"", TRAILERS)
        updates = [one for one in parsed(server.write()) if one.kind == frames.WINDOW_UPDATE and one.stream == 0]
        opened += sum(int.from_bytes(one.payload, "big") for one in updates) - 10_000
        assert opened >= 2 * 20_000
    assert server.error is None


def test_more_than_a_streams_window_is_refused() -> None:
    server = greeted(Server(replace(LIMITS, window=10_000)))
    server.receive(headers(1), data(1, b"x" * 9000), data(1, b"x" * 1001))
    assert error_of(server.write()) is ErrorCode.FLOW_CONTROL_ERROR
    assert server.events[-1] == ("closed", 1) and server.error is None


@pytest.mark.parametrize("window", [1, 65_535 // 4, 2**29, 2**31 - 1, 2**40])
def test_windows_of_any_size_are_valid_in_http_2(window: int) -> None:
    settings, *updates = parsed(Server(replace(LIMITS, window=window)).write())
    assert dict(frames.read_settings(settings.payload))[frames.INITIAL_WINDOW_SIZE] == min(window, 2**31 - 1)
    opened = frames.DEFAULT_WINDOW + sum(int.from_bytes(one.payload, "big") for one in updates)
    assert all(any(one.payload) for one in updates)
    assert opened == min(max(4 * window, frames.DEFAULT_WINDOW), 2**31 - 1)


def test_streams_over_the_limit_are_refused_and_cost_nothing() -> None:
    server = greeted(Server(replace(LIMITS, resets=0)))
    for stream in range(1, 13, 2):
        server.receive(headers(stream))
    assert server.open == {1, 3, 5, 7}
    assert error_of(server.write()) is ErrorCode.REFUSED_STREAM and server.error is None


def test_resets_are_bounded_in_each_period() -> None:
    server = greeted(Server(replace(LIMITS, resets=5)))
    for stream in range(1, 21, 2):
        server.receive(headers(stream), frames.rst_stream(stream, ErrorCode.CANCEL))
        if stream == 9:
            server.connection.start_period()
    assert server.error is None
    server.receive(headers(21), frames.rst_stream(21, ErrorCode.CANCEL))
    assert server.error is not None and server.error.code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "frame",
    [PING, frames.settings({}), data(1, b""), data(1, b"1234"), frames.window_update(1, 1), frames.frame(99, 0, 0)],
    ids=["ping", "settings", "empty data", "little data", "small window", "unknown"],
)
def test_frames_that_carry_no_request_are_bounded_in_each_period(frame: bytes) -> None:
    server = greeted(Server(replace(LIMITS, idle_frames=10)))
    server.connection.start_period()
    server.receive(headers(1), frame * 10)
    assert server.error is None
    server.connection.start_period()
    server.receive(frame * 10)
    assert server.error is None
    server.receive(frame)
    assert server.error is not None and server.error.code is ErrorCode.ENHANCE_YOUR_CALM


def test_the_answer_to_a_ping_waits_only_for_the_answer_to_a_request() -> None:
    server = greeted()
    server.receive(PING)
    assert server.calls_to_write_late == 0 and kinds(server.write()) == [(frames.PING, 0)]
    server.receive(headers(1, ends=True), PING)
    assert server.calls_to_write_late == 1
    server.connection.send(1, HEADERS, b"a", TRAILERS)
    assert kinds(server.write())[-1] == (frames.PING, 0)


def test_a_wrong_length_is_refused_before_the_last_part_is_handled() -> None:
    server = greeted()
    server.receive(headers(1, ("content-length", "5")), data(1, b"abc"), data(1, b"d", ends=True))
    assert server.events[1:] == [("data", 1, b"abc", False), ("closed", 1)]
    assert error_of(server.write()) is ErrorCode.PROTOCOL_ERROR
    server.receive(headers(3, ("content-length", "5"), ends=True))
    assert len(server.events) == 3 and error_of(server.write()) is ErrorCode.PROTOCOL_ERROR
    server.receive(headers(5, ("content-length", "4")), data(5, b"abcd", ends=True))
    assert server.events[-1] == ("data", 5, b"abcd", True)


def test_an_answer_may_come_before_the_request_is_whole() -> None:
    def refuse(server: Server, event: Event) -> None:
        if event[0] == "begun":
            server.connection.end_stream(1, literal(b":status", b"400"))

    server = greeted(Server(answer=refuse))
    server.receive(headers(1), data(1, b"wanted by nobody"), data(1, b"", ends=True))
    assert [event[0] for event in server.events] == ["begun", "closed"]
    answer, reset = parsed(server.write())
    assert fields(answer) == {":status": "400"} and answer.flags & frames.END_STREAM
    assert reset.kind == RST and error_of(frames.rst_stream(1, ErrorCode.NO_ERROR)) is ErrorCode.NO_ERROR
    assert server.error is None


def test_a_long_last_block_is_sent_in_pieces() -> None:
    server = greeted()
    server.receive(headers(1, ends=True))
    server.connection.end_stream(1, literal(b"why", b"y" * 40_000))
    assert kinds(server.write()) == [(frames.HEADERS, 1), (frames.CONTINUATION, 1), (frames.CONTINUATION, 1)]


def test_nothing_is_sent_on_a_stream_that_is_closed() -> None:
    server = greeted()
    server.receive(headers(1, ends=True), frames.rst_stream(1, ErrorCode.CANCEL))
    server.connection.send(1, HEADERS, b"late", TRAILERS)
    server.connection.end_stream(1, b"")
    server.connection.send(7, HEADERS, b"never begun", TRAILERS)
    assert server.write() == b""


def test_after_a_shutdown_is_read_no_stream_is_taken() -> None:
    server = greeted()
    server.receive(headers(1))
    server.connection.announce_shutdown("bye")
    goaway, ping = parsed(server.write())
    assert goaway.payload[:4] == (2**31 - 1).to_bytes(4, "big") and goaway.payload.endswith(b"bye")
    server.receive(headers(3), frames.frame(frames.PING, frames.ACK, 0, b"not it.."))
    assert server.open == {1, 3} and not server.connection.has_read_shutdown
    server.receive(frames.frame(frames.PING, frames.ACK, 0, ping.payload))
    assert server.connection.has_read_shutdown
    server.connection.refuse_streams("bye")
    assert parsed(server.write())[0].payload[:4] == (3).to_bytes(4, "big")
    server.receive(headers(5), data(1, b"goes on", ends=True))
    assert server.open == {1, 3} and server.events[-1] == ("data", 1, b"goes on", True)
    assert error_of(server.write()) is ErrorCode.REFUSED_STREAM


def test_other_protocols_are_recognised_by_their_first_bytes() -> None:
    server = Server()
    server.receive(b"G")
    assert isinstance(server.error, PrefaceError)
    assert kinds(server.write())[-1] == (GOAWAY, 0)


@each_row("size", range(1, len(frames.PREFACE)))
def test_the_preface_may_come_in_two_pieces(size: int) -> None:
    server = Server()
    server.receive(GREETING[:size])
    assert server.connection.incomplete == size
    server.receive(GREETING[size:], headers(1))
    assert server.error is None and server.open == {1}


def test_after_an_error_nothing_is_read() -> None:
    server = greeted()
    server.receive(data(1, b"on no stream"), headers(3, ends=True))
    assert server.error is not None and server.error.code is ErrorCode.PROTOCOL_ERROR
    assert server.receive(headers(5)) and server.events == [] and server.connection.incomplete == 0
    assert error_of(server.write()) is ErrorCode.PROTOCOL_ERROR


def test_a_handler_may_end_the_connection() -> None:
    server = greeted(Server(answer=lambda server, _: server.connection.end(ErrorCode.NO_ERROR, "enough")))
    server.receive(headers(1), headers(3), data(1, b"a")[:5])
    assert [event[:2] for event in server.events] == [("begun", 1)] and server.connection.incomplete == 0


def test_closing_a_connection_closes_all_its_streams() -> None:
    server = greeted(settings={frames.INITIAL_WINDOW_SIZE: 0})
    server.receive(headers(1, ends=True), headers(3), data(3, b"a")[:7])
    server.connection.send(1, HEADERS, b"waits", TRAILERS)
    server.connection.close()
    assert server.open == set() and server.connection.output.queued == 0 and server.connection.incomplete == 0
    assert server.write() == b"" and not server.connection.output.has_more


def test_frames_of_every_kind_are_refused_where_they_may_not_be() -> None:
    for frame, code in (
        (frames.frame(frames.PUSH_PROMISE, 0, 1, b"\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.frame(frames.PING, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.CONTINUATION, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.WINDOW_UPDATE, 0, 9, b"\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
        (frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.rst_stream(9, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
        (headers(2), ErrorCode.PROTOCOL_ERROR),
        (frames.header(frames.MAX_FRAME + 1, frames.DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    ):
        server = greeted()
        server.receive(frame)
        assert server.error is not None and server.error.code is code, frame
    server = Server()
    server.receive(frames.PREFACE, PING)
    assert server.error is not None and server.error.code is ErrorCode.PROTOCOL_ERROR
    server = Server()
    server.receive(GREETING[: len(GREETING) - 1])
    assert server.error is None and server.connection.incomplete == frames.HEADER_SIZE - 1
