"""A write whose answer was lost may have happened: it is not sent again, and its outcome is unknown; all else is
certain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from servers.eventually import eventually, until
from servers.faulty_proxy import FaultyProxy
from servers.lost_answers import (
    Call,
    answer_held,
    first_of_a_bulk,
    lost,
    lost_behind_another_write,
    outcome,
    request_held,
)
from servers.opened_store import opening
from servers.postgresql_server import PostgreSQLServer, locked, running

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Store

WRITES: dict[str, Call] = {
    "set": lambda store: store.set(Set("k", b"mine")),
    "create": lambda store: store.set(Set("new", b"mine", if_absent=True)),
    "delete": lambda store: store.delete(Delete("k")),
    "bulk": first_of_a_bulk,
    "bulk create": lambda store: first_of(
        store, Set("new", b"mine", if_absent=True), Set("newer", b"", if_absent=True)
    ),
}


async def first_of(store: Store, *writes: Write) -> None:
    """Write these in one call, and raise the error of the first one."""
    fault = (await store.bulk_write(writes))[0]
    if fault is not None:
        raise fault


TRANSACTION: dict[str, Call] = {"transaction": lambda store: store.transact([Set("k", b"mine"), Set("l", b"mine")])}


@pytest.fixture
def proxy(server: PostgreSQLServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: FaultyProxy, open_store) -> AsyncIterator[Store]:
    """A store with one connection, on which every statement is prepared."""
    store = await open_store(connectionString=f"postgresql://admin@{proxy.address}/postgres", maxConns=1, timeout=5.0)
    await store.set(Set("k", b"before"))
    for call in (*WRITES.values(), *TRANSACTION.values()):
        await outcome(call(store))
    for key in ("new", "newer", "other", "l"):
        await store.delete(Delete(key))
    await store.set(Set("k", b"before"))
    return store


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_was_carried_out_is_not_repeated_over_later_writes(
    far: Store, open_store, proxy: FaultyProxy, call: Call
) -> None:
    near = await open_store()
    writing = await answer_held(proxy, call(far))
    await lost_behind_another_write(proxy, writing, near)
    await eventually(far.ping)
    found = await near.get(Get("k"))
    assert found is not None and found.value == b"theirs"


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
async def test_a_write_that_was_sent_and_never_arrived_is_unknown_too(
    far: Store, proxy: FaultyProxy, call: Call
) -> None:
    writing = await request_held(proxy, call(far))
    assert type(await lost(proxy, writing)) is OutcomeUnknownError
    found = await eventually(lambda: far.get(Get("k")))
    assert found is not None and found.value == b"before"


async def test_a_transaction_that_was_not_asked_to_commit_is_begun_again(far: Store, proxy: FaultyProxy) -> None:
    writing = await answer_held(proxy, far.transact([Set("k", b"mine"), Set("l", b"mine")]))
    assert await lost(proxy, writing) is None
    found = await far.get(Get("k"))
    assert found is not None and found.value == b"mine"


async def test_a_commit_whose_answer_was_lost_is_unknown_and_not_repeated(
    server: PostgreSQLServer, far: Store, proxy: FaultyProxy
) -> None:
    # The commit waits for a lock, so that earlier answers have arrived and its own has not.
    server.sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER waiting AFTER INSERT OR UPDATE ON state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "WHEN (NEW.key = 'l') EXECUTE FUNCTION wait()"
    )
    blocker = await asyncpg.connect(server.url())
    await blocker.execute("SELECT pg_advisory_lock(1)")
    writing = asyncio.create_task(outcome(far.transact([Set("k", b"mine"), Set("l", b"mine")])))
    at_commit = "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'"
    while await asyncio.to_thread(server.sql, at_commit) == "0":
        await asyncio.sleep(0.01)
    proxy.hold_answers()
    await blocker.close()
    await until(lambda: proxy.held_answers > 0)
    assert type(await lost(proxy, writing)) is OutcomeUnknownError
    found = await eventually(lambda: far.get(Get("l")))
    assert found is not None


async def test_reads_are_repeated(far: Store, proxy: FaultyProxy) -> None:
    for call in (lambda: far.get(Get("k")), lambda: far.bulk_get([Get("k"), Get("absent")])):
        found = await lost(proxy, await answer_held(proxy, call()))
        assert found and not isinstance(found, Exception), repr(found)


async def test_a_write_on_a_connection_that_died_unseen_is_not_in_doubt(far: Store, proxy: FaultyProxy) -> None:
    await asyncio.sleep(1.1)
    writing = await request_held(proxy, far.set(Set("k", b"mine")))  # something on the way forgets idle connections
    assert await lost(proxy, writing) is None


async def test_a_write_that_the_server_cancelled_did_not_happen(server: PostgreSQLServer, open_store) -> None:
    store = await open_store()
    await store.set(Set("k", b"before"))
    async with locked(server):
        writing = asyncio.create_task(outcome(store.set(Set("k", b"mine"))))
        blocked = "FROM pg_stat_activity WHERE application_name = 'pannier' AND wait_event_type = 'Lock'"
        while await asyncio.to_thread(server.sql, f"SELECT count(*) {blocked}") == "0":
            await asyncio.sleep(0.01)
        # The first time it is tried again on another connection, which is closed too.
        for _ in range(2):
            while await asyncio.to_thread(server.sql, f"SELECT count(pg_terminate_backend(pid)) {blocked}") == "0":
                await asyncio.sleep(0.01)
        fault = await writing
    assert type(fault) is StoreUnavailableError
    found = await store.get(Get("k"))
    assert found is not None and found.value == b"before"


async def test_a_server_that_became_a_standby_is_left_for_the_new_primary(tmp_path) -> None:
    """A server that accepts no writes any more did nothing; a new connection to the same address finds another
    server.
    """
    with (
        running(tmp_path / "old") as old,
        running(tmp_path / "new") as new,
        FaultyProxy(old.port) as proxy,
    ):
        settings = {"connectionString": f"postgresql://admin@{proxy.address}/postgres", "timeout": 5.0}
        async with opening("state.postgresql", settings) as open_one:
            store = await open_one()
            await store.set(Set("k", b"1"))
            async with opening("state.postgresql", new.settings) as open_other:
                await open_other()
            await asyncio.sleep(1.1)
            old.sql("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
            while old.sql("SHOW default_transaction_read_only") == "off":
                await asyncio.sleep(0.01)
            proxy.target = new.port
            await store.set(Set("k", b"2"))
            await store.transact([Set("k", b"3"), Set("l", b"3")])
        assert new.sql("SELECT count(*) FROM state") == "2"
