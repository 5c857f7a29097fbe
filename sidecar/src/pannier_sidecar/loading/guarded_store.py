"""A store with a timeout and a circuit breaker of a Resiliency around each call.

Only calls that were not answered, or that the store refused for now, count as failures of the breaker. Mismatches of
ETags and refused requests are answers, so they count as successes.

The call itself goes to the store or, while that cannot be reached, to the stand-in of `circuit_breaker.py`. The stores
here and in `retrying_store.py` have no `begin_get` of their own, so calls take the general way.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pannier_crds.values import format_duration
from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import StoreError, is_unreached, unanswered
from pannier_sidecar.state.resiliency import BreakerState, PolicyBreaker
from pannier_sidecar.state.store import or_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_crds.resiliency_policies import StorePolicies
    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Delete, Get, Set, Write
    from pannier_sidecar.state.store import KeyPage, Store, StoredValue

log = logging.getLogger(__name__)

Result = TypeVar("Result")

DEADLINE_EXCEEDED: Final = "context deadline exceeded"
"""Dapr's words for a timeout."""


class PolicyMetrics(Protocol):
    """Counts what the policies of one store do, in the words of Dapr's metrics."""

    def used(self, policy: str, status: str = "") -> None:
        """Count a call under a policy: `timeout`, `retry` or `circuitbreaker`; `status` is the state of a breaker."""

    def activated(self, policy: str, status: str = "") -> None:
        """Count that a policy took effect: a timeout passed, a call was made again, a breaker changed its state."""

    def watch(self, state: Callable[[], str] | None) -> None:
        """Report the state of the store's breaker from now on; None: it has no breaker."""


class PolicyStore(DelegatingStore):
    """What the stores with policies have in common."""

    async def open(self) -> None:
        """Do nothing: the store inside is opened and closed by itself."""

    async def close(self) -> None:
        """Do nothing, like `open`."""


class GuardedStore(PolicyStore):
    """A store with a timeout and a circuit breaker; either may be missing."""

    def __init__(
        self,
        inner: Store,
        name: str,
        policies: StorePolicies,
        breaker: PolicyBreaker | None,
        metrics: PolicyMetrics | None,
    ):
        super().__init__(inner)
        self.policies = policies
        self.breaker = breaker
        self.on_unreached: Callable[[], None] = _ignore
        """Called after each attempt that did not reach the store or was not answered."""
        self._name = name
        self._metrics = metrics

    @property
    def guarded(self) -> GuardedStore:
        return self

    def end(self) -> None:
        """Do nothing: it makes no further attempts."""

    async def get(self, get: Get) -> StoredValue | None:
        return await self._guard(lambda: self.inner.get(get), may_have_changed=False)

    async def set(self, write: Set) -> None:
        await self._guard(lambda: self.inner.set(write), may_have_changed=True)

    async def delete(self, write: Delete) -> None:
        await self._guard(lambda: self.inner.delete(write), may_have_changed=True)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        return await self._guard(lambda: self.inner.bulk_get(gets), may_have_changed=False, has_failed=_any_unreached)

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        call = self._guard(lambda: self.inner.bulk_write(writes), may_have_changed=True, has_failed=_any_unreached)
        answer = await or_error(call)
        return [answer] * len(writes) if isinstance(answer, StoreError) else answer

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._guard(lambda: self.inner.transact(writes), may_have_changed=True)

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        return await self._guard(lambda: self.inner.keys(prefix, limit, cursor), may_have_changed=False)

    async def candidates(self, prefix: str, limit: int, cursor: str | None, needed: Needed) -> KeyPage:
        return await self._guard(lambda: self.inner.candidates(prefix, limit, cursor, needed), may_have_changed=False)

    async def _guard(
        self,
        call: Callable[[], Awaitable[Result]],
        *,
        may_have_changed: bool,
        has_failed: Callable[[Result], bool] | None = None,
    ) -> Result:
        """Make one attempt. Raises CircuitOpenError if the breaker does not admit it."""
        breaker = self.breaker
        token = self._admit(breaker) if breaker is not None else 0
        succeeded: bool | None = None
        try:
            result = await self._in_time(call, may_have_changed=may_have_changed)
            succeeded = has_failed is None or not has_failed(result)
            return result
        except StoreError as error:
            succeeded = not is_unreached(error)
            raise
        finally:
            if succeeded is False:
                self.on_unreached()
            if breaker is not None:
                before = breaker.state
                breaker.end(token, monotonic(), succeeded=succeeded)
                self._report(breaker, before)

    def _admit(self, breaker: PolicyBreaker) -> int:
        before = breaker.state
        try:
            return breaker.admit(monotonic())
        finally:
            if self._metrics is not None:
                self._metrics.used("circuitbreaker", breaker.state.value)
            self._report(breaker, before)

    async def _in_time(self, call: Callable[[], Awaitable[Result]], *, may_have_changed: bool) -> Result:
        seconds = self.policies.timeout
        if seconds is None:
            return await call()
        if self._metrics is not None:
            self._metrics.used("timeout")
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await call()
        except TimeoutError:
            if not deadline.expired():
                raise
        if self._metrics is not None:
            self._metrics.activated("timeout")
        error = unanswered(
            f"it did not answer within {format_duration(seconds)}, its timeout", may_have_changed=may_have_changed
        )
        error.dapr_text = DEADLINE_EXCEEDED
        raise error

    def _report(self, breaker: PolicyBreaker, before: object) -> None:
        """Log and count a change of the breaker's state."""
        state = breaker.state
        if state is before:
            return
        level = logging.INFO if state is BreakerState.CLOSED else logging.WARNING
        policy = self.policies.names.circuit_breaker
        log.log(level, "store %s: its circuit breaker %s is %s", self._name, policy, state.value)
        if self._metrics is not None:
            self._metrics.activated("circuitbreaker", state.value)


def _any_unreached(results: Sequence[object]) -> bool:
    return any(is_unreached(result) for result in results)


def _ignore() -> None:
    pass
