"""Keys that Dapr 1.18 wrote are read and written like ours, and Dapr can read ours."""

import asyncio
import time

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from servers.etcd_server import EtcdServer, in_base64, stored

from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue

LIMIT_S = 30.0


def put(server: EtcdServer, key: str, value: bytes, lease: str = "0") -> str:
    """Write a key without the store, and return its revision."""
    body = {"key": in_base64(key.encode()), "value": in_base64(value), "lease": lease}
    return str(server.call("kv/put", body)["header"]["revision"])


def message(value: bytes, written: float, ttl: int | None) -> bytes:
    """What Dapr stores in version 2, written by hand; without a TTL it writes an empty one."""
    ts, duration = Timestamp(), Duration(seconds=ttl or 0)
    ts.FromNanoseconds(int(written * 1e9))
    parts = ((1, value), (2, ts.SerializeToString()), (3, duration.SerializeToString()))
    return b"".join(bytes((number << 3 | 2, len(part))) + part for number, part in parts)


def lease_of(server: EtcdServer, seconds: int) -> str:
    return str(server.call("lease/grant", {"TTL": seconds})["ID"])


async def test_keys_of_version_1_are_read(server: EtcdServer, open_store) -> None:
    store = await open_store("v1")
    revision = put(server, "/app||k", b'{"a": 1}')
    put(server, "/app||leased", b"1", lease_of(server, 1000))
    assert await store.get(Get("app||k")) == StoredValue(b'{"a": 1}', revision)
    leased = await store.get(Get("app||leased"))
    assert leased is not None
    assert leased.expires_at is not None
    assert time.time() + 900 < leased.expires_at < time.time() + 1002


async def test_keys_of_version_2_are_read(server: EtcdServer, open_store) -> None:
    store = await open_store("v2")
    now = float(int(time.time()))
    revision = put(server, "/app||k", message(b'{"a": 1}', now - 1000, None))
    put(server, "/app||leased", message(b"1", now, 1000), lease_of(server, 1000))
    put(server, "/app||late", message(b"1", now - 11, 10), lease_of(server, 1000))
    put(server, "/app||none of it", b"\xff\xff")
    good, leased, late, bad = await store.bulk_get(
        [Get(f"app||{name}") for name in ("k", "leased", "late", "none of it")]
    )
    assert good == StoredValue(b'{"a": 1}', revision)
    assert isinstance(leased, StoredValue)
    assert leased.expires_at == round(now + 1000)
    assert late is None
    assert isinstance(bad, StoreRefusedError)
    assert "write it again" in str(bad)
    await store.set(Set("app||none of it", b"2"))
    await store.set(Set("app||late", b"2", if_absent=True))


async def test_revisions_guard_writes(server: EtcdServer, open_store) -> None:
    store: Store = await open_store("v1")
    revision = put(server, "/k", b"1")
    await store.set(Set("k", b"2", revision))
    with pytest.raises(ETagMismatchError, match="key k has ETag"):
        await store.set(Set("k", b"3", revision))
    with pytest.raises(InvalidETagError, match="is no revision of etcd"):
        await store.delete(Delete("k", "0"))
    ours = await store.get(Get("k"))
    assert ours is not None
    put(server, "/k", b"4")
    with pytest.raises(ETagMismatchError):
        await store.delete(Delete("k", ours.etag))


async def test_leased_keys_are_guarded_too(server: EtcdServer, open_store) -> None:
    for version, value in (("v1", b"1"), ("v2", message(b"1", time.time(), 1000))):
        store: Store = await open_store(version)
        revision = put(server, "/k", value, lease_of(server, 1000))
        await store.transact([Set("k", b"2", revision), Set("l", b"2", ttl=1000)])
        found = await store.get(Get("l"))
        assert found is not None
        with pytest.raises(ETagMismatchError):
            await store.set(Set("k", b"3", revision))
        await store.delete(Delete("l", found.etag))


@pytest.mark.parametrize("value", [b"", b"1", b'{"b":1, "a":1.0}', b"\xff\0"])
async def test_dapr_reads_what_we_wrote(server: EtcdServer, open_store, value: bytes) -> None:
    first, second = await open_store("v1", keyPrefixPath="one"), await open_store("v2", keyPrefixPath="two")
    for store in (first, second):
        await store.set(Set("app||k", value))
    found = {each["key"]: each for each in server.call("kv/range", {"key": "AA==", "range_end": "AA=="})["kvs"]}
    assert found[in_base64(b"one/app||k")].get("value", "") == in_base64(value)
    assert in_base64(b"two/app||k") in found


async def test_what_dapr_reads_of_version_2_tells_time_and_ttl(server: EtcdServer, open_store) -> None:
    store = await open_store("v2")
    before = time.time()
    await store.set(Set("k", b"1", ttl=1000))
    written = stored(server, "k")
    assert written is not None
    assert written.startswith(b"\x0a\x011\x12")
    ts = Timestamp.FromString(written[5 : 5 + written[4]])
    assert before - 1 <= ts.ToNanoseconds() / 1e9 <= time.time() + 1
    assert written.endswith(b"\x1a\x03" + Duration(seconds=1000).SerializeToString())
    await store.set(Set("k", b"1"))
    assert b"\x1a" not in (stored(server, "k") or b"")[4 + 1 + 12 :]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_etcd_itself_removes_what_has_expired(server: EtcdServer, open_store, version: str) -> None:
    store = await open_store(version)
    await store.bulk_write([Set(f"short{number}", b"1", ttl=1) for number in range(100)])
    await store.set(Set("short0", b"stays"))
    leases = server.call("lease/leases", {}).get("leases", [])
    assert len(leases) <= 10  # one for all that expire in the same second
    async with asyncio.timeout(LIMIT_S):
        while len(server.call("kv/range", {"key": "AA==", "range_end": "AA=="})["kvs"]) > 1:
            await asyncio.sleep(0.1)
    assert await store.get(Get("short0")) is not None
