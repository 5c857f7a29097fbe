"""A circuit breaker around each open store: while a store is unreachable, calls fail at once.

A call that fails to connect starts a probe; successful calls have no extra cost. While probes fail the breaker is open,
and each call gets the reason at once, without waiting for a timeout. The first probe that succeeds closes it. It opens
only when the store as a whole is unreachable: see `Store.probe`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NoReturn

from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pannier_sidecar.state.feeds import Feed
    from pannier_sidecar.state.requests import Delete, Get, Set, Write
    from pannier_sidecar.state.store import KeyPage, StoredValue

log = logging.getLogger(__name__)

PROBE_PATIENCE: Final = 3.0
"""Timeout of a probe, in seconds."""
OPENS_AFTER: Final = 0.5
"""Seconds for which probes must fail until the breaker opens: long enough to replace a lost connection."""
FIRST_PAUSE: Final = 0.25
MAX_PAUSE: Final = 2.0
"""Seconds between two probes: a store that recovers is used again within this time."""
QUIET: Final = 1.0
"""Seconds after a successful probe in which failed calls start no new one: then only some of the servers are down."""


class CircuitBreaker:
    """The circuit breaker of one open store."""

    def __init__(self, store: Store, name: str, use_store: Callable[[Store], None]):
        """`use_store` is called with the store that answers calls from then on."""
        self.why = ""
        """Why the breaker is open; empty while it is closed."""
        self._store = store
        self._name = name
        self._use = use_store
        self._probing: asyncio.Task[None] | None = None
        self._quiet_until = 0.0

    def record_failure(self) -> None:
        """Record that a call could not reach the store, and start a probe."""
        if self._probing is None and asyncio.get_running_loop().time() >= self._quiet_until:
            self._probing = asyncio.create_task(self._probe_until_reached(), name=f"probe {self._name}")
            self._probing.add_done_callback(self._on_probe_done)

    async def stop(self) -> None:
        """Stop probing; the breaker stays as it is."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _probe_until_reached(self) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), FIRST_PAUSE
        while why := await self._failure():
            if loop.time() - began >= OPENS_AFTER:
                self._open(why)
                pause = min(pause * 2, MAX_PAUSE)
            await asyncio.sleep(pause * uniform(0.8, 1.2))
        self._quiet_until = loop.time() + QUIET
        self._close()

    async def _failure(self) -> str:
        """Return why no server of the store can be reached; empty if one can."""
        try:
            async with asyncio.timeout(PROBE_PATIENCE):
                await self._store.probe()
        except StoreUnavailableError as error:
            return str(error)
        except StoreError:
            return ""  # it answers, even if only to refuse
        except TimeoutError:
            return f"it gave no answer within {PROBE_PATIENCE:g} s"
        return ""

    def _open(self, why: str) -> None:
        if why == self.why:
            return
        if not self.why:
            log.warning("store %s can't be reached: %s; calls fail at once until it answers", self._name, why)
        self.why = why
        self._use(_Unreachable(self._store, why))

    def _close(self) -> None:
        if self.why:
            self.why = ""
            log.info("store %s answers again", self._name)
            self._use(self._store)

    def _on_probe_done(self, task: asyncio.Task[None]) -> None:
        """Close the breaker after a bug in a probe: the store must not stay cut off."""
        self._probing = None
        if not task.cancelled() and task.exception() is not None:
            log.error("store %s can't be probed because of a bug in Pannier", self._name, exc_info=task.exception())
            self._close()


class _Unreachable(Store):
    """Stands in for an unreachable store: it sends nothing, so no write can have happened."""

    def __init__(self, store: Store, why: str):
        self.features = store.features  # type: ignore[misc]  # of a class elsewhere
        self.max_key_bytes = store.max_key_bytes
        self.max_transaction = store.max_transaction
        self.changes_by = store.changes_by
        self.feed_lag_s = store.feed_lag_s
        self._why = f"{why}; it is tried again in the background"

    def _refuse(self) -> NoReturn:
        raise StoreUnavailableError(self._why)

    async def open(self) -> None:
        self._refuse()

    async def close(self) -> None:
        pass

    async def ping(self) -> None:
        self._refuse()

    async def get(self, get: Get) -> StoredValue | None:
        self._refuse()

    async def set(self, write: Set) -> None:
        self._refuse()

    async def delete(self, write: Delete) -> None:
        self._refuse()

    async def transact(self, writes: Sequence[Write]) -> None:
        self._refuse()

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        self._refuse()

    async def feed(self, prefix: str, since: str | None = None) -> Feed:
        self._refuse()
        yield []
