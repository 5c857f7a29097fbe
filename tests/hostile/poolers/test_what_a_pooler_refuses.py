"""A pooler that hides itself, refuses something, or is down: the error says so, and no write is lost."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import asyncpg
import pytest
from servers.eventually import eventually
from servers.pgbouncer_server import PgBouncerServer
from servers.postgresql_server import PostgreSQLServer

from pannier_sidecar.network.connection_pool import always
from pannier_sidecar.state.errors import NotSupportedError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.postgresql.client import Pool
from pannier_sidecar.stores.postgresql.connection import Connection

pytestmark = pytest.mark.asyncio
in_statement_mode = pytest.mark.parametrize("pooler", ["statement"], indirect=True)


@in_statement_mode
async def test_in_statement_mode_transactions_are_refused_and_all_else_is_served(
    pooler: PgBouncerServer, open_store, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store()
    assert "is a pooler in statement mode" in caplog.text
    with pytest.raises(NotSupportedError, match="set its pool_mode to transaction, or save the items one by one"):
        await store.transact([Set("a", b"1"), Set("b", b"1")])
    assert await store.get(Get("a")) is None
    await store.transact([Set("a", b"1")])
    assert await store.bulk_write([Set("b", b"2"), Set("c", b"3"), Delete("d")]) == [None] * 3
    assert (await store.keys("", 10, None)).keys == ["a", "b", "c"]


async def test_a_parameter_that_the_pooler_does_not_take_is_named(pooler: PgBouncerServer, open_store) -> None:
    url = f"{pooler.settings['connectionString']}?statement_timeout=5000"
    with pytest.raises(StoreRefusedError, match="take statement_timeout out there .*ignore_startup_parameters"):
        await open_store(connectionString=url)


async def hiding(url: str) -> Connection:
    """Connect as if a pooler passed on the server's own process id, so that the pooler is not detected."""
    raw = await asyncpg.connect(url, statement_cache_size=0)
    return Connection(raw, is_direct=True, names_statements=True)


async def test_behind_one_that_hides_a_missing_statement_costs_nothing(
    server: PostgreSQLServer, pooler: PgBouncerServer, promise
) -> None:
    server.sql("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
    url = str(pooler.settings["connectionString"])
    limits: Any = {"size": 6, "timeout": 50.0, "idle_time": 60.0}
    connections = Pool(partial(hiding, url), where="the test", **limits)
    add = "UPDATE counter SET n = n + $1::int4"
    try:
        calls = (connections.run(Connection.execute, add, 1, may_be_done=always) for _ in range(300))
        assert await asyncio.gather(*calls) == ["UPDATE 1"] * 300
        # The next user of the server's connections finds that prepared statements are gone.
        await asyncio.gather(*(connections.run(Connection.run, "DEALLOCATE ALL") for _ in range(30)))
        pooler.order("RECONNECT")
        calls = (connections.run(Connection.execute, add, 1, may_be_done=always) for _ in range(300))
        assert await asyncio.gather(*calls) == ["UPDATE 1"] * 300
    finally:
        await connections.close()
    assert server.sql("SELECT n FROM counter") == "600"
    promise(
        "A write whose prepared statement is missing on the server's connection is carried out once",
        on=pooler.label,
        fault="the pooler is not detected, so statements have names; other clients deallocate them, and "
        "connections change",
        times=600,
        counted="600 increments; the sum is 600",
    )


async def test_while_it_is_away_nothing_happens_and_it_is_found_again(pooler: PgBouncerServer, open_store) -> None:
    store = await open_store(timeout=5.0)
    await store.set(Set("k", b"1"))
    pooler.kill()
    await asyncio.sleep(0.1)  # so that the ends of the connections arrive
    for call in (store.get(Get("k")), store.set(Set("k", b"2")), store.transact([Set("k", b"2"), Set("l", b"2")])):
        with pytest.raises(StoreUnavailableError, match="can't be reached"):
            await call
    await asyncio.to_thread(pooler.start)
    found = await eventually(lambda: store.get(Get("k")))
    assert found is not None and found.value == b"1"


async def test_calls_that_it_holds_back_are_taken_back_when_they_are_given_up(
    server: PostgreSQLServer, pooler: PgBouncerServer, open_store
) -> None:
    store = await eventually(lambda: open_store(timeout=0.5))
    await eventually(lambda: store.set(Set("k", b"1")))
    await asyncio.to_thread(pooler.order, "PAUSE")
    ends = await asyncio.gather(*(store.set(Set(f"late{n}", b"1")) for n in range(10)), return_exceptions=True)
    assert all(isinstance(end, Exception) for end in ends)
    await asyncio.to_thread(pooler.order, "RESUME")
    found = await eventually(lambda: store.get(Get("k")))
    assert found is not None and found.value == b"1"
    for _ in range(20):
        await eventually(lambda: store.get(Get("k")))
    # Calls that had been sent were cancelled while they waited or ran: none happens later.
    before = server.sql("SELECT count(*) FROM state")
    await asyncio.sleep(0.3)
    assert server.sql("SELECT count(*) FROM state") == before
