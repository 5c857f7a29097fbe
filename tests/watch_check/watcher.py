"""A client that keeps a copy of the state by watching it, connects again with its last event, and notes every event
that must not be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from servers.event_source import Event, EventStream, Refused, close_all, connect, target
from watch_check.writers import PREFIX, STORE, Writers

PAUSE_S = 0.1


class Watcher:
    """One watch, over any number of connections. `copy` has the number of each key, or None for one to be read."""

    def __init__(self, port: Callable[[], int], writers: Writers):
        self._port = port
        self._writers = writers
        self._task: asyncio.Task[None] | None = None
        self._stream: EventStream | None = None
        self._last_id = ""
        self._greatest: dict[str, int] = {}
        """The greatest number of each key so far."""
        self.copy: dict[str, int | None] = {}
        self.is_complete = False
        """The copy was told whole since the last reset."""
        self.is_timed = False
        """Whether the lag of changes is noted now."""
        self.lags_s: list[float] = []
        self.events = self.resets = self.connections = self.without_value = 0
        self.reasons: dict[str, int] = {}
        """Of resets."""
        self.wrong: list[str] = []
        """What must not be."""

    async def __aenter__(self) -> Watcher:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await close_all()

    def cut(self) -> None:
        """End the connection as if the network had."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _watch(self) -> None:
        while True:
            try:
                self._stream = await connect(self._port(), target(PREFIX, store=STORE, values=True), self._last_id)
                self.connections += 1
                async for event in self._stream:
                    self._take(event)
                    self._last_id = event.last_id or self._last_id
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pass
            except Refused as refused:
                if refused.status not in (429, 503):
                    self.wrong.append(f"the watch was refused: {refused.status} {refused.body.decode()}")
                    return
            self.cut()
            await asyncio.sleep(PAUSE_S)

    def _take(self, event: Event) -> None:
        if event.name in ("state", "change"):
            self.events += 1
            self._take_value(event.key, event.data.get("value"), is_change=event.name == "change")
        elif event.name == "delete":
            self.events += 1
            self.copy.pop(event.key, None)
            self._greatest[event.key] = self._greatest.get(event.key, 0) + 1  # what it was before may not come back
        elif event.name == "reset":
            self.resets += 1
            reason = event.data["reason"]
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            self.copy.clear()
            self._greatest.clear()  # a failover may have lost what was answered
            self.is_complete = False
        elif event.name == "ready":
            self.is_complete = True
        elif event.name != "beat":
            self.wrong.append(f"an unexpected event: {event}")

    def _take_value(self, key: str, number: int | None, *, is_change: bool) -> None:
        self.copy[key] = number
        if number is None:
            self.without_value += 1
            return
        before = self._greatest.get(key, 0)
        if number < before:
            self.wrong.append(f"{key}: {number} was told after {before}")
        self._greatest[key] = max(number, before)
        sent_at = self._writers.sent_at.get(number)
        if is_change and self.is_timed and sent_at is not None:
            self.lags_s.append(time.monotonic() - sent_at)
