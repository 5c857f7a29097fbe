"""What is in the table: entities that Dapr writes, entities of others, and what has expired."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import json
from servers.eventually import LIMIT_S
from servers.reads import value_of
from servers.tablestorage_server import TableServer

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.tablestorage.client import Client
from pannier_sidecar.stores.tablestorage.layout import EntityName, Layout
from pannier_sidecar.stores.tablestorage.settings import read_settings

NAME = Layout(is_cosmos=False).name_of


async def put(server: TableServer, partition: str, row: str, **properties: Any) -> None:
    """Write an entity as another program does."""
    client = Client(read_settings(server.settings))
    body = json.encode({"PartitionKey": partition, "RowKey": row, **properties})
    assert await client.replace(EntityName(partition, row), body, None)
    await client.close()


def stored(server: TableServer, key: str) -> Any:
    return asyncio.to_thread(server.value, NAME(key))


async def test_entities_of_dapr_are_read_and_ours_have_its_names(server: TableServer, open_store) -> None:
    store = await open_store()
    await put(server, "app", "of dapr", Value='{"a": 1}')
    await put(server, "alone", "", Value="text")
    assert await value_of(store, "app||of dapr") == b'{"a": 1}'
    assert await value_of(store, "alone") == b"text"
    assert sorted((await store.keys("", 10, None)).keys) == ["alone", "app||of dapr"]
    await store.set(Set("app||k", b"[1]"))
    assert await asyncio.to_thread(server.value, EntityName("app", "k")) == b"[1]"
    etag = (await store.get(Get("app||of dapr"))).etag
    await store.set(Set("app||of dapr", b"2", if_match=etag))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||of dapr", b"3", if_match=etag))


async def test_in_cosmos_mode_a_key_of_one_part_has_the_row_that_dapr_gives_it(server: TableServer, open_store) -> None:
    store = await open_store(cosmosDbMode=True)
    await put(server, "alone", "_dapr_empty_row_key_value_", Value="1")
    await store.set(Set("alone||_dapr_empty_row_key_value_", b"2"))
    assert await value_of(store, "alone") == b"1"
    assert await value_of(store, "alone||_dapr_empty_row_key_value_") == b"2"
    assert len((await store.keys("alone", 10, None)).keys) == 2


async def test_keys_that_dapr_takes_for_one_are_apart(server: TableServer, open_store) -> None:
    store = await open_store()
    keys = ["app", "app||", "app||T||1||k", "app||T||1||l", "app||T"]
    for number, key in enumerate(keys):
        await store.set(Set(key, str(number).encode()))
    assert [await value_of(store, key) for key in keys] == [b"0", b"1", b"2", b"3", b"4"]
    assert sorted((await store.keys("app", 10, None)).keys) == sorted(keys)
    assert sorted((await store.keys("app||T||", 10, None)).keys) == ["app||T||1||k", "app||T||1||l"]


async def test_an_entity_in_another_form_is_refused_and_can_be_replaced(server: TableServer, open_store) -> None:
    store = await open_store()
    of_others: list[dict[str, Any]] = [
        {},
        {"Value": 1},
        {"Value": "2020-01-01T00:00:00Z", "Value@odata.type": "Edm.DateTime"},
    ]
    for number, properties in enumerate(of_others):
        key = f"app||{number}"
        await put(server, "app", str(number), **properties)
        with pytest.raises(StoreRefusedError, match="another program wrote an entity with the name of this key"):
            await store.get(Get(key))
        await store.set(Set(key, b"ours"))
        assert await value_of(store, key) == b"ours"


async def test_bytes_and_long_texts_come_back(server: TableServer, open_store) -> None:
    store = await open_store()
    for value in (b"", b"\xff\xfe", b"\x00", "ü😀".encode(), b"x" * 32768, b"x" * 65536, "😀".encode() * 16384):
        await store.set(Set("app||k", value))
        assert await value_of(store, "app||k") == value
    for value in (b"x" * 65537, b"\xff" * 65537):
        with pytest.raises(StoreRefusedError, match="65537 bytes, and a property takes 65536; store less"):
            await store.set(Set("app||k", value))


async def test_a_key_that_is_too_long_encoded_is_refused(open_store) -> None:
    store = await open_store()
    for call in (store.get(Get("app||" + "/" * 200)), store.set(Set("/" * 200, b"1"))):
        with pytest.raises(KeyRefusedError, match="too long for Azure"):
            await call


async def test_expired_values_are_removed_once_they_are_read(server: TableServer, open_store) -> None:
    store = await open_store(cleanupInterval=0.0)
    await store.set(Set("app||k", b"1", ttl=1))
    await store.set(Set("app||stays", b"1", ttl=1000))
    await until_gone(lambda: store.get(Get("app||k")))
    await until_gone(lambda: stored(server, "app||k"))
    assert await stored(server, "app||stays") == b"1"


async def test_expired_keys_that_nobody_reads_are_removed_from_time_to_time(server: TableServer, open_store) -> None:
    store = await open_store(cleanupInterval=0.2)
    await store.set(Set("app||forgotten", b"1", ttl=1))
    await store.set(Set("app||stays", b"1"))
    await until_gone(lambda: stored(server, "app||forgotten"))
    assert await stored(server, "app||stays") == b"1"


async def test_an_expired_key_counts_as_absent_before_it_is_removed(server: TableServer, open_store) -> None:
    store = await open_store(cleanupInterval=0.0)
    await store.bulk_write([Set(f"app||{number}", b"1", ttl=1) for number in range(3)])
    etag = (await store.get(Get("app||0"))).etag
    await asyncio.sleep(2.1)
    assert await stored(server, "app||0") == b"1", "nothing has read it, so it is there yet"
    for write in (store.set(Set("app||0", b"2", if_match=etag)), store.delete(Delete("app||0", if_match=etag))):
        with pytest.raises(ETagMismatchError):
            await write
    assert (await store.keys("app||", 10, None)).keys == []
    await store.delete(Delete("app||1", if_absent=True))
    await store.set(Set("app||2", b"3", if_absent=True))
    assert await value_of(store, "app||2") == b"3"


async def test_every_write_of_many_at_once_has_an_etag_of_its_own(open_store) -> None:
    """Azurite makes ETags of the time, so two writes in one moment could have the same one, and a third be lost."""
    store = await open_store()
    seen: set[str] = set()
    for _ in range(10):
        await asyncio.gather(*(store.set(Set(f"app||{number}", b"1")) for number in range(32)))
        found = await store.bulk_get([Get(f"app||{number}") for number in range(32)])
        seen |= {each.etag for each in found}
    assert len(seen) == 320


async def until_gone(read: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await read() is not None:
            await asyncio.sleep(0.05)
