"""Bulk reads, transactions and lists of keys."""

import json

import pytest
from scenarios.matrix import each_value
from scenarios.state_client import Entry, Found, Item, Kind, Operation, Refused, StateApi, delete, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

anywhere = pytest.mark.on(lambda database: not database.metadata_of_transactions)
in_one_place = pytest.mark.on(lambda database: database.metadata_of_transactions)


def values(api: StateApi, *keys: str) -> list[bytes | None]:
    return [entry.found and entry.found.value for entry in api.bulk_get("statestore", keys)]


# --- bulk get ---------------------------------------------------------------------------------------------------------


def test_a_bulk_get_answers_in_the_order_asked(api: StateApi, key: str) -> None:
    names = [f"{key}{number}" for number in range(100)]
    api.save("statestore", *[Item(name, json.dumps(name).encode()) for name in names[::2]])
    asked = [*reversed(names), names[0]]
    entries = api.bulk_get("statestore", asked)
    assert [entry.key for entry in entries] == asked
    for entry in entries:
        if entry.key in names[::2]:
            assert entry.found is not None
            assert (json.loads(entry.found.value), bool(entry.found.etag)) == (entry.key, True)
        else:
            assert entry == Entry(entry.key)


def test_a_bulk_get_gives_the_etag_that_a_get_gives(api: StateApi, key: str) -> None:
    api.save("statestore", Item(key, b'{"a":1}'))
    assert api.bulk_get("statestore", [key]) == [Entry(key, api.get("statestore", key))]


@pytest.mark.memory_only
def test_a_bulk_get_of_nothing_is_empty(api: StateApi) -> None:
    assert api.bulk_get("statestore", []) == []


# --- transactions -----------------------------------------------------------------------------------------------------


@anywhere
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_writes_and_deletes(api: StateApi, group: str) -> None:
    api.save("statestore", Item(f"{group}2", b'"old"'))
    api.transact(
        "statestore", upsert(f"{group}1", b'"myData"'), delete(f"{group}2"), metadata={"partitionKey": "planet"}
    )
    assert values(api, f"{group}1", f"{group}2") == [b'"myData"', None]


@pytest.mark.memory_only
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_of_nothing_succeeds(api: StateApi) -> None:
    api.transact("statestore")


@anywhere
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_the_steps_of_a_transaction_happen_in_order(api: StateApi, group: str) -> None:
    one, two = f"{group}1", f"{group}2"
    api.transact("statestore", upsert(one, b"1"), delete(one), upsert(two, b"1"), delete(two), upsert(two, b"2"))
    assert values(api, one, two) == [None, b"2"]


@anywhere
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_takes_a_hundred_steps(api: StateApi, here: World, group: str) -> None:
    """Or as many as the store accepts."""
    names = [f"{group}{number}" for number in range(min(100, here.database.largest_transaction or 100))]
    api.transact("statestore", *[upsert(name, json.dumps(name).encode()) for name in names])
    assert values(api, *names) == [json.dumps(name).encode() for name in names]


@anywhere
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_stale_etag_anywhere_stops_the_whole_transaction(api: StateApi, group: str) -> None:
    one, two, three = (f"{group}{number}" for number in (1, 2, 3))
    api.save("statestore", Item(one, b"0"), Item(two, b"0"))
    for stale in (upsert(two, b"1", etag="4711"), delete(two, etag="4711"), upsert(two, b"1", None, "first-write")):
        with pytest.raises(Refused) as refused:
            api.transact("statestore", upsert(one, b"1"), delete(three), stale, upsert(three, b"1"))
        assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "ERR_STATE_TRANSACTION")
        assert values(api, one, two, three) == [b"0", b"0", None]


@anywhere
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_with_current_etags_happens(api: StateApi, group: str) -> None:
    one, two = f"{group}1", f"{group}2"
    api.save("statestore", Item(one, b"0"), Item(two, b"0"))
    etags = {entry.key: entry.found.etag for entry in api.bulk_get("statestore", [one, two]) if entry.found}
    api.transact("statestore", upsert(one, b"1", etags[one]), delete(two, etags[two]))
    assert values(api, one, two) == [b"1", None]


@pytest.mark.memory_only
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_an_unknown_step_is_refused_and_nothing_happens(api: StateApi, group: str) -> None:
    for name in ("Upsert", "set", ""):
        with pytest.raises(Refused) as refused:
            api.transact("statestore", upsert(group), Operation(name, Item(group)))
        assert refused.value.code == "ERR_NOT_SUPPORTED_STATE_OPERATION"
        assert values(api, group) == [None]


@pytest.mark.memory_only
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_key_with_the_separator_in_a_transaction_is_refused(api: StateApi, group: str) -> None:
    for name in ("a||b", ""):
        with pytest.raises(Refused) as refused:
            api.transact("statestore", upsert(group), upsert(name))
        assert refused.value.kind is Kind.MALFORMED
        assert values(api, group) == [None]


@in_one_place
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_keys_in_one_place_change_together(api: StateApi, here: World, group: str) -> None:
    together = here.database.metadata_of_transactions
    one, two = f"{group}1", f"{group}2"
    api.transact("statestore", upsert(one, b"1"), upsert(two, b"1"), metadata=together)
    for stale in (upsert(two, b"2", etag="4711"), upsert(two, b"2", None, "first-write")):
        with pytest.raises(Refused) as refused:
            api.transact("statestore", upsert(one, b"2"), stale, metadata=together)
        assert refused.value.kind is Kind.CONFLICT
    found = [api.get("statestore", name, metadata=together) for name in (one, two)]
    assert [entry and entry.value for entry in found] == [b"1", b"1"]
    api.transact("statestore", upsert(one, b"3"), delete(two), delete(f"{group}3"), metadata=together)
    found = [api.get("statestore", name, metadata=together) for name in (one, two)]
    assert [entry and entry.value for entry in found] == [b"3", None]


@in_one_place
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_keys_in_several_places_are_not_changed_at_all(api: StateApi, group: str) -> None:
    one, two = f"{group}1", f"{group}2"
    with pytest.raises(Refused) as refused:
        api.transact("statestore", upsert(one), upsert(two))
    assert refused.value.kind in (Kind.NOT_SUPPORTED, Kind.MALFORMED)
    assert values(api, one, two) == [None, None]


# --- lists of keys ----------------------------------------------------------------------------------------------------


def listed(api: StateApi, prefix: str, **more: int | bool) -> list[Entry]:
    """Go through all pages."""
    entries: list[Entry] = []
    cursor = None
    for _ in range(1000):
        page, cursor = api.keys("statestore", prefix, cursor=cursor, **more)  # type: ignore[arg-type]
        entries += page
        if cursor is None:
            return entries
    raise AssertionError("the pages never end")


@pytest.mark.needs(Feature.KEYS_LIKE)
def test_keys_are_listed_by_prefix(api: StateApi, key: str) -> None:
    names = sorted(f"{key}{number}" for number in range(25))
    api.save("statestore", *[Item(name) for name in names])
    assert sorted(entry.key for entry in listed(api, key)) == names
    assert sorted(entry.key for entry in listed(api, f"{key}2")) == sorted(n for n in names if n.startswith(f"{key}2"))
    assert listed(api, f"{key}none") == []


@pytest.mark.needs(Feature.KEYS_LIKE)
@each_value("limit", [1, 7, 25, 26, 1000])
def test_pages_contain_each_key_once(api: StateApi, key: str, limit: int) -> None:
    names = sorted(f"{key}{number}" for number in range(25))
    api.save("statestore", *[Item(name) for name in names])
    page, _ = api.keys("statestore", key, limit=limit)
    assert len(page) <= limit
    assert sorted(entry.key for entry in listed(api, key, limit=limit)) == names


@pytest.mark.needs(Feature.KEYS_LIKE)
def test_values_come_with_the_keys_on_request(api: StateApi, key: str) -> None:
    api.save("statestore", Item(f"{key}1", b'{"a":1}'))
    expected = api.get("statestore", f"{key}1")
    assert isinstance(expected, Found)
    assert listed(api, key, values=True) == [Entry(f"{key}1", expected)]
    assert listed(api, key) == [Entry(f"{key}1")]


@pytest.mark.needs(Feature.KEYS_LIKE)
def test_actors_and_other_apps_are_not_listed(api: StateApi, here: World, key: str) -> None:
    api.save("statestore", Item(f"{key}own"))
    api.save("by-text", Item(f"{key}other"))
    if here.can(Feature.TRANSACTIONAL):
        api.transact_actor_state(f"{key}type", "1", upsert(f"{key}actor"))
    assert [entry.key for entry in listed(api, key)] == [f"{key}own"]


@pytest.mark.needs(Feature.KEYS_LIKE)
def test_a_cursor_of_somewhere_else_is_refused(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.keys("statestore", key, cursor="no cursor at all")
    assert refused.value.kind is Kind.MALFORMED
    assert "cursor" in str(refused.value)


@pytest.mark.memory_only
@pytest.mark.needs(Feature.KEYS_LIKE)
@each_value("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(api: StateApi, limit: int) -> None:
    with pytest.raises(Refused) as refused:
        api.keys("statestore", "k", limit=limit)
    assert refused.value.kind is Kind.MALFORMED
    assert "limit" in str(refused.value)
