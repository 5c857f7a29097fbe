"""Lost answers: a server carries out a request, and the connection is cut before the client learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from servers.eventually import until
from servers.faulty_proxy import FaultyProxy

from pannier_sidecar.state.errors import OutcomeUnknownError
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.state.store import Store

Call = Callable[[Any], Awaitable[Any]]
"""Of a store."""


async def first_of_a_bulk(store: Store, *, strong: bool = False) -> None:
    """Write two keys at once, and raise the error of the first one."""
    error = (await store.bulk_write([Set("k", b"mine", strong=strong), Set("other", b"mine", strong=strong)]))[0]
    if error is not None:
        raise error


async def outcome(call: Awaitable[Any]) -> Any:
    """Return what a call returns, or raises."""
    return (await asyncio.gather(call, return_exceptions=True))[0]


async def answer_held(proxy: FaultyProxy, call: Awaitable[Any]) -> asyncio.Task[Any]:
    """Begin a call; return when the server has answered it and the answer is on its way."""
    proxy.hold_answers()
    task = asyncio.create_task(outcome(call))
    await until(lambda: proxy.held_answers > 0)
    return task


async def request_held(proxy: FaultyProxy, call: Awaitable[Any]) -> asyncio.Task[Any]:
    """Begin a call; return when its request is on its way."""
    proxy.hold_requests()
    task = asyncio.create_task(outcome(call))
    await until(lambda: proxy.held_requests > 0)
    return task


async def lost(proxy: FaultyProxy, task: asyncio.Task[Any]) -> Any:
    """Lose the held bytes; return the outcome of their call."""
    proxy.cut()
    proxy.heal()
    return await task


async def lost_behind_another_write(proxy: FaultyProxy, writing: asyncio.Task[Any], near: Store) -> None:
    """Have `near` write key k again, then lose the answer to the earlier write; its outcome has to be unknown."""
    await near.delete(Delete("k"))
    await near.set(Set("k", b"theirs", if_absent=True))
    error = await lost(proxy, writing)
    assert type(error) is OutcomeUnknownError
    assert str(error).endswith("read the key before writing again")


async def answers_lost(proxy: FaultyProxy) -> None:
    """Lose the next answers, whichever client waits for them."""
    proxy.hold_answers()
    await until(lambda: proxy.held_answers > 0)
    proxy.cut()
    proxy.heal()
