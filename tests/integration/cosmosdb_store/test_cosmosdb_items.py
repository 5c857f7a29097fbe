"""Items in Dapr 1.18's form are read and written, and Dapr can read ours."""

from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from itertools import count
from time import time
from typing import Any

import pytest
from servers.cosmosdb_server import CosmosServer, running
from servers.opened_cosmosdb import opened

from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, NotSupportedError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.cosmosdb.store import CosmosDBStore

_numbers = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CosmosServer]:
    with running(tmp_path_factory.mktemp("cosmosdb")) as server:
        server.make_container(defaultTtl=-1)
        server.make_container("never", defaultTtl=None)
        server.make_container("soon", defaultTtl=1000)
        yield server


@pytest.fixture
def key() -> str:
    return f"shop||{next(_numbers)}"


@pytest.fixture
async def store(server: CosmosServer) -> AsyncIterator[CosmosDBStore]:
    async with opened(server.settings) as store:
        yield store


def item_of(server: CosmosServer, key: str, database: str = "dapr") -> dict[str, Any]:
    [found] = [item for item in server.items(database) if item["id"] == key]
    return found


async def test_a_value_of_dapr_is_read(
    store: CosmosDBStore, server: CosmosServer, key: str, subtests: pytest.Subtests
) -> None:
    cases: list[tuple[dict[str, Any], bytes]] = [
        ({"value": {"b": 1, "a": [1.5, None, True]}, "isBinary": False}, b'{"b":1,"a":[1.5,null,true]}'),
        ({"value": "text", "isBinary": False}, b'"text"'),
        ({"value": 10, "isBinary": False}, b"10"),
        ({"value": None, "isBinary": False}, b"null"),
        ({"value": "/wA=", "isBinary": True}, b"\xff\x00"),
        ({"value": "", "isBinary": True}, b""),
        ({"value": "no base64", "isBinary": True}, b"no base64"),
        ({"value": "é\u2028"}, '"é\u2028"'.encode()),
    ]
    for stored, read in cases:
        with subtests.test(str(stored)):
            server.put({"id": key, "partitionKey": key, **stored})
            found = await store.get(Get(key))
            assert found is not None
            assert (found.value, found.etag, found.expires_at) == (read, item_of(server, key)["_etag"], None)
            assert list(await store.bulk_get([Get(key)])) == [found]


async def test_an_item_of_dapr_is_guarded_by_its_etag(store: CosmosDBStore, server: CosmosServer, key: str) -> None:
    server.put({"id": key, "partitionKey": key, "value": {"a": 1}, "isBinary": False})
    found = await store.get(Get(key))
    assert found is not None
    with pytest.raises(ETagMismatchError):
        await store.set(Set(key, b"2", if_absent=True))
    with pytest.raises(ETagMismatchError):
        await store.set(Set(key, b"2", if_match='"00000000-0000-0000-0000-000000000000"'))
    await store.set(Set(key, b"2", if_match=found.etag))
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete(key, if_match=found.etag))


async def test_a_value_is_written_as_bytes_that_dapr_reads_back(
    store: CosmosDBStore, server: CosmosServer, key: str, subtests: pytest.Subtests
) -> None:
    for value in [b'{"b": 1, "a": 2.0}', b'"text"', b"", b"\xff\x00"]:
        with subtests.test(repr(value)):
            await store.set(Set(key, value))
            item = item_of(server, key)
            assert {name for name in item if not name.startswith("_")} == {"id", "partitionKey", "value", "isBinary"}
            assert (item["partitionKey"], item["isBinary"], b64decode(item["value"])) == (key, True, value)


async def test_the_request_says_which_partition(store: CosmosDBStore, server: CosmosServer, key: str) -> None:
    here = {"partitionKey": "shop||cat||1"}
    await store.transact([Set(key, b"1", metadata=here), Set(key + "b", b"2", metadata=here)])
    assert item_of(server, key)["partitionKey"] == "shop||cat||1"
    assert await store.get(Get(key)) is None
    found = await store.get(Get(key, metadata=here))
    assert found is not None
    elsewhere, same, other = await store.bulk_get([Get(key), Get(key, metadata=here), Get(key + "b", metadata=here)])
    assert (elsewhere, same, getattr(other, "value", None)) == (None, found, b"2")


async def test_one_key_in_two_partitions_is_two_items(store: CosmosDBStore, key: str) -> None:
    here = {"partitionKey": "here"}
    await store.bulk_write([Set(key, b"1"), Set(key, b"2", metadata=here)])
    found = await store.bulk_get([Get(key, metadata=here), Get(key)])
    assert [getattr(entry, "value", None) for entry in found] == [b"2", b"1"]


async def test_a_transaction_over_partitions_is_refused_and_changes_nothing(store: CosmosDBStore, key: str) -> None:
    with pytest.raises(NotSupportedError, match="give the request the metadata partitionKey"):
        await store.transact([Set(key, b"1"), Set(key + "b", b"1")])
    assert await store.get(Get(key)) is None


async def test_an_unconditional_delete_counts_as_two_operations(store: CosmosDBStore, key: str) -> None:
    here = {"partitionKey": key}
    await store.transact([Delete(f"{key}-{number}", metadata=here) for number in range(50)])
    with pytest.raises(NotSupportedError, match="takes 102 operations of Cosmos DB, which has 100 at most"):
        await store.transact([Delete(f"{key}-{number}", metadata=here) for number in range(51)])


async def test_the_expiry_that_dapr_set_is_returned(store: CosmosDBStore, server: CosmosServer, key: str) -> None:
    server.put({"id": key, "partitionKey": key, "value": 1, "isBinary": False, "ttl": 1000})
    found = await store.get(Get(key))
    assert found is not None
    assert found.expires_at == item_of(server, key)["_ts"] + 1000


async def test_an_expiry_is_the_items_own_ttl(store: CosmosDBStore, server: CosmosServer, key: str) -> None:
    await store.set(Set(key, b"1", ttl=100))
    assert item_of(server, key)["ttl"] == 101  # in whole seconds; one more, so that nothing expires too early
    await store.set(Set(key, b"1"))
    assert "ttl" not in item_of(server, key)


async def test_in_a_container_without_ttl_a_write_with_an_expiry_is_refused(server: CosmosServer, key: str) -> None:
    async with opened({**server.settings, "database": "never"}) as store:
        with pytest.raises(NotSupportedError, match=r"time to live is off; turn it on .* --ttl -1"):
            await store.set(Set(key, b"1", ttl=100))
        await store.set(Set(key, b"1"))
        server.put({"id": key, "partitionKey": key, "value": 1, "isBinary": False, "ttl": 1}, "never")
        found = await store.get(Get(key))
        assert found is not None
        assert found.expires_at is None


async def test_in_a_container_with_a_default_ttl_values_without_expiry_stay(server: CosmosServer, key: str) -> None:
    async with opened({**server.settings, "database": "soon"}) as store:
        await store.set(Set(key, b"1"))
        found = await store.get(Get(key))
        assert found is not None
        assert found.expires_at is None
        server.put({"id": key, "partitionKey": key, "value": 1, "isBinary": False}, "soon")
        found = await store.get(Get(key))
        assert found is not None
        assert found.expires_at is not None
        assert 900 < found.expires_at - time() <= 1001


async def test_an_etag_that_could_match_another_one_is_invalid(
    store: CosmosDBStore, key: str, subtests: pytest.Subtests
) -> None:
    for etag in ["*", "", " 1", "1,2", "ü", "1\n", "9" * 257]:
        with subtests.test(repr(etag)):
            with pytest.raises(InvalidETagError):
                await store.set(Set(key, b"1", if_match=etag))


async def test_an_item_that_is_no_state_is_refused_and_named(
    store: CosmosDBStore, server: CosmosServer, key: str
) -> None:
    server.put({"id": key, "partitionKey": key, "total": 3})
    with pytest.raises(StoreRefusedError, match="has no property value, so it holds no state"):
        await store.get(Get(key))
