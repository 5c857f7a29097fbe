"""Closing a pool leaves no connection open, even if it is cancelled at any point. No server could be held there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pannier_sidecar.network.connection_pool import ConnectionPool
from pannier_sidecar.state.errors import StoreUnavailableError


class Held:
    """A connection whose orderly end never comes."""

    opened_at = used_at = 0.0
    has_received_too_much = False

    def __init__(self) -> None:
        self.is_open = True
        self.is_closing = asyncio.Event()

    def expect_answer(self) -> None:
        pass

    async def check(self) -> None:
        pass

    async def settle(self) -> None:
        await asyncio.Event().wait()

    def is_closed(self) -> bool:
        return not self.is_open

    def terminate(self) -> None:
        self.is_open = False

    async def close(self) -> None:
        self.is_closing.set()
        await asyncio.Event().wait()


class Errors:
    def is_lost(self, error: BaseException) -> bool:
        return False

    def is_full(self, error: BaseException | None) -> bool:
        return False

    def is_no_primary(self, error: BaseException) -> bool:
        return False

    def translate(self, error: Exception, where: object, *, is_unknown: bool) -> StoreUnavailableError:
        return StoreUnavailableError(str(error))


class Pool(ConnectionPool[Held]):
    _errors = Errors()
    _answered = ValueError
    _parting_s = 3600.0

    def _may_have_happened(self, error: Exception, connection: Held) -> bool:
        return False

    def _is_passing(self, error: Exception) -> bool:
        return False

    def _settling_time(self, connection: Held) -> float | None:
        return None


async def pool_of(connections: list[Held], connect: Callable[[], Awaitable[Held]]) -> Pool:
    """A pool with that many idle connections."""
    pool = Pool(connect, where="here", size=3, timeout=3600, idle_time=3600)
    together = asyncio.Barrier(2)

    async def meet(connection: Held) -> None:
        connections.append(connection)
        await together.wait()

    await asyncio.gather(pool.run(meet), pool.run(meet))
    return pool


async def cancelled(closing: asyncio.Task[None]) -> None:
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def made() -> Held:
    return Held()


async def test_idle_connections_are_ended_when_closing_them_is_cancelled() -> None:
    connections: list[Held] = []
    pool = await pool_of(connections, made)
    closing = asyncio.create_task(pool.close())
    for each in connections:
        await each.is_closing.wait()
    await cancelled(closing)
    assert [each.is_open for each in connections] == [False, False]


async def test_all_are_ended_when_waiting_for_calls_that_were_given_up_is_cancelled() -> None:
    connections: list[Held] = []
    pool = await pool_of(connections, made)
    begun = asyncio.Event()

    async def hang(connection: Held) -> None:
        begun.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(pool.run(hang))
    await begun.wait()
    call.cancel()
    await asyncio.wait([call])
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)  # it waits for the call that was given up
    assert [each.is_open for each in connections] == [True, True]
    await cancelled(closing)
    assert [each.is_open for each in connections] == [False, False]
