"""Dapr's Consul store and ours read and update each other's entries; expired entries are removed."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from conformance.calls import expiring
from servers.consul_server import ConsulServer, single
from servers.opened_store import opened

from pannier_sidecar.state.errors import ETagMismatchError, NotSupportedError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.consul.store import ConsulStore

pytestmark = pytest.mark.over("consul")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    with single(tmp_path_factory.mktemp("consul")) as server:
        yield server


@pytest.fixture
async def store(server: ConsulServer) -> AsyncIterator[ConsulStore]:
    server.ask("DELETE", "/v1/kv/?recurse")
    async with opened(at(server)) as store:
        yield store


def at(server: ConsulServer, **more: str | float) -> ConsulStore:
    return ConsulStore({"httpAddr": server.address, "timeout": 30.0, **more})


async def present(store: ConsulStore, key: str) -> StoredValue:
    found = await store.get(Get(key))
    assert found is not None
    return found


async def test_an_entry_that_dapr_wrote_is_read_and_updated(store: ConsulStore, server: ConsulServer) -> None:
    server.ask("PUT", "/v1/kv/dapr/app%7C%7Ck", b'{"a":1}')
    found = await present(store, "app||k")
    assert (found.value, found.expires_at) == (b'{"a":1}', None)
    assert list(await store.bulk_get([Get("app||k")])) == [found]
    await store.set(Set("app||k", b"2", if_match=found.etag))
    assert server.stored("app||k") == b"2"
    server.ask("PUT", "/v1/kv/dapr/app%7C%7Ck", b"3")
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||k", b"4", if_match=found.etag))
    await store.delete(Delete("app||k", (await present(store, "app||k")).etag))
    assert server.stored("app||k") is None


async def test_dapr_finds_the_value_as_it_is_under_its_prefix(store: ConsulStore, server: ConsulServer) -> None:
    await store.transact([Set("app||k", b'{"x": 1.10}'), Set("app||ü b", b"")])
    entry = server.entry("dapr/app||k")
    assert entry is not None
    assert base64.b64decode(entry["Value"]) == b'{"x": 1.10}'
    assert str(entry["ModifyIndex"]) == (await present(store, "app||k")).etag
    assert server.stored("app||ü b") == b""


async def test_the_prefix_is_the_one_that_the_component_says(server: ConsulServer) -> None:
    async with opened(at(server, keyPrefixPath="/teams/blue/")) as store:
        await store.set(Set("app||k", b"1"))
        assert server.entry("teams/blue/app||k") is not None
        assert (await store.keys("app||", 10, None)).keys == ["app||k"]


@pytest.mark.parametrize("flags", [1, 2**32, 0x2DDCCBC058A50C18, 0xE0F69A2BAA414DE0])
async def test_flags_of_other_programs_are_not_taken_for_an_expiry(
    store: ConsulStore, server: ConsulServer, flags: int
) -> None:
    server.ask("PUT", f"/v1/kv/dapr/k?flags={flags}", b"1")
    assert (await present(store, "k")).expires_at is None


async def test_expired_values_are_removed_once_they_are_read(store: ConsulStore, server: ConsulServer) -> None:
    await store.bulk_write([Set(f"k{number}", b"1", ttl=1) for number in range(5)])
    await store.set(Set("stays", b"1", ttl=1000))
    assert server.stored("k0") == b"1"
    await until(lambda: store_is_without(store, "k0"))
    await store.bulk_get([Get(f"k{number}") for number in range(5)])
    await until(lambda: none_of(server, [f"k{number}" for number in range(5)]))
    assert server.stored("stays") == b"1"


async def test_expired_keys_that_nobody_reads_are_removed_from_time_to_time(server: ConsulServer) -> None:
    async with opened(at(server, cleanupInterval=0.2)) as store:
        await store.bulk_write([Set("forgotten", b"1", ttl=1), Set("stays", b"1")])
        await until(lambda: none_of(server, ["forgotten"]))
        assert server.stored("stays") == b"1"


async def test_an_etag_of_what_has_expired_writes_nothing(store: ConsulStore, server: ConsulServer) -> None:
    etag = (await expiring(store, "k")).etag
    await asyncio.sleep(2)
    assert server.stored("k") == b"1", "nothing has read it, so it is there yet"
    for write in (Set("k", b"2", if_match=etag), Delete("k", if_match=etag)):
        with pytest.raises(ETagMismatchError):
            await (store.set(write) if isinstance(write, Set) else store.delete(write))
    await store.set(Set("k", b"3", if_absent=True))
    assert (await present(store, "k")).value == b"3"


async def test_a_value_that_is_too_large_is_refused_with_the_limit(store: ConsulStore) -> None:
    await store.set(Set("k", b"before"))
    with pytest.raises(StoreRefusedError, match=r"too large for Consul: 524289 bytes, and it takes 524288"):
        await store.set(Set("k", bytes(524289)))
    with pytest.raises(StoreRefusedError, match=r"too large.*kv_max_value_size"):
        await store.transact([Set("k", bytes(400_000)), Set("l", bytes(400_000))])
    assert (await present(store, "k")).value == b"before"


async def test_a_transaction_of_too_many_checks_is_refused(store: ConsulStore) -> None:
    writes = [Set(f"k{number}", b"1", if_absent=True) for number in range(33)]
    with pytest.raises(NotSupportedError, match="takes 66 operations of Consul, which allows 64"):
        await store.transact(writes)
    await store.transact(writes[:32])
    with pytest.raises(ETagMismatchError, match="key k31 exists already"):
        await store.transact([writes[32], writes[31]])


async def test_keys_that_a_url_cannot_hold_are_written_together_with_others(
    store: ConsulStore, server: ConsulServer
) -> None:
    keys = ["a//b", "a/../b", "a/", "a\tb", "ä", "a b", "a%2Fb", "a?b#c", "a+b"]
    await store.bulk_write([Set(key, key.encode()) for key in keys])
    assert json.loads(server.ask("GET", "/v1/kv/dapr/?keys")) == sorted(f"dapr/{key}" for key in keys)
    found = await store.bulk_get([Get(key) for key in keys])
    assert [getattr(entry, "value", None) for entry in found] == [key.encode() for key in keys]
    assert not any(await store.bulk_write([Delete(key) for key in keys]))
    assert (await store.keys("", 100, None)).keys == []


async def until(is_so) -> None:
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.05)


async def store_is_without(store: ConsulStore, key: str) -> bool:
    return await store.get(Get(key)) is None


async def none_of(server: ConsulServer, keys: list[str]) -> bool:
    return not any(server.entry(f"dapr/{key}") for key in keys)
