"""When gRPC's channels reconnect, which they do by themselves, and how much they may receive."""

from __future__ import annotations

from typing import Final

from pannier_sidecar.network import answers

_FIRST_PAUSE_MS: Final = 100


def channel_options(connect_timeout: float, max_pause: float) -> tuple[tuple[str, int], ...]:
    """Return the options of a channel that tries to connect for `connect_timeout` seconds, again and again.

    `max_pause` bounds the seconds between two attempts, so that a server that comes back is soon noticed: gRPC's
    own bound is two minutes.
    """
    return (
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", answers.limit()),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_PAUSE_MS),
        ("grpc.max_reconnect_backoff_ms", round(max_pause * 1000)),
        # The name is misleading: it is how long an attempt to connect may take, 20 seconds by default.
        ("grpc.min_reconnect_backoff_ms", round(connect_timeout * 1000)),
        ("grpc.use_local_subchannel_pool", 1),
    )
