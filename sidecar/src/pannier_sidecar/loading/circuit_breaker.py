"""A circuit breaker around each open store: one that cannot be reached is not asked, but answers so at once.

A call that fails for want of a connection is what a probe is begun for, and no other call pays anything for it. While
probes fail, calls get the reason without waiting for a timeout each; with the first that succeeds the store is asked
again. Only a store that cannot be reached as a whole is cut off: see `Store.probe`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pannier_sidecar.state.requests import Delete, Get, Set, Write
    from pannier_sidecar.state.store import KeyPage, StoredValue

log = logging.getLogger(__name__)

PROBE_PATIENCE: Final = 3.0
"""Seconds for a probe."""
OPENS_AFTER: Final = 0.5
"""Seconds for which probes must have failed: a connection that is being made anew is there by then."""
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 2.0
"""Seconds between two probes: a store that comes back is asked again within these."""
QUIET: Final = 1.0
"""Seconds after a probe that succeeded in which failures of calls, of one server of several, begin no other."""


class CircuitBreaker:
    """Watches over one open store."""

    def __init__(self, store: Store, name: str, put: Callable[[Store], None]):
        """`put` is called with the store that is to answer calls from then on."""
        self.why = ""
        """Why the store is not asked; empty while it is."""
        self._store = store
        self._name = name
        self._put = put
        self._probing: asyncio.Task[None] | None = None
        self._quiet_until = 0.0

    def note_failure(self) -> None:
        """Take note that a call could not reach the store: find out whether any can."""
        if self._probing is None and asyncio.get_running_loop().time() >= self._quiet_until:
            self._probing = asyncio.create_task(self._probe_until_reached(), name=f"probe {self._name}")
            self._probing.add_done_callback(self._note_end)

    async def stop(self) -> None:
        """End the probes; what answers calls stays as it is."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _probe_until_reached(self) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), FIRST_PAUSE
        while why := await self._failure():
            if loop.time() - began >= OPENS_AFTER:
                self._open(why)
                pause = min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
        self._quiet_until = loop.time() + QUIET
        self._close()

    async def _failure(self) -> str:
        """Return why nothing of the store can be reached; empty where something can."""
        try:
            async with asyncio.timeout(PROBE_PATIENCE):
                await self._store.probe()
        except StoreUnavailableError as fault:
            return str(fault)
        except StoreError:
            return ""  # it answers, if only to refuse
        except TimeoutError:
            return f"it gave no answer within {PROBE_PATIENCE:g} s"
        return ""

    def _open(self, why: str) -> None:
        if why == self.why:
            return
        if not self.why:
            log.warning("store %s can't be reached: %s; calls are told so at once, until it answers", self._name, why)
        self.why = why
        self._put(_Unreachable(self._store, why))

    def _close(self) -> None:
        if self.why:
            self.why = ""
            log.info("store %s answers again", self._name)
            self._put(self._store)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """A defect of a probe must not leave the store cut off."""
        self._probing = None
        if not task.cancelled() and task.exception() is not None:
            log.error("store %s can't be probed because of a defect", self._name, exc_info=task.exception())
            self._close()


class _Unreachable(Store):
    """Stands for a store that cannot be reached: nothing is sent, so nothing happens."""

    def __init__(self, store: Store, why: str):
        self.features = store.features  # type: ignore[misc]  # of a class elsewhere
        self.max_key_bytes = store.max_key_bytes
        self.max_transaction = store.max_transaction
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
