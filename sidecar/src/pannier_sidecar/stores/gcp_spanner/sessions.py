"""A session has one transaction at a time, so calls that are in flight together need one each."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from .errors import SessionLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .client import Client

DELETE_TIMEOUT_S: Final = 1.0
"""Seconds for deleting sessions; Spanner ends those that are left after an hour."""


class Sessions:
    """Sessions that are made when they are needed and kept for the next call."""

    def __init__(self, client: Client, limit: int):
        self._client = client
        self._room = asyncio.Semaphore(limit)
        self._idle: list[str] = []
        self._endings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def session(self, deadline: float) -> AsyncIterator[str]:
        """Lend a session. When one is lost, the idle ones are dropped too, because they are older."""
        async with self._slot(deadline):
            name = self._idle.pop() if self._idle else await self._client.create_session(deadline)
            try:
                yield name
            except SessionLostError:
                self._idle.clear()
                raise
            except asyncio.CancelledError:
                self._end(name)  # a transaction may be open on it, and hold locks
                raise
            except BaseException:
                self._idle.append(name)
                raise
            else:
                self._idle.append(name)

    async def close(self) -> None:
        """Delete the idle sessions, unless Spanner takes longer than DELETE_TIMEOUT_S."""
        for name in self._idle:
            self._end(name)
        self._idle.clear()
        if self._endings:
            _, late = await asyncio.wait(self._endings, timeout=DELETE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @asynccontextmanager
    async def _slot(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        except TimeoutError as error:
            raise StoreUnavailableError("no session came free in time; raise maxSessions or timeout") from error
        try:
            yield
        finally:
            self._room.release()

    def _end(self, name: str) -> None:
        task = asyncio.ensure_future(self._delete(name))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _delete(self, name: str) -> None:
        try:
            await self._client.delete_session(name, asyncio.get_running_loop().time() + DELETE_TIMEOUT_S)
        except (StoreError, SessionLostError):
            return
