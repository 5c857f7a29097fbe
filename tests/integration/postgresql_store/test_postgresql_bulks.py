"""Many writes with preconditions are one statement, and many keys are found without a look at all rows."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from servers.opened_store import opening
from servers.postgresql_server import PostgreSQLServer, running

from pannier_sidecar.state.errors import ETagMismatchError, InvalidETagError, KeyRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores.postgresql.connection import Connection

VERSIONS = ("v1", "v2")
KEYS = [f"key {number:03}" for number in range(200)]
ROUNDS = 8


async def etags_of(store: Store) -> dict[str, str]:
    found = await store.bulk_get([Get(key) for key in KEYS])
    return {key: entry.etag for key, entry in zip(KEYS, found, strict=True) if isinstance(entry, StoredValue)}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to the server."""
    sent: list[str] = []
    fetch = Connection.fetch

    async def noting(self: Connection, text: str, *parameters: object) -> list[object]:
        sent.append(text)
        return await fetch(self, text, *parameters)

    monkeypatch.setattr(Connection, "fetch", noting)
    return sent


@pytest.mark.parametrize("version", VERSIONS)
async def test_two_hundred_writes_with_preconditions_are_one_statement(
    open_store, statements: list[str], version: str
) -> None:
    store = await open_store(version)
    statements.clear()
    assert not any(await store.bulk_write([Set(key, b"{}", if_absent=True, ttl=1000) for key in KEYS]))
    assert len(statements) == 1
    etags = await etags_of(store)
    statements.clear()
    assert not any(await store.bulk_write([Set(key, key.encode(), etag) for key, etag in etags.items()]))
    assert len(statements) == 1
    found = await store.bulk_get([Get(key) for key in KEYS])
    assert [(entry.value, entry.expires_at) for entry in found] == [(key.encode(), None) for key in KEYS]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["create", "replace"])
async def test_of_many_writers_at_once_each_key_has_one_winner(open_store, version: str, kind: str) -> None:
    """Each sends the keys in an order of its own, but no two ever wait for each other."""
    store = await open_store(version, maxConns=ROUNDS)
    other = await open_store(version, maxConns=1)
    etags: dict[str, str] = {}
    if kind == "replace":
        await store.bulk_write([Set(key, b"before") for key in KEYS])
        etags = await etags_of(store)

    async def write(who: int) -> dict[str, object]:
        keys = random.sample(KEYS, len(KEYS))
        writes = [Set(key, b"%d" % who, etags.get(key), if_absent=kind == "create") for key in keys]
        return dict(zip(keys, await (other if who else store).bulk_write(writes), strict=True))

    outcomes = await asyncio.gather(*(write(who) for who in range(ROUNDS)))
    found = await store.bulk_get([Get(key) for key in KEYS])
    for key, entry in zip(KEYS, found, strict=True):
        told = [outcome[key] for outcome in outcomes]
        assert told.count(None) == 1, told
        assert sum(isinstance(fault, ETagMismatchError) for fault in told) == ROUNDS - 1
        assert entry.value == b"%d" % told.index(None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_one_among_many_is_refused_alone(open_store, version: str) -> None:
    store = await open_store(version)
    too_long = random.randbytes(store.max_key_bytes).hex()
    faults = await store.bulk_write([Set(key, b"1", if_absent=True) for key in ("a", too_long, "b")])
    assert [type(fault) for fault in faults] == [type(None), KeyRefusedError, type(None)]
    (etag,) = {entry.etag for entry in await store.bulk_get([Get("a")])}
    faults = await store.bulk_write([Set("b", b"2", "no ETag"), Set("a", b"2", etag), Set("absent", b"2", etag)])
    mismatch = InvalidETagError if version == "v1" else ETagMismatchError
    assert [type(fault) for fault in faults] == [mismatch, type(None), ETagMismatchError]


async def test_expired_keys_may_be_created_but_not_replaced(server: PostgreSQLServer, open_store) -> None:
    store = await open_store(cleanupInterval=0.0)
    await store.bulk_write([Set(key, b"1", ttl=1000) for key in KEYS])
    etags = await etags_of(store)
    server.sql("UPDATE state SET expires_at = now()")
    faults = await store.bulk_write([Set(key, b"2", etag) for key, etag in etags.items()])
    assert all(isinstance(fault, ETagMismatchError) for fault in faults)
    assert not any(await store.bulk_write([Set(key, b"3", if_absent=True) for key in KEYS]))


@pytest.mark.parametrize("size", [25, 100, 200])
@pytest.mark.parametrize("version", VERSIONS)
async def test_only_the_requested_keys_of_a_growing_table_are_read(tmp_path: Path, version: str, size: int) -> None:
    """The server never reads the whole table, even without statistics, or with a plan from when the table was small."""
    with running(tmp_path, "autovacuum=off") as server:
        async with opening("state.postgresql", server.settings) as open_one:
            store = await open_one(version)
            for part in range(40):
                keys = [f"{key} {part}" for key in KEYS[:size]]
                assert not any(await store.bulk_get([Get(key) for key in keys]))
                assert not any(await store.bulk_write([Set(key, b"1" * 100, if_absent=True) for key in keys]))
        # A connection's counts are visible once it has ended.
        while server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pannier'") != "0":
            await asyncio.sleep(0.05)
        counts = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'state'"
        assert int(server.sql(counts)) <= size
