"""Items in Dapr's form are read and written, and ours have the same form."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.dynamodb_server import DynamoDBServer
from servers.opened_store import opened

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.dynamodb.store import DynamoDBStore

EXAMPLE = Path(__file__).parents[3] / "examples/components/dynamodb/statestore.yaml"
ETAG = "8f3b5b1c9d2e4a67"


@pytest.fixture
async def store(server: DynamoDBServer, table: str) -> AsyncIterator[DynamoDBStore]:
    """The store with the example's settings."""
    (manifest,) = yaml.safe_load_all(EXAMPLE.read_text())
    example = {item["name"]: item["value"] for item in manifest["spec"]["metadata"]}
    async with opened(DynamoDBStore({**example, **server.settings(table)})) as store:
        yield store


def put(server: DynamoDBServer, table: str, key: str, **attributes: Any) -> None:
    server.client().put_item(TableName=table, Item={"key": {"S": key}, **attributes})


def item(server: DynamoDBServer, table: str, key: str) -> Any:
    return server.client().get_item(TableName=table, Key={"key": {"S": key}}).get("Item")


@pytest.mark.parametrize(
    ("value", "bytes_of_it"),
    [({"S": '{"a":1}'}, b'{"a":1}'), ({"B": b"\xff\0"}, b"\xff\0"), ({"S": ""}, b"")],
    ids=["JSON", "bytes", "nothing"],
)
async def test_a_value_that_dapr_wrote_is_read_and_its_etag_is_valid(
    server: DynamoDBServer, table: str, store: DynamoDBStore, value: Any, bytes_of_it: bytes
) -> None:
    put(server, table, "app||k", value=value, etag={"S": ETAG})
    found = await store.get(Get("app||k"))
    assert found is not None
    assert (found.value, found.etag, found.expires_at) == (bytes_of_it, ETAG, None)
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||k", b"2", "8f3b5b1c9d2e4a68"))
    await store.set(Set("app||k", b"2", ETAG))
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("app||k", ETAG))


async def test_a_value_that_expired_under_dapr_is_absent(
    server: DynamoDBServer, table: str, store: DynamoDBStore
) -> None:
    later = int(time.time()) + 1000
    put(server, table, "late", value={"S": "1"}, etag={"S": ETAG}, expiresAt={"N": str(later)})
    put(server, table, "gone", value={"S": "1"}, etag={"S": ETAG}, expiresAt={"N": str(int(time.time()) - 1)})
    late, gone = await store.bulk_get([Get("late"), Get("gone")])
    assert getattr(late, "expires_at", None) == later
    assert gone is None
    assert list((await store.keys("", 10, None)).keys) == ["late"]
    await store.set(Set("gone", b"2", if_absent=True))


async def test_values_are_written_as_daprs_items(server: DynamoDBServer, table: str, store: DynamoDBStore) -> None:
    await store.set(Set("text", b'{"a": "\xc3\xbc"}', ttl=1000))
    await store.bulk_write([Set("bytes", b"\xff")])
    await store.transact([Set("one", b"1"), Set("two", b"2")])
    text = item(server, table, "text")
    assert set(text) == {"key", "value", "etag", "expiresAt"}
    assert text["value"] == {"S": '{"a": "ü"}'}
    assert abs(int(text["expiresAt"]["N"]) - time.time() - 1000) < 60
    found = await store.get(Get("text"))
    assert found is not None
    assert text["etag"] == {"S": found.etag}
    assert item(server, table, "bytes")["value"] == {"B": b"\xff"}
    for key in ("bytes", "one", "two"):
        assert set(item(server, table, key)) == {"key", "value", "etag"}


async def test_time_of_expiry_is_kept_without_a_name_for_it_too(server: DynamoDBServer, table: str) -> None:
    async with opened(DynamoDBStore(server.settings(table))) as store:
        await store.set(Set("k", b"1", ttl=1000))
        assert "expiresAt" in item(server, table, "k")


async def test_attributes_go_by_the_names_of_the_component(server: DynamoDBServer, table: str) -> None:
    server.create_table(f"{table}-of-contracts", "ContractID")
    settings = {"partitionKey": "ContractID", "ttlAttributeName": "ttl", **server.settings(f"{table}-of-contracts")}
    async with opened(DynamoDBStore(settings)) as store:
        await store.set(Set("k", b"1", ttl=1000))
        await store.set(Set("k", b"2", (await present(store, "k")).etag, ttl=1000))
        await store.transact([Set("l", b"1", if_absent=True), Delete("m")])
        assert sorted((await store.keys("", 10, None)).keys) == ["k", "l"]
    [kept, _] = server.client().scan(TableName=f"{table}-of-contracts")["Items"]
    assert set(kept) - {"ttl"} == {"ContractID", "value", "etag"}


async def test_another_programs_item_is_reported_and_affects_no_other(
    server: DynamoDBServer, table: str, store: DynamoDBStore
) -> None:
    put(server, table, "foreign", value={"M": {"a": {"N": "1"}}})
    await store.set(Set("ours", b"1"))
    with pytest.raises(StoreRefusedError, match="the item of key foreign has no attribute 'value' of type S or B"):
        await store.get(Get("foreign"))
    foreign, ours = await store.bulk_get([Get("foreign"), Get("ours")])
    assert isinstance(foreign, StoreRefusedError)
    assert getattr(ours, "value", None) == b"1"
    await store.set(Set("foreign", b"2"))
    assert (await present(store, "foreign")).value == b"2"


async def test_the_largest_item_is_taken_and_one_byte_more_is_refused(store: DynamoDBStore) -> None:
    room = 400 * 1024 - len("key" + "value" + "etag" + "k") - 16
    await store.set(Set("k", b"x" * room))
    before = await present(store, "k")
    for write in (Set("k", b"x" * (room + 17)), Set("k", b"\xff" * (room + 17))):
        for call in (store.set(write), store.transact([write, Set("other", b"1")])):
            with pytest.raises(
                StoreRefusedError, match="the value of key k is too large: .* holds 409600 bytes an item"
            ):
                await call
        fault, other = await store.bulk_write([write, Set("other", b"1")])
        assert isinstance(fault, StoreRefusedError)
        assert other is None
    assert await present(store, "k") == before


async def present(store: DynamoDBStore, key: str) -> Any:
    found = await store.get(Get(key))
    assert found is not None
    return found
