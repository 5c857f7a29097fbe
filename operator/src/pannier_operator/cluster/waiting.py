"""Waiting for an event with a timeout."""

from __future__ import annotations

import asyncio
import contextlib


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set or the time is over; None: no timeout.

    It makes no task, unlike `asyncio.wait_for` of Python 3.11: kopf cancels all tasks that it finds when it stops.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
