"""The client library's protocol, protected from what PostgreSQL never sends.

Unprotected, it would buffer a message of any size, and loop for ever on one with a negative length.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from asyncpg.protocol import Protocol

from pannier_sidecar.network import answers

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER: Final = Struct("!BI")
"""The type of a message, and its length, which includes these four bytes."""
_LENGTH: Final = 4


class BoundedProtocol(Protocol):  # type: ignore[misc]  # it has no types
    """Ends a connection on which an answer is too large, or something comes that is not a message."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.received = 0
        """Bytes since this was last set to 0."""
        self.has_received_too_much = False
        self._limit = answers.limit()
        self._left = 0
        """Bytes of the current message that are missing."""
        self._head = b""
        """The beginning of a message's header."""
        self._is_broken = False
        self._ended_by: Callable[[], object] = self.abort

    def connection_made(self, transport: Any) -> None:
        self._ended_by = transport.abort
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on the data, if it can come from PostgreSQL."""
        if self._is_broken:
            return
        self.received += len(data)
        if self.received <= self._limit and self._are_messages(data):
            try:
                super().data_received(data)
            except Exception:  # of any kind, for messages in an order that the client library does not expect
                self._end()
        else:
            self.has_received_too_much = self.has_received_too_much or self.received > self._limit
            self._end()

    def _end(self) -> None:
        self._is_broken = True
        self._ended_by()

    def _are_messages(self, data: bytes) -> bool:
        at, size = self._left, len(data)
        if self._head:
            data = self._head + data
            size = len(data)
        while at + _HEADER.size <= size:
            kind, length = _HEADER.unpack_from(data, at)
            if not kind or not _LENGTH <= length <= self._limit:
                self.has_received_too_much = bool(kind) and length > self._limit
                return False
            at += length + 1
        self._head = data[at:]
        self._left = max(0, at - size)
        return True
