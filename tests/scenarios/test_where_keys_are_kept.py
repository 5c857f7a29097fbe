"""What is stored in the database, and which store a call means."""

import pytest
from scenarios.matrix import each_value
from scenarios.state_client import Item, Kind, Refused, StateApi
from scenarios.worlds import PREFIXES, World

from pannier_sidecar.state.store import Feature


@each_value("store", tuple(PREFIXES), on_every_store=True)
def test_a_key_is_stored_with_the_prefix_of_its_component(api: StateApi, here: World, key: str, store: str) -> None:
    api.save(store, Item(key, b'"v"'))
    found = api.get(store, key)
    assert found is not None
    assert found.value == b'"v"'
    if here.stored is not None:
        assert here.stored(PREFIXES[store][1] + key) == b'"v"'
    if here.can(Feature.KEYS_LIKE):
        page, _ = api.keys(store, key)
        assert [entry.key for entry in page] == [key]
    api.delete(store, key)
    if here.stored is not None:
        assert here.stored(PREFIXES[store][1] + key) is None


def test_stores_over_one_database_share_it_as_their_prefixes_say(api: StateApi, here: World, key: str) -> None:
    api.save("statestore", Item(key))
    found = api.get("by-app", key)
    assert (found is not None) == here.database.is_shared
    for store in ("by-name", "by-nothing", "by-text", "by-namespace"):
        assert api.get(store, key) is None


@pytest.mark.memory_only
def test_a_call_without_a_store_means_the_default_store(api: StateApi, here: World, key: str) -> None:
    api.save(None, Item(key, b"1"))
    assert api.get("statestore", key) == api.get(None, key) != None  # noqa: E711
    assert [entry.key for entry in api.bulk_get(None, [key])] == [key]
    if here.can(Feature.KEYS_LIKE):
        page, _ = api.keys(None, key)
        assert [entry.key for entry in page] == [key]
    if here.can(Feature.TRANSACTIONAL):
        api.transact(None)
    api.delete(None, key)
    assert api.get("statestore", key) is None


@pytest.mark.memory_only
def test_an_unknown_store_is_answered_with_the_known_ones(api: StateApi, key: str) -> None:
    for call in (
        lambda: api.save("statestor", Item(key)),
        lambda: api.get("statestor", key),
        lambda: api.delete("statestor", key),
        lambda: api.bulk_get("statestor", [key]),
        lambda: api.transact("statestor"),
        lambda: api.keys("statestor"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.kind, refused.value.code) == (Kind.STORE_MISSING, "ERR_STATE_STORE_NOT_FOUND")
        message = str(refused.value)
        assert message.startswith("state store statestor is not found")
        if api.gives_advice or len(message) > 40:
            assert "did you mean 'statestore'?" in message
            assert "by-name, by-namespace, by-nothing, by-text, statestore" in message
        else:
            assert message == "state store statestor is not found"  # word for word: Layotto's own tests compare it


@pytest.mark.memory_only
def test_a_store_of_another_app_is_not_found_and_the_reason_is_reported(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.save("private", Item(key))
    assert refused.value.code == "ERR_STATE_STORE_NOT_FOUND"
    if api.gives_advice:
        assert "scope" in str(refused.value)
        assert "shop" in str(refused.value)


@pytest.mark.memory_only
def test_a_store_whose_server_is_not_there_says_so_and_harms_no_other(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.get("away", key)
    assert (refused.value.kind, refused.value.code) == (Kind.NOT_READY, "ERR_STATE_STORE_NOT_READY")
    assert "tried again" in str(refused.value) or not api.gives_advice
    api.save("statestore", Item(key))
