"""A call to Cassandra that its caller gives up continues in the driver, and is counted until it ends there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pannier_sidecar.stores.cassandra import client


class Session:
    """A stand-in for the driver's future, which is resolved when the test says so."""

    def __init__(self) -> None:
        self.answer: Callable[[Any], None]
        self.fail: Callable[[Exception], None]

    def execute_async(self, _: object) -> Session:
        return self

    def add_callbacks(self, answer: Callable[[Any], None], fail: Callable[[Exception], None]) -> None:
        self.answer, self.fail = answer, fail


class Refusing:
    """Stands for a session that is shut down."""

    def execute_async(self, _: object) -> None:
        raise RuntimeError


@pytest.mark.parametrize("end", [lambda session: session.answer([]), lambda session: session.fail(OSError())])
async def test_it_ends_when_the_driver_has_finished(end: Callable[[Session], None]) -> None:
    session, ended = Session(), asyncio.Event()
    calling = asyncio.create_task(client.execute(session, None, ended.set))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert not ended.is_set()
    end(session)
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_call_that_the_driver_refuses_ends_at_once() -> None:
    ended = asyncio.Event()
    with pytest.raises(RuntimeError):
        await client.execute(Refusing(), None, ended.set)  # type: ignore[arg-type]
    assert ended.is_set()
