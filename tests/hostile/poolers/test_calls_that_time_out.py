"""A table is locked for long: calls end in time, and leave neither statements nor further connections at the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack

import pytest
from servers.eventually import eventually
from servers.opened_store import opening
from servers.pgbouncer_server import pooled
from servers.postgresql_server import PostgreSQLServer, locked

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store

pytestmark = pytest.mark.asyncio

MAX_CONNS = 4
ALL = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = 'pannier'"
BUSY = f"{ALL} AND state = 'active'"
WAYS = ("directly", "behind PgBouncer, session pooling", "behind PgBouncer, transaction pooling")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, server: PostgreSQLServer, tmp_path) -> Iterator[tuple[str, dict[str, object]]]:
    """How the store reaches the server."""
    with ExitStack() as stack:
        settings = server.settings
        if request.param != "directly":
            mode = request.param.split()[2]
            settings = stack.enter_context(pooled(tmp_path / "pgbouncer", server, mode)).settings
        yield request.param, dict(settings)


async def test_connections_and_statements_stay_within_their_number(
    server: PostgreSQLServer, way: tuple[str, dict[str, object]], effort, promise
) -> None:
    name, settings = way
    async with opening("state.postgresql", settings) as open_store:
        store = await eventually(lambda: open_store(timeout=0.5, maxConns=MAX_CONNS))
        await eventually(lambda: store.set(Set("k", b"before")))
        most = 0
        faults: list[object] = []
        async with locked(server):
            for _ in range(effort.times(5, 40)):
                transaction = store.transact([Delete("k"), Delete("l")])
                writes = (store.set(Set("k", b"x")), store.delete(Delete("k")), transaction)
                faults += await asyncio.gather(*writes, *gets(store, 20), return_exceptions=True)
                most = max(most, int(await asyncio.to_thread(server.sql, ALL)))
            busy = await asyncio.to_thread(server.sql, BUSY)
        assert all(type(fault) in {StoreUnavailableError, OutcomeUnknownError} for fault in faults), faults
        assert int(busy) <= MAX_CONNS
        assert most <= MAX_CONNS + 1  # one may be the connection of the cancel request
        found = await eventually(lambda: store.get(Get("k")))
        assert found is not None and found.value == b"before"  # cancelled writes did not happen later
        for _ in range(20):
            assert await eventually(lambda: store.get(Get("k"))) == found
    promise(
        "Calls that time out leave no statement running, and no more connections than maxConns",
        on=f"{server.label}, {name}",
        fault="the table is locked for longer than calls may take",
        times=len(faults),
        counted=f"{len(faults):,} calls timed out; at most {MAX_CONNS} connections",
    )


def gets(store: Store, count: int) -> list[Awaitable[object]]:
    return [store.get(Get("k")) for _ in range(count)]
