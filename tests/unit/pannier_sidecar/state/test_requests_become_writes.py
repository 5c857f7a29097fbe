"""What a store gets from a request: stored keys, preconditions, expiry, consistency and metadata."""

import pytest
from unit.pannier_sidecar.state.scripted_store import ScriptedStore, serving
from unit.tables import each_row

from pannier_sidecar.state.errors import IllegalKeyError, MalformedRequestError, StoreUnavailableError
from pannier_sidecar.state.requests import (
    ActorGetRequest,
    ActorTransactRequest,
    BulkDeleteRequest,
    BulkGetRequest,
    Concurrency,
    Consistency,
    Delete,
    DeleteRequest,
    Get,
    GetRequest,
    KeysRequest,
    RetryPolicy,
    SaveRequest,
    Set,
    TransactRequest,
    WriteItem,
)
from pannier_sidecar.state.store import KeyPage, StoredValue

FIRST, STRONG = Concurrency.FIRST_WRITE, Consistency.STRONG


async def test_get() -> None:
    store = ScriptedStore()
    store.values["app||k"] = StoredValue(b"1", "7")
    service, _, observer = serving(store)
    assert await service.get(GetRequest("statestore", "k", STRONG, {"a": "b"})) == StoredValue(b"1", "7")
    assert await service.get(GetRequest(None, "absent")) is None
    assert store.asked == [Get("app||k", True, {"a": "b"}), Get("app||absent")]
    assert observer.ended == [("statestore", "get", True)] * 2


async def test_save() -> None:
    store = ScriptedStore()
    service, _, observer = serving(store)
    await service.save(SaveRequest(None, [WriteItem("a", b"1", "7", FIRST, STRONG, {"x": "y"})]))
    await service.save(SaveRequest(None, [WriteItem("b", b"", None, FIRST), WriteItem("c", b"3")]))
    assert store.asked == [
        Set("app||a", b"1", "7", strong=True, metadata={"x": "y"}, is_first_write=True),
        Set("app||b", b"", if_absent=True, is_first_write=True),
        Set("app||c", b"3"),
    ]
    assert observer.ended == [("statestore", "set", True)] * 2


async def test_saving_nothing_succeeds() -> None:
    service, _, _ = serving(ScriptedStore())
    await service.save(SaveRequest(None, []))
    await service.transact(TransactRequest(None, []))
    assert await service.bulk_get(BulkGetRequest(None, [])) == []


async def test_delete() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    await service.delete(DeleteRequest(None, WriteItem("k", None, "7", consistency=STRONG)))
    await service.bulk_delete(BulkDeleteRequest(None, [WriteItem("a"), WriteItem("b", None, None, FIRST)]))
    assert store.asked == [Delete("app||k", "7", strong=True), Delete("app||a"), Delete("app||b", if_absent=True)]


async def test_a_store_is_in_use_during_a_call() -> None:
    store = ScriptedStore()
    service, served, _ = serving(store)
    await service.get(GetRequest(None, "k"))
    await service.transact(TransactRequest(None, [WriteItem("k", b"1")]))
    assert store.in_flight == [1, 1]
    assert served.calls_in_flight == 0


@pytest.mark.parametrize(
    ("text", "ttl"),
    [(None, 60), ("5", 5), (" 5 ", 5), ("-1", None), ("0", None), ("2147483647", 2147483647)],
)
async def test_ttl_in_seconds_becomes_the_ttl_of_a_write(text: str | None, ttl: int | None) -> None:
    store = ScriptedStore()
    service, _, _ = serving(store, default_ttl=60)
    metadata = {} if text is None else {"ttlInSeconds": text}
    await service.save(SaveRequest(None, [WriteItem("k", b"1", metadata=metadata)]))
    assert store.asked[0].ttl == ttl


@each_row("text", [" ", "soon", "1.5", "-2", "2147483648", "1e3", "9" * 5000, "1_0"])
async def test_expiry_that_is_no_number_of_seconds(text: str) -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    with pytest.raises(MalformedRequestError, match="ttlInSeconds is .*; write a whole number of seconds"):
        await service.save(SaveRequest(None, [WriteItem("k", b"1", metadata={"ttlInSeconds": text})]))
    assert store.asked == []


async def test_a_transaction_becomes_a_list_of_writes() -> None:
    store = ScriptedStore()
    service, _, observer = serving(store)
    items = [WriteItem("a", b"1", metadata={"x": "own"}), WriteItem("b", None, "7")]
    await service.transact(TransactRequest(None, items, {"x": "shared", "ttlInSeconds": "9"}))
    assert store.asked == [
        [
            Set("app||a", b"1", ttl=9, metadata={"x": "own", "ttlInSeconds": "9"}),
            Delete("app||b", "7", metadata={"x": "shared", "ttlInSeconds": "9"}),
        ]
    ]
    assert observer.ended == [("statestore", "transaction", True)]


async def test_one_item_that_is_wrong_keeps_all_from_being_written() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    for wrong in (
        WriteItem("a||b", b"1"),
        WriteItem("", b"1"),
        WriteItem("k" * 70_000, b"1"),
        WriteItem("\ud800", b"1"),
    ):
        with pytest.raises(MalformedRequestError):
            await service.save(SaveRequest(None, [WriteItem("k", b"1"), wrong]))
        with pytest.raises(MalformedRequestError):
            await service.transact(TransactRequest(None, [WriteItem("k", b"1"), wrong]))
    assert store.asked == []


@pytest.mark.parametrize("letter", ["k", "ü", "😀"])
async def test_a_key_longer_than_the_store_takes_is_refused(letter: str) -> None:
    store = ScriptedStore()
    store.max_key_bytes = 40
    service, _, _ = serving(store)
    room = (40 - len("app||")) // len(letter.encode())
    await service.get(GetRequest(None, letter * room))
    with pytest.raises(MalformedRequestError, match="bytes long with its prefix; state store statestore takes 40"):
        await service.get(GetRequest(None, letter * (room + 1)))


async def test_a_key_with_half_a_surrogate_pair_is_refused() -> None:
    service, _, _ = serving(ScriptedStore())
    with pytest.raises(MalformedRequestError, match="is no Unicode text"):
        await service.get(GetRequest(None, "\ud800"))


async def test_state_of_actors_is_stored_under_their_keys_in_one_partition() -> None:
    store = ScriptedStore()
    service, _, observer = serving(store)
    await service.get_actor_state(ActorGetRequest("cat", "tom", "mood"))
    await service.transact_actor_state(ActorTransactRequest("cat", "tom", [WriteItem("a", b"1"), WriteItem("b")]))
    partition = {"partitionKey": "app||cat||tom"}
    assert store.asked == [
        Get("app||cat||tom||mood", metadata=partition),
        [Set("app||cat||tom||a", b"1", metadata=partition), Delete("app||cat||tom||b", metadata=partition)],
    ]
    assert observer.ended == [("statestore", "get", True), ("statestore", "transaction", True)]
    with pytest.raises(IllegalKeyError):
        await service.get_actor_state(ActorGetRequest("cat", "a||b", "mood"))


async def test_a_transaction_is_retried_as_its_first_policy_says() -> None:
    store = ScriptedStore(StoreUnavailableError("down"))
    service, _, _ = serving(store)
    items = [WriteItem("a", b"1"), WriteItem("b", b"1", retry=RetryPolicy(1, 1))]
    await service.transact(TransactRequest(None, items))
    assert len(store.asked) == 2


async def test_listing_goes_on_until_the_page_is_full_of_the_apps_own_keys() -> None:
    store = ScriptedStore()
    store.pages = [
        KeyPage(["app||a", "app||cat||tom||mood"], "1"),
        KeyPage(["app||cat||tom||name"], "2"),
        KeyPage(["app||b"], "3"),
    ]
    service, _, observer = serving(store)
    listed = await service.lists.keys(KeysRequest(None, "", 2))
    assert [item.key for item in listed.items] == ["a", "b"]
    assert listed.cursor == "3"
    assert store.asked == [("app||", 2, None), ("app||", 1, "1"), ("app||", 1000, "2")]
    assert observer.ended == [("statestore", "keys", True)]


async def test_a_page_with_more_of_the_apps_keys_than_are_wanted_is_asked_for_again_in_part() -> None:
    store = ScriptedStore()
    store.pages = [
        KeyPage(["app||cat||tom||mood"], "1"),
        KeyPage(["app||cat||tom||name", "app||a", "app||b"], None),
        KeyPage(["app||cat||tom||name", "app||a"], "2"),
    ]
    service, _, _ = serving(store)
    listed = await service.lists.keys(KeysRequest(None, "", 1))
    assert [item.key for item in listed.items] == ["a"]
    assert listed.cursor == "2"
    assert store.asked == [("app||", 1, None), ("app||", 1000, "1"), ("app||", 2, "1")]


async def test_listing_ends_with_the_last_page_and_brings_values_when_asked() -> None:
    store = ScriptedStore()
    store.pages = [KeyPage(["app||ka", "app||kb"], None)]
    store.values["app||ka"] = StoredValue(b"1", "7")
    service, _, _ = serving(store)
    listed = await service.lists.keys(KeysRequest(None, "k", 10, "from here", with_values=True))
    assert [(item.key, item.found) for item in listed.items] == [("ka", StoredValue(b"1", "7")), ("kb", None)]
    assert listed.cursor is None
    assert store.asked[0] == ("app||k", 10, "from here")


@pytest.mark.parametrize("name", ["outbox.projection", "Outbox.Projection", "outbox.cloudevent.id"])
async def test_metadata_of_the_outbox_are_refused_and_nothing_is_written(name: str) -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    event = WriteItem("order", b"the event", metadata={name: "true"})
    for items, shared in (([WriteItem("order", b"1"), event], {}), ([WriteItem("order", b"1")], {name: "true"})):
        with pytest.raises(MalformedRequestError, match=f"metadata {name} asks for the outbox, which is not served"):
            await service.transact(TransactRequest(None, items, shared))
    with pytest.raises(MalformedRequestError, match="asks for the outbox"):
        await service.save(SaveRequest(None, [event]))
    with pytest.raises(MalformedRequestError, match="asks for the outbox"):
        await service.delete(DeleteRequest(None, WriteItem("order", metadata={name: "true"})))
    assert store.asked == []
    await service.save(SaveRequest(None, [WriteItem("order", b"1", metadata={name: "false"})]))
    assert len(store.asked) == 1


async def test_an_expiry_in_another_case_counts() -> None:
    store = ScriptedStore()
    service, _, _ = serving(store)
    await service.save(SaveRequest(None, [WriteItem("k", b"1", metadata={"TTLInSeconds": "60"})]))
    assert [write.ttl for write in store.asked] == [60]
