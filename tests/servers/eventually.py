"""Waiting for events that must happen, but at an unknown time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pannier_sidecar.state.errors import StoreError

LIMIT_S = 30.0


async def eventually(call: Callable[[], Awaitable[Any]], limit_s: float = LIMIT_S) -> Any:
    """Return what the call returns as soon as it succeeds."""
    async with asyncio.timeout(limit_s):
        while True:
            try:
                return await call()
            except StoreError:
                await asyncio.sleep(0.02)


TURNS = 10
"""Turns of a loop: more than it needs from a connection's arrival to its task, and from its abortion to a closed
socket.
"""


async def close_server(server: asyncio.Server) -> None:
    """Accept no more connections, let those that were just accepted begin, and close the server.

    asyncio fails to attach a connection that begins after its server was closed, and leaves it open.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    await some_turns()
    server.close()


async def end_other_tasks() -> None:
    """End everything else on this loop, so that no connection is left to the garbage collector.

    A task that is cancelled before it has begun would leave its connection open, and one that is aborted closes its
    socket a turn later.
    """
    await some_turns()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await some_turns()


async def some_turns() -> None:
    """Let the loop finish what has begun: connections that were accepted, and sockets that are being closed."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def until(is_so: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not is_so():
            await asyncio.sleep(0.01)
