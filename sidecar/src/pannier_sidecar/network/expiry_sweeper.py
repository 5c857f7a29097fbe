"""Removes expired keys from databases that do not expire keys themselves, where they would stay for ever."""

from __future__ import annotations

import asyncio
import logging
from random import uniform
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pannier_sidecar.state.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Name = TypeVar("Name")
Version = TypeVar("Version")

log = logging.getLogger(__name__)

MAX_KNOWN: Final = 10_000
"""Expired entries that may wait to be removed; others are found by later reads and sweeps."""


class ExpirySweeper(Generic[Name, Version]):
    """Expired entries that reads have found, and the tasks that find and remove them."""

    def __init__(self, remove: Callable[[Name, Version], Awaitable[object]]):
        """`remove` removes an entry that still has this version; it raises a StoreError."""
        self._remove = remove
        self._known: dict[Name, Version] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_removing = False

    def remove(self, name: Name, version: Version) -> None:
        """Have an expired entry removed, unless a write replaces it first."""
        if len(self._known) < MAX_KNOWN:
            self._known[name] = version
        if not self._is_removing:
            self._is_removing = True
            self._start(self._remove_known())

    def sweep_every(self, interval: float, sweep: Callable[[], Awaitable[None]]) -> None:
        """Call `sweep`, which finds expired entries, every `interval` seconds (`cleanupInterval`)."""
        self._start(self._sweep_every(interval, sweep))

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _remove_known(self) -> None:
        try:
            while self._known:
                await self._remove(*self._known.popitem())
        except StoreError as error:
            self._known.clear()
            log.warning("expired keys stay for now: %s", error)
        finally:
            self._is_removing = False

    async def _sweep_every(self, interval: float, sweep: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval * uniform(0.5, 1))  # not all sidecars in the same moment
            try:
                await sweep()
            except StoreError as error:
                log.warning("the sweep for expired keys failed: %s", error)
