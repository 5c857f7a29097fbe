"""How much a peer may send, and make one connection hold. Whoever creates the connection sets the limits."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """All limits of one connection. They have no defaults, because they depend on what is served."""

    streams: int
    """Maximum number of requests at the same time."""
    window: int
    """Bytes of DATA that a client may send on one stream before it must wait for WINDOW_UPDATE. All streams together
    have four times as many."""
    header_list: int
    """Bytes of a request's header fields, as RFC 9113 (6.5.2) counts them; their undecoded block may be one frame
    longer.
    """
    resets: int
    """Streams that a client may reset, or make us reset, in one period (`start_period`). More is the rapid-reset attack
    (CVE-2023-44487), or its variant in which the server resets (CVE-2025-8671)."""
    idle_frames: int
    """Frames in one period that carry no request: PING, SETTINGS, PRIORITY, CONTINUATION, empty DATA ..."""
    least_data: int
    """A DATA frame with fewer bytes than this counts as one of `idle_frames` too, unless it ends its stream."""
