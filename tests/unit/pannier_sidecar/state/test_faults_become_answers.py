"""A store's failures as callers see them: Dapr's codes and texts, and the gravest status."""

from collections.abc import Awaitable, Callable

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving
from unit.tables import each_row

from pannier_sidecar.state.errors import (
    READ_FIRST,
    ETagMismatchError,
    GrpcCode,
    InvalidCursorError,
    InvalidETagError,
    KeyRefusedError,
    ListingNotSupportedError,
    NotSupportedError,
    OperationFailedError,
    OutcomeUnknownError,
    ReservedActorTypeError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    TooFewReplicasError,
    TooManyOperationsError,
    TransactionsNotSupportedError,
)
from pannier_sidecar.state.requests import (
    ActorDeleteRequest,
    ActorGetRequest,
    ActorTransactRequest,
    BulkDeleteRequest,
    BulkGetRequest,
    DeleteRequest,
    GetRequest,
    KeysRequest,
    PrefixDeleteRequest,
    RetryPolicy,
    SaveRequest,
    TransactRequest,
    WriteItem,
)
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import KeyPage, StoredValue

ONE = WriteItem("k", b"1")
TWO = WriteItem("l", b"2")
GONE = WriteItem("k")

Call = Callable[[StateService], Awaitable[object]]

CALLS: dict[str, tuple[Call, str, str, str]] = {
    "get": (
        lambda service: service.get(GetRequest(None, "k")),
        "get",
        "ERR_STATE_GET",
        "fail to get k from state store statestore: ",
    ),
    "save": (
        lambda service: service.save(SaveRequest(None, [ONE])),
        "set",
        "ERR_STATE_SAVE",
        "failed saving state in state store statestore: ",
    ),
    "delete": (
        lambda service: service.delete(DeleteRequest(None, GONE)),
        "delete",
        "ERR_STATE_DELETE",
        "failed deleting state with key k: ",
    ),
    "bulk delete": (
        lambda service: service.bulk_delete(BulkDeleteRequest(None, [GONE])),
        "bulk_delete",
        "ERR_STATE_BULK_DELETE",
        "failed deleting state in state store statestore: ",
    ),
    "transaction": (
        lambda service: service.transact(TransactRequest(None, [ONE])),
        "transaction",
        "ERR_STATE_TRANSACTION",
        "error while executing state transaction: ",
    ),
    "keys": (
        lambda service: service.lists.keys(KeysRequest(None, "", 10)),
        "keys",
        "ERR_STATE_KEYS",
        "failed listing keys of state store statestore: ",
    ),
    "delete by prefix": (
        lambda service: service.lists.delete_prefix(PrefixDeleteRequest(None, "k")),
        "keys",
        "ERR_STATE_DELETE_KEYS",
        "failed deleting keys of state store statestore: ",
    ),
    "actor get": (
        lambda service: service.get_actor_state(ActorGetRequest("cat", "tom", "k")),
        "get",
        "ERR_ACTOR_STATE_GET",
        "error getting actor state: ",
    ),
    "actor delete": (
        lambda service: service.lists.delete_actor_state(ActorDeleteRequest("cat", "tom")),
        "keys",
        "ERR_ACTOR_STATE_DELETE",
        "error deleting actor state: ",
    ),
    "actor transaction": (
        lambda service: service.transact_actor_state(ActorTransactRequest("cat", "tom", [ONE])),
        "transaction",
        "ERR_ACTOR_STATE_TRANSACTION_SAVE",
        "error saving actor transaction state: ",
    ),
}

FAULTS = [
    (ETagMismatchError("it has 7"), 409, GrpcCode.ABORTED, "possible etag mismatch. error from state store: it has 7"),
    (ETagMismatchError(), 409, GrpcCode.ABORTED, "possible etag mismatch. error from state store"),
    (InvalidETagError("no number"), 409, GrpcCode.ABORTED, "invalid etag value: no number"),
    (InvalidETagError(), 409, GrpcCode.ABORTED, "invalid etag value"),
    (KeyRefusedError("too long"), 400, GrpcCode.INVALID_ARGUMENT, "too long"),
    (InvalidCursorError("of another"), 400, GrpcCode.INVALID_ARGUMENT, "of another"),
    (NotSupportedError("no replicas"), 400, GrpcCode.FAILED_PRECONDITION, "no replicas"),
    (StoreUnavailableError("down"), 503, GrpcCode.UNAVAILABLE, "down"),
    (OutcomeUnknownError("lost"), 500, GrpcCode.UNKNOWN, "lost; the write may or may not have happened: " + READ_FIRST),
    (TooFewReplicasError("one"), 500, GrpcCode.UNKNOWN, "one; it may be lost yet: " + READ_FIRST),
    (OutcomeUnknownError("so " + READ_FIRST), 500, GrpcCode.UNKNOWN, "so " + READ_FIRST),
    (StoreRefusedError("full"), 500, GrpcCode.INTERNAL, "full"),
    (StoreError("odd"), 500, GrpcCode.INTERNAL, "odd"),
]


ONE_OF_EACH_KIND = (FAULTS[0], FAULTS[2], FAULTS[7], FAULTS[8])
"""A fault of each kind that calls distinguish: a mismatch, an invalid ETag, any other, and an unknown outcome."""


@each_row(
    ("call", "operation", "code", "what", "fault", "status", "grpc_code", "reason"),
    {
        f"{name}: {fault[0]!r}": (*call, *fault)
        for name, call in CALLS.items()
        for fault in (FAULTS if name == "save" else ONE_OF_EACH_KIND)
    },
)
async def test_each_fault_of_a_save_and_each_kind_of_fault_of_every_call(
    call: Call, operation: str, code: str, what: str, fault: StoreError, status: int, grpc_code: GrpcCode, reason: str
) -> None:
    service, served, observer = serving(ScriptedStore(fault))
    with pytest.raises(OperationFailedError) as caught:
        await call(service)
    error = caught.value
    if isinstance(fault, OutcomeUnknownError):
        assert error.dapr_code == code
        code = "ERR_STATE_OUTCOME_UNKNOWN"
    assert (error.code, str(error), error.http_status, error.grpc_code) == (code, what + reason, status, grpc_code)
    assert error.retry_after == (1 if status == 503 else None)
    assert observer.ended == [("statestore", operation, False)]
    assert served.calls_in_flight == 0


@pytest.mark.parametrize("name", ["transaction", "actor transaction"])
async def test_a_failed_transaction_is_500_in_daprs_profile(name: str) -> None:
    service, _, _ = serving(ScriptedStore(ETagMismatchError()))
    with pytest.raises(OperationFailedError) as caught:
        await CALLS[name][0](service)
    assert (caught.value.http_status, caught.value.dapr_http_status) == (409, 500)


async def test_text_that_is_no_etag_is_400_in_daprs_profile() -> None:
    service, _, _ = serving(ScriptedStore(ETagMismatchError(), InvalidETagError()))
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [ONE, TWO]))
    assert (caught.value.http_status, caught.value.dapr_http_status) == (409, 400)


async def test_a_call_that_raises_an_unexpected_error_is_still_counted() -> None:
    class Broken(ScriptedStore):
        async def get(self, get: object) -> None:
            raise ZeroDivisionError

    service, served, observer = serving(Broken())
    with pytest.raises(ZeroDivisionError):
        await service.get(GetRequest(None, "k"))
    assert observer.ended == [("statestore", "get", False)]
    assert served.calls_in_flight == 0


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        ([ETagMismatchError(), None], 409),
        ([ETagMismatchError(), InvalidETagError()], 409),
        ([InvalidETagError(), StoreUnavailableError("down")], 503),
        ([ETagMismatchError(), StoreUnavailableError("down")], 503),
        ([StoreRefusedError("full"), StoreUnavailableError("down")], 500),
    ],
)
async def test_the_gravest_of_several_errors_decides(faults: list[StoreError | None], status: int) -> None:
    service, _, _ = serving(ScriptedStore(*faults))
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [ONE, TWO]))
    assert caught.value.http_status == status


async def test_a_store_that_goes_down_after_some_items_were_written_is_not_reported_as_repeatable() -> None:
    service, _, _ = serving(ScriptedStore(None, StoreUnavailableError("down")))
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [ONE, TWO]))
    error = caught.value
    assert (error.code, error.http_status, error.grpc_code) == ("ERR_STATE_SAVE", 500, GrpcCode.INTERNAL)
    assert error.retry_after is None


@pytest.mark.parametrize(
    "other", [None, StoreUnavailableError("down"), StoreRefusedError("full"), ETagMismatchError(), InvalidETagError()]
)
async def test_one_item_that_may_have_happened_decides_over_all_others(other: StoreError | None) -> None:
    service, _, _ = serving(ScriptedStore(other, OutcomeUnknownError("lost")))
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [ONE, TWO]))
    error = caught.value
    assert (error.code, error.http_status, error.grpc_code) == ("ERR_STATE_OUTCOME_UNKNOWN", 500, GrpcCode.UNKNOWN)


async def test_several_errors_are_reported_by_key() -> None:
    service, _, observer = serving(ScriptedStore(ETagMismatchError(), None, StoreRefusedError("full")))
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [ONE, TWO, WriteItem("m", b"3")]))
    assert str(caught.value) == (
        "failed saving state in state store statestore: "
        "key k: possible etag mismatch. error from state store; key m: full"
    )
    assert [key for key, _ in caught.value.errors] == ["k", "m"]
    assert observer.ended == [("statestore", "set", False)]


async def test_a_failed_item_of_a_bulk_get_has_the_error_in_its_entry() -> None:
    store = ScriptedStore(None, StoreUnavailableError("down"))
    service, _, observer = serving(store)
    found, failed, absent = await service.bulk_get(BulkGetRequest(None, ["a", "b", "c"]))
    assert (found.error, failed.error, absent.error) == (None, "down", None)
    assert [item.key for item in (found, failed, absent)] == ["a", "b", "c"]
    assert observer.ended == [("statestore", "bulk_get", True)]


async def test_a_bulk_get_that_fails_as_a_whole() -> None:
    class Down(ScriptedStore):
        async def bulk_get(self, gets: object) -> list[None]:
            raise StoreUnavailableError("down")

    service, _, _ = serving(Down())
    with pytest.raises(OperationFailedError, match="failed getting 2 keys from state store statestore: down") as caught:
        await service.bulk_get(BulkGetRequest(None, ["a", "b"]))
    assert caught.value.code == "ERR_STATE_BULK_GET"


async def test_calls_that_a_plain_store_lacks_are_refused() -> None:
    class Plain(ScriptedStore):
        features = frozenset()

    service, _, _ = serving(Plain())
    with pytest.raises(TransactionsNotSupportedError, match="doesn't support transactions"):
        await service.transact(TransactRequest(None, [ONE]))
    with pytest.raises(ListingNotSupportedError):
        await service.lists.keys(KeysRequest(None, "", 10))


async def test_more_operations_than_the_store_takes() -> None:
    store = ScriptedStore()
    store.max_transaction = 1
    service, _, _ = serving(store)
    with pytest.raises(TooManyOperationsError, match="contains 2 operations, which is more than .*: 1") as caught:
        await service.transact(TransactRequest(None, [ONE, TWO]))
    assert caught.value.info == {"currentOpsTransaction": "2", "maxOpsPerTransaction": "1"}
    assert store.asked == []


async def test_actor_types_of_the_workflow_engine_are_refused() -> None:
    service, _, _ = serving(ScriptedStore())
    with pytest.raises(ReservedActorTypeError, match="dapr.internal.x"):
        await service.get_actor_state(ActorGetRequest("dapr.internal.x", "1", "k"))


async def test_a_query_is_refused_while_the_store_is_away_or_a_value_cannot_be_read() -> None:
    service, _, observer = serving(ScriptedStore(StoreUnavailableError("down")))
    with pytest.raises(OperationFailedError, match="state store statestore query failed: down") as raised:
        await service.queries.run(None, b"{}")
    assert (raised.value.code, raised.value.http_status) == ("ERR_STATE_QUERY", 503)
    assert observer.ended == [("statestore", "query", False)]
    store = ScriptedStore()
    store.pages = [KeyPage(["app||a", "app||b"], None)]
    store.values = {"app||a": StoredValue(b"1", "1"), "app||b": StoreRefusedError("no key opens it")}
    service, _, _ = serving(store)
    with pytest.raises(OperationFailedError, match="query failed: key 'b': no key opens it; a query reads") as raised:
        await service.queries.run(None, b"{}")
    assert (raised.value.code, raised.value.http_status) == ("ERR_STATE_QUERY", 500)


async def test_a_fault_that_may_pass_is_tried_again_as_the_item_says() -> None:
    store = ScriptedStore(StoreUnavailableError("down"), None, StoreUnavailableError("down"), ETagMismatchError())
    service, _, observer = serving(store)
    policy = RetryPolicy(interval_ms=1, threshold=2)
    with pytest.raises(OperationFailedError) as caught:
        await service.save(SaveRequest(None, [WriteItem("a", b"1", retry=policy), WriteItem("b", b"1", retry=policy)]))
    assert [write.key for write in store.asked] == ["app||a", "app||a", "app||b", "app||b"]
    assert [key for key, _ in caught.value.errors] == ["b"]
    assert observer.ended == [("statestore", "set", False)]
