"""Profile `dapr` over gRPC: status, text and details of each refusal are those of pkg/api in Dapr 1.18."""

from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, Help, ResourceInfo
from integration.grpc_front_end.grpc_wire import DAPR, GET, SAVE, Answer
from integration.grpc_front_end.test_grpc_statuses import asked, details, text
from integration.http_front_end.failing_store import FailingStore, PlainStore, SmallStore

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    InvalidETagError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)

BULK, BULK_DELETE, DELETE = "GetBulkState", "DeleteBulkState", "DeleteState"
TRANSACT, QUERY = "ExecuteStateTransaction", "QueryStateAlpha1"
ACTOR_GET, ACTOR_TRANSACT = "GetActorState", "ExecuteActorStateTransaction"
UNKNOWN, INVALID, ABORTED, UNIMPLEMENTED, INTERNAL = 2, 3, 10, 12, 13
KEY = {"key": "k"}
ONE = {"states": [KEY]}
STEP = {"operations": [{"operationType": "upsert", "request": KEY}]}
ACTOR = {"actor_type": "a", "actor_id": "1"}
ACTOR_STEP = {**ACTOR, "operations": [{"operationType": "upsert", "key": "k"}]}

OF_STORES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    GET: (KEY, "fail to get k from state store statestore: ", "ERR_STATE_GET"),
    SAVE: (ONE, "failed saving state in state store statestore: ", "ERR_STATE_SAVE"),
    DELETE: (KEY, "failed deleting state with key k: ", "ERR_STATE_DELETE"),
    BULK_DELETE: (ONE, "failed deleting state in state store statestore: ", "ERR_STATE_BULK_DELETE"),
    TRANSACT: (STEP, "error while executing state transaction: ", "ERR_STATE_TRANSACTION"),
    ACTOR_GET: ({**ACTOR, **KEY}, "error getting actor state: ", None),
    ACTOR_TRANSACT: (ACTOR_STEP, "error saving actor transaction state: ", None),
}
FAILURES = [
    StoreUnavailableError("away"),
    StoreRefusedError("full"),
    KeyRefusedError("too long"),
    OutcomeUnknownError("lost"),
]


async def refused(name: str, fields: dict[str, Any], store: FailingStore, **how: bool) -> Answer:
    if name.endswith(("ActorState", "ActorStateTransaction")):
        return await asked(DAPR, name, store, fields, names_a_store=False, is_exact=True, **how)
    return await asked(DAPR, name, store, fields, is_exact=True, **how)


def reasons(answer: Answer) -> list[str]:
    """The reasons in the details of an answer; there is nothing else in them."""
    if "grpc-status-details-bin" not in answer.headers:
        return []
    found = details(answer)
    assert all(isinstance(each, ErrorInfo) for each in found)
    return [each.reason for each in found]


async def test_a_failure_in_a_store_is_internal_with_the_code_of_the_call(subtests: pytest.Subtests) -> None:
    """The code depends on the call, the rest on the failure: each is tried once, and both together for two calls."""
    for name, (fields, what, reason) in OF_STORES.items():
        for fault in FAILURES if name in (GET, TRANSACT) else FAILURES[:1]:
            with subtests.test(f"{name}: {type(fault).__name__}"):
                answer = await refused(name, fields, FailingStore(fault))
                # The one case that Dapr does not distinguish.
                expected = UNKNOWN if isinstance(fault, OutcomeUnknownError) else INTERNAL
                assert (answer.status, text(answer)) == (expected, f"{what}{fault}")
                assert reasons(answer) == ([reason] if reason else [])


async def test_an_etag_that_does_not_match_is_aborted_and_an_invalid_one_is_an_invalid_argument(
    subtests: pytest.Subtests,
) -> None:
    for name in (SAVE, DELETE, BULK_DELETE, TRANSACT):
        fields, what, reason = OF_STORES[name]
        for fault, status in ((ETagMismatchError("x"), ABORTED), (InvalidETagError("x"), INVALID)):
            with subtests.test(f"{name}: {type(fault).__name__}"):
                answer = await refused(name, fields, FailingStore(fault))
                assert answer.status == (INTERNAL if name == TRANSACT else status)
                assert (text(answer), reasons(answer)) == (f"{what}{fault}", [reason])


async def test_a_bulk_get_passes_on_what_the_store_says() -> None:
    answer = await refused(BULK, {"keys": ["k"]}, FailingStore(StoreRefusedError("full")))
    assert (answer.status, text(answer), reasons(answer)) == (UNKNOWN, "full", [])


async def test_several_failures_are_a_line_each() -> None:
    fields = {"states": [{"key": "a"}, {"key": "b"}]}
    mismatch, invalid = "possible etag mismatch. error from state store", "invalid etag value"
    for faults, status, message in (
        ([ETagMismatchError("x"), ETagMismatchError("y")], ABORTED, f"{mismatch}: {mismatch}: x\n{mismatch}: y"),
        ([ETagMismatchError("x"), InvalidETagError("y")], INVALID, f"{invalid}: {mismatch}: x\n{invalid}: y"),
        ([StoreRefusedError("x"), StoreRefusedError("y")], INTERNAL, "x\ny"),
    ):
        answer = await refused(SAVE, fields, FailingStore(*faults))
        assert (answer.status, text(answer)) == (status, f"failed saving state in state store statestore: {message}")


async def test_a_request_that_cannot_be_carried_out_is_refused(subtests: pytest.Subtests) -> None:
    refusals: list[tuple[str, dict[str, Any], int, str, str | None]] = [
        (SAVE, {"states": [{}]}, INVALID, "state key cannot be empty", "ERR_STATE_SAVE"),
        (
            TRANSACT,
            {"operations": [{"operationType": "merge", "request": KEY}]},
            UNIMPLEMENTED,
            "operation type merge not supported",
            "ERR_NOT_SUPPORTED_STATE_OPERATION",
        ),
        (
            ACTOR_TRANSACT,
            {**ACTOR, "operations": [{"operationType": "merge", "key": "k"}]},
            UNIMPLEMENTED,
            "operation type merge not supported",
            "ERR_NOT_SUPPORTED_STATE_OPERATION",
        ),
        (
            ACTOR_GET,
            {"actor_type": "dapr.internal.x", "actor_id": "1", "key": "k"},
            7,
            'actor type "dapr.internal.x" is reserved for the Dapr workflow runtime; '
            "direct actor API access is not permitted",
            None,
        ),
    ]
    for name, fields, status, message, reason in refusals:
        with subtests.test(f"{name}: {message}"):
            answer = await refused(name, fields, FailingStore())
            assert (answer.status, text(answer)) == (status, message)
            assert reasons(answer) == ([reason] if reason else [])


async def test_a_request_without_a_store_is_refused() -> None:
    answer = await refused(GET, KEY, FailingStore(), is_configured=False)
    assert (answer.status, text(answer)) == (9, "state store statestore is not configured")
    assert reasons(answer) == ["DAPR_STATE_NOT_CONFIGURED"]
    answer = await refused(GET, {**KEY, "store_name": "none"}, FailingStore())
    assert (answer.status, text(answer)) == (INVALID, "state store none is not found")
    assert reasons(answer) == ["DAPR_STATE_NOT_FOUND"]
    assert not details(answer)[0].metadata
    assert answer.headers["pannier-advice"] == "known stores: statestore"
    answer = await refused(ACTOR_GET, {**ACTOR, **KEY}, FailingStore(), is_configured=False)
    assert (answer.status, reasons(answer)) == (INTERNAL, [])
    assert text(answer).startswith("the state store is not configured to use the actor runtime. Have you set the - ")


async def test_a_missing_feature_is_reported_with_three_details() -> None:
    for name, fields, store, status, message, kinds in (
        (
            TRANSACT,
            STEP,
            PlainStore(),
            UNIMPLEMENTED,
            "state store statestore doesn't support transactions",
            [Help, ResourceInfo, ErrorInfo],
        ),
        (
            TRANSACT,
            {"operations": STEP["operations"] * 3},
            SmallStore(),
            INVALID,
            "the transaction contains 3 operations, which is more than what the state store supports: 2",
            [ResourceInfo, ErrorInfo],
        ),
        (QUERY, {}, PlainStore(), INTERNAL, "state store does not support querying", [ResourceInfo, ErrorInfo]),
    ):
        answer = await refused(name, fields, store)
        found = details(answer)
        assert (answer.status, text(answer), [type(each) for each in found]) == (status, message, kinds)
        assert found[-2] == ResourceInfo(resource_type="state", resource_name="statestore")
        assert "advice" not in found[-1].metadata
        assert answer.headers["pannier-advice"], "Dapr's message and details have no place for it"
