"""A bulk delete says of each item what became of it."""

import pytest
from scenarios.state_client import ActorApi, Item, Kind, Refused
from scenarios.worlds import World


@pytest.mark.every_store
def test_each_item_has_an_outcome_of_its_own(lists: ActorApi, group: str) -> None:
    first, second, third = (f"{group}{name}" for name in "abc")
    lists.save("statestore", Item(first), Item(second), Item(third))
    found = lists.get("statestore", third)
    assert found is not None
    items = [
        Item(first, None),
        Item(second, None, etag="4711"),
        Item(f"{group}none", None),
        Item(third, None, etag=found.etag),
    ]
    outcomes = lists.delete_bulk_each("statestore", *items)
    assert outcomes == [(first, None), (second, "ERR_STATE_DELETE"), (f"{group}none", None), (third, None)]
    assert lists.get("statestore", second)
    assert (lists.get("statestore", first), lists.get("statestore", third)) == (None, None)


def test_several_items_may_have_one_key_or_there_may_be_none(lists: ActorApi, key: str) -> None:
    lists.save("statestore", Item(key))
    outcomes = lists.delete_bulk_each("statestore", Item(key, None, etag="4711"), Item(key, None))
    assert outcomes == [(key, "ERR_STATE_DELETE"), (key, None)]
    assert lists.delete_bulk_each("statestore") == []


def test_a_request_that_cannot_be_read_deletes_nothing(here: World, key: str) -> None:
    here.http.save("statestore", Item(key))
    for target, body, status in (
        ("/v1.0-alpha1/state/statestore/bulk-delete", f'[{{"key": "{key}"}}, {{"key": ""}}]', 400),
        ("/v1.0-alpha1/state/statestore/bulk-delete", f'[{{"key": "{key}"}}, {{"key": "a||b"}}]', 400),
        ("/v1.0-alpha1/state/statestore/bulk-delete", f'["{key}"]', 400),
        ("/v1.0-alpha1/state/none/bulk-delete", f'[{{"key": "{key}"}}]', 400),
        ("/v1.0-alpha1/state/statestore/bulk-delete", "[" + '{"key":"k"},' * 10_000 + f'{{"key": "{key}"}}]', 413),
    ):
        answer = here.http.call("POST", target, body)
        assert (answer.status, sorted(answer.json)) == (status, sorted(answer.json.keys() - {"results"}))
    with pytest.raises(Refused) as refused:
        here.dapr_grpc.delete_bulk_each("none", Item(key, None))
    assert refused.value.kind is Kind.STORE_MISSING
    assert here.http.get("statestore", key)


def test_the_status_is_that_of_the_gravest_error(here: World, key: str) -> None:
    here.http.save("statestore", Item(key))
    answer = here.http.call(
        "POST", "/v1.0-alpha1/state/bulk-delete", f'[{{"key": "{key}", "etag": "4711"}}, {{"key": "{key}2"}}]'
    )
    assert (answer.status, answer.json["errorCode"]) == (409, "ERR_STATE_BULK_DELETE")
    assert key in answer.json["message"]
    failed, done = answer.json["results"]
    assert (failed["key"], failed["status"], failed["errorCode"]) == (key, 409, "ERR_STATE_DELETE")
    assert "possible etag mismatch" in failed["error"]
    assert done == {"key": f"{key}2"}
