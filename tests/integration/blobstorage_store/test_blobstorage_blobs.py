"""What is in the container: blobs that Dapr writes, and in version v1 the apps whose keys would meet."""

import asyncio

import pytest
from servers.blobstorage_server import BlobServer
from servers.reads import value_of

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, NotSupportedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.blobstorage.client import Client
from pannier_sidecar.stores.blobstorage.settings import read_settings


async def put_as_dapr(server: BlobServer, name: str, value: bytes, **more: str) -> None:
    client = Client(read_settings(server.settings))
    await client.put(name, value, {"x-ms-blob-type": "BlockBlob", **more})
    await client.close()


async def test_version_v2_has_the_key_as_name_and_the_value_as_content(server: BlobServer, open_store) -> None:
    store = await open_store("v2")
    await store.set(Set("app||k", b'{"a": 1}'))
    assert await asyncio.to_thread(server.content, "app||k") == b'{"a": 1}'
    await put_as_dapr(server, "app||of/dapr", b"\xff")
    assert await value_of(store, "app||of/dapr") == b"\xff"
    assert sorted((await store.keys("app||", 10, None)).keys) == ["app||k", "app||of/dapr"]


async def test_a_blob_with_a_content_encoding_comes_back_as_its_bytes(server: BlobServer, open_store) -> None:
    """Dapr lets a request say what a value is encoded with."""
    store = await open_store("v2")
    await store.set(Set("app||k", b"no gzip", metadata={"contentEncoding": "gzip", "contentType": "text/plain"}))
    assert await value_of(store, "app||k") == b"no gzip"


async def test_version_v1_reads_and_writes_blobs_without_the_prefix(server: BlobServer, open_store) -> None:
    store = await open_store("v1")
    await store.set(Set("app||k", b"1"))
    assert await asyncio.to_thread(server.content, "k") == b"1"
    await put_as_dapr(server, "old", b"2")
    assert await value_of(store, "app||old") == b"2"
    assert sorted((await store.keys("app||", 10, None)).keys) == ["app||k", "app||old"]
    await store.set(Set("app||old", b"3"))
    assert await value_of(store, "app||old") == b"3"


async def test_in_version_v1_the_keys_of_two_apps_never_meet(open_store) -> None:
    one, other = await open_store("v1"), await open_store("v1")
    await one.set(Set("one||k", b"1"))
    found = await one.get(Get("one||k"))
    for call in (
        other.get(Get("other||k")),
        other.set(Set("other||k", b"2")),
        other.set(Set("other||k", b"2", if_match=found.etag)),
        other.set(Set("other||k", b"2", if_absent=True)),
        other.delete(Delete("other||k")),
    ):
        with pytest.raises(KeyRefusedError, match="write version: v2, or give each app a container"):
            await call
    assert await one.get(Get("one||k")) == found
    assert (await other.keys("other||", 10, None)).keys == []


async def test_in_version_v1_writes_of_two_apps_at_once_leave_one_owner(open_store) -> None:
    stores = [await open_store("v1"), await open_store("v1")]
    for number in range(20):
        done = await asyncio.gather(
            *(store.set(Set(f"app{place}||{number}", b"1")) for place, store in enumerate(stores)),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in done) == ["KeyRefusedError", "NoneType"]


async def test_in_version_v1_keys_of_actors_are_refused(open_store) -> None:
    store = await open_store("v1")
    for call in (store.get(Get("app||T||1||k")), store.set(Set("app||T||1||k", b"1"))):
        with pytest.raises(KeyRefusedError, match="has 4 parts"):
            await call


async def test_an_etag_on_a_deleted_key_is_a_mismatch(open_store) -> None:
    for version in ("v1", "v2"):
        store = await open_store(version)
        await store.set(Set("app||k", b"1"))
        etag = (await store.get(Get("app||k"))).etag
        await store.delete(Delete("app||k", if_match=etag))
        for write in (store.set(Set("app||k", b"2", etag)), store.delete(Delete("app||k", etag))):
            with pytest.raises(ETagMismatchError):
                await write


async def test_a_ttl_is_refused(open_store) -> None:
    store = await open_store("v2")
    with pytest.raises(NotSupportedError, match="leave ttlInSeconds out"):
        await store.set(Set("app||k", b"1", ttl=10))
    assert await store.get(Get("app||k")) is None
