"""One stream of a connection (RFC 9113, 5), without what gRPC adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .headers import Headers


NOTHING: Final = memoryview(b"")


class Stream:
    """A request that arrives, and an answer that goes out."""

    __slots__ = (
        "headers",
        "id",
        "is_ended",
        "kept",
        "kept_behind",
        "length",
        "receive_window",
        "received",
        "since",
        "to_send",
        "trailers",
        "window",
    )

    kept: float
    """Since when DATA waits, where some does."""
    kept_behind: int
    """Bytes that waited on the connection then, its own included."""

    def __init__(self, stream_id: int, headers: Headers, windows: tuple[int, int], now: float):
        self.id = stream_id
        self.headers = headers
        self.window, self.receive_window = windows
        """Bytes of DATA that the client takes, and that we do."""
        self.received = bytearray()
        self.length = 0
        """Bytes of DATA so far."""
        self.is_ended = False
        """The client has sent all."""
        self.to_send = NOTHING
        """DATA that the client's windows do not let through yet."""
        self.trailers: bytes | None = None
        """The frame that follows it."""
        self.since = now
        """When the request began to arrive, or when the answer last went on."""
