"""What a client of the HTTP ports may make the sidecar hold and do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..serving import ConnectionLimits

HEADERS: Final = 256
"""Maximum of header fields in one request: each costs a hundred bytes and more beside its text."""
FIELD: Final = 100
QUEUED: Final = 512
"""Bytes that a request without a body takes while it waits for those before it."""
BUFFERED: Final = 16 * 1024
"""Bytes of an answer that may still be unread when the next one is made."""


@dataclass(frozen=True, slots=True)
class Limits(ConnectionLimits):
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    body: int
    header_section: int
    """Request line and headers."""
    idle: float = 180.0
    """For a connection without a request.

    Longer than the pools of common clients keep one, so that these close first.
    """
    lingering: float = 2.0
    """After a refusal: what the client still sends is discarded for so long, because closing at once would reset the
    connection before the client has read the refusal (RFC 9112, 9.6)."""
    unused: float = 0.5
    """At the end of the sidecar, for a connection without a request to get another one."""
    unused_since_opened: float = 2.0
    """The same for one that has had none yet: a client that connects is about to send one, and may be slow."""
