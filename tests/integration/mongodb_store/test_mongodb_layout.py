"""Documents in Dapr 1.18's form are read and written, and Dapr can read ours."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from servers.mongodb_server import MongoServer, running
from servers.opened_mongodb import opened

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.mongodb.store import MongoDBStore

ETAG = str(uuid4())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture
def documents(server: MongoServer) -> Iterator[Collection[dict[str, Any]]]:
    """The collection as another client sees it, empty."""
    with server.client() as client:
        collection = client["daprStore"]["daprCollection"]
        collection.delete_many({})
        yield collection


@pytest.fixture
async def store(server: MongoServer) -> AsyncIterator[MongoDBStore]:
    async with opened(server.settings) as store:
        yield store


def dapr(value: object, ttl: datetime | None = None) -> dict[str, Any]:
    return {"_id": "shop||k", "value": value, "_etag": ETAG, "_ttl": ttl}


async def value_of(store: MongoDBStore, key: str = "shop||k") -> bytes | None:
    found = await store.get(Get(key))
    return None if found is None else found.value


async def test_a_value_of_dapr_is_read(
    store: MongoDBStore, documents: Collection[dict[str, Any]], subtests: pytest.Subtests
) -> None:
    cases: list[tuple[object, bytes]] = [
        ("any text of a gRPC client", b"any text of a gRPC client"),
        ('"text"', b'"text"'),
        ('"a \\"quoted\\" text"', b'"a \\"quoted\\" text"'),
        ({"b": 1.0, "a": {"c": [1.5, "x", None, True]}}, b'{"b":1,"a":{"c":[1.5,"x",null,true]}}'),
        ({"$not": "an operator", "é": "\u2028"}, '{"$not":"an operator","é":"\u2028"}'.encode()),
        ([1.0, "two", {"three": 3.5}], b'[1,"two",{"three":3.5}]'),
        (10.0, b"10"),
        (0.1, b"0.1"),
        (1e300, b"1e+300"),
        (bson.Int64(2**60), b"1152921504606846976"),
        (True, b"true"),
        (None, b"null"),
        ({}, b"{}"),
        (b"\xff\x00", b"\xff\x00"),
        ({"d": bson.Decimal128("5.5")}, b'{"d":{"$numberDecimal":"5.5"}}'),
    ]
    for stored, read in cases:
        with subtests.test(repr(stored)):
            documents.delete_many({})
            documents.insert_one(dapr(stored))
            found = await store.get(Get("shop||k"))
            assert found is not None
            assert (found.value, found.etag, found.expires_at) == (read, ETAG, None)
            assert list(await store.bulk_get([Get("shop||k")])) == [found]


def test_bytes_that_dapr_stored_as_text_come_back_unchanged() -> None:
    """This needs no server: the emulator of the tests checks texts, which MongoDB does not."""
    from pannier_sidecar.stores.mongodb import layout

    placeholder = "?" * 3
    text = bson.encode({"_id": "k", "value": placeholder, "_etag": ETAG}).replace(b"???", b"\xff\xed\xa0")
    found = bson.decode(RawBSONDocument(text).raw, layout.OPTIONS)
    stored = layout.stored_value(found, 0)
    assert stored is not None
    assert stored.value == b"\xff\xed\xa0"


async def test_a_document_of_dapr_is_guarded_by_its_etag(
    store: MongoDBStore, documents: Collection[dict[str, Any]]
) -> None:
    documents.insert_one(dapr({"a": 1}))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("shop||k", b"2", if_match=str(uuid4())))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("shop||k", b"2", if_absent=True))
    await store.set(Set("shop||k", b"2", if_match=ETAG))
    assert await value_of(store) == b"2"
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("shop||k", if_match=ETAG))


async def test_the_expiry_that_dapr_set_is_returned(store: MongoDBStore, documents: Collection[dict[str, Any]]) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1000)
    documents.insert_one(dapr("x", soon))
    found = await store.get(Get("shop||k"))
    assert found is not None
    assert found.expires_at == round(soon.timestamp())


@pytest.mark.parametrize("index", [True, False], ids=["removed by the server", "still there"])
async def test_expired_values_are_absent(
    store: MongoDBStore, documents: Collection[dict[str, Any]], index: bool
) -> None:
    if not index:
        documents.drop_index("_ttl_1")
    documents.insert_one(dapr("x", datetime.now(UTC) - timedelta(seconds=1)))
    assert await value_of(store) is None
    assert list((await store.keys("", 10, None)).keys) == []
    with pytest.raises(ETagMismatchError):
        await store.set(Set("shop||k", b"2", if_match=ETAG))
    await store.set(Set("shop||k", b"2", if_absent=True))
    assert await value_of(store) == b"2"


async def test_documents_from_before_expiry_was_supported_never_expire(
    store: MongoDBStore, documents: Collection[dict[str, Any]]
) -> None:
    documents.insert_one({"_id": "shop||k", "value": "old", "_etag": ETAG})
    assert await value_of(store) == b"old"
    assert list((await store.keys("", 10, None)).keys) == ["shop||k"]
    await store.set(Set("shop||k", b"new", if_match=ETAG))


async def test_text_is_written_as_dapr_writes_the_bytes_of_its_clients(
    store: MongoDBStore, documents: Collection[dict[str, Any]], subtests: pytest.Subtests
) -> None:
    cases: list[bytes] = [b'{"b": 1, "a": 2}', b'"text"', b"10", b"", "ひ".encode(), b"a\0b"]
    for value in cases:
        with subtests.test(repr(value)):
            await store.set(Set("shop||k", value))
            [found] = documents.find()
            assert set(found) == {"_id", "value", "_etag", "_ttl"}
            assert (found["_id"], found["value"], found["_ttl"]) == ("shop||k", value.decode(), None)
            assert str(UUID(found["_etag"])) == found["_etag"]


async def test_bytes_that_are_no_text_are_binary(store: MongoDBStore, documents: Collection[dict[str, Any]]) -> None:
    await store.set(Set("shop||k", b"\xff\x00"))
    [found] = documents.find()
    assert found["value"] == b"\xff\x00"


async def test_an_expiry_is_a_date_in_the_field_that_dapr_looks_at(
    store: MongoDBStore, documents: Collection[dict[str, Any]]
) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    await store.set(Set("shop||k", b"1", ttl=100))
    [found] = documents.find()
    assert before + timedelta(seconds=99) <= found["_ttl"] <= before + timedelta(seconds=130)
    indexes = documents.index_information()
    assert indexes["_ttl_1"]["expireAfterSeconds"] == 0


async def test_a_document_that_is_no_state_is_refused_and_named(
    store: MongoDBStore, documents: Collection[dict[str, Any]]
) -> None:
    documents.insert_one({"_id": "orders", "total": 3})
    await store.set(Set("k", b"1"))
    with pytest.raises(StoreRefusedError, match="document of key orders has no field value"):
        await store.get(Get("orders"))
    refused, found = await store.bulk_get([Get("orders"), Get("k")])
    assert isinstance(refused, StoreRefusedError)
    assert getattr(found, "value", None) == b"1"
