"""Stores being opened, served, exchanged and closed: make-before-break.

A slot stands for one component. What it wants is opened and probed in the background until it answers; what it serves
meanwhile is what it served before, if anything. A store that is no longer wanted is closed when its last call ended.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from pannier_sidecar.loading.circuit_breaker import CircuitBreaker
from pannier_sidecar.state.directory import ServedStore, Waiting
from pannier_sidecar.state.errors import PartlyUnavailableError, StoreError
from pannier_sidecar.stores import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.loading.planning import Wanted
    from pannier_sidecar.state.store import Store

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts to open a store: a server that comes back is noticed within these."""
RETIRING_PATIENCE: Final = 30.0
"""Seconds after which a store that is no longer wanted is closed although calls are using it."""
CLOSING_PATIENCE: Final = 5.0
_DRAIN_INTERVAL: Final = 0.02


class OpeningObserver(Protocol):
    """Is told how stores are opened."""

    def store_opened(self, store: str, store_type: str, succeeded: bool) -> None:
        """Take note of an attempt."""


class OpenStore:
    """A store that answers, and every view of it that was ever served."""

    def __init__(self, wanted: Wanted, store: Store):
        self.identity = wanted.identity
        self.store = store
        self.wanted = wanted
        self.breaker = CircuitBreaker(store, wanted.name, self._put)
        self._answering = store
        """The store, or what answers for it while it cannot be reached."""
        self._views = [_view(wanted, store)]

    @property
    def served(self) -> ServedStore:
        """The view that is served now."""
        return self._views[-1]

    def show(self, wanted: Wanted) -> None:
        """Serve the same open store with other keys, expiry or roles."""
        if wanted.component == self.wanted.component and wanted.settings == self.wanted.settings:
            return
        self.wanted = wanted
        self._views = [view for view in self._views if view.calls_in_flight]
        self._views.append(_view(wanted, self._answering))

    def _put(self, store: Store) -> None:
        """Have this store answer calls, those that are being tried again too."""
        self._answering = store
        for view in self._views:
            view.store = store

    async def retire(self, patience: float) -> None:
        """Close the store when its calls have ended, or after `patience` seconds."""
        await self.breaker.stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        # Polled, because telling an event of each call's end would cost every call something.
        while any(view.calls_in_flight for view in self._views) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_INTERVAL)
        await close(self.store, self.wanted.name)


class Slot:
    """One component: what it wants, and what is served in its name."""

    def __init__(self, wanted: Wanted, changed: Callable[[], None], retire: Callable[[OpenStore], None]):
        """`changed` is called when something else is served, `retire` with a store that no longer is."""
        self.wanted = wanted
        self.current: OpenStore | None = None
        self.why = "it is being opened"
        """Why what is wanted is not served; empty when it is."""
        self.is_settled = asyncio.Event()
        """Something is served, or a defect has ended the attempts."""
        self.opening: asyncio.Task[None] | None = None
        self._changed = changed
        self._retire = retire

    def want(self, wanted: Wanted, observer: OpeningObserver) -> None:
        """Serve this from now on, or as soon as it answers."""
        is_opening_it = self.opening is not None and self.wanted.identity == wanted.identity
        self.wanted = wanted
        if self.current is not None and self.current.identity == wanted.identity:
            self.stop_opening()
            self.current.show(wanted)
            self.why = wanted.note
        elif not is_opening_it:
            self.stop_opening()
            self.why = "it is being opened"
            self.opening = asyncio.create_task(self._open(observer), name=f"open {wanted.name}")
            self.opening.add_done_callback(self._note_defect)

    def stop_opening(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None

    def waiting(self) -> Waiting:
        """The component as one whose store is not open."""
        wanted = self.wanted
        return Waiting(
            wanted.name, wanted.type.name, wanted.version, self.why, wanted.is_default, wanted.holds_actor_state
        )

    async def _open(self, observer: OpeningObserver) -> None:
        """Try until the store answers, then serve it and let go of the one before."""
        pause = FIRST_PAUSE
        while True:
            attempted = self.wanted
            try:
                opened = await open_store(attempted)
                break
            except StoreError as fault:
                observer.store_opened(attempted.name, attempted.type.name, False)
                self._say(str(fault))
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, LONGEST_PAUSE)
        observer.store_opened(attempted.name, attempted.type.name, True)
        opened.show(self.wanted)  # keys and roles may have changed meanwhile
        previous, self.current = self.current, opened
        self.opening = None
        self.why = self.wanted.note
        self.is_settled.set()
        log.info("store %s (%s/%s) is ready", attempted.name, attempted.type.name, attempted.version)
        self._changed()
        if previous is not None:
            self._retire(previous)

    def _say(self, why: str) -> None:
        if why == self.why:
            return
        self.why = why
        kept = "; the one before stays until it answers" if self.current is not None else ""
        log.warning("store %s is not ready: %s; it is tried again in the background%s", self.wanted.name, why, kept)
        self._changed()

    def _note_defect(self, task: asyncio.Task[None]) -> None:
        """A defect of a store ends the attempts, but not the sidecar, and is not silent."""
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        log.error("store %s can't be opened because of a defect", self.wanted.name, exc_info=error)
        self.why = f"a defect ({type(error).__name__}); its log tells where"
        self.opening = None
        self.is_settled.set()
        self._changed()


async def open_store(wanted: Wanted) -> OpenStore:
    """Open and probe a store within its initTimeout. Raises StoreError; then nothing stays open."""
    store = registry.load(wanted.type.name, wanted.type.versions[0])(wanted.settings)
    seconds = wanted.component.init_timeout
    is_open = False
    try:
        async with asyncio.timeout(seconds):
            await store.open()
            with suppress(PartlyUnavailableError):  # the keys of the other servers are served
                await store.ping()
        is_open = True
    except TimeoutError as error:
        raise StoreError(f"it did not answer within {seconds:g} s, its initTimeout") from error
    finally:
        if not is_open:
            await close(store, wanted.name)
    return OpenStore(wanted, store)


async def close(store: Store, name: str) -> None:
    """Close a store; one that can't be closed is not waited for longer than CLOSING_PATIENCE seconds."""
    try:
        async with asyncio.timeout(CLOSING_PATIENCE):
            await store.close()
    except StoreError as fault:
        log.warning("store %s was not closed cleanly: %s", name, fault)
    except TimeoutError:
        log.warning("store %s was not closed within %g s", name, CLOSING_PATIENCE)


def _view(wanted: Wanted, store: Store) -> ServedStore:
    return ServedStore(
        wanted.name,
        wanted.type.name,
        wanted.version,
        store,
        wanted.keys,
        wanted.default_ttl,
        wanted.is_default,
        wanted.holds_actor_state,
    )
