"""Which stored keys the deletion of an actor's state deletes, and what a failure in the middle of it leaves."""

import asyncio

import pytest
from servers.limits import state_limits
from unit.pannier_sidecar.state.scripted_store import Counting, ScriptedStore, serving

from pannier_sidecar.state.directory import Directory, ServedStore
from pannier_sidecar.state.errors import OperationFailedError, OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.key_lists import DeletedKeys
from pannier_sidecar.state.keys import KeyScheme
from pannier_sidecar.state.requests import ActorDeleteRequest, Delete, KeysRequest, Set
from pannier_sidecar.state.service import StateService
from pannier_sidecar.state.store import KeyPage
from pannier_sidecar.stores.in_memory import InMemoryStore

TOM = ActorDeleteRequest("cat", "tom")
PLACE = {"partitionKey": "app||cat||tom"}


async def test_keys_are_deleted_in_the_partition_of_the_actor_and_counted() -> None:
    store = ScriptedStore()
    store.pages = [KeyPage(["app||cat||tom||mood", "app||cat||tom||name"], "2")]
    service, _, observer = serving(store)
    assert await service.lists.delete_actor_state(ActorDeleteRequest("cat", "tom", 2, "1")) == DeletedKeys(2, "2")
    assert store.asked == [
        ("app||cat||tom||", 2, "1"),
        Delete("app||cat||tom||mood", metadata=PLACE),
        Delete("app||cat||tom||name", metadata=PLACE),
    ]
    assert observer.ended == [("statestore", "keys", True), ("statestore", "bulk_delete", True)]


async def test_after_a_failure_the_same_call_deletes_what_is_left() -> None:
    store = ScriptedStore(None, None, OutcomeUnknownError("lost"))
    store.pages = [
        KeyPage(["app||cat||tom||mood", "app||cat||tom||name"], None),
        KeyPage(["app||cat||tom||name"], None),
    ]
    service, _, _ = serving(store)
    with pytest.raises(OperationFailedError) as raised:
        await service.lists.delete_actor_state(TOM)
    assert (raised.value.code, raised.value.http_status) == ("ERR_STATE_OUTCOME_UNKNOWN", 500)
    assert await service.lists.delete_actor_state(TOM) == DeletedKeys(1, None)


async def test_a_failure_before_anything_is_deleted_may_be_repeated() -> None:
    store = ScriptedStore(None, StoreUnavailableError("down"))
    store.pages = [KeyPage(["app||cat||tom||mood"], None)]
    service, _, _ = serving(store)
    with pytest.raises(OperationFailedError) as raised:
        await service.lists.delete_actor_state(TOM)
    assert (raised.value.code, raised.value.http_status) == ("ERR_ACTOR_STATE_DELETE", 503)


async def test_without_an_app_id_another_apps_actors_are_left_alone() -> None:
    """The actor `tom` of type `cat` has the prefix `cat||tom||`, which may be an actor of the app `cat` too."""
    store = InMemoryStore({})
    await store.open()
    served = ServedStore("s", "t", "v1", store, KeyScheme(store="s", app_id=""), holds_actor_state=True)
    service = StateService(Directory("", [served]), Counting(), state_limits())
    for key in ("cat||tom||hp", "cat||tom||mouse||hp", "cat||tom"):
        await store.set(Set(key, b"1"))
    listed = await service.lists.keys(KeysRequest("s", "", 10, of_actors=True))
    assert [(item.key, owner) for item, owner in zip(listed.items, listed.owners, strict=True)] == [
        ("hp", ("cat", "tom"))
    ]
    assert await service.lists.delete_actor_state(TOM) == DeletedKeys(1, None)
    assert list((await store.keys("", 10, None)).keys) == ["cat||tom", "cat||tom||mouse||hp"]


async def test_two_deletions_at_once_beside_a_writer_leave_only_what_is_written_later() -> None:
    store = InMemoryStore({})
    await store.open()
    service, _, _ = serving(store)
    for number in range(3000):
        await store.set(Set(f"app||cat||tom||{number}", b"1"))

    async def delete_all() -> int:
        total, cursor = 0, None
        while True:
            done = await service.lists.delete_actor_state(ActorDeleteRequest("cat", "tom", 100, cursor))
            total, cursor = total + done.deleted, done.cursor
            if cursor is None:
                return total

    async def write() -> None:
        for number in range(100):
            await store.set(Set(f"app||cat||tim||{number}", b"1"))
            await asyncio.sleep(0)

    one, other, _ = await asyncio.gather(delete_all(), delete_all(), write())
    assert one + other >= 3000
    assert (await store.keys("app||cat||tom||", 10, None)).keys == []
    assert len((await store.keys("app||cat||tim||", 1000, None)).keys) == 100


def test_a_scheme_with_dashes_knows_the_keys_of_actors_in_the_store_that_holds_them() -> None:
    holder = KeyScheme(store="s", app_id="app", separator="-")
    assert holder.actors_prefix("cat||tom") == "app-cat-tom"
    assert holder.actor_prefix("cat", "tom") == "app-cat-tom-"
    assert holder.listed_of_actor("app-cat-tom-a-b") == ("cat", "tom", "a-b")
    assert holder.listed_of_actor("app-cat-tom") is None
    other = KeyScheme(store="s", app_id="app", separator="-", holds_actors=False)
    assert other.listed_of_actor("app-cat-tom-a-b") is None
