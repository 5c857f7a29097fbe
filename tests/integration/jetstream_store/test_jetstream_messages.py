"""What is stored in a bucket: as Dapr stores it, whoever reads or writes."""

import pytest
from servers.jetstream_server import BUCKET, JetStreamServer, with_bucket
from servers.opened_store import opened

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.jetstream.store import JetStreamStore

pytestmark = pytest.mark.over("jetstream")

DELETED = b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"
PURGED = b"NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n"


async def test_values_that_dapr_wrote_are_read_and_listed(server: JetStreamServer, open_store) -> None:
    store = await open_store()
    written = {"app||42": b'{"a": 1}', "app||a.b": b"\x00\xff", "app||x/y=z": b"", "alone": b"1"}
    for key, value in written.items():
        revision = server.put(key.replace("||", "."), value)
        found = await store.get(Get(key))
        assert found is not None
        assert (found.value, found.etag) == (value, str(revision))
        await store.set(Set(key, value + b"!", if_match=found.etag))
        assert server.stored(key) == value + b"!"
    assert (await store.keys("app||", 10, None)).keys == ["app||42", "app||a.b", "app||x/y=z"]


async def test_keys_that_dapr_deleted_are_absent_and_can_be_created(server: JetStreamServer, open_store) -> None:
    store = await open_store()
    for name, marker in (("app.d", DELETED), ("app.p", PURGED)):
        key = name.replace(".", "||")
        server.put(name, b"1")
        server.ask(f"$KV.{BUCKET}.{name}", b"", marker)
        assert await store.get(Get(key)) is None
        assert (await store.keys("app||", 10, None)).keys == []
        await store.delete(Delete(key, if_absent=True))
        await store.set(Set(key, b"2", if_absent=True))
        with pytest.raises(ETagMismatchError):
            await store.set(Set(key, b"3", if_absent=True))
        assert server.stored(key) == b"2"
        await store.delete(Delete(key))
        assert server.stored(key) is None


async def test_names_that_no_key_has_are_not_listed(server: JetStreamServer, open_store) -> None:
    store = await open_store()
    server.put("app.%41", b"1")
    server.put("app.a", b"1")
    assert (await store.keys("app||", 10, None)).keys == ["app||a"]


async def test_a_value_may_be_as_large_as_the_server_takes_with_its_headers(open_store) -> None:
    store = await open_store()
    largest = bytes(1_048_576)
    await store.set(Set("a||k", largest))
    found = await store.get(Get("a||k"))
    assert found is not None
    assert found.value == largest
    with pytest.raises(StoreRefusedError, match="1048577 bytes with its headers, .* takes 1048576; store less"):
        await store.set(Set("a||k", largest + b"1"))
    with pytest.raises(StoreRefusedError, match="raise max_payload"):
        await store.set(Set("a||k", largest, if_match=found.etag))
    assert await store.get(Get("a||k")) == found, "the connection is the same one"


async def test_a_bucket_that_is_full_says_so(tmp_path) -> None:
    with with_bucket(tmp_path / "full", max_bytes=4096, max_msg_size=2000) as server:
        async with opened(JetStreamStore({"natsURL": server.url, "bucket": BUCKET})) as store:
            with pytest.raises(StoreRefusedError, match="larger than the bucket allows; raise its limit"):
                await store.set(Set("a||k", bytes(3000)))
            await store.set(Set("a||k", bytes(1900)))
            await store.set(Set("a||l", bytes(1800)))
            with pytest.raises(StoreRefusedError, match="the bucket is full; raise its limit"):
                await store.set(Set("a||m", bytes(1900)))
