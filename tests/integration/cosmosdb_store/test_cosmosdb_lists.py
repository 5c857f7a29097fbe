"""Keys of Cosmos DB are listed whatever their ids are, and found again in whatever partition they were written."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from servers.component_files import component
from servers.cosmosdb_server import CosmosServer, running
from servers.opened_cosmosdb import opened
from servers.pannier_process import serving
from servers.places import Desk, Place

from pannier_sidecar.state.errors import InvalidCursorError
from pannier_sidecar.state.requests import Delete, Get, Set, in_partition
from pannier_sidecar.state.store import KeyPage
from pannier_sidecar.stores.cosmosdb.store import CosmosDBStore

AWKWARD = (
    *("shop||a", "shop||a/b", "shop||=a%2Fb", "shop||ü?", "shop||a b ", "shop||\U0001f600#"),
    "shop||" + "/" * 1000,  # so long in percent-encoding that its id is a digest
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CosmosServer]:
    with running(tmp_path / "server") as server:
        server.make_container(defaultTtl=-1)
        yield server


@pytest.fixture
async def store(server: CosmosServer) -> AsyncIterator[CosmosDBStore]:
    async with opened(server.settings) as store:
        yield store


async def pages(store: CosmosDBStore, prefix: str, limit: int) -> list[KeyPage]:
    found = [await store.keys(prefix, limit, None)]
    while found[-1].cursor is not None:
        found.append(await store.keys(prefix, limit, found[-1].cursor))
    return found


async def test_keys_whose_ids_are_others_are_listed_as_they_were_written(
    store: CosmosDBStore, server: CosmosServer
) -> None:
    for key in AWKWARD:
        await store.set(Set(key, b"v"))
    await store.set(Set("shops||a", b"v"))
    # Other programs' items: Dapr's is listed; under the ids of the others no key would be found.
    for item in ("shop||daprs", "=shop||no", "=shop||%", "=sha256-shop||", "shop||a#b", "=shop||%ff"):
        server.put({"id": item, "partitionKey": item, "value": 1, "isBinary": False})
    for limit in (1, 3, 2000):
        found = await pages(store, "shop||", limit)
        assert all(len(page.keys) <= limit for page in found)
        assert sorted(key for page in found for key in page.keys) == sorted([*AWKWARD, "shop||daprs"])
    listed = await store.keys("shop||a", 10, None)
    assert sorted(listed.keys) == sorted(key for key in AWKWARD if key.startswith("shop||a"))
    assert (await store.keys("shop||///", 10, None)).keys == [AWKWARD[-1]]
    await store.delete(Delete(AWKWARD[-1]))
    assert (await store.keys("shop||///", 10, None)).keys == []


async def test_a_list_says_in_which_partition_a_key_is(store: CosmosDBStore) -> None:
    for partition, value in ((None, b"own"), ("p", b"in p")):
        await store.set(Set("shop||k", value, metadata=in_partition(partition)))
    await store.set(Set("shop||cart||1||k", b"of an actor", metadata=in_partition("shop||cart||1")))
    (page,) = await pages(store, "shop||", 10)
    wanted = [("shop||k", None), ("shop||k", "p"), ("shop||cart||1||k", "shop||cart||1")]
    assert sorted(page.placed, key=str) == sorted(wanted, key=str)
    found = await store.bulk_get([Get(key, metadata=in_partition(partition)) for key, partition in page.placed])
    assert {each.value for each in found if each is not None and not isinstance(each, Exception)} == {
        *(b"own", b"in p", b"of an actor")
    }
    etags = await store.etags("shop||", 10, None)
    assert len({each.etag for each in etags.entries}) == 3


async def test_cursors_that_the_store_never_gave_are_refused(store: CosmosDBStore) -> None:
    for n in range(3):
        await store.set(Set(f"shop||{n}", b"v"))
    cursor = (await store.keys("shop||", 1, None)).cursor
    assert cursor is not None
    with pytest.raises(InvalidCursorError, match="belongs to another prefix"):
        await store.keys("shop||1", 1, cursor)
    for made_up in ("x", *(_cursor("shop||", marker) for marker in ("{", "a\r\nx-evil: 1", "ü", "a" * 10_000))):
        with pytest.raises(InvalidCursorError, match="was not made by this store"):
            await store.keys("shop||", 1, made_up)


def _cursor(prefix: str, marker: str) -> str:
    return urlsafe_b64encode(json.dumps([prefix, 0, marker]).encode()).decode()


def test_values_of_listed_keys_are_read_queried_deleted_and_not_copied_from_other_partitions(
    server: CosmosServer, tmp_path: Path
) -> None:
    components = tmp_path / "components"
    components.mkdir()
    file = components / "s.yaml"
    file.write_text(component("s", "state.azure.cosmosdb", server.settings))
    with serving(components) as pannier:
        items = [
            {"key": "a", "value": {"n": 1}},
            {"key": "b", "value": {"n": 2}, "metadata": {"partitionKey": "p"}},
            {"key": "c", "value": {"n": 3}},
        ]
        assert pannier.call("/v1.0/state/s", "POST", json.dumps(items))[0] == 201
        listed = json.loads(pannier.call("/v1.0-alpha1/state/s/keys?values=true")[1])
        assert sorted((each["key"], each["data"]["n"]) for each in listed["keys"]) == [("a", 1), ("b", 2), ("c", 3)]
        query = {"filter": {"IN": {"n": [2, 3]}}, "sort": [{"key": "n"}]}
        results = json.loads(pannier.call("/v1.0-alpha1/state/s/query", "POST", json.dumps(query))[1])["results"]
        assert [each["key"] for each in results] == ["b", "c"]
        desk, target = (
            Desk(tmp_path),
            Place(tmp_path / "t.yaml", "state.sqlite", {"connectionString": tmp_path / "t.db"}),
        )
        refused = desk.run("copy", "--app-id", "shop", "--from", file, "--to", target.file)
        assert refused.code == 1
        assert "key 'b' was written with partitionKey p, which the target could not keep" in refused.err[-1]
        assert json.loads(pannier.call("/v1.0-alpha1/state/s/keys?prefix=b", "DELETE")[1])["deleted"] == 1
        copied = desk.run("copy", "--app-id", "shop", "--from", file, "--to", target.file)
        assert copied.code == 0, copied
