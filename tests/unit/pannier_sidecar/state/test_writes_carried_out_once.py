"""A save, a delete or a transaction that is repeated with its Idempotency-Key happens once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    MalformedRequestError,
    OperationFailedError,
    OutcomeUnknownError,
    StoreUnavailableError,
    TooManyOperationsError,
    TransactionFailedError,
)
from pannier_sidecar.state.errors.of_changes import IdempotencyKeyReusedError
from pannier_sidecar.state.repeatable import RepeatableWrites
from pannier_sidecar.state.requests import (
    FIRST_WRITE,
    DeleteRequest,
    GetRequest,
    RetryPolicy,
    SaveRequest,
    TransactRequest,
    Write,
    WriteItem,
)
from pannier_sidecar.state.service import StateService
from pannier_sidecar.stores.in_memory import InMemoryStore

Call = Callable[[], Any]


class FaultyStore(InMemoryStore):
    """Carries the next transactions out, and then fails; or fails before."""

    max_transaction = 3

    def __init__(self) -> None:
        super().__init__({})
        self.done = 0
        self.before: list[Exception] = []
        self.after: list[Exception] = []

    async def transact(self, writes: Sequence[Write]) -> None:
        if self.before:
            raise self.before.pop()
        await super().transact(writes)
        self.done += 1
        if self.after:
            raise self.after.pop()


@pytest.fixture
async def store() -> AsyncIterator[FaultyStore]:
    store = FaultyStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def service(store: FaultyStore) -> StateService:
    return serving(store)[0]


@pytest.fixture
def writes(service: StateService) -> RepeatableWrites:
    return RepeatableWrites(service)


async def stored(service: StateService, key: str) -> bytes | None:
    found = await service.get(GetRequest(None, key))
    return None if found is None else found.value


def save(value: bytes = b"1", **more: Any) -> SaveRequest:
    return SaveRequest(None, [WriteItem("k", value, **more)])


async def test_a_repetition_after_a_lost_answer_does_not_write_over_what_came_since(
    service: StateService, store: FaultyStore, writes: RepeatableWrites
) -> None:
    both = TransactRequest(None, [WriteItem("k", b"1"), WriteItem("l", None)])
    calls: dict[str, Call] = {
        "save": lambda: writes.save(save(), "save"),
        "first write": lambda: writes.save(save(concurrency=FIRST_WRITE), "first"),
        "delete": lambda: writes.delete(DeleteRequest(None, WriteItem("k")), "delete"),
        "transaction": lambda: writes.transact(both, "transaction"),
    }
    for name, call in calls.items():
        await service.delete(DeleteRequest(None, WriteItem("k")))
        store.after = [OutcomeUnknownError("lost")]
        with pytest.raises((OperationFailedError, TransactionFailedError)) as lost:
            await call()
        assert lost.value.code == "ERR_STATE_OUTCOME_UNKNOWN", name
        await service.save(save(b"theirs"))
        await call()
        await call()
        assert await stored(service, "k") == b"theirs", name
    assert store.done == len(calls)


async def test_the_same_save_at_two_sidecars_at_once_is_one_write(store: FaultyStore) -> None:
    sidecars = [RepeatableWrites(serving(store)[0]) for _ in range(5)]
    await asyncio.gather(*(each.save(save(concurrency=FIRST_WRITE), "one") for each in sidecars))
    assert store.done == 1


async def test_two_saves_that_meet_are_one_write(service: StateService, writes: RepeatableWrites) -> None:
    other = ScriptedStore(None, ETagMismatchError("exists"))
    repeatable = RepeatableWrites(serving(other)[0])
    with pytest.raises(OperationFailedError) as refused:  # nothing is remembered: the mismatch is the app's own
        await repeatable.save(save(concurrency=FIRST_WRITE), "one")
    assert refused.value.http_status == 409


async def test_another_request_with_the_same_key_is_refused(
    service: StateService, store: FaultyStore, writes: RepeatableWrites
) -> None:
    await writes.save(save(), "one")
    for other in (
        writes.save(save(b"2"), "one"),
        writes.save(save(metadata={"ttlInSeconds": "9"}), "one"),
        writes.delete(DeleteRequest(None, WriteItem("k")), "one"),
        writes.transact(TransactRequest(None, [WriteItem("k", b"1"), WriteItem("l", b"1")]), "one"),
    ):
        with pytest.raises(IdempotencyKeyReusedError):
            await other
    assert await stored(service, "k") == b"1"
    assert store.done == 1


async def test_several_independent_items_are_refused(writes: RepeatableWrites) -> None:
    with pytest.raises(MalformedRequestError, match="2 items"):
        await writes.save(SaveRequest(None, [WriteItem("k", b"1"), WriteItem("l", b"1")]), "one")
    await writes.transact(TransactRequest(None, []), "one")


async def test_a_transaction_needs_room_for_what_is_remembered(writes: RepeatableWrites) -> None:
    items = [WriteItem(str(number), b"1") for number in range(3)]
    await writes.transact(TransactRequest(None, items[:2]), "one")
    with pytest.raises(TooManyOperationsError, match="2"):
        await writes.transact(TransactRequest(None, items), "two")


async def test_a_retry_policy_may_repeat_what_is_unknown(store: FaultyStore, writes: RepeatableWrites) -> None:
    policy = RetryPolicy(interval_ms=0, threshold=3)
    store.before = [StoreUnavailableError("away")]
    store.after = [OutcomeUnknownError("lost")]
    await writes.save(save(retry=policy, concurrency=FIRST_WRITE), "one")
    assert store.done == 1
