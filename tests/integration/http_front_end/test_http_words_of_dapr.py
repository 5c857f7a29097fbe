"""Profile `dapr` over HTTP: status, code, text and details of each refusal are those of pkg/api in Dapr 1.18."""

import json
from typing import Any

import pytest
from integration.http_front_end.failing_store import FailingStore, PlainStore, SmallStore, serving_stores
from integration.http_front_end.http_wire import get, request, save

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    InvalidETagError,
    KeyRefusedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)

STORE, BULK, TRANSACT = "/v1.0/state/s", "/v1.0/state/s/bulk", "/v1.0/state/s/transaction"
ACTOR = "/v1.0/actors/a/1/state"
STEP = b'{"operation": "upsert", "request": {"key": "k", "value": 1}}'
STEPS = b'{"operations": [' + STEP + b"]}"
OF_STORES = {
    "get": (get(f"{STORE}/k"), "ERR_STATE_GET", "fail to get k from state store s: "),
    "save": (save('[{"key": "k"}]', target=STORE), "ERR_STATE_SAVE", "failed saving state in state store s: "),
    "delete": (request("DELETE", f"{STORE}/k"), "ERR_STATE_DELETE", "failed deleting state with key k: "),
    "bulk get": (request("POST", BULK, b'{"keys": ["k"]}'), "ERR_STATE_BULK_GET", ""),
    "transaction": (
        request("POST", TRANSACT, STEPS),
        "ERR_STATE_TRANSACTION",
        "error while executing state transaction: ",
    ),
    "actor get": (get(f"{ACTOR}/k"), "ERR_ACTOR_STATE_GET", "error getting actor state: "),
    "actor transaction": (
        request("POST", ACTOR, b"[" + STEP + b"]"),
        "ERR_ACTOR_STATE_TRANSACTION_SAVE",
        "error saving actor transaction state: ",
    ),
}
FAILURES = [
    StoreUnavailableError("away"),
    StoreRefusedError("full"),
    KeyRefusedError("too long"),
    OutcomeUnknownError("lost"),
]


async def refused(raw: bytes, *faults: StoreError, **stores: Any) -> tuple[int, dict[str, Any]]:
    """Return status and body of the answer to a call that is refused."""
    stores = stores or {"s": FailingStore(*faults), "actors": FailingStore(*faults)}
    async with serving_stores("dapr", **stores) as here:
        answer = await (await here.connect()).ask(raw)
    return answer.status, json.loads(answer.body)


async def test_a_failure_in_a_store_is_500_with_the_code_of_the_call(subtests: pytest.Subtests) -> None:
    """The code depends on the call, the rest on the failure: each is tried once, and both together for two calls."""
    for call, (raw, code, what) in OF_STORES.items():
        for fault in FAILURES if call in ("get", "transaction") else FAILURES[:1]:
            with subtests.test(f"{call}: {type(fault).__name__}"):
                assert await refused(raw, fault) == (500, {"errorCode": code, "message": f"{what}{fault}"})


async def test_an_etag_that_does_not_match_is_409_and_an_invalid_one_400(subtests: pytest.Subtests) -> None:
    for call in ("save", "delete", "transaction", "actor transaction"):
        raw, code, what = OF_STORES[call]
        for fault, status in ((ETagMismatchError("x"), 409), (InvalidETagError("x"), 400)):
            expected = 500 if "transaction" in call else status
            with subtests.test(f"{call}: {type(fault).__name__}"):
                assert await refused(raw, fault) == (expected, {"errorCode": code, "message": f"{what}{fault}"})


async def test_several_failures_are_a_line_each() -> None:
    mismatch, invalid = "possible etag mismatch. error from state store", "invalid etag value"
    for faults, status, lines in (
        ([ETagMismatchError("x"), ETagMismatchError("y")], 409, f"{mismatch}: {mismatch}: x\n{mismatch}: y"),
        ([ETagMismatchError("x"), InvalidETagError("y")], 400, f"{invalid}: {mismatch}: x\n{invalid}: y"),
        ([StoreRefusedError("x"), StoreRefusedError("y")], 500, "x\ny"),
    ):
        answer = await refused(save('[{"key": "a"}, {"key": "b"}]', target=STORE), *faults)
        message = f"failed saving state in state store s: {lines}"
        assert answer == (status, {"errorCode": "ERR_STATE_SAVE", "message": message})


REFUSED_KEY = "api error: code = InvalidArgument desc = input key/keyPrefix 'a||b' can't contain '||'"
REFUSALS = {
    "no such store": (get("/v1.0/state/none/k"), 400, "ERR_STATE_STORE_NOT_FOUND", "state store none is not found", 1),
    "key": (save('[{"key": "a||b"}]', target=STORE), 400, "ERR_MALFORMED_REQUEST", REFUSED_KEY, 3),
    "no key": (save('[{"value": 1}]', target=STORE), 400, "ERR_MALFORMED_REQUEST", '"key" is a required field', 1),
    "empty body": (save("", target=STORE), 400, "ERR_MALFORMED_REQUEST", "EOF", 1),
    "bulk get": (
        request("POST", BULK, b"[]"),
        400,
        "ERR_MALFORMED_REQUEST",
        "failed deserializing HTTP body: json: cannot unmarshal array into Go value of type http.BulkGetRequest",
        1,
    ),
    "operation": (
        request("POST", TRANSACT, STEPS.replace(b"upsert", b"merge")),
        400,
        "ERR_NOT_SUPPORTED_STATE_OPERATION",
        "operation type merge not supported",
        1,
    ),
    "operation on an actor": (
        request("POST", ACTOR, b"[" + STEP.replace(b"upsert", b"merge") + b"]"),
        500,
        "ERR_ACTOR_STATE_TRANSACTION_SAVE",
        "error saving actor transaction state: operation type merge not supported",
        1,
    ),
    "query": (
        request("POST", "/v1.0-alpha1/state/s/query", b"[]"),
        500,
        "ERR_STATE_QUERY",
        "state store s query failed: failed to parse JSON query body: $ has to be an object",
        2,
    ),
    "reserved actor": (
        get("/v1.0/actors/dapr.internal.x/1/state/k"),
        403,
        "ERR_ACTOR_TYPE_RESERVED",
        'actor type "dapr.internal.x" is reserved for the Dapr workflow runtime; '
        "direct actor API access is not permitted",
        1,
    ),
    "slash in a key": (
        get(f"{STORE}/a/b"),
        404,
        "ERR_DIRECT_INVOKE",
        "failed getting app id either from the URL path or the header dapr-app-id",
        1,
    ),
    "another app's health": (
        get("/v1.0/healthz?appid=other"),
        500,
        "ERR_HEALTH_APPID_NOT_MATCH",
        "dapr app-id does not match",
        1,
    ),
}


async def test_refusals_without_a_store_have_advice_in_a_detail(subtests: pytest.Subtests) -> None:
    for name, (raw, status, code, message, details) in REFUSALS.items():
        with subtests.test(name):
            answer = await refused(raw)
            assert (answer[0], answer[1]["errorCode"], answer[1]["message"]) == (status, code, message)
            assert len(answer[1]["details"]) == details
            assert _advice(answer[1]["details"])


async def test_a_feature_that_a_store_lacks_is_reported() -> None:
    plain = await refused(request("POST", TRANSACT, STEPS), s=PlainStore())
    assert (plain[0], plain[1]["errorCode"]) == (500, "ERR_STATE_STORE_NOT_SUPPORTED")
    assert plain[1]["message"] == "state store s doesn't support transactions"
    many = b'{"operations": [' + b",".join([STEP] * 3) + b"]}"
    small = await refused(request("POST", TRANSACT, many), s=SmallStore())
    assert (small[0], small[1]["errorCode"]) == (400, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS")
    message = "the transaction contains 3 operations, which is more than what the state store supports: 2"
    assert small[1]["message"] == message
    assert _advice(plain[1]["details"]) and _advice(small[1]["details"])


def _advice(details: list[dict[str, Any]]) -> str:
    """The advice in the details."""
    advice = [each.get("description") or (each.get("metadata") or {}).get("advice", "") for each in details]
    return "".join(advice)
