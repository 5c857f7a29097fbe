"""What a client of the gRPC port may make the sidecar hold and do."""

from __future__ import annotations

from typing import Final

from ..http2.frames import MAX_FRAME
from ..http2.limits import Limits as Http2Limits
from ..serving import ConnectionLimits
from .framing import PREFIX_SIZE

SHARES: Final = 8
"""Fraction of the budget (1/8) that one connection's answers may use before its further calls wait."""
UNPACKED: Final = 4
"""Maximum number of messages, on all connections, that are answered at the same time and were larger than
`SMALL_MESSAGE` after decompression.
"""
SMALL_MESSAGE: Final = 64 * 1024
FEW_FIELDS: Final = 32
FIELD: Final = 150
"""Bytes that are counted for each header field of a call with more than `FEW_FIELDS`."""


class Limits(ConnectionLimits, frozen=True):
    """What one client, and all of them together, may make the sidecar hold. Times are in seconds, sizes in bytes."""

    message: int
    header_list: int
    """Size of a header list as RFC 9113 (6.5.2) counts it; its undecoded block may be one frame longer."""
    streams: int = 128
    """Calls in flight on one connection."""
    resets: int = 200
    """Streams a second that a client may reset, or make us reset. More is the rapid-reset attack (CVE-2023-44487), or
    its variant in which the server resets (CVE-2025-8671)."""
    idle_frames: int = 5_000
    """Frames a second that carry no call: PING, SETTINGS, PRIORITY, CONTINUATION, empty DATA ..."""
    draining: float = 2.0
    """At shutdown, how long a client may take to answer the PING that shows which calls it has begun."""
    lingering: float = 1.0
    """How long a client may take to close a connection after we have closed our side."""
    preface: float = 10.0
    """How long the preface and SETTINGS of a new connection may take."""
    silence: float = 120.0
    """Silence after which a keepalive PING is sent."""
    pong: float = 20.0
    """How long the ACK of the keepalive PING may take."""

    @property
    def http2(self) -> Http2Limits:
        """The limits of HTTP/2, which apply before anything is known about a call."""
        return Http2Limits(
            streams=self.streams,
            window=self.message + PREFIX_SIZE + MAX_FRAME,
            header_list=self.header_list,
            resets=self.resets,
            idle_frames=self.idle_frames,
            least_data=PREFIX_SIZE,  # clients may send the header of an empty message, and END_STREAM, by themselves
        )
