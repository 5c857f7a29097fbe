"""Tables that Dapr 1.18 created and filled are read and written like ours, and Dapr can read ours."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest
import yaml
from servers.postgresql_server import PostgreSQLServer
from servers.reads import etag_of, value_of

from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, StoreRefusedError
from pannier_sidecar.state.prefilter import Group
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue

EXAMPLE = Path(__file__).parents[3] / "examples/components/postgresql"
METADATA = "CREATE TABLE dapr_metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);"
V1 = f"""{METADATA}
INSERT INTO dapr_metadata VALUES ('lock', 'lock'), ('migrations', '3');
CREATE TABLE state (
    key text NOT NULL PRIMARY KEY,
    value jsonb NOT NULL,
    isbinary boolean NOT NULL,
    insertdate TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updatedate TIMESTAMP WITH TIME ZONE NULL,
    expiredate TIMESTAMP WITH TIME ZONE,
    row_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE
);
INSERT INTO state (key, value, isbinary, expiredate) VALUES
    ('app||json', '{{"b": [1.50, null], "a": "ü"}}', false, NULL),
    ('app||bytes', '"/wA="', true, NULL),
    ('app||expiring', '1', false, now() + interval '1000 seconds'),
    ('app||expired', '1', false, now() - interval '1 second'),
    ('app||broken', '"no base64"', true, NULL);
"""
UUID = "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11"
V2 = f"""{METADATA}
INSERT INTO dapr_metadata VALUES ('lock', 'lock'), ('migrations-state-v2-', '2');
CREATE TABLE state (
    key text NOT NULL PRIMARY KEY,
    value bytea NOT NULL,
    etag uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone,
    expires_at timestamp with time zone,
    row_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE
);
CREATE INDEX ON state (expires_at);
INSERT INTO state (key, value, etag, expires_at) VALUES
    ('app||json', '{{"b":[1.50,null]}}', '{UUID}', NULL),
    ('app||bytes', '\\xff00', '{UUID}', NULL),
    ('app||expiring', '1', '{UUID}', now() + interval '1000 seconds'),
    ('app||expired', '1', '{UUID}', now() - interval '1 second'),
    ('app||forever', '1', '{UUID}', 'infinity');
"""


@pytest.fixture
async def first(server: PostgreSQLServer, open_store) -> Store:
    server.sql(V1)
    return await open_store("v1")


@pytest.fixture
async def second(server: PostgreSQLServer, open_store) -> Store:
    server.sql(V2)
    return await open_store("v2")


async def test_rows_of_version_1_are_read_as_dapr_reads_them(first: Store) -> None:
    assert await value_of(first, "app||json") == '{"a": "ü", "b": [1.50, null]}'.encode()
    assert await value_of(first, "app||bytes") == b"\xff\0"
    assert await value_of(first, "app||expired") is None
    assert list((await first.keys("app||e", 10, None)).keys) == ["app||expiring"]
    await expires_in_1000_seconds(first)


async def test_rows_of_version_1_are_searched_except_those_that_cannot_be_read(first: Store) -> None:
    for text, keys in (
        ("ü".encode(), ["app||broken", "app||json"]),
        (b"1.50", ["app||broken", "app||json"]),
        (b"\xff", ["app||broken", "app||bytes"]),
        (b"none", ["app||broken"]),
    ):
        assert list((await first.candidates("app||", 10, None, [Group((text,))])).keys) == keys


async def test_rows_of_version_2_are_read_as_dapr_reads_them(second: Store) -> None:
    assert await second.get(Get("app||json")) == StoredValue(b'{"b":[1.50,null]}', UUID)
    assert await value_of(second, "app||bytes") == b"\xff\0"
    assert await value_of(second, "app||expired") is None
    assert await value_of(second, "app||forever") == b"1"
    await expires_in_1000_seconds(second)


async def expires_in_1000_seconds(store: Store) -> None:
    found = await store.get(Get("app||expiring"))
    assert found is not None
    assert found.expires_at is not None
    assert time.time() + 900 < found.expires_at < time.time() + 1001


async def test_a_malformed_row_fails_alone(first: Store) -> None:
    json_row, broken = await first.bulk_get([Get("app||json"), Get("app||broken")])
    assert isinstance(json_row, StoredValue)
    assert isinstance(broken, StoreRefusedError)
    await first.set(Set("app||broken", b"1"))
    assert await value_of(first, "app||broken") == b"1"


async def test_etags_of_dapr_guard_writes(server: PostgreSQLServer, first: Store) -> None:
    etag = server.sql("SELECT xmin FROM state WHERE key = 'app||json'")
    assert await etag_of(first, "app||json") == etag
    await first.set(Set("app||json", b"2", etag))
    with pytest.raises(ETagMismatchError):
        await first.set(Set("app||json", b"3", etag))
    with pytest.raises(InvalidETagError, match="write the ETag that the last read gave"):
        await first.delete(Delete("app||json", UUID))
    with pytest.raises(ETagMismatchError):
        await first.set(Set("app||expired", b"3", server.sql("SELECT xmin FROM state WHERE key = 'app||expired'")))


async def test_uuids_of_dapr_guard_writes(second: Store) -> None:
    await second.set(Set("app||json", b"2", UUID.upper()))
    with pytest.raises(ETagMismatchError):
        await second.set(Set("app||json", b"3", UUID))
    await second.transact([Delete("app||bytes", UUID), Set("app||expiring", b"4", UUID.upper()), Set("new", b"5")])
    assert [await value_of(second, key) for key in ("app||bytes", "app||expiring", "new")] == [None, b"4", b"5"]


VALUES = (
    b'{"a": 1}',
    b'{"a":1}',
    b"1",
    b"1.0",
    b'"text"',
    b'"\\u00fc"',
    b"null",
    b"",
    b"\xff",
    b"a\0b",
    b"-0",
    b"01",
    b"\x08\x96",
)


async def test_dapr_reads_what_version_1_wrote(
    server: PostgreSQLServer, first: Store, subtests: pytest.Subtests
) -> None:
    for value in VALUES:
        with subtests.test(repr(value)):
            await first.set(Set("k", value))
            await first.bulk_write([Set("bulk", value), Set("other", b"1")])
            for key in ("k", "bulk"):
                text, is_binary = json.loads(
                    server.sql(f"SELECT json_build_array(value::text, isbinary) FROM state WHERE key = '{key}'")
                )
                assert (base64.b64decode(json.loads(text)) if is_binary else text.encode()) == value


async def test_dapr_reads_what_version_2_wrote(
    server: PostgreSQLServer, second: Store, subtests: pytest.Subtests
) -> None:
    for value in VALUES:
        with subtests.test(repr(value)):
            await second.set(Set("k", value))
            assert bytes.fromhex(server.sql("SELECT encode(value, 'hex') FROM state WHERE key = 'k'")) == value


async def test_numbers_words_and_plain_strings_stay_json_in_version_1(server: PostgreSQLServer, first: Store) -> None:
    for value in ("17", "-4", "0", "true", "null", '"ready"', '"für alle"'):
        await first.set(Set("k", value.encode()))
        assert server.sql("SELECT value FROM state WHERE NOT isbinary AND key = 'k'") == value


async def test_writes_of_dapr_change_our_etags(server: PostgreSQLServer, first: Store) -> None:
    await first.set(Set("k", b"1"))
    ours = await etag_of(first, "k")
    server.sql("UPDATE state SET value = '2', isbinary = false, updatedate = now() WHERE key = 'k'")
    with pytest.raises(ETagMismatchError):
        await first.set(Set("k", b"3", ours))
    assert await value_of(first, "k") == b"2"


@pytest.mark.parametrize(("version", "level"), [("v1", "migrations|2"), ("v2", "migrations-state-v2-|1")])
async def test_a_database_that_pannier_prepares_is_marked_as_by_dapr(
    server: PostgreSQLServer, open_store, version: str, level: str
) -> None:
    await open_store(version)
    assert level in server.sql("SELECT key, value FROM dapr_metadata").splitlines()
    assert "lock|lock" in server.sql("SELECT key, value FROM dapr_metadata").splitlines()
    await open_store(version)


async def test_tables_may_have_other_names_and_schemas(server: PostgreSQLServer, open_store) -> None:
    server.sql("CREATE SCHEMA shop")
    first = await open_store("v1", tableName="shop.Orders", metadataTableName="shop.about")
    second = await open_store("v2", tablePrefix="shop.v2_", metadataTableName="shop.about")
    for store in (first, second):
        await store.set(Set("k", b"1"))
    assert server.sql("SELECT (SELECT count(*) FROM shop.orders), (SELECT count(*) FROM shop.v2_state)") == "1|1"
    assert server.sql("SELECT count(*) FROM shop.about") == "3"


@pytest.mark.parametrize(("there", "asked"), [("v1", "v2"), ("v2", "v1")])
async def test_a_table_of_the_other_version_is_not_touched(open_store, there: str, asked: str) -> None:
    await open_store(there)
    with pytest.raises(StoreRefusedError, match=f"is none of version {asked}.*write version: {there}, or"):
        await open_store(asked)


async def test_many_sidecars_make_the_tables_at_once(open_store) -> None:
    stores = await asyncio.gather(*(open_store("v2", maxConns=1) for _ in range(20)))
    await stores[0].set(Set("k", b"1"))
    assert await value_of(stores[-1], "k") == b"1"


async def test_the_example_serves_with_the_tables_and_the_rights_that_it_makes(
    server: PostgreSQLServer, open_store
) -> None:
    component = yaml.safe_load((EXAMPLE / "statestore.yaml").read_text())
    server.sql("CREATE DATABASE shop")
    server.sql((EXAMPLE / "tables.sql").read_text(), database="shop")
    settings = {item["name"]: item["value"] for item in component["spec"]["metadata"] if "value" in item}
    store = await open_store(connectionString="", **settings, port=server.port, cleanupInterval=0.1)
    await store.transact([Set("k", b"1"), Set("short", b"1", ttl=1)])
    async with asyncio.timeout(30):
        while server.sql("SELECT string_agg(key, ' ') FROM state", database="shop") != "k":
            await asyncio.sleep(0.1)
