"""All state of one actor is deleted, page by page, and nothing of anybody else."""

import pytest
from scenarios.state_client import ActorApi, Item, Kind, Refused, upsert

from pannier_sidecar.state.store import Feature

pytestmark = pytest.mark.needs(Feature.TRANSACTIONAL, Feature.KEYS_LIKE)


@pytest.mark.every_store
def test_the_state_of_an_actor_is_deleted_page_by_page(actors: ActorApi, actor: str) -> None:
    """The second page is deleted twice, as after a lost answer. A cursor of Redis names keys that are gone by then."""
    names = [f"k{number}" for number in range(7)]
    others = [("cat", actor + "1"), ("dog", actor), ("cats", actor)]
    for actor_type, actor_id in [("cat", actor), *others]:
        actors.transact_actor_state(actor_type, actor_id, *[upsert(name) for name in names])
    actors.save("statestore", Item(actor), Item(f"cat{actor}"))
    deleted, cursor = actors.delete_actor_state("cat", actor, limit=3)
    assert deleted == 3
    assert cursor is not None
    second, after = actors.delete_actor_state("cat", actor, limit=3, cursor=cursor)
    assert second == 3
    again, cursor = actors.delete_actor_state("cat", actor, limit=3, cursor=cursor)
    rest = 0
    while (following := cursor or after) is not None:
        more, cursor = actors.delete_actor_state("cat", actor, limit=3, cursor=following)
        rest, after = rest + more, None
    assert 1 <= again + rest <= 4
    assert not [name for name in names if actors.get_actor_state("cat", actor, name)]
    for actor_type, actor_id in others:
        assert [name for name in names if actors.get_actor_state(actor_type, actor_id, name)] == names
    assert actors.get("statestore", actor)
    assert actors.get("statestore", f"cat{actor}")


def test_an_actor_without_state_has_nothing_to_delete(actors: ActorApi, actor: str) -> None:
    assert actors.delete_actor_state("cat", actor) == (0, None)
    actors.transact_actor_state("cat", actor, upsert("hp"), upsert("name"))
    assert actors.delete_actor_state("cat", actor) == (2, None)
    assert actors.delete_actor_state("cat", actor) == (0, None)
    actors.transact_actor_state("cat", actor, upsert("hp", b"9"))
    assert actors.get_actor_state("cat", actor, "hp")


def test_an_actor_has_a_type_and_an_id(actors: ActorApi, actor: str, subtests: pytest.Subtests) -> None:
    """An empty one would be the prefix of other actors' keys."""
    actors.transact_actor_state("cat", actor, upsert("hp"))
    for actor_type, actor_id in (("cat", ""), ("", actor), ("", ""), ("cat||" + actor, "hp"), ("cat|", actor)):
        with subtests.test(actor_type=actor_type, actor_id=actor_id):
            with pytest.raises(Refused) as refused:
                actors.delete_actor_state(actor_type, actor_id)
            assert refused.value.kind is Kind.MALFORMED
    with pytest.raises(Refused) as refused:
        actors.delete_actor_state("dapr.internal.x", actor)
    assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "ERR_ACTOR_TYPE_RESERVED")
    assert actors.get_actor_state("cat", actor, "hp")


def test_a_page_has_from_1_to_1000_keys(actors: ActorApi, actor: str) -> None:
    for limit in (-1, 1001):
        with pytest.raises(Refused, match="write a whole number from 1 to 1000"):
            actors.delete_actor_state("cat", actor, limit=limit)
    with pytest.raises(Refused, match="cursor"):
        actors.delete_actor_state("cat", actor, cursor="no cursor at all")
