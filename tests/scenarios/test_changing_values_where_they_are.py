"""Increment, append, get-and-set, touch and exists: one call does what a read and a write by ETag would do."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from scenarios.http_client import HttpClient, path
from scenarios.state_client import ActorApi, Item, Kind, Refused
from scenarios.worlds import World
from servers.grpc_protos import message

from pannier_sidecar.state.store import Feature

STORE = "statestore"


@pytest.mark.every_store
def test_each_call_answers_with_its_result(lists: ActorApi, key: str) -> None:
    number, texts = f"{key}n", f"{key}l"
    assert not lists.exists(STORE, number)
    assert lists.change(STORE, "increment", number) == 1
    assert lists.change(STORE, "increment", number, by=41, ceiling=42) == 42
    assert lists.change(STORE, "append", texts, values=[b'{"b": 1}', b'"\xc3\xa9"']) == 2
    assert lists.change(STORE, "append", texts, values=[b"3"], maxLength=2) == 2
    assert lists.change(STORE, "get-and-set", texts, value=b"[]") == b'["\xc3\xa9",3]'
    assert lists.change(STORE, "get-and-set", f"{key}x", value=b"1") is None
    assert lists.exists(STORE, number)
    found = lists.get(STORE, number)
    assert found is not None
    assert found.value == b"42"


@pytest.mark.every_store
@pytest.mark.on(lambda database: Feature.TTL in database.claims)
def test_a_touch_says_when_a_value_expires(here: World, lists: ActorApi, key: str) -> None:
    lists.save(STORE, Item(key))
    assert lists.change(STORE, "touch", key, metadata={"ttlInSeconds": "1000"}) is True
    found = lists.get(STORE, key)
    assert found is not None
    assert found.expires_at
    if here.database.store_class.keeps_expiry:
        assert lists.change(STORE, "increment", key) == 2
        kept = lists.get(STORE, key)
        assert kept is not None
        assert kept.expires_at
    else:
        with pytest.raises(Refused) as refused:
            lists.change(STORE, "increment", key)
        assert refused.value.code == "ERR_STATE_EXPIRY_NOT_GIVEN"
    lists.change(STORE, "increment", key, metadata={"ttlInSeconds": "-1"})
    found = lists.get(STORE, key)
    assert found is not None
    assert found.expires_at is None


@pytest.mark.every_store
@pytest.mark.on(lambda database: Feature.TRANSACTIONAL in database.claims)
def test_a_repeated_request_is_answered_as_the_first(lists: ActorApi, key: str) -> None:
    for _ in range(2):
        assert lists.change(STORE, "increment", key, once="n") == 1
        assert lists.change(STORE, "append", f"{key}l", once="l", values=[b"1"]) == 1
        assert lists.change(STORE, "get-and-set", f"{key}v", once="v", value=b'"x"') is None
        assert lists.change(STORE, "get-and-set", f"{key}v", once="w", value=b"2") == b'"x"'
    with pytest.raises(Refused) as refused:
        lists.change(STORE, "increment", key, once="n", by=2)
    assert refused.value.code == "ERR_IDEMPOTENCY_KEY_REUSED"
    assert lists.change(STORE, "increment", key, by=0) == 1


@pytest.mark.every_store
@pytest.mark.on(lambda database: Feature.TRANSACTIONAL in database.claims)
def test_a_repeated_save_delete_or_transaction_happens_once(here: World, key: str) -> None:
    calls = (
        ("POST", path(STORE), f'[{{"key": "{key}", "value": 1}}]'),
        ("DELETE", path(STORE, key), None),
        (
            "POST",
            f"{path(STORE)}/transaction",
            f'{{"operations": [{{"operation": "upsert", "request": {{"key": "{key}", "value": 2}}}}]}}',
        ),
    )
    for method, target, body in calls:
        first = here.http.call(method, target, body, Idempotency_Key=f"{method} {target}")
        assert first.status in (200, 201, 204), first.body
        here.http.save(STORE, Item(key, b'"theirs"'))
        assert here.http.call(method, target, body, Idempotency_Key=f"{method} {target}").status == first.status
        found = here.http.get(STORE, key)
        assert found is not None
        assert found.value == b'"theirs"'


@pytest.mark.every_store
@pytest.mark.on(lambda database: Feature.TRANSACTIONAL not in database.claims)
def test_a_store_that_cannot_remember_an_idempotency_key_refuses_it(here: World, lists: ActorApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        lists.change(STORE, "increment", key, once="n")
    assert refused.value.code == "ERR_IDEMPOTENCY_KEY_NOT_SUPPORTED"
    saved = here.http.call("POST", path(STORE), f'[{{"key": "{key}", "value": 1}}]', Idempotency_Key="n")
    assert saved.status == 400
    assert not lists.exists(STORE, key)


def test_the_etag_of_the_result_is_returned_if_asked_for(here: World, key: str) -> None:
    for name, body in (
        ("increment", f'{{"key": "{key}", "returnEtag": true}}'),
        ("append", f'{{"key": "{key}l", "values": [1], "returnEtag": true}}'),
        ("get-and-set", f'{{"key": "{key}s", "value": 1, "returnEtag": true}}'),
        ("touch", f'{{"key": "{key}", "metadata": {{"ttlInSeconds": "900"}}, "returnEtag": true}}'),
    ):
        answer = here.http.call("POST", f"/v1.0-alpha1/state/{STORE}/{name}", body)
        found = here.http.get(STORE, json.loads(body)["key"])
        assert found is not None
        assert answer.headers["etag"] == found.etag
    request = message("pannier.v1.IncrementRequest")(store_name=STORE, key=key, return_etag=True)
    etag = here.dapr_grpc.call("Increment", request).etag
    found = here.http.get(STORE, key)
    assert found is not None
    assert etag == found.etag


def test_numbers_of_64_bits_are_exact(lists: ActorApi, key: str) -> None:
    assert lists.change(STORE, "increment", key, initial=2**53, by=1) == 2**53 + 1
    assert lists.change(STORE, "increment", key, by=-(2**63) + 1) == 2**53 + 2 - 2**63
    with pytest.raises(Refused) as refused:
        lists.change(STORE, "increment", key, by=-(2**63))
    assert refused.value.code == "ERR_STATE_OUT_OF_RANGE"


def test_what_cannot_be_changed_so_is_refused_without_its_value(lists: ActorApi, key: str) -> None:
    lists.save(STORE, Item(key, b'"secret"'))
    calls: list[tuple[str, dict[str, Any]]] = [("increment", {}), ("append", {"values": [b"1"]})]
    for name, fields in calls:
        with pytest.raises(Refused) as refused:
            lists.change(STORE, name, key, **fields)
        assert refused.value.code == "ERR_STATE_WRONG_KIND"
        assert "a text" in str(refused.value)
        assert "secret" not in str(refused.value)
    with pytest.raises(Refused) as refused:
        lists.change(STORE, "increment", f"{key}n", etag="4711")
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "ERR_STATE_INCREMENT")


def test_wrong_requests_change_nothing(lists: ActorApi, key: str) -> None:
    with pytest.raises(Refused) as missing:
        lists.change("none", "increment", key)
    assert missing.value.kind is Kind.STORE_MISSING
    for name, wrong, fields in (
        ("increment", "", {}),
        ("increment", "a||b", {}),
        ("increment", key, {"metadata": {"ttlInSeconds": "soon"}}),
        ("append", key, {"values": []}),
        ("append", key, {"values": [b"1"], "maxLength": -1}),
        ("touch", key, {}),
    ):
        with pytest.raises(Refused) as refused:
            lists.change(STORE, name, wrong, **fields)
        assert refused.value.kind is Kind.MALFORMED
    assert not lists.exists(STORE, key)


def test_bodies_are_read_strictly(here: World, key: str) -> None:
    here.http.save(STORE, Item(key))
    for name, body, words in (
        ("increment", f'{{"key": "{key}", "bye": 1}}', "unknown field `bye`"),
        ("increment", f'{{"key": "{key}", "by": 1.5}}', "$.by"),
        ("increment", f'{{"key": "{key}", "by": 9223372036854775808}}', "$.by"),
        ("increment", "", "the body is empty"),
        ("increment", "[]", "Expected `object`"),
        ("increment", f'{{"key": "{key}", "metadata": {{"ttlInSeconds": [1]}}}}', "metadata"),
        ("increment", f'{{"key": "{key}", "metadata": {{"a": "{"x" * 17_000}"}}}}', "metadata of over"),
        ("increment?retryThreshold=3", f'{{"key": "{key}"}}', "retry policies"),
        ("append", f'{{"key": "{key}", "values": 1}}', "values"),
        ("append", f'{{"key": "{key}", "values": [1], "maxLength": 0}}', "$.maxLength"),
        ("get-and-set", f'{{"key": "{key}"}}', "value"),
    ):
        answer = here.http.call("POST", f"/v1.0-alpha1/state/{STORE}/{name}", body)
        assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
        assert words in answer.json["message"]
    many = here.http.call(
        "POST", f"/v1.0-alpha1/state/{STORE}/append", f'{{"key": "{key}", "values": [{"0," * 10_000}0]}}'
    )
    assert (many.status, many.json["errorCode"]) == (413, "ERR_TOO_MANY_ITEMS")
    stale = here.http.call("POST", "/v1.0-alpha1/state/increment", f'{{"key": "{key}"}}', If_Match="4711")
    assert stale.status == 409
    assert here.http.change(STORE, "increment", key) == 2


def test_calls_of_many_clients_lose_nothing(here: World, key: str) -> None:
    def count(_: int) -> None:
        client = HttpClient(here.http.port)
        for _ in range(100):
            client.change(STORE, "increment", f"{key}n")
            client.change(STORE, "append", f"{key}l", values=[b"1"])
        client.close()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(count, range(16)))
    assert here.http.change(STORE, "increment", f"{key}n", by=0) == 1600
    assert here.http.change(STORE, "append", f"{key}l", values=[b"1"]) == 1601
