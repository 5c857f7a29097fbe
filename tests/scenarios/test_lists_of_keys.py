"""Lists of keys, which HTTP alone has."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from scenarios.http_client import HttpClient
from scenarios.state_client import Entry, Found, Item, Kind, Refused, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.KEYS_LIKE)


def listed(http: HttpClient, prefix: str, store: str | None = "statestore", **more: int | bool) -> list[Entry]:
    """Go through all pages."""
    entries: list[Entry] = []
    cursor = None
    for _ in range(1000):
        page, cursor = http.keys(store, prefix, cursor=cursor, **more)  # type: ignore[arg-type]
        entries += page
        if cursor is None:
            return entries
    raise AssertionError("the pages never end")


def test_keys_are_listed_by_prefix(here: World, key: str) -> None:
    names = sorted(f"{key}{number}" for number in range(25))
    here.http.save("statestore", *[Item(name) for name in names])
    for prefix in (key, f"{key}2"):
        expected = [name for name in names if name.startswith(prefix)]
        assert sorted(entry.key for entry in listed(here.http, prefix)) == expected
    assert listed(here.http, f"{key}none") == []


@pytest.mark.every_store
def test_pages_contain_each_key_once(here: World, new_key: Callable[[], str], subtests: pytest.Subtests) -> None:
    """A cursor is the store's own text: it has to come back from an answer's JSON through a URL."""
    for limit in (1, 7, 25, 26, 1000):
        with subtests.test(limit=limit):
            key = new_key()
            names = sorted(f"{key}{number}" for number in range(25))
            here.http.save("statestore", *[Item(name) for name in names])
            page, _ = here.http.keys("statestore", key, limit=limit)
            assert len(page) <= limit
            assert sorted(entry.key for entry in listed(here.http, key, limit=limit)) == names


def test_values_come_with_the_keys_on_request(here: World, key: str) -> None:
    here.http.save("statestore", Item(f"{key}1", b'{"a":1}'))
    expected = here.http.get("statestore", f"{key}1")
    assert isinstance(expected, Found)
    assert listed(here.http, key, values=True) == [Entry(f"{key}1", expected)]
    assert listed(here.http, key) == [Entry(f"{key}1")]


def test_actors_and_other_apps_are_not_listed(here: World, key: str) -> None:
    here.http.save("statestore", Item(f"{key}own"))
    here.http.save("by-text", Item(f"{key}other"))
    if here.can(Feature.TRANSACTIONAL):
        here.http.transact_actor_state(f"{key}type", "1", upsert(f"{key}actor"))
    assert [entry.key for entry in listed(here.http, key)] == [f"{key}own"]


def test_without_a_store_the_keys_of_the_default_store_are_listed(here: World, key: str) -> None:
    here.http.save("statestore", Item(key))
    assert [entry.key for entry in listed(here.http, key, store=None)] == [key]


def test_a_cursor_of_somewhere_else_is_refused(here: World, key: str) -> None:
    with pytest.raises(Refused) as refused:
        here.http.keys("statestore", key, cursor="no cursor at all")
    assert refused.value.kind is Kind.MALFORMED
    assert "cursor" in str(refused.value)


def test_a_limit_that_is_no_number_from_1_to_1000_is_refused(here: World, subtests: pytest.Subtests) -> None:
    for limit in ("0", "1001", "-1", "+1", "1.0", "x", "٣", "9" * 4301, "0" * 4301, "1_0", "%20"):
        with subtests.test(limit=limit[:24]):
            target = "/v1.0-alpha1/state/statestore/keys?limit=" + quote(limit, safe="%")
            answer = here.http.call("GET", target)
            assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
            assert "write a whole number from 1 to 1000" in answer.json["message"]
            assert len(answer.body) < 300
