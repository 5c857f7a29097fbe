"""Servers that are killed, hang, undo transactions or lose connections: what a call answers, and what has happened."""

import asyncio

import pytest
from servers.load import Load
from servers.opened_store import OpenStore
from servers.sqlserver_server import SQLServer, connected, ran

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set


async def fails_next(server: SQLServer, *numbers: int) -> None:
    """Let the next statements that change something fail with these errors of the server."""
    await ran(server, "master", f"FAKE ERRORS {' '.join(map(str, numbers))}")


async def test_killed_and_restarted_under_load_it_has_every_answered_write(
    server: SQLServer, open_store: OpenStore
) -> None:
    store = await open_store(timeout=5.0)
    async with Load(store) as load:
        await load.outlives(server)
    await load.check(store)


async def test_what_deadlocks_undo_is_tried_again(server: SQLServer, open_store: OpenStore) -> None:
    store = await open_store()
    for number in (1205, 2627, 3960):
        await fails_next(server, number, number)
        await store.set(Set("k", str(number).encode()))
        await fails_next(server, number)
        await store.transact([Set("k", b"1"), Set("other", b"1"), Delete("third")])
    await fails_next(server, *[1205] * 10)
    with pytest.raises(StoreUnavailableError, match="too many writes of the same keys"):
        await store.set(Set("k", b"2"))
    found = await store.get(Get("k"))
    assert found is not None and found.value == b"1"


async def test_errors_that_pass_and_errors_that_stay_are_told_apart(
    server: SQLServer, open_store: OpenStore, subtests: pytest.Subtests
) -> None:
    store = await open_store()
    for number, kind, words in (
        (1222, StoreUnavailableError, "waited too long for a lock"),
        (9002, StoreRefusedError, "no room left in the transaction log"),
        (229, StoreRefusedError, "GRANT SELECT"),
        (40501, StoreUnavailableError, "busy"),
        (13609, StoreRefusedError, "indexed property"),
        (40197, OutcomeUnknownError, "before it answered"),
    ):
        with subtests.test(number=number):
            await fails_next(server, number)
            with pytest.raises(kind, match=words) as caught:
                await store.set(Set("k", b"1"))
            assert "canary-of-the-server" not in str(caught.value)
            await store.set(Set("k", b"2"))


async def test_a_statement_that_is_given_up_is_cancelled_and_its_connection_serves_on(
    server: SQLServer, database: str, open_store: OpenStore
) -> None:
    store = await open_store(maxConns=1)
    await store.set(Set("k", b"1"))
    async with connected(server, database) as other:
        await other.run("BEGIN TRANSACTION")
        await other.run("DELETE FROM [dbo].[state] WHERE [Key] = N'none'")
        waiting = asyncio.create_task(store.set(Set("k", b"2")))
        await asyncio.sleep(0.2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        found = await store.get(Get("k"))  # on the only connection, which is free again
        assert found is not None and found.value == b"1"
        await other.run("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    await store.set(Set("k", b"3"))
    found = await store.get(Get("k"))
    assert found is not None and found.value == b"3"


async def test_a_server_that_hangs_is_given_up_in_time(server: SQLServer, open_store: OpenStore) -> None:
    store = await open_store(timeout=0.5)
    await store.set(Set("k", b"1"))
    server.pause()
    with pytest.raises(StoreUnavailableError, match="did not answer within"):
        await store.get(Get("k"))
    with pytest.raises((OutcomeUnknownError, StoreUnavailableError)):
        await store.set(Set("k", b"2"))
    server.resume()
    while True:
        try:
            await store.set(Set("k", b"3"))
            break
        except (OutcomeUnknownError, StoreUnavailableError):
            await asyncio.sleep(0.05)
    found = await store.get(Get("k"))
    assert found is not None and found.value == b"3"


async def test_many_sidecars_make_the_tables_at_once(open_store: OpenStore) -> None:
    stores = await asyncio.gather(*(open_store(maxConns=1) for _ in range(5)))
    await stores[0].set(Set("k", b"1"))
    found = await stores[-1].get(Get("k"))
    assert found is not None and found.value == b"1"
