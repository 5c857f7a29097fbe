"""Reviews that come while the Components of a namespace are read share the next read, and get nothing older."""

from __future__ import annotations

import asyncio

import pytest

from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.shared_reads import SharedReads


class Server:
    """Answers with the content at the beginning of a read, but only when the test says so."""

    def __init__(self) -> None:
        self.holds = "nothing"
        self.fails = False
        self.reads: list[str] = []
        self.may_answer = asyncio.Event()

    async def read(self, key: str) -> str:
        self.reads.append(key)
        found, fails = self.holds, self.fails
        await self.may_answer.wait()
        if fails:
            raise ApiError("nobody answers")
        return found


async def begun(task: asyncio.Task[str]) -> asyncio.Task[str]:
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_caller_that_asks_during_a_read_gets_what_was_there_when_it_asked() -> None:
    server = Server()
    shared = SharedReads(server.read)
    first = await begun(asyncio.create_task(shared.of("shop")))
    server.holds = "a Component"
    others = [await begun(asyncio.create_task(shared.of("shop"))) for _ in range(8)]
    server.may_answer.set()
    assert await first == "nothing"
    assert set(await asyncio.gather(*others)) == {"a Component"}
    assert server.reads == ["shop", "shop"]
    assert await shared.of("shop") == "a Component"
    assert len(server.reads) == 3


async def test_namespaces_do_not_wait_for_each_other() -> None:
    server = Server()
    shared = SharedReads(server.read)
    both = [await begun(asyncio.create_task(shared.of(key))) for key in ("shop", "bank")]
    assert server.reads == ["shop", "bank"]
    server.may_answer.set()
    await asyncio.gather(*both)


async def test_a_read_that_fails_fails_those_who_asked_for_it_alone() -> None:
    server = Server()
    shared = SharedReads(server.read)
    server.fails = True
    first = await begun(asyncio.create_task(shared.of("shop")))
    server.fails = False
    second = await begun(asyncio.create_task(shared.of("shop")))
    server.may_answer.set()
    with pytest.raises(ApiError):
        await first
    assert await second == "nothing"


async def test_a_caller_that_gives_up_does_not_cancel_the_read_for_others() -> None:
    server = Server()
    shared = SharedReads(server.read)
    leaving = await begun(asyncio.create_task(shared.of("shop")))
    waiting = [await begun(asyncio.create_task(shared.of("shop"))) for _ in range(2)]
    leaving.cancel()
    waiting[0].cancel()
    server.may_answer.set()
    assert await waiting[1] == "nothing"
    assert len(server.reads) == 2
