"""Queries over the values of the app, and of nobody else."""

import json
from collections.abc import Mapping

import pytest
from scenarios.state_client import ActorApi, Item, Refused, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.KEYS_LIKE)

STORE = "by-name"
"""Few other scenarios write to it, and a query looks through the whole store."""
PEOPLE: Mapping[str, object] = {
    "ada": {"person": {"org": "A", "age": 36}, "state": "CA"},
    "ben": {"person": {"org": "B", "age": 9.5}, "state": "WA"},
    "cid": {"person": {"org": "A", "age": 9}, "state": "WA"},
    "dot": {"person": {"org": "C"}, "state": "TX"},
    "eve": "CA",
}


def save_people(lists: ActorApi, group: str) -> None:
    people = {name: {**value, "group": group} if isinstance(value, dict) else value for name, value in PEOPLE.items()}
    lists.save(STORE, *[Item(f"{group}{name}", json.dumps(value).encode()) for name, value in people.items()])


def asked(group: str, *conditions: object, **more: object) -> str:
    return json.dumps(
        {"filter": {"AND": [{"EQ": {"group": group}}, *(conditions or ({"EQ": {"group": group}},))]}} | more
    )


@pytest.mark.every_store
def test_values_are_found_sorted_and_paged(lists: ActorApi, here: World, group: str) -> None:
    save_people(lists, group)
    here.http.save("by-text", Item(f"{group}other", json.dumps({"group": group}).encode()))
    if here.can(Feature.TRANSACTIONAL):
        here.http.transact_actor_state("cat", group, upsert("hp", json.dumps({"group": group}).encode()))
    sort = [{"key": "person.age", "order": "DESC"}]
    found, token = lists.query(STORE, asked(group, sort=sort, page={"limit": 3}))
    assert [entry.key for entry in found] == [f"{group}{name}" for name in ("ada", "ben", "cid")]
    assert token is not None
    rest, end = lists.query(STORE, asked(group, sort=sort, page={"limit": 3, "token": token}))
    assert [entry.key for entry in rest] == [f"{group}dot"]
    assert end is None
    ada = here.http.get(STORE, f"{group}ada")
    assert found[0].found is not None and ada is not None
    assert found[0].found.etag == ada.etag
    assert json.loads(found[0].found.value) == json.loads(ada.value)


def test_each_operator_has_its_meaning(lists: ActorApi, group: str, subtests: pytest.Subtests) -> None:
    save_people(lists, group)
    for condition, names in (
        ({"EQ": {"person.org": "A"}}, "ada cid"),
        ({"NEQ": {"person.org": "A"}}, "ben dot"),
        ({"GT": {"person.age": 9}}, "ada ben"),
        ({"GTE": {"person.age": 9}}, "ada ben cid"),
        ({"LT": {"person.age": 9.5}}, "cid"),
        ({"LTE": {"person.age": 9.5}}, "ben cid"),
        ({"IN": {"state": ["TX", "CA", 1]}}, "ada dot"),
        ({"OR": [{"EQ": {"state": "TX"}}, {"LT": {"person.age": 9.5}}]}, "cid dot"),
        ({"EQ": {"person.age": "9"}}, ""),
    ):
        with subtests.test(json.dumps(condition)):
            found, _ = lists.query(STORE, asked(group, condition))
            assert [entry.key for entry in found] == [f"{group}{name}" for name in names.split()]


def test_an_empty_query_finds_every_json_value(lists: ActorApi, here: World, key: str) -> None:
    lists.save("by-dash", Item(key, b"[1.50]"))
    here.dapr_grpc.save("by-dash", Item(f"{key}2", b"no JSON"))
    found, _ = lists.query("by-dash", "{}")
    values = {entry.key: entry.found for entry in found}
    assert key in values
    assert f"{key}2" not in values


def test_a_query_that_would_look_through_too_much_is_refused(here: World, key: str) -> None:
    for number in range(2):
        here.http.save("by-namespace", *[Item(f"{key}{number}.{each}") for each in range(5001)])
    with pytest.raises(Refused, match="over 10000 of the app's values would have to be read") as refused:
        here.http.query("by-namespace", "{}")
    assert refused.value.code == "ERR_STATE_QUERY"
