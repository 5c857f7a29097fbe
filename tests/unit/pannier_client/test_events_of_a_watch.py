"""The events of a watch: read from pieces of any size, and gone on with after a lost connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from unit.tables import each_row

from pannier.client import RefusedError, UnreachableError
from pannier.client.calls import Calls, LostError, NotSentError, Reply
from pannier.client.events import Event, WatchStream

SENT = (
    b"retry: 1000\n\n"
    b'id: e.1\nevent: state\ndata: {"key":"a","etag":"1","value":{"x":\ndata: 1}}\n\n'
    b"id: e.1\nevent: ready\ndata: {}\n\n"
    b": a comment\n\n"
    b'id: e.2\r\nevent: change\r\ndata: {"key":"b","etag":"2","base64":"AAE="'
    b',"metadata":{"ttlExpireTime":"2026-11-28T10:00:00Z"}}\r\n\r\n'
    b'id: e.3\nevent: change\ndata: {"key":"c","etag":"3","value":"\xe2\x80\xa8\x0b\xc2\x85"}\n\n'
    b'id: e.4\nevent: change\ndata: {"key":"d","etag":"4","error":"too large"}\n\n'
    b'id: e.5\nevent: news\ndata: {"of": "a later sidecar"}\n\n'
    b'id: e.6\nevent: delete\ndata: {"key":"a"}\n\n'
    b'id: e.7\nevent: reset\ndata: {"reason":"too slow"}\n\n'
    b'id: e.8\nevent: beat\ndata: {"late": 3.5}\n\n'
    b'id: e.9\nevent: change\ndata: {"key":"unfinished'
).replace(b"\x0b", b"\\u000b")
READ = [
    Event("state", "e.1", "a", "1", {"x": 1}),
    Event("ready", "e.1"),
    Event("change", "e.2", "b", "2", b"\0\1", datetime(2026, 11, 28, 10, tzinfo=UTC)),
    Event("change", "e.3", "c", "3", "\u2028\x0b\x85"),
    Event("change", "e.4", "d", "4", reason="too large"),
    Event("delete", "e.6", "a"),
    Event("reset", "e.7", reason="too slow"),
    Event("beat", "e.8", late=3.5),
]


def stream(since: str = "", retries: int = 2) -> WatchStream:
    return WatchStream(Calls("orders", retries).watch("a b", True), since, retries)


@each_row("size", [1, 2, 3, 7, 64, 10_000])
def test_events_come_in_pieces_of_any_size(size: int) -> None:
    watch = stream()
    pieces = [SENT[at : at + size] for at in range(0, len(SENT), size)]
    assert [event for piece in pieces for event in watch.feed(piece)] == READ


def test_it_goes_on_after_the_last_event() -> None:
    watch = stream()
    first = watch.arguments()
    assert first["url"] == "/v1.0-alpha1/state/orders/watch"
    assert first["params"] == {"prefix": "a b", "values": "true"}
    assert "last-event-id" not in first["headers"]
    list(watch.feed(SENT))
    assert watch.arguments()["headers"]["last-event-id"] == "e.8"
    assert [event.key for event in watch.feed(b'id: e.9\nevent: delete\ndata: {"key":"z"}\n\n')] == ["z"]
    assert stream(since="x.1").arguments()["headers"]["last-event-id"] == "x.1"


def test_an_error_of_the_sidecar_ends_it() -> None:
    sent = b'event: error\ndata: {"errorCode":"ERR_STATE_STORE_NOT_FOUND","message":"gone"}\n\n'
    with pytest.raises(RefusedError, match="gone") as refused:
        list(stream().feed(sent))
    assert refused.value.error_code == "ERR_STATE_STORE_NOT_FOUND"


def test_one_that_has_not_begun_is_tried_as_often_as_a_call_and_one_that_has_for_ever() -> None:
    overloaded = Reply(503, {"retry-after": "3"}, b'{"errorCode":"ERR_OVERLOADED","message":"wait"}')
    wrong = Reply(400, {}, b'{"errorCode":"ERR_MALFORMED_REQUEST","message":"since"}')
    watch = stream(retries=1)
    watch.refuse(overloaded)
    assert watch.pause() == 3.0
    with pytest.raises(UnreachableError, match="nobody"):
        watch.lose(NotSentError("nobody"))
    watch = stream(retries=0)
    list(watch.feed(SENT))
    for _ in range(100):
        watch.arguments()
        watch.lose(LostError("cut"))
        assert 0 < watch.pause() <= 5
        watch.refuse(overloaded)
    with pytest.raises(RefusedError):
        watch.refuse(wrong)
