"""Tables that Dapr 1.18 created and filled are read and written like ours. SQL Server's own words are a fake's here."""

import time

import pytest
from servers.opened_store import OpenStore
from servers.reads import value_of
from servers.sqlserver_server import SQLServer, ran

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.sqlserver.statements import Statement, Statements

VALUES = {
    "v1": "[Data] NVARCHAR(MAX) NOT NULL",
    "v2": "[Data] NVARCHAR(MAX) NULL, [BinaryData] VARBINARY(MAX) NULL, [isBinary] BIT NOT NULL DEFAULT 0",
}
TABLE = (
    "CREATE TABLE [dbo].[state] ([Key] NVARCHAR(200) NOT NULL, {values}, [InsertDate] DATETIME2 NOT NULL DEFAULT "
    "GETDATE(), [UpdateDate] DATETIME2 NULL, [ExpireDate] DATETIME2 NULL, [RowVersion] ROWVERSION NOT NULL, "
    "CONSTRAINT [PK_state] PRIMARY KEY ([Key]))"
)
METADATA = (
    "CREATE TABLE [dbo].[dapr_metadata] ([Key] NVARCHAR(200) NOT NULL, [Value] NVARCHAR(MAX) NOT NULL, "
    "CONSTRAINT [PK_dapr_metadata] PRIMARY KEY ([Key]))"
)


def row(key: str, columns: str, values: str, ttl: str = "NULL") -> str:
    return (
        f"MERGE INTO [dbo].[state] WITH (HOLDLOCK) AS old USING (VALUES (N'{key}')) AS new ([Key]) "
        f"ON old.[Key] = new.[Key] WHEN MATCHED THEN UPDATE SET [ExpireDate] = NULL WHEN NOT MATCHED THEN "
        f"INSERT ([Key], {columns}, [InsertDate], [ExpireDate]) "
        f"VALUES (new.[Key], {values}, SYSDATETIME(), DATEADD(SECOND, {ttl}, SYSDATETIME()))"
    )


async def made_by_dapr(server: SQLServer, database: str, version: str) -> None:
    """Make the tables, whose keys are compared without regard to case, and rows as Dapr fills them."""
    json = (
        ("[Data], [isBinary]", 'N\'{"b": [1.50], "a": "ü"}\', 0')
        if version == "v2"
        else ("[Data]", 'N\'{"b": [1.50], "a": "ü"}\'')
    )
    bare = ("[BinaryData], [isBinary]", "CAST(N'ab' AS VARBINARY(4)), 1") if version == "v2" else ("[Data]", "N'ab'")
    await ran(server, "master", f"CREATE DATABASE [{database}]")
    await ran(
        server,
        database,
        TABLE.format(values=VALUES[version]),
        METADATA,
        row("app||json", *json),
        row("app||bytes", *bare),
        row("app||expiring", *json, ttl="1000"),
        row("app||expired", *json, ttl="-1"),
    )


@pytest.fixture
async def store(server: SQLServer, database: str, version: str, open_store: OpenStore) -> Store:
    """A store over tables of Dapr's."""
    await made_by_dapr(server, database, version)
    return await open_store(version)


async def test_rows_are_read_as_dapr_reads_them(store: Store, version: str) -> None:
    assert await value_of(store, "app||json") == '{"b": [1.50], "a": "ü"}'.encode()
    assert await value_of(store, "app||bytes") == ("ab".encode("utf-16-le") if version == "v2" else b"ab")
    assert await value_of(store, "app||expired") is None
    assert list((await store.keys("app||e", 10, None)).keys) == ["app||expiring"]
    found = await store.get(Get("app||expiring"))
    assert found is not None and found.expires_at is not None
    assert time.time() + 900 < found.expires_at < time.time() + 1002
    assert len(found.etag) == 16


async def test_etags_of_dapr_guard_writes(store: Store) -> None:
    before = [await store.get(Get(key)) for key in ("app||json", "app||bytes", "app||expiring")]
    json, content, expiring = (each.etag for each in before if each is not None)
    await store.set(Set("app||json", b"2", json.upper()))
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||json", b"3", json))
    await store.transact([Delete("app||bytes", content), Set("app||expiring", b"4", expiring), Set("new", b"5")])
    assert [await value_of(store, key) for key in ("app||bytes", "app||expiring", "new")] == [None, b"4", b"5"]


async def test_a_first_write_replaces_an_expired_row(store: Store) -> None:
    await store.set(Set("app||expired", b"2", if_absent=True))
    assert await value_of(store, "app||expired") == b"2"


async def test_keys_that_the_table_takes_for_one_never_meet(store: Store) -> None:
    for other in ("app||JSON", "app||json "):
        assert await store.get(Get(other)) is None
        assert list(await store.bulk_get([Get(other)])) == [None]
        await store.delete(Delete(other))
        with pytest.raises(ETagMismatchError):
            await store.delete(Delete(other, "0" * 16))
        for write in (Set(other, b"1"), Set(other, b"1", if_absent=True)):
            with pytest.raises(KeyRefusedError, match="takes key .* for another"):
                await store.set(write)
        with pytest.raises(KeyRefusedError, match="takes key .* for another"):
            await store.transact([Set("app||rolled back", b"1"), Set(other, b"1")])
        refused, written = await store.bulk_write([Set(other, b"1"), Set("app||beside", b"1")])
        assert isinstance(refused, KeyRefusedError)
        assert written is None
    assert await value_of(store, "app||rolled back") is None
    assert await value_of(store, "app||json") == '{"b": [1.50], "a": "ü"}'.encode()
    await store.delete(Delete("app||json"))
    await store.set(Set("app||JSON", b"1"))
    assert await value_of(store, "app||JSON") == b"1"


async def test_a_key_that_is_deleted_just_then_was_there_and_no_other_key(
    server: SQLServer, database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Statements.other
    delete = "DELETE FROM [dbo].[state] WHERE [Key] = N'app||json'"

    def looked(statements: Statements, key: str) -> Statement:
        found = look(statements, key)
        return Statement(f"{delete}; {found.text}", found.parameters)

    monkeypatch.setattr(Statements, "other", looked)
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||json", b"2", if_absent=True))
    assert await value_of(store, "app||json") is None


async def test_the_time_of_the_last_cleaning_is_shared_as_with_dapr(
    server: SQLServer, database: str, version: str, open_store: OpenStore
) -> None:
    await made_by_dapr(server, database, version)
    store = await open_store(version, cleanupInterval=0.05)
    count = "SELECT COUNT(*) FROM [dbo].[state] WHERE [ExpireDate] <= SYSDATETIME()"
    deadline = time.monotonic() + 60
    while await ran(server, database, count) != [(0,)]:
        assert time.monotonic() < deadline, "the expired row stays"
    noted = await ran(server, database, "SELECT [Value] FROM [dbo].[dapr_metadata] WHERE [Key] = N'last-cleanup'")
    assert len(noted) == 1
    assert await value_of(store, "app||json") is not None


async def test_a_table_of_the_other_version_is_refused(server: SQLServer, database: str, open_store: OpenStore) -> None:
    await open_store("v1", tableName="one")
    await open_store("v2", tableName="two")
    with pytest.raises(StoreRefusedError, match="none of version v2: its column binarydata is missing"):
        await open_store("v2", tableName="one")
    with pytest.raises(StoreRefusedError, match="is one of version v2"):
        await open_store("v1", tableName="two")


async def test_keys_may_be_numbers_or_uuids(open_store: OpenStore, version: str) -> None:
    for kind, key, wrong in (
        ("integer", "-7", "x"),
        ("uuid", "0f5f8a1c-2b57-4d8e-9a0e-2f1c1a6e9d11", "0F5F8A1C-2B57-4D8E-9A0E-2F1C1A6E9D11"),
    ):
        store = await open_store(version, tableName=kind, keyType=kind, cleanupInterval=0.05)
        await store.set(Set(key, b"1"))
        found = await store.get(Get(key))
        assert found is not None
        await store.set(Set(key, b"2", found.etag))
        assert [each and each.value for each in await store.bulk_get([Get(key), Get(wrong)])] == [b"2", None]
        assert list((await store.keys("", 10, None)).keys) == [key]
        with pytest.raises(KeyRefusedError, match=f"keyType {kind}"):
            await store.set(Set(wrong, b"1"))
        await store.transact([Delete(key), Set(key, b"3")])
        assert await value_of(store, key) == b"3"


async def test_indexed_properties_get_their_columns_once(open_store: OpenStore, version: str) -> None:
    properties = '[{"column": "Total", "property": "order.total", "type": "int"}]'
    for _ in range(2):
        store = await open_store(version, indexedProperties=properties)
        await store.set(Set("k", b'{"order": {"total": 5}}'))
    assert isinstance(await store.get(Get("k")), StoredValue)
