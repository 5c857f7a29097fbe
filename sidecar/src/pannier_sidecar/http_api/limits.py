"""What a client of the HTTP ports may make the sidecar hold and do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
HEADERS: Final = 256
"""Maximum of header fields in one request: each costs a hundred bytes and more beside its text."""
FIELD: Final = 100
QUEUED: Final = 512
"""Bytes that a request without a body takes while it waits for those before it."""
BUFFERED: Final = 16 * 1024
"""Bytes of an answer that may still be unread when the next one is made."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    body: int = 4 * MIB
    header_section: int = 16 * 1024
    """Request line and headers. Dapr's 4 KiB cannot take a key of the length that stores can hold."""
    connections: int = 4096
    receiving: float = 30.0
    """From the first byte of a request to its last."""
    idle: float = 180.0
    """For a connection without a request.

    Longer than the pools of common clients keep one, so that these close first.
    """
    stalled: float = 30.0
    """For a client that reads nothing of its answer, or reads too slowly (`time_to_take`)."""
    lingering: float = 2.0
    """After a refusal: what the client still sends is discarded for so long, because closing at once would reset the
    connection before the client has read the refusal (RFC 9112, 9.6)."""
    unused: float = 0.5
    """At the end of the sidecar, for a connection without a request to get another one."""
    unused_since_opened: float = 2.0
    """The same for one that has had none yet: a client that connects is about to send one, and may be slow."""
