"""Lists of keys, over HTTP and by the service `pannier.v1.State`."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from scenarios.state_client import ActorApi, Entry, Found, Item, Kind, Refused, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.KEYS_LIKE)


def listed(lists: ActorApi, prefix: str, store: str | None = "statestore", **more: int | bool) -> list[Entry]:
    """Go through all pages."""
    entries: list[Entry] = []
    cursor = None
    for _ in range(1000):
        page, cursor = lists.keys(store, prefix, cursor=cursor, **more)  # type: ignore[arg-type]
        entries += page
        if cursor is None:
            return entries
    raise AssertionError("the pages never end")


def test_keys_are_listed_by_prefix(lists: ActorApi, key: str) -> None:
    names = sorted(f"{key}{number}" for number in range(25))
    lists.save("statestore", *[Item(name) for name in names])
    for prefix in (key, f"{key}2"):
        expected = [name for name in names if name.startswith(prefix)]
        assert sorted(entry.key for entry in listed(lists, prefix)) == expected
    assert listed(lists, f"{key}none") == []


@pytest.mark.every_store
def test_pages_contain_each_key_once(lists: ActorApi, new_key: Callable[[], str], subtests: pytest.Subtests) -> None:
    """A cursor is the store's own text: it has to come back from an answer's JSON through a URL."""
    for limit in (1, 7, 25, 26, 1000):
        with subtests.test(limit=limit):
            key = new_key()
            names = sorted(f"{key}{number}" for number in range(25))
            lists.save("statestore", *[Item(name) for name in names])
            page, _ = lists.keys("statestore", key, limit=limit)
            assert len(page) <= limit
            assert sorted(entry.key for entry in listed(lists, key, limit=limit)) == names


def test_values_come_with_the_keys_on_request(lists: ActorApi, key: str) -> None:
    lists.save("statestore", Item(f"{key}1", b'{"a":1}'))
    expected = lists.get("statestore", f"{key}1")
    assert isinstance(expected, Found)
    assert listed(lists, key, values=True) == [Entry(f"{key}1", expected)]
    assert listed(lists, key) == [Entry(f"{key}1")]


def test_actors_and_other_apps_are_not_listed(lists: ActorApi, here: World, key: str) -> None:
    lists.save("statestore", Item(f"{key}own"))
    lists.save("by-text", Item(f"{key}other"))
    if here.can(Feature.TRANSACTIONAL):
        lists.transact_actor_state(f"{key}type", "1", upsert(f"{key}actor"))
    assert [entry.key for entry in listed(lists, key)] == [f"{key}own"]


def test_without_a_store_the_keys_of_the_default_store_are_listed(lists: ActorApi, key: str) -> None:
    lists.save("statestore", Item(key))
    assert [entry.key for entry in listed(lists, key, store=None)] == [key]


def test_a_cursor_of_somewhere_else_is_refused(lists: ActorApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        lists.keys("statestore", key, cursor="no cursor at all")
    assert refused.value.kind is Kind.MALFORMED
    assert "cursor" in str(refused.value)


@pytest.mark.needs(Feature.TRANSACTIONAL)
@pytest.mark.every_store
def test_keys_of_actors_are_listed_on_request(lists: ActorApi, actor: str) -> None:
    lists.save("statestore", Item(actor))
    for number in (1, 2):
        steps = [upsert(name, b'"awake"') for name in ("mood", "mind")]
        lists.transact_actor_state("cat", f"{actor}{number}", *steps)
    expected = sorted((("cat", f"{actor}{number}"), name) for number in (1, 2) for name in ("mood", "mind"))
    everything = listed(lists, f"cat||{actor}", actors=True, limit=3)
    assert sorted((entry.actor or ("", ""), entry.key) for entry in everything) == expected
    assert listed(lists, f"dog||{actor}", actors=True) == []
    one = listed(lists, f"cat||{actor}1||mo", actors=True, values=True)
    assert [(entry.key, entry.actor) for entry in one] == [("mood", ("cat", f"{actor}1"))]
    assert one[0].found is not None
    assert one[0].found.value == b'"awake"'


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_store_without_the_state_of_actors_has_no_list_of_it(lists: ActorApi) -> None:
    with pytest.raises(Refused) as refused:
        lists.keys("by-dash", actors=True)
    assert refused.value.kind is Kind.MALFORMED
    assert "by-dash doesn't hold the state of actors; list the keys of store statestore" in str(refused.value)


def test_a_limit_that_is_no_number_from_1_to_1000_is_refused(here: World, subtests: pytest.Subtests) -> None:
    for limit in ("0", "1001", "-1", "+1", "1.0", "x", "٣", "9" * 4301, "0" * 4301, "1_0", "%20"):
        with subtests.test(limit=limit[:24]):
            target = "/v1.0-alpha1/state/statestore/keys?limit=" + quote(limit, safe="%")
            answer = here.http.call("GET", target)
            assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
            assert "write a whole number from 1 to 1000" in answer.json["message"]
            assert len(answer.body) < 300


def test_a_limit_over_grpc_that_is_no_number_from_1_to_1000_is_refused(here: World, key: str) -> None:
    for limit in (-1, 1001, 2**31 - 1):
        with pytest.raises(Refused, match=f"limit is {limit}; write a whole number from 1 to 1000"):
            here.dapr_grpc.keys("statestore", key, limit=limit)
    here.http.save("statestore", *[Item(f"{key}{number}") for number in range(101)])
    assert len(here.dapr_grpc.keys("statestore", key, limit=0)[0]) == 100
