"""Actors keep their state in the store that is marked for it, each under its own keys."""

import pytest
from scenarios.matrix import each_value
from scenarios.state_client import Item, Kind, Operation, Refused, StateApi, delete, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.TRANSACTIONAL)


def test_an_actor_finds_what_it_saved(api: StateApi, actor: str) -> None:
    api.transact_actor_state("cat", actor, upsert("hp", b'{"points":10}'), upsert("name", b'"Tom"'))
    api.transact_actor_state("cat", actor, delete("name"), upsert("hp", b"9"))
    found = api.get_actor_state("cat", actor, "hp")
    assert found is not None
    assert (found.value, found.etag) == (b"9", None)
    assert api.get_actor_state("cat", actor, "name") is None
    assert api.get_actor_state("cat", "other" + actor, "hp") is None
    assert api.get_actor_state("dog", actor, "hp") is None


def test_an_actor_finds_what_it_saved_under_a_chosen_partition(api: StateApi, actor: str) -> None:
    """Reads of an actor name no partition, so an acknowledged write elsewhere would never be found again."""
    elsewhere = {"partitionKey": "elsewhere"}
    steps = [
        Operation("upsert", Item("hp", b"10", metadata=elsewhere)),
        Operation("upsert", Item("name", b'"Tom"')),
    ]
    api.transact_actor_state("cat", actor, *steps)
    for name, value in (("hp", b"10"), ("name", b'"Tom"')):
        found = api.get_actor_state("cat", actor, name)
        assert found is not None
        assert found.value == value
    api.transact_actor_state("cat", actor, Operation("delete", Item("hp", metadata=elsewhere)))
    assert api.get_actor_state("cat", actor, "hp") is None


def test_the_state_of_actors_has_its_own_keys(api: StateApi, here: World, actor: str) -> None:
    api.transact_actor_state("cat", actor, upsert("hp", b"10"))
    assert api.get("statestore", "hp") is None
    if here.stored is not None:
        assert here.stored(f"shop||cat||{actor}||hp") == b"10"


def test_the_steps_of_an_actor_happen_all_or_none(here: World, actor: str) -> None:
    """Tried with an ETag, which only HTTP's steps have."""
    api = here.http
    api.transact_actor_state("cat", actor, upsert("hp", b"10"))
    with pytest.raises(Refused) as refused:
        api.transact_actor_state("cat", actor, upsert("name", b"1"), upsert("hp", b"9", etag="4711"))
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "ERR_ACTOR_STATE_TRANSACTION_SAVE")
    assert api.get_actor_state("cat", actor, "name") is None


@pytest.mark.memory_only
def test_an_actor_may_save_nothing(api: StateApi, actor: str) -> None:
    api.transact_actor_state("cat", actor)


@pytest.mark.memory_only
@each_value("part", [("a||b", "1", "k"), ("cat", "a||b", "k"), ("cat", "1", "a||b")])
def test_no_part_of_an_actors_key_may_hold_the_separator(api: StateApi, part: tuple[str, str, str]) -> None:
    actor_type, actor_id, name = part
    for call in (
        lambda: api.transact_actor_state(actor_type, actor_id, upsert(name)),
        lambda: api.get_actor_state(actor_type, actor_id, name),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.kind is Kind.MALFORMED


@pytest.mark.memory_only
def test_types_of_the_workflow_engine_are_not_for_apps(api: StateApi) -> None:
    for call in (
        lambda: api.transact_actor_state("dapr.internal.x", "1", upsert("k")),
        lambda: api.get_actor_state("dapr.internal.x", "1", "k"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "ERR_ACTOR_TYPE_RESERVED")


@pytest.mark.memory_only
def test_an_unknown_step_is_refused(api: StateApi, actor: str) -> None:
    with pytest.raises(Refused) as refused:
        api.transact_actor_state("cat", actor, Operation("increment", Item("hp")))
    assert refused.value.kind is Kind.MALFORMED
