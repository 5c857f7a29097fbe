"""Two sidecars' stores work on each of the other databases, one of them over a connection that fails."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from conformance.in_one_place import InOnePlace
from hostile.effort import Effort
from servers import etcd_server
from servers.cutting_proxy import CuttingProxy
from servers.database import Database, Server
from servers.databases import named
from servers.history import PROMISED, History, at_work
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.store import Feature, Store
from pannier_sidecar.stores import registry

Promise = Callable[..., None]
OTHERS = (
    "cockroachdb",
    "cockroachdb-v2",
    "mongodb",
    "mysql",
    "dynamodb",
    "etcd",
    "gcp-spanner",
    "consul",
    "cosmosdb",
    "cassandra",
    "jetstream",
    "blobstorage",
    "tablestorage",
    "sqlserver",
)
TAG = "history-"
SOME = 15
"""Writes between two faults; some emulators take long for each."""


@pytest.fixture(scope="module", params=OTHERS)
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@asynccontextmanager
async def both(subject: Database, server: Server, proxy: CuttingProxy) -> AsyncIterator[list[Store]]:
    """Open a store with a direct connection, and one through the failing proxy."""
    kind: Any = registry.load(subject.store_type, subject.store_version)
    async with AsyncExitStack() as stack:
        stores = []
        for settings in (server.settings, {**server.settings, **PROXY_SETUPS[subject.name].names(proxy.port)}):
            store = kind(subject.typed(settings))
            if subject.metadata_of_transactions:
                store = InOnePlace(store, subject.metadata_of_transactions)
            if not subject.transactions_may_race:
                store.features = store.features - {Feature.TRANSACTIONAL}
            await store.open()
            stack.push_async_callback(store.close)
            stores.append(store)
        yield stores


async def answers_are_lost(proxy: CuttingProxy, tag: bytes) -> None:
    proxy.arm("after", tag)
    await proxy.met()
    await asyncio.sleep(0.05)
    proxy.cut()


async def requests_are_lost(proxy: CuttingProxy, tag: bytes) -> None:
    proxy.arm("before", tag)
    await proxy.met()


async def connections_are_refused(proxy: CuttingProxy, _: bytes) -> None:
    await proxy.close()
    await asyncio.sleep(0.2)
    await proxy.open()


FAULTS = (answers_are_lost, requests_are_lost, connections_are_refused)


async def test_cut_off(subject: Database, tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds = effort.times(1, 15)
    setup = PROXY_SETUPS[subject.name]
    with subject.serve(tmp_path) as server:
        async with CuttingProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port) as proxy:
            async with both(subject, server, proxy) as stores:
                async with History(stores, tag=TAG) as history:
                    for _ in range(rounds):
                        for fault in FAULTS:
                            await history.goes_on(SOME)
                            await fault(proxy, TAG.encode(setup.encoding))
                    await history.goes_on(SOME)
                await history.check(stores[0])
        promise(
            PROMISED,
            on=server.version,
            fault="connections cut while answers or requests are in flight; connections refused",
            times=3 * rounds,
            counted=history.counts,
        )
        gc.collect()


async def test_an_etcd_that_is_killed_and_paused(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds = effort.times(2, 15)
    with etcd_server.running(tmp_path) as server:
        async with at_work("state.etcd", {**server.settings, "timeout": 1.0}) as history:
            for _ in range(rounds):
                await history.goes_on()
                server.kill()
                await asyncio.to_thread(server.start)
                await history.goes_on()
                server.pause()
                await asyncio.sleep(1.5)
                server.resume()
            await history.goes_on()
        promise(
            PROMISED,
            on=f"etcd {server.version}",
            fault="killed and restarted; paused for longer than the timeout",
            times=2 * rounds,
            counted=history.counts,
        )


@pytest.mark.parametrize("journal", ["WAL", "rollback journal"])
async def test_a_sqlite_file_that_others_lock(tmp_path: Path, effort: Effort, promise: Promise, journal: str) -> None:
    rounds = effort.times(3, 30)
    file = tmp_path / "state.db"
    settings = {"connectionString": str(file), "busyTimeout": 0.1, "disableWAL": journal != "WAL", "timeout": 0.3}
    async with at_work("state.sqlite", settings) as history:
        for seconds in (0.05, 0.2, 0.6) * (rounds // 3):
            await history.goes_on()
            await asyncio.to_thread(locked, file, seconds)
        await history.goes_on()
    promise(
        PROMISED,
        on=f"SQLite {sqlite3.sqlite_version}, {journal}, two sidecars",
        fault="locked by another process, shorter and longer than busyTimeout and timeout",
        times=rounds,
        counted=history.counts,
    )


def locked(file: Path, seconds: float) -> None:
    """Lock the file against everybody else for this long."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
