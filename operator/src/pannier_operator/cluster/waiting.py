"""Waiting for an event, or for so long."""

from __future__ import annotations

import asyncio
import contextlib


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set or the time is over; None: there is no end to it.

    Without a task of its own, unlike `asyncio.wait_for`: kopf cancels all tasks that it finds when it stops.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
