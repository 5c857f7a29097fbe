"""A repeated request with the same Idempotency-Key is answered as the first, and changes nothing again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving

from pannier_sidecar.state import hot_keys
from pannier_sidecar.state.changes import Append, Change, GetAndSet, Increment, Touch
from pannier_sidecar.state.changing import ChangeRequest
from pannier_sidecar.state.errors import (
    MalformedRequestError,
    OperationFailedError,
    OutcomeUnknownError,
    StateError,
    StoreError,
)
from pannier_sidecar.state.errors.of_changes import (
    IdempotencyKeyReusedError,
    IdempotencyNotSupportedError,
    OutOfRangeError,
)
from pannier_sidecar.state.hot_keys import Result
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import Delete, Get, GetRequest, KeysRequest, Set, Write
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import Feature, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore


class WatchedStore(InMemoryStore):
    """Remembers its transactions, and loses the answer to the next one on demand."""

    def __init__(self) -> None:
        super().__init__({})
        self.transactions: list[Sequence[Write]] = []
        self.loses_answer = False

    async def transact(self, writes: Sequence[Write]) -> None:
        self.transactions.append(writes)
        await super().transact(writes)
        if self.loses_answer:
            self.loses_answer = False
            raise OutcomeUnknownError("lost")


@pytest.fixture
async def store() -> AsyncIterator[WatchedStore]:
    store = WatchedStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def service(store: WatchedStore) -> StateService:
    return serving(store)[0]


def request(change: Change, once: str = "one", **more: Any) -> ChangeRequest:
    return ChangeRequest(None, change.key, change, idempotency_key=once, **more)


async def outcomes(service: StateService, *requests: ChangeRequest) -> list[Any]:
    """Return the value of each result, or its error."""
    found = await asyncio.gather(*map(service.changing.change, requests), return_exceptions=True)
    return [each.value if isinstance(each, Result) else each for each in found]


async def stored(service: StateService, key: str) -> bytes | None:
    found = await service.get(GetRequest(None, key))
    return None if found is None else found.value


async def test_a_repeated_request_gets_the_first_result(service: StateService) -> None:
    for change, result in (
        (Increment("n", 5), 5),
        (Append("l", [b"1", b"2"]), 2),
        (GetAndSet("v", b"\xff"), None),
        (GetAndSet("n", b"7"), b"5"),
    ):
        once = f"{change.key} {type(change).__name__}"
        for _ in range(3):
            assert await outcomes(service, request(change, once)) == [result]
    assert await outcomes(
        service, request(GetAndSet("v", b"x"), '"quoted"'), request(Touch("v"), metadata={"ttlInSeconds": "9"})
    ) == [b"\xff", True]
    assert await stored(service, "n") == b"7"
    assert await stored(service, "l") == b"[1,2]"


async def test_requests_that_wait_together_are_carried_out_once_each(
    service: StateService, store: WatchedStore
) -> None:
    same, other = request(Increment("k")), request(Increment("k"), "two")
    plain = ChangeRequest(None, "k", Increment("k"))
    assert await outcomes(service, same, same, other, plain, same, other, plain) == [1, 1, 2, 3, 1, 2, 4]
    [writes] = store.transactions
    assert len(writes) == 3
    records = writes[1:]
    assert all(isinstance(each, Set) and each.if_absent and each.ttl == 3600 for each in records)


async def test_another_request_with_the_same_key_is_refused(service: StateService) -> None:
    first = request(Increment("k"))
    assert await outcomes(service, first) == [1]
    for another in (
        request(Increment("k", 2)),
        request(Append("k", [b"1"])),
        request(Increment("k"), etag="7"),
        request(Increment("k"), metadata={"ttlInSeconds": "9"}),
        request(Increment("k"), metadata={"other": "1"}),
    ):
        [error] = await outcomes(service, another)
        assert isinstance(error, IdempotencyKeyReusedError)
        assert error.http_status == 422
    assert await outcomes(service, first, request(Increment("other"))) == [1, 1]
    assert await stored(service, "k") == b"1"


async def test_a_repetition_after_a_lost_answer_gets_it(service: StateService, store: WatchedStore) -> None:
    store.loses_answer = True
    [lost] = await outcomes(service, request(Increment("k")))
    assert isinstance(lost, OperationFailedError)
    assert lost.code == "ERR_STATE_OUTCOME_UNKNOWN"
    assert await outcomes(service, request(Increment("k"))) == [1]
    assert len(store.transactions) == 1


async def test_two_sidecars_with_the_same_request_carry_it_out_once(store: WatchedStore) -> None:
    sidecars = [serving(store)[0] for _ in range(3)]
    for number in range(20):
        found = await asyncio.gather(*(outcomes(each, request(Increment("k"), f"n{number}")) for each in sidecars))
        assert found == [[number + 1]] * 3


async def test_what_was_refused_is_not_remembered(service: StateService, store: WatchedStore) -> None:
    asked = request(Increment("k", ceiling=0))
    [refused] = await outcomes(service, asked)
    assert isinstance(refused, OutOfRangeError)
    await outcomes(service, ChangeRequest(None, "k", GetAndSet("k", b"-1")))
    assert await outcomes(service, asked) == [0]
    assert len(store.transactions) == 1


async def test_only_so_many_are_in_one_transaction(service: StateService, store: WatchedStore) -> None:
    count = hot_keys.ONCE_TOGETHER + 1
    requests = [request(Increment("k"), f"n{number}") for number in range(count)]
    assert await outcomes(service, *requests, ChangeRequest(None, "k", Increment("k"))) == [*range(1, count + 2)]
    assert [len(writes) for writes in store.transactions] == [hot_keys.ONCE_TOGETHER + 1, 2]
    store.max_transaction = 3
    requests = [request(Increment("l"), f"n{number}") for number in range(5)]
    assert await outcomes(service, *requests) == [*range(1, 6)]
    assert [len(writes) for writes in store.transactions[2:]] == [3, 3, 2]


async def test_replaced_values_are_remembered_one_at_a_time(service: StateService, store: WatchedStore) -> None:
    requests = [request(GetAndSet("k", b"%d" % number), f"n{number}") for number in range(3)]
    assert await outcomes(service, *requests, *requests) == [None, b"0", b"1"] * 2
    assert [len(writes) for writes in store.transactions] == [2, 2, 2]


async def test_no_call_reaches_what_is_remembered(store: WatchedStore) -> None:
    for scheme in (
        KeyScheme(store="statestore", app_id="app"),
        KeyScheme(store="statestore", app_id="app", strategy="none"),
        KeyScheme(store="statestore", app_id="app", separator="-"),
    ):
        service, served, _ = serving(store)
        served.keys = scheme
        await outcomes(service, request(Increment("a-b")))
        [_, record] = store.transactions[-1]
        for actors in (False, True):
            page = await service.lists.keys(KeysRequest(None, "", 100, of_actors=actors))
            assert "pannier" not in str(page.items)
        assert served.keys.listed(record.key) is None
        assert served.keys.listed_of_actor(record.key) is None
        assert served.keys.actor_parts(record.key) is None
        with pytest.raises(StateError):
            await service.get(GetRequest(None, record.key.removeprefix(scheme.prefix)))


async def test_apps_that_share_a_key_do_not_share_what_is_remembered(store: WatchedStore) -> None:
    shared = KeyScheme(store="statestore", app_id="app", strategy="none")
    for app, result in (("one", 1), ("two", 2)):
        service, served, _ = serving(store)
        served.keys = shared
        service.directory.app_id = app
        assert await outcomes(service, request(Increment("k"))) == [result]


async def test_a_store_without_transactions_refuses(store: WatchedStore) -> None:
    without = ScriptedStore()
    without.features = frozenset({Feature.ETAG, Feature.TTL})  # type: ignore[misc]
    [error] = await outcomes(serving(without)[0], request(Increment("k")))
    assert isinstance(error, IdempotencyNotSupportedError)
    assert "statestore" in str(error)
    assert without.asked == []


async def test_wrong_keys_are_refused_without_being_shown(service: StateService) -> None:
    for wrong in ("x" * 256, "a\nb", "é", '""', " ", "secret "):
        [error] = await outcomes(service, request(Increment("k"), wrong))
        assert isinstance(error, MalformedRequestError)
        assert "secret" not in str(error)
    assert await stored(service, "k") is None


async def test_a_record_that_cannot_be_read_is_an_error(service: StateService, store: WatchedStore) -> None:
    await outcomes(service, request(Increment("k")))
    [_, record] = store.transactions[0]
    await store.set(Set(record.key, b"{}"))
    [error] = await outcomes(service, request(Increment("k")))
    assert isinstance(error, OperationFailedError)
    assert "Idempotency-Key cannot be read" in str(error)
    assert await stored(service, "k") == b"1"


async def test_a_read_that_fails_fails_the_request() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    await outcomes(service, request(Increment("k")))
    record = next(each.key for each in store.asked if isinstance(each, Get) and each.key != "app||k")
    store.values[record] = StoreError("no permission")
    [error] = await outcomes(service, request(Increment("k")))
    assert isinstance(error, OperationFailedError)
    assert not any(isinstance(each, Set | Delete) for each in store.asked)


# --- the ETag of the result ---------------------------------------------------------------------------------------


async def results(service: StateService, *requests: ChangeRequest) -> list[Result]:
    return await asyncio.gather(*map(service.changing.change, requests))


async def test_the_etag_is_that_of_the_value_that_is_left(service: StateService, store: WatchedStore) -> None:
    asked = ChangeRequest(None, "k", Increment("k"), wants_etag=True)
    [alone] = await results(service, asked)
    found = await store.get(Get("app||k"))
    assert found is not None
    assert alone == Result(1, found.etag)
    first, last = await results(service, asked, asked)
    assert (first.etag, last.value) == (None, 3)
    assert (await results(service, ChangeRequest(None, "k", Increment("k"), etag=last.etag)))[0].value == 4
    repeated = request(Increment("k"), wants_etag=True)
    assert (await results(service, repeated))[0].etag is not None
    other, again = await results(service, asked, repeated)
    assert (other.value, other.etag is None) == (6, False)
    assert again == Result(5, None)  # what it has left is not there any more


class OvertakenStore(ScriptedStore):
    """Each value that is written is replaced by another one at once."""

    async def set(self, write: Set) -> None:
        await super().set(write)
        self.values[write.key] = StoredValue(b"another", "2")


async def test_no_etag_is_told_where_another_write_came_or_the_read_failed() -> None:
    for store in (OvertakenStore(), ScriptedStore(None, None, StoreError("away"))):
        service, _, _ = serving(store)
        asked = ChangeRequest(None, "k", Increment("k"), wants_etag=True)
        assert await results(service, asked) == [Result(1, None)]
