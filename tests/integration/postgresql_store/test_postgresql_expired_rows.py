"""Expired rows are removed in the background, even under load."""

import asyncio

import pytest
from servers.postgresql_server import PostgreSQLServer

from pannier_sidecar.state.requests import Get, Set

LIMIT_S = 30.0


async def until_rows_are(server: PostgreSQLServer, count: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while server.sql("SELECT count(*) FROM state") != str(count):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_they_are_removed_and_the_others_stay(server: PostgreSQLServer, open_store, version: str) -> None:
    store = await open_store(version, cleanupInterval=0.2)
    await store.bulk_write([Set(f"short{number}", b"1", ttl=1) for number in range(100)])
    await store.bulk_write([Set("long", b"1", ttl=1000), Set("forever", b"1")])
    await until_rows_are(server, 2)
    assert await store.get(Get("long")) is not None


async def test_of_many_sidecars_one_does_it(server: PostgreSQLServer, open_store) -> None:
    stores = [await open_store(cleanupInterval=0.5, maxConns=1) for _ in range(4)]
    await stores[0].set(Set("short", b"1", ttl=1))
    await until_rows_are(server, 0)
    assert server.sql("SELECT count(*) FROM dapr_metadata WHERE key = 'last-cleanup-state-v2-'") == "1"


async def test_with_a_cleanup_interval_of_0_expired_rows_stay_but_read_as_absent(
    server: PostgreSQLServer, open_store
) -> None:
    store = await open_store(cleanupInterval=0.0)
    await store.set(Set("short", b"1", ttl=1))
    async with asyncio.timeout(LIMIT_S):
        while await store.get(Get("short")) is not None:
            await asyncio.sleep(0.05)
    assert server.sql("SELECT count(*) FROM state") == "1"
    assert server.sql("SELECT count(*) FROM dapr_metadata WHERE key LIKE 'last%'") == "0"


async def test_a_failed_clean_up_is_reported_and_tried_again(
    server: PostgreSQLServer, open_store, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store(cleanupInterval=0.1)
    server.sql("ALTER TABLE dapr_metadata RENAME TO elsewhere")
    async with asyncio.timeout(LIMIT_S):
        while "could not be removed" not in caplog.text:
            await asyncio.sleep(0.05)
    server.sql("ALTER TABLE elsewhere RENAME TO dapr_metadata")
    await store.set(Set("short", b"1", ttl=1))
    await until_rows_are(server, 0)
