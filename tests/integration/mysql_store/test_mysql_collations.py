"""Dapr's tables take keys for the same that differ in case or trailing spaces: no key gets another one's value."""

import logging

import pytest
from servers.mysql_server import SCHEMA, MySQLServer
from servers.reads import value_of

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, StoreError
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores.mysql.statements import Statements

OTHERS = ("app||K", "APP||k", "app||k ", "app||ḱ")
"""Keys that the collation takes for app||k."""


@pytest.fixture
async def store(server: MySQLServer, open_store, caplog: pytest.LogCaptureFixture) -> Store:
    """A store over a table whose keys have MariaDB's default collation, which holds app||k."""
    await (await open_store()).set(Set("app||k", b"1"))
    server.sql(
        "ALTER TABLE state MODIFY id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
        database=SCHEMA,
    )
    with caplog.at_level(logging.WARNING):
        store: Store = await open_store()
    assert "ALTER TABLE `dapr_state_store`.`state` MODIFY id VARCHAR(255)" in caplog.text
    assert "utf8mb4_nopad_bin" in caplog.text
    return store


async def error_of_bulk(store: Store, *writes: Write) -> StoreError | None:
    return (await store.bulk_write(writes))[0]


async def test_a_key_is_read_deleted_and_listed_by_its_own_letters(store: Store) -> None:
    for other in OTHERS:
        assert await value_of(store, other) is None
        await store.delete(Delete(other))
        await store.bulk_write([Delete(other), Delete("absent")])
        await store.transact([Delete(other), Delete("absent")])
    found = await store.bulk_get([Get(key) for key in ("app||k", *OTHERS)])
    assert [each is None for each in found] == [False, True, True, True, True]
    assert list((await store.keys("app||", 10, None)).keys) == ["app||k"]
    assert list((await store.keys("APP||", 10, None)).keys) == []


async def test_a_write_of_another_key_is_refused_and_changes_nothing(store: Store) -> None:
    etag = (await store.get(Get("app||k"))).etag  # type: ignore[union-attr]
    for other in OTHERS:
        for write in (Set(other, b"2"), Set(other, b"2", if_absent=True)):
            with pytest.raises(KeyRefusedError, match="for another"):
                await store.set(write)
            assert type(await error_of_bulk(store, write, Set("there", b"2", if_absent=write.if_absent))) in (
                KeyRefusedError,
            )
            with pytest.raises(KeyRefusedError, match="for another"):
                await store.transact([write, Set("new", b"2")])
            await store.delete(Delete("there"))
        with pytest.raises(ETagMismatchError):
            await store.set(Set(other, b"2", etag))
    assert await value_of(store, "app||k") == b"1"
    assert await value_of(store, "new") is None


async def test_a_key_that_is_deleted_just_then_was_there_and_no_other_key(
    server: MySQLServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Statements.other

    def deleted_before(statements: Statements, key: str) -> str:
        server.sql("DELETE FROM state", database=SCHEMA)
        return look(statements, key)

    monkeypatch.setattr(Statements, "other", deleted_before)
    with pytest.raises(ETagMismatchError):
        await store.set(Set("app||k", b"2", if_absent=True))
    await store.set(Set("app||k", b"2", if_absent=True))


async def test_every_page_of_such_a_table_is_found(store: Store) -> None:
    keys = sorted({f"app||{letter}{number}" for letter in "aAé😀\uffff" for number in range(3)})
    for key in keys:
        try:
            await store.set(Set(key, b"1"))
        except KeyRefusedError:
            assert "A" in key or "a" in key
    there = {key for key in keys if await value_of(store, key)} | {"app||k"}
    found: list[str] = []
    cursor = None
    while True:
        page = await store.keys("app||", 2, cursor)
        found += page.keys
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(there)


async def test_a_table_in_latin1_refuses_keys_that_it_cannot_hold(server: MySQLServer, open_store) -> None:
    await open_store()
    server.sql("ALTER TABLE state MODIFY id VARCHAR(255) CHARACTER SET latin1 NOT NULL", database=SCHEMA)
    store = await open_store()
    await store.set(Set("k-ü", b"1"))
    assert await value_of(store, "k-ü") == b"1"
    with pytest.raises(KeyRefusedError, match="character set"):
        await store.set(Set("k-鍵", b"1"))
    assert await value_of(store, "k-鍵") is None
