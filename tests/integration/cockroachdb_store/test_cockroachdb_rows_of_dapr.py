"""Tables that Dapr 1.18 made in CockroachDB are read and written like ours, and Dapr can read ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from servers.postgresql_server import PostgreSQLServer
from servers.reads import etag_of, value_of

from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue

EXAMPLE = Path(__file__).parents[3] / "examples/components/cockroachdb"
OF_DAPR = """
CREATE TABLE state (
    key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary boolean NOT NULL, etag int8,
    insertdate TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(), updatedate TIMESTAMP WITH TIME ZONE NULL,
    expiredate TIMESTAMP WITH TIME ZONE NULL, row_id INT8 NOT NULL DEFAULT unique_rowid(), UNIQUE (row_id));
CREATE INDEX state_expiredate_idx ON state (expiredate);
CREATE TABLE dapr_metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
INSERT INTO state (key, value, isbinary, etag, expiredate) VALUES
    ('app||json', '{"b": [1.50, null], "a": "ü"}', false, 1, NULL),
    ('app||bytes', '"/wA="', true, 2, NULL),
    ('app||expiring', '1', false, 1, now() + interval '1000 seconds'),
    ('app||expired', '1', false, 1, now() - interval '1 second'),
    ('app||broken', '"no base64"', true, 1, NULL);
"""


@pytest.fixture
async def store(server: PostgreSQLServer, open_store) -> Store:
    server.sql(OF_DAPR)
    return await open_store("v1")


async def test_rows_are_read_as_dapr_reads_them(store: Store) -> None:
    assert await store.get(Get("app||json")) == StoredValue('{"a": "ü", "b": [1.50, null]}'.encode(), "1")
    assert await value_of(store, "app||bytes") == b"\xff\0"
    assert await value_of(store, "app||expired") is None
    assert list((await store.keys("app||e", 10, None)).keys) == ["app||expiring"]
    with pytest.raises(StoreRefusedError, match="write it again"):
        await store.get(Get("app||broken"))


async def test_etags_of_dapr_guard_writes_and_ours_never_repeat(store: Store) -> None:
    await store.set(Set("app||json", b"2", "1"))
    seen = {"1", await etag_of(store, "app||json")}
    for step in range(5):
        await store.set(Set("app||json", b"%d" % step))
        seen.add(await etag_of(store, "app||json"))
    await store.delete(Delete("app||json", await etag_of(store, "app||json")))
    await store.set(Set("app||json", b"new", if_absent=True))
    seen.add(await etag_of(store, "app||json"))
    assert len(seen) == 8
    for write in (Set("app||json", b"3", "1"), Set("app||expired", b"3", "1"), Delete("app||json", "1")):
        with pytest.raises(ETagMismatchError):
            await (store.set(write) if isinstance(write, Set) else store.delete(write))
    for etag in ("0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11", "01", str(2**63)):
        with pytest.raises(InvalidETagError, match="write the ETag that the last read gave"):
            await store.set(Set("app||json", b"3", etag))


async def test_dapr_reads_what_was_written_and_its_writes_change_the_etag(
    server: PostgreSQLServer, store: Store
) -> None:
    for value, text, is_binary in (
        (b'{"a":1}', '"eyJhIjoxfQ=="', "t"),
        (b"17", "17", "f"),
        (b'"ready"', '"ready"', "f"),
        ('"für"'.encode(), '"ImbDvHIi"', "t"),
        (b"1234567890123456789", '"MTIzNDU2Nzg5MDEyMzQ1Njc4OQ=="', "t"),
        (b"\xff", '"/w=="', "t"),
    ):
        await store.set(Set("k", value))
        await store.bulk_write([Set("bulk", value), Set("other", b"1")])
        assert server.sql("SELECT value, isbinary FROM state WHERE key IN ('k', 'bulk')") == "\n".join(
            [f"{text}|{is_binary}"] * 2
        )
    ours = await etag_of(store, "k")
    server.sql("UPDATE state SET value = '2', isbinary = false, etag = etag + 1 WHERE key = 'k'")
    with pytest.raises(ETagMismatchError):
        await store.set(Set("k", b"3", ours))


async def test_tables_are_found_where_the_connection_string_says(server: PostgreSQLServer, open_store) -> None:
    server.sql("CREATE SCHEMA shop; CREATE SCHEMA other")
    url = f"{server.url()}?search_path=other,shop"
    await (await open_store("v1", connectionString=f"{server.url()}?search_path=shop")).set(Set("k", b"1"))
    assert await value_of(await open_store("v1", connectionString=url), "k") == b"1"
    assert await value_of(await open_store("v1"), "k") is None
    second = await open_store("v2", tablePrefix="shop.v2_", metadataTableName="shop.about")
    await second.set(Set("k", b"1"))
    assert server.sql("SELECT (SELECT count(*) FROM shop.v2_state), (SELECT key FROM shop.about)") == (
        "1|migrations-state-v2-shop.v2_"
    )


@pytest.mark.parametrize(("there", "asked"), [("v1", "v2"), ("v2", "v1")])
async def test_a_table_of_the_other_version_is_not_touched(open_store, there: str, asked: str) -> None:
    await open_store(there)
    with pytest.raises(StoreRefusedError, match=f"is none of version {asked}.*write version: {there}, or"):
        await open_store(asked)


async def test_a_table_that_postgresql_numbers_is_refused(server: PostgreSQLServer, open_store) -> None:
    server.sql(OF_DAPR.replace("etag int8", "etag int4"))
    with pytest.raises(StoreRefusedError, match="its column etag is integer, not bigint"):
        await open_store("v1")


async def test_many_sidecars_make_the_tables_at_once(open_store) -> None:
    for version in ("v1", "v2"):
        prefix = {} if version == "v1" else {"tablePrefix": "v2_"}
        stores = await asyncio.gather(*(open_store(version, maxConns=1, **prefix) for _ in range(10)))
        await stores[0].set(Set("k", b"1"))
        assert await value_of(stores[-1], "k") == b"1"


async def test_the_example_serves_with_the_tables_and_the_rights_that_it_makes(
    server: PostgreSQLServer, open_store
) -> None:
    component = yaml.safe_load((EXAMPLE / "statestore.yaml").read_text())
    server.sql("CREATE DATABASE shop")
    server.sql((EXAMPLE / "tables.sql").read_text(), database="shop")
    settings = {item["name"]: item["value"] for item in component["spec"]["metadata"] if "value" in item}
    store = await open_store("v2", **{**settings, "connectionString": "", "port": server.port, "cleanupInterval": 0.1})
    await store.transact([Set("k", b"1"), Set("short", b"1", ttl=1)])
    async with asyncio.timeout(30):
        while server.sql("SELECT string_agg(key, ' ') FROM state", database="shop") != "k":
            await asyncio.sleep(0.1)
