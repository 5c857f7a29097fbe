"""The lifecycle of a store: it is opened, served, exchanged (make before break) and closed.

A changed component's store is opened and probed in the background until it answers; until then the previous store, if
any, is served. A store that is no longer desired is closed after its last call has ended.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from pannier_sidecar.loading.caching import StoreCache, is_cached, require_changes
from pannier_sidecar.loading.circuit_breaker import CircuitBreaker
from pannier_sidecar.loading.encrypting import encryption_of
from pannier_sidecar.loading.keeping_parts import begin_to_sweep, in_parts, keeps_parts, require_lists
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.directory import ServedStore, Waiting
from pannier_sidecar.state.errors import PartlyUnavailableError, StoreError
from pannier_sidecar.state.retries import never_short
from pannier_sidecar.stores import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_sidecar.loading.guarded_store import GuardedStore, PolicyMetrics
    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.loading.retrying_store import RetryingStore
    from pannier_sidecar.state.cached_values import CacheCounts
    from pannier_sidecar.state.store import Store

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.25
MAX_PAUSE: Final = 5.0
"""Seconds between two attempts to open a store: a server that recovers is noticed within this time."""
RETIRING_PATIENCE: Final = 30.0
"""Seconds after which a store that is no longer desired is closed even if calls are using it."""
CLOSING_PATIENCE: Final = 5.0
_DRAIN_INTERVAL: Final = 0.02


class OpeningObserver(Protocol):
    """Receives the outcome of each attempt to open a store, and what policies do."""

    def store_opened(self, store: str, store_type: str, succeeded: bool) -> None:
        """Record an attempt."""

    def resiliency_loaded(self, name: str, namespace: str) -> None:
        """Record that a Resiliency was read with new content."""

    def of_policies(self, store: str, origin: tuple[str, str]) -> PolicyMetrics | None:
        """Return what counts for the policies of a store."""

    def forget_policies(self, store: str) -> None:
        """Report no circuit breaker for a store any more."""

    def cache_changed(self, store: str, counts: CacheCounts | None) -> None:
        """Report what a store's cache counts; None: it has none any more."""


class OpenStore:
    """An open store, and the views of it that calls are still using."""

    def __init__(
        self,
        desired: DesiredStore,
        store: Store,
        observer: OpeningObserver | None = None,
        is_short: Callable[[], bool] = never_short,
    ):
        """Serve the store under its policies, which `observer` counts. `is_short` returns whether memory is short."""
        self.identity = desired.identity
        self.store = store
        self.desired = desired
        self.breaker = CircuitBreaker(store, desired.name, self._use)
        self._answering = store
        """The store, or its stand-in while the circuit breaker is open."""
        self._observer = observer
        self._is_short = is_short
        self._cache: StoreCache | None = None
        self._views: list[_View] = []
        self._views.append(self._new_view())
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def served(self) -> ServedStore:
        """The view that is served now."""
        return self._views[-1].served

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Return what the store can do, in Dapr's words; a pluggable component says it itself."""
        kind = self.desired.type
        if kind.is_pluggable:
            kind = replace(kind, features=tuple(sorted(feature.value for feature in self.store.features)))
        return kind.capabilities

    def show(self, desired: DesiredStore) -> None:
        """Serve the same open store with other stored keys, encryption keys, expiry, roles or policies."""
        shown = self.desired
        if (desired.component, desired.settings, desired.policies) == (shown.component, shown.settings, shown.policies):
            return
        self.desired = desired
        view = self._new_view()
        self._views = [*(view for view in self._views if view.served.calls_in_flight), view]

    def sweep(self) -> None:
        """Begin to remove unused parts of large values, if the component asks for parts."""
        if self._sweeping is None and keeps_parts(self.desired):
            self._sweeping = begin_to_sweep(self.desired.name, lambda: self.served.store)

    def _new_view(self) -> _View:
        """Return a view of the store as it is desired now; it goes on with the breaker of the last view."""
        desired, observer = self.desired, self._observer
        cache = self._cache_for(desired)
        if desired.policies is None:
            if observer is not None:
                observer.forget_policies(desired.name)
            return _View(desired, self._answering, cache=cache)
        from pannier_sidecar.loading.retrying_store import resilient_store  # few stores have policies

        metrics = observer.of_policies(desired.name, desired.policies.origin) if observer is not None else None
        previous = self._views[-1].guarded if self._views else None
        resilient = resilient_store(self._answering, desired.name, desired.policies, metrics, previous, self._is_short)
        view = _View(desired, self._answering, resilient, cache)
        if view.guarded is not None:
            view.guarded.on_unreached = self.breaker.record_failure
        return view

    def _cache_for(self, desired: DesiredStore) -> StoreCache | None:
        """Return the cache that the component asks for: that of the last view, if it is alike. All views share it, so
        each one's writes are seen by the others.
        """
        before = self._cache
        if before is not None and before.fits(desired):
            return before
        if before is not None:
            before.end()
        observer = self._observer
        # Without an observer nobody serves the store: it is read once, to be copied.
        self._cache = StoreCache(desired, self.store) if observer is not None and is_cached(desired) else None
        if observer is not None:
            observer.cache_changed(desired.name, None if self._cache is None else self._cache.counts)
        return self._cache

    def _use(self, store: Store) -> None:
        """Route calls to this store, including calls that are being retried."""
        self._answering = store
        for view in self._views:
            view.use(store)

    async def retire(self, patience: float) -> None:
        """Close the store when its calls have ended, or after `patience` seconds."""
        await self.breaker.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        # Polled, because an event at the end of each call would add to the cost of every call.
        while any(view.served.calls_in_flight for view in self._views) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_INTERVAL)
        for view in self._views:
            view.end_retries()
        if self._cache is not None:
            await self._cache.close()
        await close(self.store, self.desired.name)


class StoreLifecycle:
    """One component: the desired store, and the one that is served under its name."""

    def __init__(
        self,
        desired: DesiredStore,
        changed: Callable[[], None],
        retire: Callable[[OpenStore], None],
        is_short: Callable[[], bool] = never_short,
    ):
        """Serve nothing yet. `changed` is called when a different store, or its reason, is to be published; `retire`
        with a store that is no longer served. `is_short` returns whether memory is short.
        """
        self._is_short = is_short
        self.desired = desired
        self.current: OpenStore | None = None
        self.why = "it is being opened"
        """Why the desired store is not served; empty if it is."""
        self.is_settled = asyncio.Event()
        """Set when a store is served, or a bug has ended the attempts."""
        self.opening: asyncio.Task[None] | None = None
        self._changed = changed
        self._retire = retire

    def want(self, desired: DesiredStore, observer: OpeningObserver) -> None:
        """Serve this store as soon as it answers."""
        is_opening_it = self.opening is not None and self.desired.identity == desired.identity
        self.desired = desired
        if self.current is not None and self.current.identity == desired.identity:
            self.stop_opening()
            self.current.show(desired)
            self.current.sweep()
            self.why = desired.note
        elif not is_opening_it:
            self.stop_opening()
            self.why = "it is being opened"
            self.opening = asyncio.create_task(self._open(observer), name=f"open {desired.name}")
            self.opening.add_done_callback(self._on_open_done)

    def stop_opening(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None

    def waiting(self) -> Waiting:
        """Return the directory entry of a component whose store is not open."""
        desired = self.desired
        return Waiting(
            desired.name, desired.type.name, desired.version, self.why, desired.is_default, desired.holds_actor_state
        )

    async def _open(self, observer: OpeningObserver) -> None:
        """Try until the store answers, then serve it and retire the previous one."""
        pause = FIRST_PAUSE
        while True:
            attempted = self.desired
            try:
                opened = await open_store(attempted, observer, self._is_short)
                break
            except StoreError as error:
                observer.store_opened(attempted.name, attempted.type.name, False)
                self._log_not_ready(str(error))
            await asyncio.sleep(pause * uniform(0.8, 1.2))
            pause = min(pause * 2, MAX_PAUSE)
        observer.store_opened(attempted.name, attempted.type.name, True)
        opened.show(self.desired)  # keys and roles may have changed meanwhile
        opened.sweep()
        previous, self.current = self.current, opened
        self.opening = None
        self.why = self.desired.note
        self.is_settled.set()
        log.info("store %s (%s/%s) is ready", attempted.name, attempted.type.name, attempted.version)
        self._changed()
        if previous is not None:
            self._retire(previous)

    def _log_not_ready(self, why: str) -> None:
        if why == self.why:
            return
        self.why = why
        kept = "; the previous version is served until it answers" if self.current is not None else ""
        log.warning("store %s is not ready: %s; it is tried again in the background%s", self.desired.name, why, kept)
        self._changed()

    def _on_open_done(self, task: asyncio.Task[None]) -> None:
        """Log a bug in a store's code: it ends the attempts, but not the sidecar."""
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        log.error("store %s can't be opened because of a bug in Pannier", self.desired.name, exc_info=error)
        self.why = f"a bug in Pannier ({type(error).__name__}); the log shows where"
        self.opening = None
        self.is_settled.set()
        self._changed()


async def open_store(
    desired: DesiredStore, observer: OpeningObserver | None = None, is_short: Callable[[], bool] = never_short
) -> OpenStore:
    """Open and probe a store within its initTimeout. Raises StoreError; then nothing stays open."""
    store = registry.class_of(desired.type)(desired.settings)
    seconds = desired.component.init_timeout
    is_open = False
    try:
        async with asyncio.timeout(seconds):
            await store.open()
            require_lists(desired, store)
            require_changes(desired, store)
            with suppress(PartlyUnavailableError):  # the keys on the other servers are served
                await store.ping()
        is_open = True
    except TimeoutError as error:
        raise StoreError(f"it did not answer within {seconds:g} s, its initTimeout") from error
    finally:
        if not is_open:
            await close(store, desired.name)
    return OpenStore(desired, store, observer, is_short)


async def close(store: Store, name: str) -> None:
    """Close a store, but wait no longer than CLOSING_PATIENCE seconds."""
    try:
        async with asyncio.timeout(CLOSING_PATIENCE):
            await store.close()
    except StoreError as error:
        log.warning("store %s was not closed cleanly: %s", name, error)
    except TimeoutError:
        log.warning("store %s was not closed within %g s", name, CLOSING_PATIENCE)


class _View:
    """An open store as one version of its component, and of its policies, has calls see it."""

    def __init__(
        self,
        desired: DesiredStore,
        store: Store,
        resilient: GuardedStore | RetryingStore | None = None,
        cache: StoreCache | None = None,
    ):
        """Show the store or, if it has policies, the one that keeps them: `resilient`. The cache is around both, so it
        holds what the database holds; encryption is around that, and what keeps large values in parts around all.
        """
        encrypted = encryption_of(desired.component, desired.settings, is_daprd=desired.is_daprd)
        cached = encrypted if cache is None else lambda store: encrypted(cache.around(store))
        self._around = in_parts(desired, cached)
        self._resilient = resilient
        self.served = ServedStore(
            desired.name,
            desired.type.name,
            desired.version,
            self._around(store if resilient is None else resilient),
            desired.keys,
            desired.default_ttl,
            desired.is_default,
            desired.holds_actor_state,
            desired.idempotency_ttl,
            desired.poll_interval,
        )

    @property
    def guarded(self) -> GuardedStore | None:
        """The part of the store that makes single attempts; None: it has no policies."""
        return None if self._resilient is None else self._resilient.guarded

    def use(self, store: Store) -> None:
        """Route calls to this store."""
        if self._resilient is None:
            self.served.store = self._around(store)
        else:
            self._resilient.guarded.inner = store

    def end_retries(self) -> None:
        """Make no further attempts."""
        if self._resilient is not None:
            self._resilient.end()
