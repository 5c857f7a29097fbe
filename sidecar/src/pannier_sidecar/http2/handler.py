"""The interfaces that a connection calls: one handles requests, the other writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .headers import RequestHeaders


class Handler(Protocol):
    """Handles the events of all streams of one connection.

    A stream begins, has data, and is closed exactly once. `request_begun` and `data_arrived` may send answers and end
    streams. The other methods may not. None may raise.
    """

    def request_begun(self, stream_id: int, headers: RequestHeaders) -> None:
        """Take the header fields of a new request."""

    def data_arrived(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Take a part of the request's body; the last one may be empty."""

    def data_queued(self, stream_id: int, size: int) -> None:
        """Note that this many bytes of an answer wait until the client opens its windows."""

    def data_dequeued(self, stream_id: int, size: int) -> None:
        """Note that this many waiting bytes were written. Bytes that a closed stream drops are not reported."""

    def stream_closed(self, stream_id: int) -> None:
        """Forget the stream: its answer is complete, one side has reset it, or the connection is closed."""


class Writer(Protocol):
    """Writes what is in `Output`."""

    def output_ready(self) -> None:
        """Take the output soon, with everything that is added until then."""

    def write_now(self, data: bytes) -> None:
        """Write these bytes at once; nothing is in the output then."""

    def output_may_wait(self) -> None:
        """Take the output within milliseconds: it may go out with the answer to a request, if there is one by then."""
