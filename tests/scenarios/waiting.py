"""Waiting for a key to expire."""

import time
from collections.abc import Callable

from scenarios.state_client import Found

LIMIT_S = 20.0


def until_gone(read: Callable[[], Found | None]) -> None:
    """Return when a read finds nothing."""
    deadline = time.monotonic() + LIMIT_S
    while read() is not None:
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)
