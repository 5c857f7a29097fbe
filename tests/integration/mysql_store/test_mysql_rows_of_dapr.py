"""Tables that Dapr 1.18 created and filled are read and written like ours, and Dapr's SQL reads ours."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest
import yaml
from servers.mysql_server import SCHEMA, MySQLServer
from servers.reads import value_of

from pannier_sidecar.state.errors import ETagMismatchError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue

EXAMPLE = Path(__file__).parents[3] / "examples/components/mysql"
UUID = "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11"
TABLE = """CREATE TABLE state (
    id VARCHAR(255) NOT NULL PRIMARY KEY,
    value JSON NOT NULL,
    isbinary BOOLEAN NOT NULL,
    insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    eTag VARCHAR(36) NOT NULL,
    expiredate TIMESTAMP NULL
)"""
OF_DAPR = (
    f"CREATE DATABASE {SCHEMA}",
    f"USE {SCHEMA}",
    TABLE,
    "CREATE INDEX expiredate_idx ON state (expiredate)",
    "ALTER TABLE state ADD COLUMN row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, "
    "ADD UNIQUE INDEX row_id_uidx (row_id)",
    "CREATE TABLE dapr_metadata (id VARCHAR(255) NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    f"""REPLACE INTO state (id, value, eTag, isbinary, expiredate) VALUES
    ('app||json', '{{"b": [1.50, null], "a": "ü"}}', '{UUID}', 0, NULL),
    ('app||bytes', '"/wA="', '{UUID}', 1, NULL),
    ('app||expiring', '1', '{UUID}', 0, CURRENT_TIMESTAMP + INTERVAL 1000 SECOND),
    ('app||expired', '1', '{UUID}', 0, CURRENT_TIMESTAMP - INTERVAL 1 SECOND),
    ('app||broken', '"no base64"', '{UUID}', 1, NULL)""",
)


def run(server: MySQLServer, *statements: str) -> None:
    with server.connected() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
async def store(server: MySQLServer, open_store) -> Store:
    """A store over tables of Dapr's, whose keys are compared without regard to case."""
    run(server, *OF_DAPR)
    return await open_store()


async def test_rows_are_read_as_dapr_reads_them(store: Store) -> None:
    assert await store.get(Get("app||json")) == StoredValue('{"b": [1.50, null], "a": "ü"}'.encode(), UUID)
    assert await value_of(store, "app||bytes") == b"\xff\0"
    assert await value_of(store, "app||expired") is None
    assert list((await store.keys("app||e", 10, None)).keys) == ["app||expiring"]
    found = await store.get(Get("app||expiring"))
    assert found is not None and found.expires_at is not None
    assert time.time() + 900 < found.expires_at < time.time() + 1002


async def test_a_malformed_row_fails_alone(store: Store) -> None:
    json_row, broken = await store.bulk_get([Get("app||json"), Get("app||broken")])
    assert isinstance(json_row, StoredValue)
    assert isinstance(broken, StoreRefusedError)
    await store.set(Set("app||broken", b"1"))
    assert await value_of(store, "app||broken") == b"1"


async def test_etags_of_dapr_guard_writes(store: Store) -> None:
    for key, etag in (("app||json", UUID.upper()), ("app||expired", UUID)):
        with pytest.raises(ETagMismatchError):
            await store.set(Set(key, b"3", etag))
    await store.set(Set("app||json", b"2", UUID))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||json", b"3", UUID))
    await store.transact([Delete("app||bytes", UUID), Set("app||expiring", b"4", UUID), Set("new", b"5")])
    assert [await value_of(store, key) for key in ("app||bytes", "app||expiring", "new")] == [None, b"4", b"5"]


async def test_a_first_write_replaces_an_expired_row(store: Store) -> None:
    await store.set(Set("app||expired", b"2", if_absent=True))
    assert await value_of(store, "app||expired") == b"2"


VALUES = (b'{"a":  1}', b"1", b"1.0", b'"text"', b'"\\u00fc"', '"ü"'.encode(), b"null", b"", b"\xff", b"a\0b", b"'\\")


async def test_the_sql_of_dapr_reads_what_the_store_wrote(
    server: MySQLServer, open_store, subtests: pytest.Subtests
) -> None:
    store = await open_store()
    for value in VALUES:
        with subtests.test(repr(value)):
            await store.set(Set("app||k", value, ttl=100))
            await store.bulk_write([Set("app||bulk", value), Set("other", b"1")])
            for key in ("app||k", "app||bulk"):
                ((_, text, etag, is_binary, _),) = server.sql(
                    "SELECT id, value, eTag, isbinary, IFNULL(expiredate, '') FROM state WHERE id = %s "
                    "AND (expiredate IS NULL OR expiredate > CURRENT_TIMESTAMP)",
                    key,
                    database=SCHEMA,
                )
                found = await store.get(Get(key))
                assert found is not None and found.etag == etag
                assert (base64.b64decode(json.loads(text)) if is_binary else text.encode()) == value


async def test_a_write_of_dapr_changes_our_etag(server: MySQLServer, store: Store) -> None:
    await store.set(Set("app||k", b"1"))
    found = await store.get(Get("app||k"))
    assert found is not None
    run(server, f"REPLACE INTO {SCHEMA}.state (id, value, eTag, isbinary) VALUES ('app||k', '2', UUID(), 0)")
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||k", b"3", found.etag))
    assert await value_of(store, "app||k") == b"2"


async def test_a_time_of_expiry_does_not_depend_on_the_time_zone_of_the_server(server: MySQLServer, open_store) -> None:
    store = await open_store()
    assert server.sql("SELECT @@global.time_zone")[0][0] != "+00:00"
    await store.set(Set("k", b"1", ttl=1000))
    found = await store.get(Get("k"))
    assert found is not None and found.expires_at is not None
    assert time.time() + 900 < found.expires_at < time.time() + 1002
    ((left,),) = server.sql("SELECT UNIX_TIMESTAMP(expiredate) FROM state", database=SCHEMA)
    assert left == found.expires_at


async def test_many_sidecars_make_the_tables_at_once(open_store) -> None:
    stores = await asyncio.gather(*(open_store(maxConns=1) for _ in range(10)))
    await stores[0].set(Set("k", b"1"))
    assert await value_of(stores[-1], "k") == b"1"


async def test_the_example_serves_with_the_tables_and_the_rights_that_it_makes(server: MySQLServer, open_store) -> None:
    component = yaml.safe_load((EXAMPLE / "statestore.yaml").read_text())
    run(server, "DROP DATABASE IF EXISTS shop", "DROP USER IF EXISTS shop")
    lines = (EXAMPLE / "tables.sql").read_text().splitlines()
    script = "\n".join(line for line in lines if not line.startswith("--"))
    run(server, *filter(str.strip, script.split(";")))
    settings = {item["name"]: item["value"] for item in component["spec"]["metadata"] if "value" in item}
    store = await open_store(connectionString=server.dsn("shop:change it"), **settings, cleanupInterval=0.1)
    await store.transact([Set("k", b"1"), Set("short", b"1", ttl=1)])
    async with asyncio.timeout(60):
        while server.sql("SELECT id FROM shop.state") != (("k",),):
            await asyncio.sleep(0.1)
    assert server.sql("SELECT id FROM shop.dapr_metadata") == (("last-cleanup",),)


async def test_expired_rows_are_removed_whatever_the_time_of_the_last_removal_is(
    server: MySQLServer, open_store
) -> None:
    store = await open_store(cleanupInterval=0.1)
    for last in ("nonsense", "", "2020-01-01 00:00:00", "2099-01-01 00:00:00"):
        server.sql("REPLACE INTO dapr_metadata VALUES ('last-cleanup', %s)", last, database=SCHEMA)
        await store.set(Set("short", b"1", ttl=1))
        async with asyncio.timeout(60):
            while server.sql("SELECT id FROM state", database=SCHEMA):
                await asyncio.sleep(0.05)


async def test_a_user_without_the_right_to_make_tables_is_told_which_statements_to_run(
    server: MySQLServer, open_store
) -> None:
    run(server, "DROP USER IF EXISTS poor", "CREATE USER poor", f"CREATE DATABASE {SCHEMA}")
    run(server, f"GRANT SELECT ON {SCHEMA}.* TO poor")
    with pytest.raises(StoreRefusedError, match="have somebody run.*CREATE TABLE.*utf8mb4_nopad_bin.*GRANT SELECT"):
        await open_store(connectionString=server.dsn("poor"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP COLUMN expiredate", "column expiredate is missing"),
        ("MODIFY id VARCHAR(200), ENGINE=MyISAM", "without transactions"),
    ],
    ids=["no expiry", "no transactions"],
)
async def test_a_table_that_cannot_keep_the_promises_is_refused(
    server: MySQLServer, open_store, change: str, words: str
) -> None:
    run(server, *OF_DAPR, f"ALTER TABLE state {change}")
    with pytest.raises(StoreRefusedError, match=words):
        await open_store()
