"""Splits the bytes from a server into frames of the native protocol, and reads every byte only once.

The driver copies all received bytes again for each frame, and continues after bytes that are not a frame. With some
megabytes of them that blocked its thread, and so the interpreter, for minutes. It also keeps a frame of any size.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from cassandra import DriverException
from cassandra.segment import CRC32_INITIAL, compute_crc24, compute_crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = Struct("!BBhBi")
_VERSIONS: Final = frozenset(0x80 | version for version in (3, 4, 5, 6, 0x41, 0x42))
"""The first byte of answers: versions from Cassandra 2.1 on, and those of DataStax Enterprise."""
_SEGMENT_HEADER: Final = 6
_LENGTH_BYTES: Final = 3
"""The length of a segment, in the lower 17 bits. A checksum of these bytes follows."""
_LENGTH: Final = 0x1FFFF
_CHECKSUM: Final = 4
_MIN_PART: Final = 1024
"""Minimum length of a segment that does not complete a frame: servers fill such segments."""


class ProtocolViolationError(DriverException):  # type: ignore[misc]  # it has no types
    """The server sent something that no Cassandra server sends."""


class Frame(NamedTuple):
    """A frame, with the names that the driver uses for the fields of its header."""

    version: int
    flags: int
    stream: int
    opcode: int
    body: bytes


class FrameReader:
    """Finds the frames in the bytes of one connection. From version 5 of the protocol on, segments contain them."""

    def __init__(self, limit: int):
        """`limit` is the maximum length of a frame's body, in bytes."""
        self._limit = limit
        self._is_segmented = False
        self._segments = bytearray()
        """Bytes of a segment that is not complete."""
        self._frames = bytearray()
        """Bytes of a frame that is not complete."""

    def begin_segments(self) -> None:
        """Expect segments after the last frame that was found."""
        self._is_segmented = True
        self._segments, self._frames = self._frames, bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Return the frames that are complete with `data`. Raises ProtocolViolationError."""
        if not self._is_segmented:
            self._frames += data
            yield from self._complete_frames()
            if not self._is_segmented:
                return
            data = b""
        self._segments += data
        while payload := self._complete_segment():
            self._frames += payload
            yield from self._complete_frames()
            if self._frames and len(payload) < _MIN_PART:
                raise ProtocolViolationError("a frame in many small segments")

    def _complete_frames(self) -> Iterator[Frame]:
        buffer = self._frames
        while len(buffer) >= _HEADER.size and buffer is self._frames:
            version, flags, stream, opcode, length = _HEADER.unpack_from(buffer)
            if version not in _VERSIONS:
                raise ProtocolViolationError("no frame")
            if not 0 <= length <= self._limit:
                raise ProtocolViolationError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_HEADER.size : end])
            del buffer[:end]
            yield Frame(version & 0x7F, flags, stream, opcode, body)

    def _complete_segment(self) -> bytes:
        """Return the content of the next segment, or nothing if the segment is not complete."""
        buffer = self._segments
        if len(buffer) < _SEGMENT_HEADER:
            return b""
        head = int.from_bytes(buffer[:_LENGTH_BYTES], "little")
        length = head & _LENGTH
        is_whole = compute_crc24(head, _LENGTH_BYTES) == _number(buffer, _LENGTH_BYTES, _SEGMENT_HEADER)
        if not is_whole or not length:
            raise ProtocolViolationError("no segment")
        end = _SEGMENT_HEADER + length
        if len(buffer) < end + _CHECKSUM:
            return b""
        payload = bytes(buffer[_SEGMENT_HEADER:end])
        if compute_crc32(payload, CRC32_INITIAL) != _number(buffer, end, end + _CHECKSUM):
            raise ProtocolViolationError("a segment with another checksum")
        del buffer[: end + _CHECKSUM]
        return payload


def _number(buffer: bytearray, start: int, end: int) -> int:
    return int.from_bytes(buffer[start:end], "little")
