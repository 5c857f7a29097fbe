"""Changes of one key that wait together, conflicts with other sidecars, and answers that are lost."""

import asyncio
from typing import Any

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving

from pannier_sidecar.state import hot_keys
from pannier_sidecar.state.changes import Append, Change, GetAndSet, Increment, Touch
from pannier_sidecar.state.changing import ChangeRequest
from pannier_sidecar.state.errors import (
    EmptyKeyError,
    ETagMismatchError,
    GrpcCode,
    IllegalKeyError,
    MalformedRequestError,
    OperationFailedError,
    OutcomeUnknownError,
    StateError,
    StoreUnavailableError,
)
from pannier_sidecar.state.errors.of_changes import ContentionError, OutOfRangeError
from pannier_sidecar.state.hot_keys import Result
from pannier_sidecar.state.requests import STRONG, Get, GetRequest, Set
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import StoredValue


def request(change: Change, key: str = "k", **more: Any) -> ChangeRequest:
    return ChangeRequest(None, key, change, **more)


async def outcomes(service: StateService, *requests: ChangeRequest) -> list[Any]:
    """Return the value of each result, or its error."""
    found = await asyncio.gather(*map(service.changing.change, requests), return_exceptions=True)
    return [each.value if isinstance(each, Result) else each for each in found]


def writes(store: ScriptedStore) -> list[Set]:
    return [each for each in store.asked if isinstance(each, Set)]


async def test_changes_that_wait_together_are_one_write() -> None:
    store = ScriptedStore()
    store.values["app||k"] = StoredValue(b"40", "7")
    service, served, observer = serving(store)
    changes = [Increment("k"), Increment("k", 5, ceiling=45), Increment("k")]
    first, refused, second = await outcomes(service, *map(request, changes))
    assert (first, second) == (41, 42)
    assert isinstance(refused, OutOfRangeError)
    assert store.asked == [Get("app||k", True), Set("app||k", b"42", "7")]
    assert observer.ended.count(("statestore", "increment", True)) == 2
    assert observer.ended.count(("statestore", "increment", False)) == 1
    assert served.calls_in_flight == 0


async def test_an_absent_key_is_created_and_other_keys_do_not_wait() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    found = await outcomes(service, request(Increment("k")), request(Append("l", [b"1"]), "l"))
    assert found == [1, 1]
    assert writes(store) == [Set("app||k", b"1", None, True), Set("app||l", b"[1]", None, True)]


async def test_a_conflict_is_decided_again() -> None:
    store = ScriptedStore(None, ETagMismatchError("8"), None, ETagMismatchError("9"))
    store.values["app||k"] = StoredValue(b"1", "7")
    service, _, _ = serving(store)
    assert await outcomes(service, request(Increment("k")), request(GetAndSet("k", b"5"))) == [2, b"2"]
    assert len(writes(store)) == 3


async def test_an_unknown_outcome_is_reported_to_all_and_nothing_is_repeated() -> None:
    store = ScriptedStore(None, OutcomeUnknownError("lost"))
    service, _, _ = serving(store)
    for error in await outcomes(service, request(Increment("k")), request(Increment("k"))):
        assert isinstance(error, OperationFailedError)
        assert (error.code, error.grpc_code) == ("ERR_STATE_OUTCOME_UNKNOWN", GrpcCode.UNKNOWN)
    assert len(writes(store)) == 1
    assert await outcomes(service, request(Increment("k"))) == [1]


async def test_a_store_that_is_away_has_done_nothing() -> None:
    store = ScriptedStore(StoreUnavailableError("down"))
    service, _, _ = serving(store)
    [error] = await outcomes(service, request(Increment("k")))
    assert isinstance(error, OperationFailedError)
    assert (error.code, error.http_status, error.retry_after) == ("ERR_STATE_INCREMENT", 503, 1)
    assert "down" in str(error)


async def test_an_etag_is_required_before_the_change() -> None:
    store = ScriptedStore()
    store.values["app||k"] = StoredValue(b"1", "7")
    service, _, _ = serving(store)
    changes = [request(Increment("k"), etag="6"), request(Increment("k"), etag="7"), request(Increment("k"), etag="7")]
    stale, done, late = await outcomes(service, *changes)
    assert done == 2
    for error in (stale, late):
        assert (error.http_status, error.code) == (409, "ERR_STATE_INCREMENT")
    [absent] = await outcomes(service, request(Increment("l"), "l", etag="7"))
    assert absent.http_status == 409


async def test_what_changes_nothing_writes_nothing() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    assert await outcomes(service, request(Touch("k"), metadata={"ttlInSeconds": "9"})) == [False]
    assert not await service.changing.exists(GetRequest(None, "k"))
    assert writes(store) == []


async def test_options_reach_the_store() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store, default_ttl=100)
    metadata = {"partitionKey": "p", "ttlINSECONDS": "9"}
    await outcomes(service, request(Increment("k"), consistency=STRONG, metadata=metadata), request(Increment("k")))
    kept = {"partitionKey": "p"}
    assert store.asked[0] == Get("app||k", True, kept)
    assert Set("app||k", b"1", None, True, 9, True, kept) in writes(store)
    assert Set("app||k", b"1", None, True, 100) in writes(store)


async def test_endless_conflicts_end_with_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_keys, "PATIENCE_S", 0.05)
    service, served, _ = serving(ScriptedStore(*[None, ETagMismatchError()] * 10_000))
    [error] = await outcomes(service, request(Increment("k")))
    assert isinstance(error, ContentionError)
    assert (error.http_status, error.retry_after, error.grpc_code) == (503, 1, GrpcCode.UNAVAILABLE)
    assert served.calls_in_flight == 0


async def test_only_so_many_changes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_keys, "MAX_WAITING", 2)
    service, _, _ = serving(ScriptedStore())
    first, second, third = await outcomes(service, *[request(Increment("k"))] * 3)
    assert (first, second) == (1, 2)
    assert isinstance(third, ContentionError)
    assert await outcomes(service, request(Increment("k"))) == [1]


async def test_a_long_queue_is_written_in_parts() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    await outcomes(service, *[request(Append("k", [b"1"]))] * (hot_keys.TOGETHER + 1))
    assert [each.value.count(b"1") for each in writes(store)] == [hot_keys.TOGETHER, 1]


async def test_a_caller_that_leaves_before_its_turn_changes_nothing() -> None:
    store = ScriptedStore()
    service, served, _ = serving(store)
    leaving = asyncio.create_task(service.changing.change(request(Increment("k", 100))))
    staying = asyncio.create_task(service.changing.change(request(Increment("k"))))
    asyncio.get_running_loop().call_soon(leaving.cancel)
    assert (await staying).value == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert served.calls_in_flight == 0


async def test_a_defect_reaches_whoever_waits() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    store.faults = [ZeroDivisionError()]  # type: ignore[list-item]  # a defect is no StoreError
    first, second = await outcomes(service, request(Increment("k")), request(Increment("k")))
    assert isinstance(first, ZeroDivisionError)
    assert isinstance(second, ZeroDivisionError)
    assert await outcomes(service, request(Increment("k"))) == [1]


async def test_a_value_without_an_etag_is_not_changed() -> None:
    store = ScriptedStore()
    store.values["app||k"] = StoredValue(b"1", "")
    service, _, _ = serving(store)
    [error] = await outcomes(service, request(Increment("k")))
    assert (error.http_status, writes(store)) == (400, [])


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (request(Increment(""), ""), EmptyKeyError),
        (request(Increment("a||b"), "a||b"), IllegalKeyError),
        (request(Touch("k")), MalformedRequestError),
        (request(Touch("k"), metadata={"ttlInSeconds": "soon"}), MalformedRequestError),
        (request(Increment("k"), metadata={"outbox.projection": "true"}), MalformedRequestError),
    ],
)
async def test_a_wrong_request_reaches_no_store(asked: ChangeRequest, error: type[StateError]) -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    with pytest.raises(error):
        await service.changing.change(asked)
    assert store.asked == []
