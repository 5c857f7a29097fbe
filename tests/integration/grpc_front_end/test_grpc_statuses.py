"""Failed calls: status, text and details of Dapr's service, status and text of Layotto's."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, Help, ResourceInfo
from google.rpc.status_pb2 import Status
from integration.grpc_front_end.grpc_wire import DAPR, GET, SAVE, Answer, serving
from integration.http_front_end.failing_store import FailingStore, PlainStore, SmallStore
from servers.grpc_protos import LAYOTTO, methods

from pannier_sidecar.state.errors import (
    InvalidETagError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)

BULK_DELETE, DELETE, TRANSACT = "DeleteBulkState", "DeleteState", "ExecuteStateTransaction"
MISMATCH = "possible etag mismatch. error from state store: key app||k does not exist, so it has no ETag 4711"
ONE = [{"key": "k", "value": b"1"}]
STALE = [{"key": "k", "etag": {"value": "4711"}}]
UPSERTS = [{"operationType": "upsert", "request": item} for item in ONE * 3]


async def asked(
    service: str, name: str, store: FailingStore, fields: dict[str, Any], *, names_a_store: bool = True, **how: Any
) -> Answer:
    """Make a call that is refused."""
    if names_a_store:
        fields = {("storeName" if name == TRANSACT else "store_name"): "statestore", **fields}
    async with serving(store, **how) as here:
        client = await here.connect()
        request = methods(service)[name][0](**fields)
        return await client.answer(client.call(name, request.SerializeToString(), service=service))


def text(answer: Answer) -> str:
    return unquote(answer.headers["grpc-message"])


REFUSALS: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
    (GET, {"store_name": "none", "key": "k"}, (3, "state store none is not found")),
    (GET, {"key": "a; b||c"}, (3, "input key/keyPrefix 'a; b||c' can't contain '||'")),
    (SAVE, {"states": STALE}, (10, f"failed saving state in state store statestore: {MISMATCH}")),
    (DELETE, STALE[0], (10, f"failed deleting state with key k: {MISMATCH}")),
    (BULK_DELETE, {"states": STALE}, (10, f"failed deleting state in state store statestore: {MISMATCH}")),
    (
        TRANSACT,
        {"operations": [{"operationType": "upsert", "request": STALE[0]}]},
        (10, f"error while executing state transaction: {MISMATCH}"),
    ),
    (TRANSACT, {"operations": [{"operationType": "Upsert"}]}, (12, "operation type Upsert not supported")),
]


@pytest.mark.parametrize("service", [DAPR, LAYOTTO])
async def test_requests_that_cannot_be_carried_out_are_refused(service: str, subtests: pytest.Subtests) -> None:
    for name, fields, (code, message) in REFUSALS:
        with subtests.test(f"{name}: {message}"):
            answer = await asked(service, name, FailingStore(), fields)
            expected = 2 if service == LAYOTTO and message.startswith("input key") else code
            if service == LAYOTTO:
                assert text(answer) == message
            assert (answer.status, text(answer)[: len(message)]) == (expected, message)
            assert ("grpc-status-details-bin" in answer.headers) == (service == DAPR)


FAULTS = [
    (StoreUnavailableError("it is away; try again"), 14),
    (OutcomeUnknownError("the answer was lost"), 2),
    (StoreRefusedError("wrong password; correct it"), 13),
    (InvalidETagError(), 10),
]
CALLS: list[tuple[str, dict[str, Any], str]] = [
    (GET, {"key": "k"}, "fail to get k from state store statestore"),
    (SAVE, {"states": ONE}, "failed saving state in state store statestore"),
    (DELETE, {"key": "k"}, "failed deleting state with key k"),
    (BULK_DELETE, {"states": ONE}, "failed deleting state in state store statestore"),
    (TRANSACT, {"operations": UPSERTS}, "error while executing state transaction"),
]


@pytest.mark.parametrize("service", [DAPR, LAYOTTO])
async def test_the_stores_message_is_reported(service: str, subtests: pytest.Subtests) -> None:
    """The words before it depend on the call, the status on the failure: each is tried once, and both together for a
    read and a transaction.
    """
    for name, fields, what in CALLS:
        for fault, code in FAULTS if name in (GET, TRANSACT) else FAULTS[:1]:
            with subtests.test(f"{name}: {type(fault).__name__}"):
                answer = await asked(service, name, FailingStore(fault), fields)
                assert (answer.status, text(answer)) == (code, f"{what}: {fault}")


async def test_dapr_and_layotto_differ_in_words() -> None:
    for service, refusals in (
        (DAPR, ("state store statestore is not configured; ", "state store statestore doesn't support transactions; ")),
        (LAYOTTO, ("state store is not configured", "state store statestore doesn't support transaction")),
    ):
        nothing_there = await asked(service, GET, FailingStore(), {"key": "k"}, is_configured=False)
        unable = await asked(service, TRANSACT, PlainStore(), {"operations": UPSERTS})
        for answer, status, message in zip((nothing_there, unable), (9, 12), refusals, strict=True):
            assert answer.status == status
            assert text(answer).startswith(message) if service == DAPR else text(answer) == message


def details(answer: Answer) -> list[Any]:
    """The details of a status, as google.rpc's messages."""
    raw = answer.headers["grpc-status-details-bin"]
    status = Status.FromString(b64decode(raw + "=" * (-len(raw) % 4)))
    assert (status.code, status.message) == (answer.status, text(answer))
    found = []
    for detail in status.details:
        kind = next(kind for kind in (BadRequest, Help, ResourceInfo, ErrorInfo) if detail.Is(kind.DESCRIPTOR))
        found.append(kind.FromString(detail.value))
    return found


def reason(name: str, **metadata: str) -> ErrorInfo:
    return ErrorInfo(reason=name, domain="dapr.io", metadata=metadata)


async def test_details_are_those_of_dapr() -> None:
    key = "a||b"
    refused = f"input key/keyPrefix '{key}' can't contain '||'"
    violation = BadRequest(field_violations=[BadRequest.FieldViolation(field=key, description=refused)])
    resource = ResourceInfo(resource_type="state", resource_name="statestore")
    page = "https://docs.dapr.io/reference/components-reference/supported-state-stores/"
    link = Help.Link(description="Check the list of state stores and the features they support", url=page)
    too_many = reason("DAPR_STATE_TOO_MANY_TRANSACTIONS", currentOpsTransaction="3", maxOpsPerTransaction="2")
    unable = reason("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED")
    for store, name, fields, expected in (
        (FailingStore(), GET, {"store_name": "none", "key": "k"}, [reason("DAPR_STATE_NOT_FOUND")]),
        (FailingStore(), GET, {"key": key}, [violation, resource, reason("DAPR_STATE_ILLEGAL_KEY")]),
        (FailingStore(), SAVE, {"states": STALE}, [reason("ERR_STATE_SAVE")]),
        (FailingStore(), DELETE, STALE[0], [reason("ERR_STATE_DELETE")]),
        (FailingStore(), BULK_DELETE, {"states": STALE}, [reason("ERR_STATE_BULK_DELETE")]),
        (FailingStore(StoreRefusedError("no")), GET, {"key": "k"}, [reason("ERR_STATE_GET")]),
        (FailingStore(StoreRefusedError("no")), TRANSACT, {"operations": UPSERTS}, [reason("ERR_STATE_TRANSACTION")]),
        (FailingStore(OutcomeUnknownError("")), SAVE, {"states": ONE}, [reason("ERR_STATE_OUTCOME_UNKNOWN")]),
        (PlainStore(), TRANSACT, {"operations": UPSERTS}, [Help(links=[link]), resource, unable]),
        (SmallStore(), TRANSACT, {"operations": UPSERTS}, [resource, too_many]),
    ):
        assert details(await asked(DAPR, name, store, fields)) == expected, (name, fields)
