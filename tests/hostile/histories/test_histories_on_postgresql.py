"""Several sidecars' stores work on one PostgreSQL while the server, the network and its pooler fail."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hostile.effort import Effort
from servers.faulty_proxy import FaultyProxy
from servers.history import PROMISED, at_work
from servers.lost_answers import answers_lost
from servers.pgbouncer_server import MODES, PgBouncerServer, pooled
from servers.postgresql_server import PostgreSQLServer, running

Promise = Callable[..., None]
DURABLE = ("fsync=on",)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_killed_paused_ended_and_cut_off(tmp_path: Path, effort: Effort, promise: Promise, version: str) -> None:
    rounds = effort.times(1, 12)
    with running(tmp_path, *DURABLE) as server, FaultyProxy(server.port) as proxy:
        through_proxy = {"connectionString": f"postgresql://admin@{proxy.address}/postgres"}
        proxies = (server.settings, through_proxy)
        async with at_work("state.postgresql", {"timeout": 1.0}, *proxies, version=version) as history:
            for _ in range(rounds):
                await history.goes_on()
                await asyncio.to_thread(restarted, server, server.kill)
                await history.goes_on()
                await asyncio.to_thread(restarted, server, server.stop)
                await history.goes_on()
                await paused(server, 1.5)
                await history.goes_on()
                await asyncio.to_thread(ended, server)
                await history.goes_on()
                if effort.is_long:  # it takes seconds
                    await asyncio.to_thread(crashed, server)
                    await history.goes_on()
                await answers_lost(proxy)
            await history.goes_on()
        promise(
            PROMISED,
            on=f"{server.label}, {version}",
            fault="killed; one process killed; restarted; paused; connections ended by administrator; answers lost",
            times=6 * rounds,
            counted=history.counts,
        )


@pytest.mark.parametrize("mode", MODES)
async def test_behind_a_pooler(tmp_path: Path, effort: Effort, promise: Promise, mode: str) -> None:
    rounds = effort.times(1, 12)
    with running(tmp_path / "pg", *DURABLE) as server, pooled(tmp_path / "pool", server, mode, **PATIENT) as pooler:
        async with at_work("state.postgresql", {**pooler.settings, "timeout": 2.0}, version="v2") as history:
            for _ in range(rounds):
                await history.goes_on()
                await asyncio.to_thread(restarted, pooler, pooler.kill)
                await history.goes_on()
                await held_up(pooler, 2.5)
                await history.goes_on()
                await asyncio.to_thread(restarted, server, server.kill)
                await history.goes_on()
                await asyncio.to_thread(ended, server)
                await history.goes_on()
                await asyncio.to_thread(pooler.order, "RECONNECT")
            await history.goes_on()
        promise(
            PROMISED,
            on=pooler.label,
            fault="pooler killed, PAUSE for longer than timeout, server killed, its connections ended, RECONNECT",
            times=5 * rounds,
            counted=history.counts,
        )


PATIENT = {"server_login_retry": 1, "server_connect_timeout": 3}
"""Seconds until a pooler tries a failed server again, and until it gives up a connection; its defaults are 15."""


def restarted(server: PostgreSQLServer | PgBouncerServer, end: Callable[[], None]) -> None:
    end()
    server.start()


async def paused(server: PostgreSQLServer, seconds: float) -> None:
    server.pause()
    await asyncio.sleep(seconds)
    server.resume()


async def held_up(pooler: PgBouncerServer, seconds: float) -> None:
    """Have the pooler hold back all calls; in session mode it would first wait for the clients to leave."""
    if pooler.mode == "session":
        return
    await asyncio.to_thread(pooler.order, "PAUSE")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(pooler.order, "RESUME")


def ended(server: PostgreSQLServer) -> None:
    """End every connection on the server, in the middle of its work."""
    server.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


def crashed(server: PostgreSQLServer) -> None:
    """Kill one of the server's processes, so that it ends all others at once and recovers."""
    one = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pannier' AND pid <> pg_backend_pid() LIMIT 1"
    with suppress(ProcessLookupError):
        os.kill(int(server.sql(one)), signal.SIGKILL)
