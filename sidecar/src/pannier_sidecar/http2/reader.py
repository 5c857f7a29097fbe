"""From bytes as they come in, in pieces of any size, to whole frames (RFC 9113, 3.4 and 4.1)."""

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
    """What has come in of a frame that is not whole yet."""

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
        """Give `take` the type, flags, stream and payload of each frame that is whole, until `stop` is called.

        Before, `take_request` is given HEADERS that may be followed by a whole request's DATA: their stream, all data,
        and where their payload starts and ends. It returns where what it has taken ends, 0 if it has taken nothing.

        Return whether anything was whole, a frame or the preface. Raises Http2ConnectionError.
        """
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        if not self._has_preface:
            at = self._read_preface(data)
            end = end if at else 0  # no frame is read before all of it has come
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
