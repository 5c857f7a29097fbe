"""Actors keep their state in the store that is marked for it, each under its own keys."""

import time

import pytest
from scenarios.state_client import ActorApi, Found, Item, Kind, Operation, Refused, delete, upsert
from scenarios.waiting import until_gone
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.TRANSACTIONAL)


def test_an_actor_finds_what_it_saved(actors: ActorApi, actor: str) -> None:
    actors.transact_actor_state("cat", actor, upsert("hp", b'{"points":10}'), upsert("name", b'"Tom"'))
    actors.transact_actor_state("cat", actor, delete("name"), upsert("hp", b"9"))
    found = actors.get_actor_state("cat", actor, "hp")
    assert found is not None
    assert (found.value, found.etag) == (b"9", None)
    assert actors.get_actor_state("cat", actor, "name") is None
    assert actors.get_actor_state("cat", "other" + actor, "hp") is None
    assert actors.get_actor_state("dog", actor, "hp") is None


@pytest.mark.every_store
def test_an_actor_finds_what_it_saved_under_a_chosen_partition(actors: ActorApi, actor: str) -> None:
    """Reads of an actor name no partition, so an acknowledged write elsewhere would never be found again."""
    elsewhere = {"partitionKey": "elsewhere"}
    steps = [
        Operation("upsert", Item("hp", b"10", metadata=elsewhere)),
        Operation("upsert", Item("name", b'"Tom"')),
    ]
    actors.transact_actor_state("cat", actor, *steps)
    for name, value in (("hp", b"10"), ("name", b'"Tom"')):
        found = actors.get_actor_state("cat", actor, name)
        assert found is not None
        assert found.value == value
    actors.transact_actor_state("cat", actor, Operation("delete", Item("hp", metadata=elsewhere)))
    assert actors.get_actor_state("cat", actor, "hp") is None


@pytest.mark.every_store
def test_the_state_of_actors_has_its_own_keys(actors: ActorApi, here: World, actor: str) -> None:
    actors.transact_actor_state("cat", actor, upsert("hp", b"10"))
    assert actors.get("statestore", "hp") is None
    if here.stored is not None:
        assert here.stored(f"shop||cat||{actor}||hp") == b"10"


def test_the_steps_of_an_actor_happen_all_or_none(here: World, actor: str) -> None:
    """Tried with an ETag, which only HTTP's steps have."""
    actors = here.http
    actors.transact_actor_state("cat", actor, upsert("hp", b"10"))
    with pytest.raises(Refused) as refused:
        actors.transact_actor_state("cat", actor, upsert("name", b"1"), upsert("hp", b"9", etag="4711"))
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "ERR_ACTOR_STATE_TRANSACTION_SAVE")
    assert actors.get_actor_state("cat", actor, "name") is None


def test_an_actor_may_save_nothing(actors: ActorApi, actor: str) -> None:
    actors.transact_actor_state("cat", actor)


def test_no_part_of_an_actors_key_may_hold_the_separator(actors: ActorApi, subtests: pytest.Subtests) -> None:
    for actor_type, actor_id, name in (("a||b", "1", "k"), ("cat", "a||b", "k"), ("cat", "1", "a||b")):
        with subtests.test("save", actor_type=actor_type, actor_id=actor_id, name=name):
            with pytest.raises(Refused) as refused:
                actors.transact_actor_state(actor_type, actor_id, upsert(name))
            assert refused.value.kind is Kind.MALFORMED
        with subtests.test("get", actor_type=actor_type, actor_id=actor_id, name=name):
            with pytest.raises(Refused) as refused:
                actors.get_actor_state(actor_type, actor_id, name)
            assert refused.value.kind is Kind.MALFORMED


def test_types_of_the_workflow_engine_are_not_for_apps(actors: ActorApi) -> None:
    for call in (
        lambda: actors.transact_actor_state("dapr.internal.x", "1", upsert("k")),
        lambda: actors.get_actor_state("dapr.internal.x", "1", "k"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "ERR_ACTOR_TYPE_RESERVED")


def test_an_unknown_step_is_refused(actors: ActorApi, actor: str) -> None:
    with pytest.raises(Refused) as refused:
        actors.transact_actor_state("cat", actor, Operation("increment", Item("hp")))
    assert refused.value.kind is Kind.MALFORMED


def test_the_state_of_an_actor_expires(actors: ActorApi, actor: str) -> None:
    actors.transact_actor_state("cat", actor, Operation("upsert", Item("hp", metadata={"ttlInSeconds": "1"})))
    until_gone(lambda: actors.get_actor_state("cat", actor, "hp"))


@pytest.mark.every_store
def test_a_read_of_an_actor_says_when_the_value_expires(actors: ActorApi, actor: str) -> None:
    begun = time.time()
    actors.transact_actor_state(
        "cat",
        actor,
        Operation("upsert", Item("mood", b'"sleepy"', metadata={"ttlInSeconds": "300"})),
        upsert("name", b'"Tom"'),
    )
    mood, name = (actors.get_actor_state("cat", actor, key) for key in ("mood", "name"))
    assert mood is not None
    assert name is not None
    assert begun + 298 <= mood.expires_s <= time.time() + 302
    assert name.expires_at is None
    actors.transact_actor_state("cat", actor, upsert("mood", b'"awake"'))
    assert actors.get_actor_state("cat", actor, "mood") == Found(b'"awake"')


def test_a_ttl_of_an_actors_value_that_is_no_number_is_refused(actors: ActorApi, actor: str) -> None:
    with pytest.raises(Refused) as refused:
        actors.transact_actor_state("cat", actor, Operation("upsert", Item("hp", metadata={"ttlInSeconds": "soon"})))
    assert refused.value.kind is Kind.MALFORMED
    assert "ttlInSeconds is 'soon'" in str(refused.value)
    assert actors.get_actor_state("cat", actor, "hp") is None
