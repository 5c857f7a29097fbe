"""What is stored in the database, and which store a call means."""

from collections.abc import Callable

import pytest
from scenarios.state_client import Item, Kind, Refused, StateApi
from scenarios.worlds import PREFIXES, World

from pannier_sidecar.state.store import Feature


@pytest.mark.every_store
def test_a_key_is_stored_with_the_prefix_of_its_component(
    api: StateApi, here: World, new_key: Callable[[], str], subtests: pytest.Subtests
) -> None:
    for store, (_, prefix) in PREFIXES.items():
        with subtests.test(store=store):
            key = new_key()
            api.save(store, Item(key, b'"v"'))
            found = api.get(store, key)
            assert found is not None
            assert found.value == b'"v"'
            if here.stored is not None:
                assert here.stored(prefix + key) == b'"v"'
            if here.can(Feature.KEYS_LIKE):
                page, _ = here.http.keys(store, key)
                assert [entry.key for entry in page] == [key]
            api.delete(store, key)
            if here.stored is not None:
                assert here.stored(prefix + key) is None


@pytest.mark.every_store
def test_stores_over_one_database_share_it_as_their_prefixes_say(api: StateApi, here: World, key: str) -> None:
    api.save("statestore", Item(key))
    found = api.get("by-app", key)
    assert (found is not None) == here.database.is_shared
    for store in PREFIXES.keys() - {"by-app"}:
        assert api.get(store, key) is None, store


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_a_call_without_a_store_means_the_default_store(api: StateApi, key: str) -> None:
    api.save(None, Item(key, b"1"))
    assert api.get("statestore", key) == api.get(None, key) != None  # noqa: E711
    assert [entry.key for entry in api.bulk_get(None, [key])] == [key]
    api.transact(None)
    api.delete(None, key)
    assert api.get("statestore", key) is None


def test_an_unknown_store_is_answered_with_the_known_ones(
    api: StateApi, here: World, key: str, subtests: pytest.Subtests
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "save": lambda: api.save("statestor", Item(key)),
        "get": lambda: api.get("statestor", key),
        "delete": lambda: api.delete("statestor", key),
        "bulk get": lambda: api.bulk_get("statestor", [key]),
        "transact": lambda: api.transact("statestor"),
    }
    if api is here.http:
        calls["keys"] = lambda: here.http.keys("statestor")
    for name, call in calls.items():
        with subtests.test(name):
            with pytest.raises(Refused) as refused:
                call()
            assert (refused.value.kind, refused.value.code) == (Kind.STORE_MISSING, "ERR_STATE_STORE_NOT_FOUND")
            message = str(refused.value)
            assert message.startswith("state store statestor is not found")
            if api.gives_advice:
                assert "did you mean 'statestore'?" in message
                assert "by-name, by-namespace, by-nothing, by-text, statestore" in message
            else:
                assert message == "state store statestor is not found"  # word for word: Layotto's own tests compare it


def test_a_store_of_another_app_is_not_found_and_the_reason_is_reported(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.save("private", Item(key))
    assert refused.value.code == "ERR_STATE_STORE_NOT_FOUND"
    if api.gives_advice:
        assert "scope" in str(refused.value)
        assert "shop" in str(refused.value)


def test_a_store_whose_server_is_not_there_says_so_and_harms_no_other(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.get("away", key)
    assert (refused.value.kind, refused.value.code) == (Kind.NOT_READY, "ERR_STATE_STORE_NOT_READY")
    assert "tried again" in str(refused.value) or not api.gives_advice
    api.save("statestore", Item(key))
