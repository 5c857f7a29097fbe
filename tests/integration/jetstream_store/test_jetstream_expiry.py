"""Keys that expire alone, on buckets and servers that allow it and on those that do not."""

import asyncio
from pathlib import Path
from time import time
from typing import Any

import pytest
from servers.eventually import LIMIT_S
from servers.jetstream_server import BUCKET, JetStreamServer, with_bucket
from servers.opened_store import opened

from pannier_sidecar.state.errors import ETagMismatchError, NotSupportedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.jetstream.store import JetStreamStore

pytestmark = pytest.mark.over("jetstream")

MARKERS_S = 60


def over(server: JetStreamServer) -> JetStreamStore:
    return JetStreamStore({"natsURL": server.url, "bucket": BUCKET, "timeout": 30.0})


async def until_gone(store: JetStreamStore, key: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await store.get(Get(key)) is not None:
            await asyncio.sleep(0.05)


async def test_an_expired_key_with_a_marker_is_absent_and_can_be_created(tmp_path: Path) -> None:
    with with_bucket(tmp_path, subject_delete_marker_ttl=MARKERS_S * 1_000_000_000) as server:
        async with opened(over(server)) as store:
            await store.set(Set("a||k", b"1", ttl=1))
            etag = f"{server.put('a.other', b'1') - 1}"
            await until_gone(store, "a||k")
            async with asyncio.timeout(LIMIT_S):
                while (message := server.message("a.k")) is None or "data" in message:
                    await asyncio.sleep(0.05)
            assert (await store.keys("a||", 10, None)).keys == ["a||other"]
            await store.delete(Delete("a||k", if_absent=True))
            for write in (store.set(Set("a||k", b"2", if_match=etag)), store.delete(Delete("a||k", if_match=etag))):
                with pytest.raises(ETagMismatchError):
                    await write
            await store.set(Set("a||k", b"3", if_absent=True))
            assert server.stored("a||k") == b"3"


async def test_what_other_clients_let_expire_says_when(server: JetStreamServer, open_store) -> None:
    store = await open_store()
    server.ask(f"$KV.{BUCKET}.a.k", b"1", b"NATS/1.0\r\nNats-TTL: 1m\r\n\r\n")
    found = await store.get(Get("a||k"))
    assert abs(found.expires_at - time() - 60) < 30
    await store.set(Set("a||k", b"2", if_match=found.etag))
    assert (await store.get(Get("a||k"))).expires_at is None
    server.ask(f"$KV.{BUCKET}.a.k", b"3", b"NATS/1.0\r\nNats-TTL: never\r\n\r\n")
    assert (await store.get(Get("a||k"))).expires_at is None


async def test_where_a_history_would_bring_back_a_value_no_key_may_expire(tmp_path: Path) -> None:
    with with_bucket(tmp_path, max_msgs_per_subject=5) as server:
        async with opened(over(server)) as store:
            await store.set(Set("a||k", b"1"))
            with pytest.raises(NotSupportedError, match="whose history would bring back the value before"):
                await store.set(Set("a||k", b"2", ttl=1))
            assert server.stored("a||k") == b"1"


@pytest.mark.parametrize("is_debians", [False, True])
async def test_where_the_bucket_or_the_server_lets_no_key_expire_only_that_is_refused(
    tmp_path: Path, is_debians: bool
) -> None:
    more: dict[str, Any] = {} if is_debians else {"allow_msg_ttl": False}
    with with_bucket(tmp_path, is_debians=is_debians, **more) as server:
        async with opened(over(server)) as store:
            with pytest.raises(NotSupportedError, match="leave ttlInSeconds out, or allow it on a server 2.11"):
                await store.set(Set("a||k", b"1", ttl=10))
            assert await store.get(Get("a||k")) is None
            await store.set(Set("a||k", b"1", if_absent=True))
            found = await store.get(Get("a||k"))
            assert found is not None
            await store.set(Set("a||k", b"2", if_match=found.etag))
            with pytest.raises(ETagMismatchError):
                await store.set(Set("a||k", b"3", if_match=found.etag))
            assert not any(await store.bulk_write([Set(f"a||{number}", b"1") for number in range(20)]))
            assert len((await store.keys("a||", 50, None)).keys) == 21
            await store.delete(Delete("a||k"))
            assert await store.get(Get("a||k")) is None
