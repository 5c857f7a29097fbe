"""Cuts received bytes, which come in pieces of any size, into whole frames (RFC 9113, 3.4 and 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .frames import (
    END_HEADERS,
    HEADER_SIZE,
    HEADERS,
    MAX_FRAME,
    MAX_WINDOW,
    PREFACE,
    ErrorCode,
    Http2ConnectionError,
    PrefaceError,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _take_none(stream_id: int, data: bytes, start: int, end: int) -> int:
    return 0


class FrameReader:
    """Reads frames, and keeps the bytes of an incomplete one."""

    __slots__ = ("_has_preface", "is_stopped", "rest")

    def __init__(self) -> None:
        self.rest = b""
        """Bytes of an incomplete frame."""
        self.is_stopped = False
        self._has_preface = False

    def read(
        self,
        data: bytes,
        take: Callable[[int, int, int, bytes], None],
        take_request: Callable[[int, bytes, int, int], int] = _take_none,
    ) -> bool:
        """Call `take` with the type, flags, stream and payload of each whole frame, until `stop` is called.

        HEADERS that may begin a whole request go to `take_request` first, with their stream, all data, and the start
        and end of their payload. It returns the position behind the frames that it took, 0 if it took none.

        Return whether a whole frame or the preface was read. Raises Http2ConnectionError.
        """
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        if not self._has_preface:
            at = self._read_preface(data)
            end = end if at else 0  # no frame is read before the whole preface
        while end - at >= HEADER_SIZE and not self.is_stopped:
            upper, lower, kind, flags, stream_id = read_header(data, at)
            size = upper << 8 | lower
            if size > MAX_FRAME:
                raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            start = at + HEADER_SIZE
            if end < start + size:
                break
            at = start + size
            if kind == HEADERS and flags == END_HEADERS:
                taken = take_request(stream_id, data, start, at)
                if taken:
                    at = taken
                    continue
            take(kind, flags, stream_id & MAX_WINDOW, data[start:at])
        self.rest = b"" if self.is_stopped else data[at:]
        return at > 0

    def stop(self) -> None:
        """Read no more."""
        self.is_stopped = True
        self.rest = b""

    def _read_preface(self, data: bytes) -> int:
        size = min(len(data), len(PREFACE))
        if data[:size] != PREFACE[:size]:
            raise PrefaceError
        self._has_preface = size == len(PREFACE)
        return size if self._has_preface else 0
