"""State that other clients left on a server's connection does not affect us, and we leave none there."""

from __future__ import annotations

import subprocess

import pytest
from servers.pgbouncer_server import PgBouncerServer
from servers.postgresql_server import PostgreSQLServer, programs

from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store

pytestmark = pytest.mark.asyncio


def on_the_shared_connection(pooler: PgBouncerServer, statement: str) -> str:
    """Run SQL through the pooler, on the one connection that it has."""
    where = str(pooler.settings["connectionString"])
    psql = [str(programs() / "psql"), "-XqAt", "--set=ON_ERROR_STOP=1", f"--dbname={where}", f"--command={statement}"]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip()


async def use(store: Store) -> None:
    """Let the store send every one of its statements."""
    await store.bulk_write([Set("a", b"1"), Set("b", b"2", ttl=60), Set("c", b"3"), Delete("d"), Delete("e")])
    found = await store.get(Get("a"))
    assert found is not None
    await store.set(Set("a", b"4", found.etag))
    await store.set(Set("f", b"5", if_absent=True))
    await store.transact([Set("a", b"6"), Set("g", b"7", if_absent=True), Delete("b")])
    await store.keys("", 1, (await store.keys("", 1, None)).cursor)
    assert [each and each.value for each in await store.bulk_get([Get("a"), Get("b"), Get("c")])] == [b"6", None, b"3"]


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_nothing_is_left_on_a_connection_that_others_get(
    server: PostgreSQLServer, pooler: PgBouncerServer, open_store, version: str, promise
) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE context = 'user' AND name NOT LIKE 'plpgsql%' ORDER BY 1"
    before = on_the_shared_connection(pooler, settings)
    server_connection = on_the_shared_connection(pooler, "SELECT pg_backend_pid()")
    store = await open_store(version, maxConns=1)
    await use(store)
    assert on_the_shared_connection(pooler, "SELECT pg_backend_pid()") == server_connection
    assert on_the_shared_connection(pooler, "SELECT count(*) FROM pg_prepared_statements") == "0"
    assert on_the_shared_connection(pooler, settings) == before
    assert server.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    promise(
        "No prepared statement, setting or lock is left on a connection that another client may be given",
        on=f"{pooler.label}, {version}",
        fault="every kind of call is made, then another client checks the same connection",
        times=1,
        counted="0 statements, 0 settings changed, 0 advisory locks",
    )


OTHERS = (
    ("search_path", "SET search_path = elsewhere"),
    ("temporary table", "CREATE TEMP TABLE state (LIKE elsewhere.state INCLUDING ALL)"),
    ("quoting", "SET standard_conforming_strings = off; SET quote_all_identifiers = on; SET bytea_output = escape"),
)


@pytest.mark.parametrize(("what", "statement"), OTHERS, ids=[what for what, _ in OTHERS])
async def test_what_another_client_set_there_leads_nowhere_else(
    server: PostgreSQLServer, pooler: PgBouncerServer, open_store, what: str, statement: str, promise
) -> None:
    first = await open_store()
    server.sql("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.state (LIKE public.state INCLUDING ALL)")
    try:
        on_the_shared_connection(pooler, statement)
        late = await open_store()
        await use(first)
        await late.set(Set("late", b"1"))
        assert await first.get(Get("late")) is not None
        assert server.sql("SELECT count(*) FROM elsewhere.state") == "0"
        assert on_the_shared_connection(pooler, "SELECT pg_backend_pid()")
    finally:
        pooler.order("RECONNECT")
        server.sql("DROP SCHEMA elsewhere CASCADE")
    promise(
        "State is kept in the table that the component names, whatever another client left on the connection",
        on=pooler.label,
        fault=f"another client leaves its {what} on the connection that the sidecar is given",
        times=2,
        counted="0 rows elsewhere",
    )


async def test_a_search_path_of_the_component_holds_behind_a_pooler_too(
    server: PostgreSQLServer, pooler: PgBouncerServer, open_store
) -> None:
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop")
    try:
        for where in ("search_path=shop", "options=-c%20search_path%3Dshop"):
            store = await open_store(connectionString=f"{pooler.settings['connectionString']}?{where}")
            await store.set(Set(where, b"1"))
        assert server.sql("SELECT count(*) FROM shop.state") == "2"
    finally:
        server.sql("DROP SCHEMA shop CASCADE")
