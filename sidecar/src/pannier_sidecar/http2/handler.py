"""What a connection calls: who handles requests, and who writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .headers import Headers


class Handler(Protocol):
    """Handles the events of all streams of one connection.

    A stream begins, has data, and is closed exactly once. `request_begun` and `data_arrived` may send answers and end
    streams, the other methods only take note; none may raise.
    """

    def request_begun(self, stream_id: int, headers: Headers) -> None:
        """Take the header fields of a new request."""

    def data_arrived(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Take a part of the request's body; the last one may be empty."""

    def data_queued(self, stream_id: int, size: int) -> None:
        """Note that so many bytes of an answer wait until the client opens its windows."""

    def data_dequeued(self, stream_id: int, size: int) -> None:
        """Note that so many of them were written. What is dropped, because a stream is closed, is not reported."""

    def stream_closed(self, stream_id: int) -> None:
        """Forget the stream: its answer is complete, one side has reset it, or the connection is closed."""


class Writer(Protocol):
    """Writes what is in `Output`."""

    def output_ready(self) -> None:
        """Take the output soon, with all that is added before."""

    def output_may_wait(self) -> None:
        """Take the output within milliseconds: it may go out with the answer to a request, if there is one by then."""
