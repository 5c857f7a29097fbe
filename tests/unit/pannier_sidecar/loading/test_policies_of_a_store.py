"""A store under the policies of a Resiliency: what is repeated, what counts as a failure, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pannier_crds.resiliency import CircuitBreakerPolicy, RetryPolicy
from pannier_crds.resiliency_policies import StorePolicies
from pannier_crds.trip_condition import read_condition
from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.loading import retrying_store
from pannier_sidecar.loading.guarded_store import GuardedStore
from pannier_sidecar.loading.retrying_store import RetryingStore, resilient_store
from pannier_sidecar.state.errors import (
    CircuitOpenError,
    ETagMismatchError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.resiliency import BreakerState
from pannier_sidecar.state.store import Feature, Store, StoredValue

THRICE = RetryPolicy(duration=0.001, max_retries=3)
FOREVER = RetryPolicy(duration=0.001)
AWAY = StoreUnavailableError("away")


class Scripted(Store):
    """Fails with each fault in turn, then succeeds. A fault is the error of a call, or an error per key of a bulk call.
    A number is the seconds for which it does not answer.
    """

    features = frozenset(Feature)

    def __init__(self, *faults: Any):
        self.faults = list(faults)
        self.asked: list[Any] = []

    async def _ask(self, what: Any) -> dict[str, StoreError]:
        self.asked.append(what)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, float):
            await asyncio.sleep(fault)
        elif isinstance(fault, StoreError):
            raise fault
        return fault if isinstance(fault, dict) else {}

    async def ping(self) -> None:
        await self._ask("ping")

    async def get(self, get: Get) -> StoredValue | None:
        await self._ask(get.key)
        return StoredValue(b"v", "1")

    async def set(self, write: Set) -> None:
        await self._ask(write.key)

    async def delete(self, write: Delete) -> None:
        await self._ask(write.key)

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._ask([write.key for write in writes])

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        errors = await self._ask([get.key for get in gets])
        return [errors.get(get.key) or StoredValue(get.key.encode(), "1") for get in gets]

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        errors = await self._ask([_shown(write) for write in writes])
        return [errors.get(_shown(write)) for write in writes]


def _shown(write: Write) -> str:
    return write.key + (write.value.decode() if isinstance(write, Set) else "")


def breaker(trip: str = "consecutiveFailures > 1", timeout: float = 60.0) -> CircuitBreakerPolicy:
    return CircuitBreakerPolicy(1, 0.0, timeout, trip, read_condition(trip))


def resilient(store: Store, **policies: Any) -> GuardedStore | RetryingStore:
    return resilient_store(store, "orders", StorePolicies(**policies), None)


def test_calls_take_the_general_way() -> None:
    for kind in (GuardedStore, RetryingStore):
        assert (kind.begin_get, kind.begin_write) == (Store.begin_get, Store.begin_write)


async def test_what_certainly_did_nothing_is_repeated(subtests: pytest.Subtests) -> None:
    for name, call in {
        "get": lambda store: store.get(Get("k")),
        "set": lambda store: store.set(Set("k", b"v")),
        "set with an ETag": lambda store: store.set(Set("k", b"v", if_match="1")),
        "delete": lambda store: store.delete(Delete("k")),
        "transaction": lambda store: store.transact([Set("k", b"v")]),
    }.items():
        with subtests.test(name):
            store = Scripted(AWAY, AWAY)
            await call(resilient(store, retry=THRICE))
            assert len(store.asked) == 3


async def test_what_may_have_happened_and_what_was_answered_is_final(subtests: pytest.Subtests) -> None:
    for fault in (OutcomeUnknownError("lost"), ETagMismatchError(), KeyRefusedError("long"), StoreRefusedError("full")):
        with subtests.test(type(fault).__name__):
            store = Scripted(fault)
            with pytest.raises(type(fault)):
                await resilient(store, retry=FOREVER).set(Set("k", b"v"))
            assert len(store.asked) == 1


async def test_a_request_with_its_own_policy_is_tried_once_under_encryption_too() -> None:
    sealing: Any = None  # a delete needs none
    for around in (lambda store: store, lambda store: EncryptedStore(store, sealing)):
        store = Scripted(AWAY)
        with pytest.raises(StoreUnavailableError):
            await around(resilient(store, retry=THRICE)).unretried.delete(Delete("k"))
        assert len(store.asked) == 1


async def test_retries_end_when_they_are_used_up() -> None:
    store = Scripted(*[AWAY] * 9)
    with pytest.raises(StoreUnavailableError):
        await resilient(store, retry=THRICE).get(Get("k"))
    assert len(store.asked) == 4


async def test_each_attempt_has_its_own_timeout() -> None:
    store = Scripted(60.0, 60.0)
    found = await resilient(store, retry=THRICE, timeout=0.01).get(Get("k"))
    assert found is not None and len(store.asked) == 3


async def test_a_write_that_runs_into_its_timeout_may_have_happened_and_is_not_repeated() -> None:
    store = Scripted(60.0)
    with pytest.raises(OutcomeUnknownError, match="did not answer within 10ms, its timeout; the write may") as failed:
        await resilient(store, retry=THRICE, timeout=0.01).set(Set("k", b"v"))
    assert len(store.asked) == 1
    assert failed.value.dapr_text == "context deadline exceeded"


async def test_an_open_breaker_ends_retries_at_once_and_nothing_is_sent() -> None:
    store = Scripted(*[AWAY] * 9)
    served = resilient(store, retry=FOREVER, circuit_breaker=breaker())
    with pytest.raises(CircuitOpenError):
        await served.get(Get("k"))
    assert len(store.asked) == 2
    with pytest.raises(CircuitOpenError):
        await served.set(Set("k", b"v"))
    (item,) = await served.bulk_write([Set("k", b"v")])
    assert isinstance(item, CircuitOpenError) and len(store.asked) == 2


async def test_what_the_store_answers_counts_as_a_success_of_the_breaker() -> None:
    faults = [ETagMismatchError(), KeyRefusedError("long"), StoreRefusedError("denied")]
    store = Scripted(*faults * 3)
    served = resilient(store, circuit_breaker=breaker("totalFailures > 0"))
    for _ in range(9):
        with pytest.raises(StoreError):
            await served.set(Set("k", b"v"))
    assert isinstance(served, GuardedStore) and served.breaker is not None
    assert served.breaker.state is BreakerState.CLOSED


async def test_a_cancelled_probe_of_a_half_open_breaker_does_not_block_it() -> None:
    store = Scripted(AWAY, 60.0)
    served = resilient(store, circuit_breaker=breaker("totalFailures > 0", timeout=0.001))
    with pytest.raises(StoreUnavailableError):
        await served.get(Get("k"))
    await asyncio.sleep(0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await served.get(Get("k"))
    assert await served.get(Get("k")) is not None


async def test_of_a_bulk_get_only_failed_keys_are_read_again_and_each_result_has_its_place() -> None:
    store = Scripted({"b": AWAY, "d": AWAY}, {"d": AWAY})
    found = await resilient(store, retry=THRICE).bulk_get([Get(key) for key in "abcd"])
    assert store.asked == [["a", "b", "c", "d"], ["b", "d"], ["d"]]
    assert [each.value for each in found if isinstance(each, StoredValue)] == [b"a", b"b", b"c", b"d"]


async def test_a_bulk_get_that_fails_as_a_whole_is_repeated_as_a_whole() -> None:
    store = Scripted(AWAY, {"a": AWAY}, AWAY)
    found = await resilient(store, retry=THRICE).bulk_get([Get("a"), Get("b")])
    assert store.asked == [["a", "b"], ["a", "b"], ["a"], ["a"]]
    assert all(isinstance(each, StoredValue) for each in found)
    with pytest.raises(StoreUnavailableError):
        await resilient(Scripted(*[AWAY] * 4), retry=THRICE).bulk_get([Get("a")])


async def test_of_a_bulk_write_only_items_that_certainly_failed_are_repeated() -> None:
    mismatch, lost = ETagMismatchError(), OutcomeUnknownError("lost")
    store = Scripted({"b": AWAY, "c": mismatch, "d": lost, "e": AWAY}, {"e": AWAY}, {"e": lost})
    found = await resilient(store, retry=THRICE).bulk_write([Set(key, b"") for key in "abcde"])
    assert store.asked == [["a", "b", "c", "d", "e"], ["b", "e"], ["e"]]
    assert list(found) == [None, None, mismatch, lost, lost]


async def test_an_item_is_not_repeated_over_a_later_one_of_the_same_key() -> None:
    store = Scripted({"k1": AWAY, "m1": AWAY, "m2": AWAY}, {"m1": AWAY})
    found = await resilient(store, retry=FOREVER).bulk_write(
        [Set("k", b"1"), Set("k", b"2"), Set("m", b"1"), Set("m", b"2")]
    )
    assert store.asked == [["k1", "k2", "m1", "m2"], ["m1", "m2"]]
    assert list(found) == [AWAY, None, AWAY, None]


async def test_a_bulk_write_that_runs_into_its_timeout_may_have_written_each_item() -> None:
    store = Scripted(60.0)
    found = await resilient(store, retry=THRICE, timeout=0.01).bulk_write([Set("a", b""), Delete("b")])
    assert [type(each) for each in found] == [OutcomeUnknownError] * 2 and len(store.asked) == 1


async def test_calls_that_wait_hold_no_more_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying_store, "MAX_WAITING_BYTES", 3 * retrying_store.CALL_BYTES)
    served = resilient(Scripted(*[AWAY] * 9), retry=RetryPolicy(duration=60.0))
    assert isinstance(served, RetryingStore)
    waiting = [asyncio.create_task(served.set(Set("k", b""))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError):
        await served.set(Set("k", b""))
    served.end()
    assert [str(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == ["away"] * 3
    assert served._waiting == 0


async def test_while_memory_is_short_nothing_is_repeated() -> None:
    policies = StorePolicies(retry=RetryPolicy(duration=60.0))
    with pytest.raises(StoreUnavailableError):
        await resilient_store(Scripted(AWAY), "orders", policies, None, is_short=lambda: True).get(Get("k"))


async def test_a_cancelled_call_holds_nothing_any_more() -> None:
    served = resilient(Scripted(AWAY), retry=RetryPolicy(duration=60.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await served.get(Get("k"))
    assert isinstance(served, RetryingStore) and served._waiting == 0


async def test_a_large_bulk_call_is_repeated_too() -> None:
    gets = [Get(str(n)) for n in range(10_000)]
    store = Scripted(AWAY)
    await resilient(store, retry=THRICE).bulk_get(gets)
    await resilient(store, retry=THRICE).bulk_write([Delete(get.key) for get in gets])
    assert len(store.asked) == 3


async def test_a_store_that_fails_at_once_does_not_keep_the_event_loop() -> None:
    served = resilient(Scripted(*[AWAY] * 1000), retry=RetryPolicy(duration=0.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await served.get(Get("k"))
