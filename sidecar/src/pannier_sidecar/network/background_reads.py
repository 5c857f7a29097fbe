"""Reads that go on in a task of their own while their feed waits for other things too."""

from __future__ import annotations

import asyncio
from typing import Any


async def give_up(read: asyncio.Task[Any] | None) -> None:
    """Cancel a read, and wait until it has ended; its error is of no interest any more."""
    if read is not None:
        read.cancel()
        await asyncio.wait({read})
        if not read.cancelled():
            read.exception()
