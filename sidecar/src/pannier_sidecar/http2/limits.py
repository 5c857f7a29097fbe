"""What a peer may make one connection hold and do. The connection's creator decides how much."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """All limits of one connection. They have no defaults, because they depend on what is served."""

    streams: int
    """Maximum of requests at the same time."""
    window: int
    """Bytes of DATA that a client may send on one stream before it must wait for WINDOW_UPDATE. All streams together
    have four times as many."""
    header_list: int
    """Bytes of a request's header fields, as RFC 9113 (6.5.2) counts them; their undecoded block may be one frame
    longer.
    """
    resets: int
    """Streams that a client may give up, or make us give up, in one period (`start_period`); more is the rapid-reset
    attack (CVE-2023-44487) or its other half (CVE-2025-8671)."""
    idle_frames: int
    """Frames in one period that carry no request: PING, SETTINGS, PRIORITY, CONTINUATION, empty DATA ..."""
    least_data: int
    """A frame with fewer bytes of DATA than this on an open stream is one of those too, unless it is the last one."""
