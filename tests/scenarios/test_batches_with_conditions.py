"""A batch writes each item on its own condition, and says what became of each."""

import pytest
from scenarios.state_client import ActorApi, Item, Kind, Refused
from scenarios.worlds import World

STORE = "statestore"


@pytest.mark.every_store
def test_each_item_is_judged_by_itself(lists: ActorApi, group: str) -> None:
    keys = [f"{group}{name}" for name in "abcdefgh"]
    lists.save(STORE, *(Item(key, b"1") for key in keys[:4]))
    found = lists.get(STORE, keys[0])
    assert found is not None
    outcomes = lists.batch(
        STORE,
        Item(keys[0], b"2", etag=found.etag),
        Item(keys[1], b"2", etag="4711"),
        Item(keys[2], b"2", concurrency="first-write"),
        Item(keys[3], None, etag="*"),
        Item(keys[4], b"2", concurrency="first-write"),
        Item(keys[5], b"2", etag="*"),
        Item(keys[6], b"2"),
        Item(keys[7], None),
    )
    assert [(key, outcome) for key, outcome, _ in outcomes] == [
        (keys[0], "written"),
        (keys[1], "conditionFailed"),
        (keys[2], "conditionFailed"),
        (keys[3], "written"),
        (keys[4], "written"),
        (keys[5], "conditionFailed"),
        (keys[6], "written"),
        (keys[7], "written"),
    ]
    left = [lists.get(STORE, key) for key in keys]
    assert [each and each.value for each in left] == [b"2", b"1", b"1", None, b"2", None, b"2", None]
    for place, (_, outcome, etag) in enumerate(outcomes):
        now = left[place]
        assert etag == (now.etag if outcome == "written" and now else None)


def test_a_batch_may_be_empty_and_its_writes_expire(lists: ActorApi, key: str) -> None:
    assert lists.batch(STORE) == []
    assert lists.batch(STORE, Item(key, b"1", metadata={"ttlInSeconds": "1000"}))[0][1] == "written"
    found = lists.get(STORE, key)
    assert found is not None
    assert found.expires_at


def test_wrong_batches_change_nothing(here: World, key: str) -> None:
    here.http.save(STORE, Item(key))
    item = f'{{"operation": "delete", "request": {{"key": "{key}"}}}}'
    for body, words in (
        (f'{{"operations": [{item}, {item}]}}', "twice"),
        (f'{{"operations": [{item}, {{"operation": "delete", "request": {{"key": "a||b"}}}}]}}', "a||b"),
        (f'{{"operations": [{item}, {{"operation": "touch", "request": {{"key": "k"}}}}]}}', "touch"),
        ("[]", "operations"),
    ):
        answer = here.http.call("POST", f"/v1.0-alpha1/state/{STORE}/batch", body)
        assert answer.status == 400
        assert words in answer.json["message"]
    body = f'{{"operations": [{item}]}}'
    once = here.http.call("POST", f"/v1.0-alpha1/state/{STORE}/batch", body, Idempotency_Key="one")
    assert (once.status, "transaction" in once.json["message"]) == (400, True)
    with pytest.raises(Refused) as refused:
        here.dapr_grpc.batch("none", Item(key, None))
    assert refused.value.kind is Kind.STORE_MISSING
    assert here.http.get(STORE, key)
