"""Checks of a single frame: its stream and its size (RFC 9113, 6)."""

from __future__ import annotations

from typing import Final

from . import frames
from .frames import MAX_FRAME, MAX_WINDOW, ErrorCode, Http2ConnectionError, Http2StreamError

_NAMES: Final = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS"),
    *("PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)
_SIZES: Final = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_OF_A_STREAM: Final = (frames.PRIORITY, frames.RST_STREAM)
_OF_NO_STREAM: Final = (frames.SETTINGS, frames.PING, frames.GOAWAY)


def check_form(kind: int, flags: int, stream_id: int, size: int) -> None:
    """Raise Http2ConnectionError or Http2StreamError for a frame that no client may send. Do not call it for DATA or
    HEADERS.
    """
    if kind == frames.PUSH_PROMISE:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a client promises nothing")
    if kind in (_OF_NO_STREAM if stream_id else _OF_A_STREAM):
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"{_NAMES[kind]} on stream {stream_id}")
    if not _fits(kind, flags, size):
        if kind == frames.PRIORITY:
            raise Http2StreamError(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"{_NAMES[kind]} of {size} bytes")


def _fits(kind: int, flags: int, size: int) -> bool:
    if kind == frames.SETTINGS:
        return size == 0 if flags & frames.ACK else size % 6 == 0
    if kind == frames.GOAWAY:
        return size >= 8
    return size == _SIZES.get(kind, size)


def check_priority(stream_id: int, payload: bytes) -> None:
    """Raise Http2StreamError if a stream would depend on itself, Http2ConnectionError if there are too few bytes."""
    if len(payload) != 5:
        raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
    if int.from_bytes(payload[:4], "big") & MAX_WINDOW == stream_id:
        raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)


def check_setting(number: int, value: int) -> None:
    """Raise Http2ConnectionError for a value that a setting cannot have (RFC 9113, 6.5.2)."""
    if number == frames.ENABLE_PUSH and value > 1:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
    if number == frames.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
        raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is over 2^31-1")
    if number == frames.MAX_FRAME_SIZE and not MAX_FRAME <= value <= 2**24 - 1:
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
