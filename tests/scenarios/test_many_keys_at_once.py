"""Bulk reads and transactions."""

import json

import pytest
from scenarios.state_client import Entry, Item, Kind, Operation, Refused, StateApi, delete, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

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


def test_a_bulk_get_of_nothing_is_empty(api: StateApi) -> None:
    assert api.bulk_get("statestore", []) == []


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_writes_and_deletes(api: StateApi, group: str) -> None:
    api.save("statestore", Item(f"{group}2", b'"old"'))
    api.transact(
        "statestore", upsert(f"{group}1", b'"myData"'), delete(f"{group}2"), metadata={"partitionKey": "planet"}
    )
    assert values(api, f"{group}1", f"{group}2") == [b'"myData"', None]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_of_nothing_succeeds(api: StateApi) -> None:
    api.transact("statestore")


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_the_steps_of_a_transaction_happen_in_order(api: StateApi, group: str) -> None:
    one, two = f"{group}1", f"{group}2"
    api.transact("statestore", upsert(one, b"1"), delete(one), upsert(two, b"1"), delete(two), upsert(two, b"2"))
    assert values(api, one, two) == [None, b"2"]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_takes_a_hundred_steps(api: StateApi, here: World, group: str) -> None:
    """Or as many as the store accepts."""
    names = [f"{group}{number}" for number in range(min(100, here.database.largest_transaction or 100))]
    api.transact("statestore", *[upsert(name, json.dumps(name).encode()) for name in names])
    assert values(api, *names) == [json.dumps(name).encode() for name in names]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_stale_etag_anywhere_stops_the_whole_transaction(
    api: StateApi, group: str, subtests: pytest.Subtests
) -> None:
    for number, make in enumerate(
        (
            lambda key: upsert(key, b"1", etag="4711"),
            lambda key: delete(key, etag="4711"),
            lambda key: upsert(key, b"1", None, "first-write"),
        )
    ):
        one, two, three = (f"{group}{number}{letter}" for letter in "abc")
        stale = make(two)
        with subtests.test(operation=stale):
            api.save("statestore", Item(one, b"0"), Item(two, b"0"))
            with pytest.raises(Refused) as refused:
                api.transact("statestore", upsert(one, b"1"), delete(three), stale, upsert(three, b"1"))
            assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "ERR_STATE_TRANSACTION")
            assert values(api, one, two, three) == [b"0", b"0", None]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_transaction_with_current_etags_happens(api: StateApi, group: str) -> None:
    one, two = f"{group}1", f"{group}2"
    api.save("statestore", Item(one, b"0"), Item(two, b"0"))
    etags = {entry.key: entry.found.etag for entry in api.bulk_get("statestore", [one, two]) if entry.found}
    api.transact("statestore", upsert(one, b"1", etags[one]), delete(two, etags[two]))
    assert values(api, one, two) == [b"1", None]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_an_unknown_step_is_refused_and_nothing_happens(api: StateApi, group: str, subtests: pytest.Subtests) -> None:
    for name in ("Upsert", "set", ""):
        with subtests.test(operation=name):
            key = f"{group}{name}"
            with pytest.raises(Refused) as refused:
                api.transact("statestore", upsert(key), Operation(name, Item(key)))
            assert refused.value.code == "ERR_NOT_SUPPORTED_STATE_OPERATION"
            assert values(api, key) == [None]


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_key_with_the_separator_in_a_transaction_is_refused(
    api: StateApi, group: str, subtests: pytest.Subtests
) -> None:
    for wrong in ("a||b", ""):
        with subtests.test(key=wrong):
            key = f"{group}{len(wrong)}"
            with pytest.raises(Refused) as refused:
                api.transact("statestore", upsert(key), upsert(wrong))
            assert refused.value.kind is Kind.MALFORMED
            assert values(api, key) == [None]


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
