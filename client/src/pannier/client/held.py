"""The locks of both clients while they are held: what renews them, and reports a loss."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from .errors import LockLostError, LockTakenError, PannierError
from .locks import Lease

if TYPE_CHECKING:
    from .calls import Calls, Delete, Flow, Upsert

T = TypeVar("T")

_AGAIN_S: Final = 0.5
"""Seconds before a renewal that has failed is tried again."""
_TAKEN_S: Final = 0.5
"""The longest pause between two attempts to acquire a lock that is taken, in seconds."""


class Runner(Protocol):
    """A client, as locks need it."""

    def run(self, flow: Flow[T]) -> T:
        """Carry out a call."""


class AsyncRunner(Protocol):
    """A client for asyncio, as locks need it."""

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a call."""


def _taken(key: str) -> LockTakenError:
    return LockTakenError(f"somebody else holds the lock {key!r}")


def _lost(key: str) -> LockLostError:
    return LockLostError(f"the lock {key!r} was lost before the end of its block")


def _used(key: str) -> RuntimeError:
    return RuntimeError(f"this lock {key!r} was used before; call the client's lock() for each block")


class Lock:
    """A lock, held as long as its `with` block lasts: `with client.lock("report") as lock: ...`.

    Entering raises LockTakenError if somebody else holds it after `wait` seconds. A thread renews it. If it is lost,
    `is_held` is False, `check` and `transact` raise LockLostError, and so does the end of the block.
    """

    def __init__(self, client: Runner, calls: Calls, key: str, ttl: int, wait: float):
        self._client = client
        self._key = key
        self._lease = Lease(calls, key, ttl)
        self._wait = wait
        self._turn = threading.Lock()
        self._is_over = threading.Event()
        self._renewing: threading.Thread | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease has not ended, by this machine's clock."""
        return self._lease.left > 0

    def check(self) -> None:
        """Raise LockLostError if the lock is lost."""
        self._lease.check()

    def transact(self, *operations: Upsert | Delete) -> None:
        """Carry out all operations, but only while the lock is held: it is renewed in the same transaction."""
        with self._turn:
            self._client.run(self._lease.transact(operations))

    def __enter__(self) -> Self:
        if self._renewing is not None:
            raise _used(self._key)
        self._renewing = threading.Thread(target=self._renew, name=f"lock {self._key}", daemon=True)
        until = time.monotonic() + self._wait
        while not self._client.run(self._lease.acquire()):
            if time.monotonic() >= until:
                raise _taken(self._key)
            time.sleep(_TAKEN_S * random.uniform(0.2, 1))
        self._renewing.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over.set()
        with self._turn:
            was_held = self.is_held
            with suppress(PannierError):  # it expires by itself
                self._client.run(self._lease.release())
        if kind is None and not was_held:
            raise _lost(self._key)

    def _renew(self) -> None:
        pause = self._lease.renews_after
        while not self._is_over.wait(min(pause, self._lease.left)) and self.is_held:
            try:
                with self._turn:
                    self._client.run(self._lease.renew())
                pause = self._lease.renews_after
            except PannierError:  # the lease goes on until it ends; a lost one has ended
                pause = _AGAIN_S


class AsyncLock:
    """As Lock, in an `async with` block. If the lock is lost, the task is cancelled within the block, which then raises
    LockLostError.
    """

    def __init__(self, client: AsyncRunner, calls: Calls, key: str, ttl: int, wait: float):
        self._client = client
        self._key = key
        self._lease = Lease(calls, key, ttl)
        self._wait = wait
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        """Requests to cancel the task when the block began."""
        self._has_cancelled = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease has not ended, by this machine's clock."""
        return self._lease.left > 0

    def check(self) -> None:
        """Raise LockLostError if the lock is lost."""
        self._lease.check()

    async def transact(self, *operations: Upsert | Delete) -> None:
        """Carry out all operations, but only while the lock is held: it is renewed in the same transaction."""
        async with self._turn:
            await self._client.run(self._lease.transact(operations))

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise _used(self._key)
        self._task = asyncio.current_task()
        assert self._task is not None
        until = time.monotonic() + self._wait
        while not await self._client.run(self._lease.acquire()):
            if time.monotonic() >= until:
                raise _taken(self._key)
            await asyncio.sleep(_TAKEN_S * random.uniform(0.2, 1))
        self._cancelling = self._task.cancelling()
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        assert self._task is not None and self._renewing is not None
        self._renewing.cancel()
        await asyncio.wait((self._renewing,))
        was_held = self.is_held
        is_ours = self._has_cancelled and self._task.uncancel() <= self._cancelling
        with suppress(PannierError):  # it expires by itself
            await self._client.run(self._lease.release())
        if not was_held and (kind is None or (is_ours and kind is asyncio.CancelledError)):
            raise _lost(self._key) from error

    async def _renew(self) -> None:
        pause = self._lease.renews_after
        while self.is_held:
            await asyncio.sleep(min(pause, self._lease.left))
            try:
                async with self._turn:
                    await self._client.run(self._lease.renew())
                pause = self._lease.renews_after
            except PannierError:  # the lease goes on until it ends; a lost one has ended
                pause = _AGAIN_S
        assert self._task is not None
        self._has_cancelled = True
        self._task.cancel()
