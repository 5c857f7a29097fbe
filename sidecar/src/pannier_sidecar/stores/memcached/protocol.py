"""Parses the replies of memcached's text protocol.

https://docs.memcached.org/protocols/basic/ and https://docs.memcached.org/protocols/meta/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Reply = bytes | tuple[bytes, bytes]
"""The line of a reply, or the line and the value that comes with it."""

MAX_LINE: Final = 64 * 1024
"""Bytes of one line of a reply. Servers send less than a tenth of this, and a line without end must not be kept."""
MAX_STATS: Final = 4096
"""Statistics that a server may report. Servers report some hundred, and a few for each thread."""
MAX_ITEM: Final = 1024 * 1024 * 1024
"""Bytes of an item: the largest limit that a server can be given (`-I`)."""
_NOT_UNDERSTOOD: Final = (b"CLIENT_ERROR", b"ERROR")


class ProtocolError(ValueError):
    """Bytes that are not a reply of memcached."""


class NotUnderstoodError(ProtocolError):
    """The server did not understand a command, so it may take a value that follows for the next command."""


class ReplyReader:
    """Parses replies from bytes, in pieces of any size."""

    def __init__(self) -> None:
        self.stats: dict[str, str] = {}
        """What the server reported to `stats`; only the last line of that is yielded as a reply."""
        self._stat_lines = 0
        self._chunks: list[bytes] = []
        """The beginning of an incomplete reply."""
        self._missing = 0
        """Minimum number of missing bytes. Until they have come, the pieces of a large value are not joined."""

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that are complete; the caller must take all of them.

        Raises ProtocolError after the last reply if what follows is not a reply; nothing may be fed after that.
        """
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        start, size, self._missing = 0, len(data), 1
        while (end := data.find(b"\r\n", start)) >= 0:
            after = end + 2
            if data.startswith(b"VA ", start):
                value_end = after + _value_size(data[start + 3 : end])
                if value_end + 2 > size:
                    self._missing = value_end + 2 - size
                    break
                if data[value_end : value_end + 2] != b"\r\n":
                    raise ProtocolError("a value of another size than announced")
                yield data[start:end], data[after:value_end]
                after = value_end + 2
            elif data.startswith(b"STAT ", start):
                self._record_stat(data[start:end])
            else:
                reply = data[start:end]
                yield reply
                if reply.startswith(_NOT_UNDERSTOOD):
                    raise NotUnderstoodError
            start = after
        if end < 0 and size - start > MAX_LINE:
            raise ProtocolError("a line without end")
        if start < size:
            self._chunks.append(data[start:] if start else data)

    def _record_stat(self, line: bytes) -> None:
        _, name, *value = line.decode("latin-1").split(" ", 2)
        self._stat_lines += 1
        if not value or len(line) > MAX_LINE or self._stat_lines > MAX_STATS:
            raise ProtocolError("no figure of a server, or too many")
        self.stats[name] = value[0]


def _value_size(rest: bytes) -> int:
    """Return the bytes of the value that a line announces, from what follows its first word."""
    try:
        size = int(rest.split(b" ", 1)[0])
    except ValueError:
        size = -1
    if not 0 <= size <= MAX_ITEM:
        raise ProtocolError("no size of a value")
    return size
