"""Redis' protocol, RESP: commands as bytes, and replies from bytes, which hiredis parses.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis
from hiredis import ProtocolError, PushNotification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Part = str | int | bytes

NOTHING: Final = object()
"""What hiredis returns when it has no whole reply."""
LARGE: Final = 1024 * 1024
"""If an unfinished reply has more bytes than this, its elements count: it may be one value, or very many small
elements.
"""
MAX_ELEMENTS: Final = 4 * 1024 * 1024
"""Maximum of bytes in a reply besides its values: parsed lists and numbers take twenty times as much memory."""

_LONG_LIST: Final = re.compile(rb"[*~>|][0-9]{7}")
"""The header of a list of millions, of any kind, unless it is a piece of a value."""
_find_long_array: Final = re.compile(rb"\*[0-9]{7}").search
_find_long_set: Final = re.compile(rb"~[0-9]{7}").search
_find_long_push: Final = re.compile(rb">[0-9]{7}").search
_find_long_attribute: Final = re.compile(rb"\|[0-9]{7}").search
_SET, _PUSH, _ATTRIBUTE, _LINE_END = b"~>|\n"
"""They are numbers, because Python finds a number in bytes four times as fast as a byte string."""
_CUT_HEADER: Final = re.compile(rb"[*~>|][0-9]{0,6}\Z")

_pack: Callable[[Any], bytes] = cast("Any", hiredis.pack_command)  # its stub allows only one part


def pack(*command: Part) -> bytes:
    """Return a command, or part of a pipeline, as it is sent."""
    return _pack(command)


def unpack(payload: bytes) -> list[list[bytes]]:
    """Return the commands that were packed into `payload`."""
    return list(ReplyReader().feed(payload))


class ReplyReader:
    """Parses replies from bytes, in pieces of any size. Replies that are errors are results too, of type ReplyError."""

    def __init__(self) -> None:
        self._parser = hiredis.Reader(notEnoughData=NOTHING)
        self._held = b""
        """The end of the received bytes, if it may be half the header of a list."""
        self._unfinished = 0
        """Bytes that came since the last whole reply."""
        self._buffered = 0
        """Unfinished bytes that hiredis has not parsed: it parses a value only when its end has come."""
        self._elements = 0
        """Unfinished bytes that hiredis has parsed into small elements."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield the complete replies; the caller must take all of them.

        Raises ProtocolError after the last reply if what follows is not a reply; nothing may be fed after that.
        """
        parser = self._parser
        if self._held or not data or data[-1] != _LINE_END:
            data = self._hold_cut_header(data)
        # Looks for the header of a list of millions, even within a value. Three searches for one character each are
        # much faster than one for any of them.
        may_be_long = (
            _find_long_array(data)
            or (_SET in data and _find_long_set(data))
            or (_PUSH in data and _find_long_push(data))
            or (_ATTRIBUTE in data and _find_long_attribute(data))
        )
        try:
            for part in self._before_long_lists(data) if may_be_long else (data,):
                parser.feed(part)
                if (reply := parser.gets()) is NOTHING:
                    self._check_unfinished(len(part))
                    continue
                self._unfinished = 0
                while reply is not NOTHING:
                    yield reply
                    reply = parser.gets()
        except (MemoryError, TypeError) as error:  # a list announced as very long; a list as the key of a map
            raise ProtocolError("a reply of impossible size or shape") from error

    def _hold_cut_header(self, data: bytes) -> bytes:
        """Return the bytes to parse now. The end is held back if it may be half a header: no whole reply ends so."""
        data = self._held + data
        cut = _CUT_HEADER.search(data, max(0, len(data) - 7))
        self._held = cut[0] if cut else b""
        return data[: cut.start()] if cut else data

    def _before_long_lists(self, data: bytes) -> Iterator[bytes]:
        """Yield the data in parts, cut before each text that may announce a list of millions of elements.

        Raises ProtocolError if it does announce one, and is not a piece of a value: hiredis would make all at once.
        """
        start = 0
        for found in _LONG_LIST.finditer(data):
            yield data[start : found.start()]
            start = found.start()
            if not self._parser.has_data():
                raise ProtocolError("a list of millions of elements")
        yield data[start:]

    def _check_unfinished(self, size: int) -> None:
        """Raise ProtocolError for a reply of too many elements."""
        self._unfinished += size
        buffered = self._parser.len()
        taken, self._buffered = self._buffered + size - buffered, buffered
        self._elements = self._elements + min(size, taken) if self._unfinished > LARGE else 0
        if self._elements > MAX_ELEMENTS:
            raise ProtocolError("a reply of too many elements")


class PushReader(ReplyReader):
    """Parses replies between which messages may come, as in RESP3: those of channels, and those about changed keys."""

    def __init__(self, on_push: Callable[[Sequence[Any]], object]):
        """`on_push` gets each message: its kind, `message` or `invalidate`, and what belongs to it."""
        super().__init__()
        self._on_push = on_push

    def feed(self, data: bytes) -> Iterator[Any]:
        for reply in super().feed(data):
            if isinstance(reply, PushNotification) and reply and reply[0] in _MESSAGES:
                self._on_push(reply)
            else:
                yield reply


_MESSAGES: Final = (b"message", b"invalidate")
