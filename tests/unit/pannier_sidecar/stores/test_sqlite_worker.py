"""The thread that carries out calls: together but independently, and always with an answer for each caller."""

import asyncio
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from servers.eventually import eventually

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.stores.sqlite import worker as worker_module
from pannier_sidecar.stores.sqlite.layout import StateTable
from pannier_sidecar.stores.sqlite.worker import Worker

CREATE = "CREATE TABLE IF NOT EXISTS t (x INTEGER UNIQUE)"


class Traced:
    """A worker on a database in memory, and the statements that began and ended its transactions."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.worker = self.made(self.connect)

    def made(self, connect: Callable[[], StateTable], timeout: float = 20) -> Worker:
        return Worker(
            "test", connect, "BEGIN", where="the test", timeout=timeout, busy_timeout=1, late=OutcomeUnknownError
        )

    def connect(self) -> StateTable:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute(CREATE)
        connection.set_trace_callback(self.statements.append)
        return StateTable(connection, "t")

    def transactions(self) -> int:
        return self.statements.count("COMMIT")


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    traced = Traced()
    await traced.worker.start()
    yield traced
    await traced.worker.stop()


def insert(table: StateTable, now: float, number: object) -> None:
    table.connection.execute("INSERT INTO t VALUES (?)", (number,))


def mismatch(table: StateTable, now: float) -> None:
    raise ETagMismatchError("it has 7")


def numbers(table: StateTable, now: float) -> list[int]:
    return [number for (number,) in table.connection.execute("SELECT x FROM t ORDER BY x")]


async def test_calls_of_one_turn_share_one_transaction(traced: Traced) -> None:
    await asyncio.gather(*(traced.worker.submit(partial(insert, number=number)) for number in range(100)))
    assert traced.transactions() == 1
    assert await traced.worker.submit(numbers) == list(range(100))


async def test_a_mismatch_does_not_undo_its_neighbours(traced: Traced) -> None:
    jobs: list[Any] = [partial(insert, number=1), mismatch, partial(insert, number=2)]
    ends = await asyncio.gather(*map(traced.worker.submit, jobs), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), ETagMismatchError, type(None)]
    assert traced.transactions() == 1
    assert await traced.worker.submit(numbers) == [1, 2]


async def test_a_statement_that_fails_does_not_undo_its_neighbours(traced: Traced) -> None:
    jobs = [partial(insert, number=number) for number in (1, 2, 2, 3)]
    ends = await asyncio.gather(*map(traced.worker.submit, jobs), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), type(None), StoreRefusedError, type(None)]
    assert await traced.worker.submit(numbers) == [1, 2, 3]


async def test_a_defect_in_a_job_leaves_nobody_waiting(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: reported.append(raised.exc_type))

    def defect(table: StateTable, now: float) -> None:
        raise ZeroDivisionError

    jobs: list[Any] = [partial(insert, number=1), defect, partial(insert, number=2)]
    async with asyncio.timeout(10):
        ends = await asyncio.gather(*map(traced.worker.submit, jobs), return_exceptions=True)
        while not reported:  # the thread reports that after the callers
            await asyncio.sleep(0.01)
    assert all(isinstance(end, OutcomeUnknownError) for end in ends)
    assert reported == [ZeroDivisionError]
    with pytest.raises(StoreUnavailableError, match="the test is not open"):
        await traced.worker.submit(numbers)


async def test_waiting_writes_are_carried_out_before_it_stops(traced: Traced) -> None:
    calls = [traced.worker.submit(partial(insert, number=number)) for number in range(10)]
    await traced.worker.stop()
    assert [call.result() for call in calls] == [None] * 10


async def test_a_failed_start_says_why(traced: Traced) -> None:
    def fail() -> StateTable:
        raise sqlite3.DatabaseError("no such thing")

    worker = traced.made(fail)
    with pytest.raises(StoreRefusedError, match=r"the test refused the call \(DatabaseError\)$"):
        await worker.start()
    with pytest.raises(StoreUnavailableError):
        worker.submit(numbers)
    await worker.stop()


async def test_a_call_that_takes_too_long_is_given_up(traced: Traced) -> None:
    def slow(table: StateTable, now: float) -> None:
        table.connection.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT max(n) FROM c"
        ).fetchone()

    worker = traced.made(traced.connect, timeout=0.01)
    await worker.start()
    with pytest.raises(OutcomeUnknownError, match="the test gave no answer within 0.01 s"):
        await worker.submit(slow)
    await worker.stop()


async def test_a_stuck_thread_holds_a_bounded_number_of_values_and_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MAX_BEHIND", 1000)
    traced = Traced()
    stuck, released = threading.Event(), threading.Event()

    def hang(table: StateTable, now: float) -> None:
        stuck.set()
        released.wait(120)

    worker = traced.made(traced.connect, timeout=0.05)
    await worker.start()
    calls: list[asyncio.Future[object]] = []
    try:
        async with asyncio.timeout(30):
            while not stuck.is_set():  # a call that is given up before the thread takes it is not carried out
                calls = [worker.submit(hang)]
                await asyncio.wait(calls)
        value = partial(insert, number=1)
        kept = weakref.ref(value)
        calls.append(worker.submit(value))
        del value
        assert [type(end) for end in await asyncio.gather(*calls, return_exceptions=True)] == [OutcomeUnknownError] * 2
        assert kept() is None
        with pytest.raises(StoreUnavailableError, match="does not keep up"):
            for _ in range(100):
                turn = [worker.submit(numbers) for _ in range(500)]
                await asyncio.gather(*turn, return_exceptions=True)
    finally:
        released.set()
    await eventually(lambda: worker.submit(numbers))
    await worker.stop()


async def test_stopping_twice_or_without_starting_is_harmless(traced: Traced) -> None:
    await traced.made(traced.connect).stop()
    await traced.worker.stop()
    await traced.worker.stop()


def test_a_thread_that_outlives_its_event_loop_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """A process may end while the disk is stuck; the answers that come then are nobody's."""
    caplog.set_level("DEBUG", "pannier_sidecar")
    stuck, released = threading.Event(), threading.Event()

    def hang(table: StateTable, now: float) -> None:
        stuck.set()
        released.wait(120)

    async def leave_behind() -> Worker:
        worker = Traced().worker
        await worker.start()
        worker.submit(hang)
        while not stuck.is_set():
            await asyncio.sleep(0.01)
        return worker

    before = set(threading.enumerate())
    worker = asyncio.run(leave_behind())
    [thread] = set(threading.enumerate()) - before
    released.set()
    worker._queue.put(None)
    thread.join(60)
    assert not thread.is_alive()
    assert "test outlived its event loop" in caplog.messages
