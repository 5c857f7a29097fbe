"""A call that a store does not support is refused, and the refusal says so."""

import pytest
from scenarios.state_client import ActorApi, Kind, Refused, StateApi, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature


@pytest.mark.every_store
@pytest.mark.lacks(Feature.TRANSACTIONAL)
def test_a_store_without_transactions_refuses_them(api: StateApi, key: str) -> None:
    with pytest.raises(Refused) as refused:
        api.transact("statestore", upsert(key))
    assert refused.value.kind is Kind.NOT_SUPPORTED
    assert "doesn't support transaction" in str(refused.value)
    assert api.get("statestore", key) is None


@pytest.mark.every_store
@pytest.mark.lacks(Feature.TRANSACTIONAL)
def test_actors_have_no_state_where_no_store_has_transactions(actors: ActorApi, key: str) -> None:
    for call in (
        lambda: actors.transact_actor_state("cat", key, upsert("hp")),
        lambda: actors.get_actor_state("cat", key, "hp"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert "not configured to use the actor runtime" in str(refused.value)


@pytest.mark.every_store
@pytest.mark.needs(Feature.TRANSACTIONAL)
@pytest.mark.lacks(Feature.KEYS_LIKE)
def test_a_store_that_cannot_list_its_keys_cannot_delete_all_of_an_actor(actors: ActorApi, actor: str) -> None:
    actors.transact_actor_state("cat", actor, upsert("hp"))
    with pytest.raises(Refused, match="statestore can't list its keys") as refused:
        actors.delete_actor_state("cat", actor)
    assert refused.value.code == "ERR_STATE_STORE_NOT_SUPPORTED"
    assert actors.get_actor_state("cat", actor, "hp")


@pytest.mark.every_store
@pytest.mark.lacks(Feature.KEYS_LIKE)
def test_a_store_that_cannot_list_its_keys_says_so(here: World) -> None:
    with pytest.raises(Refused) as refused:
        here.http.keys("statestore")
    assert refused.value.kind is Kind.NOT_SUPPORTED
    assert "statestore" in str(refused.value)


@pytest.mark.every_store
@pytest.mark.lacks(Feature.KEYS_LIKE)
def test_a_store_that_cannot_list_its_keys_has_no_queries(here: World) -> None:
    for front_end in (here.http, here.dapr_grpc):
        with pytest.raises(Refused, match="state store does not support querying") as refused:
            front_end.query("statestore", "{}")
        assert refused.value.code == "ERR_STATE_STORE_NOT_SUPPORTED"
