"""What a client of the HTTP ports may make the sidecar hold and do."""

from __future__ import annotations

from typing import Final

from ..serving import ConnectionLimits

HEADERS: Final = 256
"""Maximum of header fields in one request: each costs over a hundred bytes in addition to its text."""
FIELD: Final = 100
PARAMETERS: Final = 256
"""Maximum of parameters in one query: each costs as much as a small request."""
QUEUED: Final = 512
"""Bytes that are counted for a request without a body while it waits for earlier ones."""
BUFFERED: Final = 16 * 1024
"""Bytes of an answer that may be unread when the next one is made."""


class Limits(ConnectionLimits, frozen=True):
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    body: int
    header_section: int
    """Request line and headers."""
    idle: float = 180.0
    """How long a connection may be without a request: longer than the pools of common clients keep one, so that clients
    close first.
    """
    lingering: float = 2.0
    """How long data from the client is discarded after a refusal. Closing at once would reset the connection before the
    client has read the refusal (RFC 9112, 9.6).
    """
    unused: float = 0.5
    """At shutdown, how long an idle connection may still send a request."""
    unused_since_opened: float = 2.0
    """The same for a connection that has had no request yet: a client that has just connected is about to send one."""
