"""A store whose calls are made again as the retry policy of a Resiliency says.

Around each attempt there is a circuit breaker and, inside it, a timeout (`guarded_store.py`), as in Dapr. Only what
certainly did nothing is repeated: reads, and writes that the store did not take. A write that ran into its timeout may
have happened, so it is final, and so are mismatches of ETags and refused requests.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from pannier_sidecar.loading.guarded_store import GuardedStore, PolicyStore
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import StoreError, is_unreached
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.resiliency import PolicyBreaker, pauses
from pannier_sidecar.state.retries import CHECK_INTERVAL_S, may_pass_soon, never_short
from pannier_sidecar.state.store import or_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from pannier_crds.resiliency import RetryPolicy
    from pannier_crds.resiliency_policies import StorePolicies
    from pannier_sidecar.loading.guarded_store import PolicyMetrics
    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import KeyPage, Store, StoredValue

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Maximum of bytes that the calls of one store hold while they wait for another attempt; beyond it, none is waited for.
"""
CALL_BYTES: Final = 4096
"""Bytes that a waiting call holds besides its values, roughly."""
ITEM_BYTES: Final = 512
"""The same for an item of a call with several."""


class RetryingStore(PolicyStore):
    """A guarded store whose calls are made again while that may help."""

    def __init__(
        self,
        inner: GuardedStore,
        name: str,
        policy: RetryPolicy,
        metrics: PolicyMetrics | None,
        is_short: Callable[[], bool],
    ):
        super().__init__(inner)
        self._is_short = is_short
        self.guarded = inner
        self._name = name
        self._policy = policy
        self._metrics = metrics
        self._ended = asyncio.Event()
        self._waiting = 0
        """Bytes that waiting calls hold."""
        self._is_failing = False

    @property
    def unretried(self) -> Store:
        return self.guarded

    def end(self) -> None:
        """Make no further attempts; calls that wait for one fail with their last error."""
        self._ended.set()

    async def get(self, get: Get) -> StoredValue | None:
        return await self._again(lambda: self.inner.get(get))

    async def set(self, write: Set) -> None:
        await self._again(lambda: self.inner.set(write), len(write.value))

    async def delete(self, write: Delete) -> None:
        await self._again(lambda: self.inner.delete(write))

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._again(lambda: self.inner.transact(writes), _size_of(writes))

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self._again(lambda: self.inner.keys(prefix, limit, cursor))

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        return await self._again(lambda: self.inner.candidates(prefix, limit, cursor, needed))

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        """Read the keys; those whose reads failed are read again, and each result has the place of its key."""
        results: list[StoredValue | StoreError | None] = [None] * len(gets)
        attempts = self._attempts()
        asked: list[int] = list(range(len(gets)))
        while asked:
            answers = await or_error(self.inner.bulk_get([gets[place] for place in asked]))
            if isinstance(answers, StoreError) and len(asked) == len(gets):
                if not may_pass_soon(answers) or not await attempts.another(CALL_BYTES + len(gets) * ITEM_BYTES):
                    raise answers
                continue
            entries = [answers] * len(asked) if isinstance(answers, StoreError) else answers
            for place, entry in zip(asked, entries, strict=True):
                results[place] = entry
            failed = [place for place in asked if may_pass_soon(results[place])]
            held = sum(len(found.value) for found in results if found is not None and not isinstance(found, StoreError))
            if not failed or not await attempts.another(held + len(gets) * ITEM_BYTES):
                attempts.report(not any(isinstance(result, StoreError) for result in results))
                break
            asked = failed
        return results

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        """Write the items; those that certainly were not written are written again, each under its own place.

        An item is not repeated if a later one of the same key was written meanwhile: it would undo that one.
        """
        results: list[StoreError | None] = [None] * len(writes)
        attempts = self._attempts()
        asked: list[int] = list(range(len(writes)))
        while asked:
            answers = await self.inner.bulk_write([writes[place] for place in asked])
            for place, answer in zip(asked, answers, strict=True):
                results[place] = answer
            failed = _repeatable(writes, results, asked)
            if not failed or not await attempts.another(_size_of([writes[place] for place in failed])):
                attempts.report(not any(isinstance(result, StoreError) for result in results))
                break
            asked = failed
        return results

    async def _again(self, call: Callable[[], Awaitable[Result]], size: int = 0) -> Result:
        attempts = self._attempts()
        while True:
            try:
                result = await call()
            except StoreError as error:
                if not may_pass_soon(error) or not await attempts.another(size + CALL_BYTES):
                    raise
            else:
                attempts.report(True)
                return result

    def _attempts(self) -> _Attempts:
        if self._metrics is not None:
            self._metrics.used("retry")
        return _Attempts(self)

    async def wait(self, pause: float, size: int) -> bool:
        """Wait before another attempt; return whether there may be one."""
        if self._waiting + size > MAX_WAITING_BYTES:
            return False
        end = monotonic() + pause
        self._waiting += size
        try:
            while not (self._ended.is_set() or self._is_short()):
                left = end - monotonic()
                if left <= 0:
                    return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, CHECK_INTERVAL_S)):
                        await self._ended.wait()
        finally:
            self._waiting -= size
        return False

    def begin_to_fail(self) -> None:
        if self._metrics is not None:
            self._metrics.activated("retry")
        if not self._is_failing:
            self._is_failing = True
            log.warning("store %s: calls fail, and are made again by retry policy %s", self._name, self.policy_name)

    def recovered(self) -> None:
        if self._is_failing:
            self._is_failing = False
            log.info("store %s: calls succeed again", self._name)

    def pauses(self) -> Iterator[float]:
        """Yield the pauses of a call that begins now."""
        began = monotonic()
        return pauses(self._policy, lambda: monotonic() - began, uniform)

    @property
    def policy_name(self) -> str:
        return self.guarded.policies.names.retry or ""


class _Attempts:
    """The further attempts of one call."""

    __slots__ = ("_has_failed", "_pauses", "_store")

    def __init__(self, store: RetryingStore):
        self._store = store
        self._pauses = store.pauses()
        self._has_failed = False

    async def another(self, size: int) -> bool:
        """Wait before another attempt of a call that holds `size` bytes; return whether there may be one."""
        pause = next(self._pauses, None)
        if pause is None:
            return False
        if not self._has_failed:
            self._has_failed = True
            self._store.begin_to_fail()
        return await self._store.wait(pause, size)

    def report(self, succeeded: bool) -> None:
        if succeeded:
            self._store.recovered()


def resilient_store(
    store: Store,
    name: str,
    policies: StorePolicies,
    metrics: PolicyMetrics | None,
    previous: GuardedStore | None = None,
    is_short: Callable[[], bool] = never_short,
) -> GuardedStore | RetryingStore:
    """Return a store that answers under the policies. `previous` served the same store under earlier ones: its breaker
    stays as it is, unless its definition has changed. If `is_short` says that memory is short, calls are not made
    again.
    """
    breaker = previous.breaker if previous is not None else None
    wanted = policies.circuit_breaker
    if wanted is None:
        breaker = None
    elif breaker is None or breaker.policy != wanted:
        breaker = PolicyBreaker(wanted, monotonic())
    if metrics is not None:
        metrics.watch(None if breaker is None else lambda: breaker.state.value)
    guarded = GuardedStore(store, name, policies, breaker, metrics)
    return guarded if policies.retry is None else RetryingStore(guarded, name, policies.retry, metrics, is_short)


def _repeatable(writes: Sequence[Write], results: Sequence[StoreError | None], asked: Sequence[int]) -> list[int]:
    """Return the places of the failed writes that may be repeated, in their order."""
    done: set[str] = set()
    found = []
    for place in reversed(asked):
        error, key = results[place], writes[place].key
        if may_pass_soon(error):
            if key not in done:
                found.append(place)
        elif error is None or is_unreached(error):
            done.add(key)
    return found[::-1]


def _size_of(writes: Sequence[Write]) -> int:
    return sum(ITEM_BYTES + (len(write.value) if isinstance(write, Set) else 0) for write in writes)
