"""What callers see if a store fails, lacks a feature, or does not exist."""

import json
from typing import Any

import pytest
from integration.http_front_end.failing_store import FailingStore, PlainStore, SmallStore, serving_stores
from integration.http_front_end.http_wire import get, request, save, serving

from pannier_sidecar.http_api.messages import Answer, Call
from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

TYPE = "type.googleapis.com/google.rpc."
STEP = b'{"operation": "upsert", "request": {"key": "k"}}'
STEPS = b'{"operations": [' + STEP + b"]}"
HELP = {
    "@type": TYPE + "Help",
    "links": [
        {
            "description": "Check the list of state stores and the features they support",
            "url": "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
        }
    ],
}


def resource(name: str) -> dict[str, str]:
    return {
        "@type": TYPE + "ResourceInfo",
        "description": "",
        "owner": "",
        "resource_name": name,
        "resource_type": "state",
    }


def info(reason: str, metadata: dict[str, str] | None) -> dict[str, object]:
    return {"@type": TYPE + "ErrorInfo", "domain": "dapr.io", "metadata": metadata, "reason": reason}


FAILURES = {
    "get": (get("/v1.0/state/s/k"), "ERR_STATE_GET", "fail to get k from state store s: away"),
    "save": (
        save('[{"key": "k"}]', target="/v1.0/state/s"),
        "ERR_STATE_SAVE",
        "failed saving state in state store s: away",
    ),
    "delete": (request("DELETE", "/v1.0/state/s/k"), "ERR_STATE_DELETE", "failed deleting state with key k: away"),
    "bulk get": (
        request("POST", "/v1.0/state/s/bulk", b'{"keys": ["k"]}'),
        "ERR_STATE_BULK_GET",
        "failed getting 1 keys from state store s: away",
    ),
    "transaction": (
        request("POST", "/v1.0/state/s/transaction", STEPS),
        "ERR_STATE_TRANSACTION",
        "error while executing state transaction: away",
    ),
    "keys": (get("/v1.0-alpha1/state/s/keys"), "ERR_STATE_KEYS", "failed listing keys of state store s: away"),
    "actor get": (get("/v1.0/actors/a/1/state/k"), "ERR_ACTOR_STATE_GET", "error getting actor state: away"),
    "actor delete": (
        request("DELETE", "/v1.0-alpha1/actors/a/1/state"),
        "ERR_ACTOR_STATE_DELETE",
        "error deleting actor state: away",
    ),
    "actor transaction": (
        request("POST", "/v1.0/actors/a/1/state", b"[" + STEP + b"]"),
        "ERR_ACTOR_STATE_TRANSACTION_SAVE",
        "error saving actor transaction state: away",
    ),
}


@pytest.mark.parametrize("profile", ["spec", "dapr"])
async def test_a_failure_of_the_store_has_the_message_of_the_call(profile: str, subtests: pytest.Subtests) -> None:
    for call, (raw, code, message) in FAILURES.items():
        with subtests.test(call):
            stores: dict[str, Any] = {name: FailingStore(StoreUnavailableError("away")) for name in ("s", "actors")}
            async with serving_stores(profile, **stores) as here:
                wire = await here.connect()
                answer = await wire.ask(raw)
                assert answer.status == (503 if profile == "spec" else 500)
                assert answer.headers.get("retry-after") == ("1" if profile == "spec" else None)
                told = "away" if (call, profile) == ("bulk get", "dapr") else message
                assert json.loads(answer.body) == {"errorCode": code, "message": told}
                assert await wire.is_usable()


@pytest.mark.parametrize("profile", ["spec", "dapr"])
async def test_a_write_that_may_have_happened_has_its_own_code(profile: str, subtests: pytest.Subtests) -> None:
    outcome = "lost; the write may or may not have happened: read the key before writing again"
    for call in FAILURES.keys() - {"get", "bulk get", "keys", "actor get"}:
        raw, code, message = FAILURES[call]
        with subtests.test(call):
            stores: dict[str, Any] = {name: FailingStore(OutcomeUnknownError("lost")) for name in ("s", "actors")}
            async with serving_stores(profile, **stores) as here:
                answer = await (await here.connect()).ask(raw)
            assert (answer.status, answer.headers.get("retry-after")) == (500, None)
            assert json.loads(answer.body) == {
                "errorCode": "ERR_STATE_OUTCOME_UNKNOWN" if profile == "spec" else code,
                "message": message.replace("away", outcome),
            }


async def test_of_several_failures_the_gravest_decides() -> None:
    body = '[{"key": "a"}, {"key": "b"}, {"key": "c"}]'
    for faults, status in (
        ([ETagMismatchError(), ETagMismatchError()], 409),
        ([ETagMismatchError(), InvalidETagError("x"), ETagMismatchError()], 409),
        ([ETagMismatchError(), InvalidETagError("x"), StoreUnavailableError("away")], 503),
        ([ETagMismatchError(), OutcomeUnknownError("lost"), StoreUnavailableError("away")], 500),
    ):
        async with serving_stores(s=FailingStore(*faults)) as here:
            answer = await (await here.connect()).ask(save(body, target="/v1.0/state/s"))
            assert answer.status == status
            for key in "abc"[: len(faults)]:
                assert f"key {key}: " in json.loads(answer.body)["message"]


@pytest.mark.parametrize(("profile", "status"), [("spec", 400), ("dapr", 500)])
async def test_a_transaction_on_a_store_without_transactions_is_refused(profile: str, status: int) -> None:
    async with serving_stores(profile, s=PlainStore()) as here:
        answer = await (await here.connect()).ask(request("POST", "/v1.0/state/s/transaction", b"broken"))
    error = json.loads(answer.body)
    assert (answer.status, error["errorCode"]) == (status, "ERR_STATE_STORE_NOT_SUPPORTED")
    advice = "save the items one by one or use a store that does"
    message = "state store s doesn't support transactions"
    assert error["message"] == (message if profile == "dapr" else f"{message}; {advice}")
    reason = info("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED", None)
    described = {**resource("s"), "description": advice if profile == "dapr" else ""}
    assert error["details"] == [HELP, described, reason]


async def test_a_transaction_that_is_too_large() -> None:
    body = b'{"operations": [' + b",".join([STEP] * 3) + b"]}"
    async with serving_stores(s=SmallStore()) as here:
        answer = await (await here.connect()).ask(request("POST", "/v1.0/state/s/transaction", body))
    error = json.loads(answer.body)
    assert (answer.status, error["errorCode"]) == (400, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS")
    assert error["message"] == (
        "the transaction contains 3 operations, which is more than what the state store supports: 2; make several of it"
    )
    counts = {"currentOpsTransaction": "3", "maxOpsPerTransaction": "2"}
    assert error["details"] == [resource("s"), info("DAPR_STATE_TOO_MANY_TRANSACTIONS", counts)]


async def test_a_store_that_cannot_list_its_keys() -> None:
    async with serving_stores(s=PlainStore()) as here:
        answer = await (await here.connect()).ask(get("/v1.0-alpha1/state/s/keys"))
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_STATE_STORE_NOT_SUPPORTED")


@pytest.mark.parametrize(("profile", "status"), [("spec", 400), ("dapr", 500)])
async def test_calls_without_any_store_are_refused(profile: str, status: int) -> None:
    async with serving_stores(profile) as here:
        wire = await here.connect()
        for call in (get("/v1.0/state/s/k"), save("[]", target="/v1.0/state/s"), request("DELETE", "/v1.0/state/s/k")):
            answer = await wire.ask(call)
            error = json.loads(answer.body)
            assert (answer.status, error["errorCode"]) == (status, "ERR_STATE_STORE_NOT_CONFIGURED")
            message, _, advice = error["message"].partition("; ")
            assert (message, bool(advice)) == ("state store s is not configured", profile == "spec")
            (detail,) = error["details"]
            assert bool(detail["metadata"].pop("advice", "")) == (profile == "dapr")
            assert detail == info("DAPR_STATE_NOT_CONFIGURED", {"appID": "app"})


@pytest.mark.parametrize(("profile", "status"), [("spec", 400), ("dapr", 500)])
async def test_calls_of_actors_without_an_actor_store_are_refused(profile: str, status: int) -> None:
    async with serving_stores(profile, s=InMemoryStore({})) as here:
        wire = await here.connect()
        for call in (get("/v1.0/actors/a/1/state/k"), request("POST", "/v1.0/actors/a/1/state", b"[" + STEP + b"]")):
            answer = await wire.ask(call)
            error = json.loads(answer.body)
            assert (answer.status, error["errorCode"]) == (status, "ERR_ACTOR_RUNTIME_NOT_FOUND")
            assert 'actorStateStore value: "true"' in error["message"]


@pytest.mark.parametrize(("profile", "status"), [("spec", 400), ("dapr", 500)])
async def test_a_transaction_of_an_actor_needs_a_store_with_transactions(profile: str, status: int) -> None:
    async with serving_stores(profile, actors=PlainStore()) as here:
        answer = await (await here.connect()).ask(request("POST", "/v1.0/actors/a/1/state", b"[" + STEP + b"]"))
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (status, "ERR_ACTOR_STATE_TRANSACTION_SAVE")


async def test_several_stores_and_none_is_the_default() -> None:
    async with serving_stores(a=InMemoryStore({}), b=InMemoryStore({})) as here:
        answer = await (await here.connect()).ask(get("/v1.0/state/k"))
    assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "ERR_STATE_STORE_NOT_FOUND")
    assert "there are several (a, b)" in json.loads(answer.body)["message"]


async def test_stores_may_be_called_like_parts_of_the_api() -> None:
    async with serving_stores(
        bulk=InMemoryStore({}), transaction=InMemoryStore({}), statestore=InMemoryStore({})
    ) as here:
        wire = await here.connect()
        for name in ("bulk", "transaction"):
            assert (await wire.ask(save('[{"key": "k", "value": 1}]', target=f"/v1.0/state/{name}"))).status == 201
            assert (await wire.ask(get(f"/v1.0/state/{name}/k"))).body == b"1"
            bulk = await wire.ask(request("POST", f"/v1.0/state/{name}/bulk", b'{"keys": ["k"]}'))
            assert json.loads(bulk.body)[0]["data"] == 1
            assert (await wire.ask(request("POST", f"/v1.0/state/{name}/transaction", STEPS))).status == 204


async def test_values_that_are_no_json_come_alone_but_not_with_others() -> None:
    """Other apps and gRPC may write any bytes."""
    store = InMemoryStore({})
    await store.open()
    values = {"bytes": b"\xff\x00", "text": b"no json", "empty": b"", "good": b"[1]", "two": b"1 2"}
    for key, value in values.items():
        await store.set(Set(f"app||{key}", value))
    async with serving_stores(s=store) as here:
        wire = await here.connect()
        for key, value in values.items():
            assert (await wire.ask(get(f"/v1.0/state/s/{key}"))).body == value
        bulk = await wire.ask(request("POST", "/v1.0/state/s/bulk", json.dumps({"keys": list(values)}).encode()))
        entries = {entry["key"]: entry for entry in json.loads(bulk.body)}
        assert entries["good"]["data"] == [1]
        for key in ("bytes", "text", "empty", "two"):
            assert "no JSON" in entries[key]["error"]
            assert "data" not in entries[key]


@pytest.mark.parametrize("call", ["bulk", "keys"])
async def test_values_that_are_too_much_for_one_answer_are_left_for_another(call: str) -> None:
    store = InMemoryStore({})
    await store.open()
    for key, size in {"a": 30, "b": 30, "c": 10}.items():
        await store.set(Set(f"app||{key}", b'"%b"' % (b"x" * size)))
    async with serving_stores(largest_answer=50, s=store) as here:
        wire = await here.connect()
        if call == "bulk":
            answer = await wire.ask(request("POST", "/v1.0/state/s/bulk", b'{"keys": ["a", "b", "c", "none"]}'))
            a, b, c, none = json.loads(answer.body)
            assert none == {"key": "none"}
        else:
            answer = await wire.ask(get("/v1.0-alpha1/state/s/keys?values=true"))
            a, b, c = json.loads(answer.body)["keys"]
    assert answer.status == 200
    assert (a["data"], c["data"]) == ("x" * 30, "x" * 10)
    assert b == {"key": "b", "error": "values of over 50 bytes don't fit into one answer; get key 'b' in another call"}


class ForeignStore(InMemoryStore):
    """A store with values that other programs may have written."""

    begin_get = Store.begin_get

    async def get(self, get: Get) -> StoredValue | None:
        return StoredValue(b"1", "1\r\nx-evil: y\r\n\r\n", 10**13)


async def test_values_of_other_programs_break_no_answer() -> None:
    async with serving_stores(s=ForeignStore({})) as here:
        wire = await here.connect()
        answer = await wire.ask(get("/v1.0/state/s/k"))
        assert (answer.status, answer.body) == (200, b"1")
        assert "x-evil" not in answer.headers
        assert answer.headers["etag"] == "1%0D%0Ax-evil%3A%20y%0D%0A%0D%0A"
        assert answer.headers["metadata.ttlexpiretime"] == "9999-12-31T23:59:59Z"
        assert await wire.is_usable()


async def test_an_answer_may_be_any_status() -> None:
    async def answer(call: Call) -> Answer:
        return Answer(418, b"tea", b"text/plain", ((b"x-pot", b"1"),))

    async with serving(answer) as here:
        answer_seen = await (await here.connect()).ask(get("/"))
        assert (answer_seen.status, answer_seen.body, answer_seen.headers["x-pot"]) == (418, b"tea", "1")
