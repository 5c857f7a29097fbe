"""A thread with its own connection to the table, which carries out whatever waits as one transaction.

Calls made in one iteration of the event loop go to the thread together. When the thread is free again, all calls that
have arrived become one transaction. So many writers share one fsync, and the loop is woken once for all their answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError

from .errors import DRIVER_ERRORS, outcome_of_commit, translate
from .locks import is_busy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .layout import StateTable

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Job = Callable[["StateTable", float], Result]
"""Called inside a transaction, with the table and the Unix time."""
Outcome = tuple[Any, StoreError | None]


class Caller(Protocol):
    """Who gets the outcome of a job: a future, or an object that takes results like one and costs less."""

    def done(self) -> bool:
        """Return whether the caller no longer waits. The thread calls this too."""

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: StoreError, /) -> None: ...


MAX_BEHIND: Final = 20_000
"""Calls that may wait for the thread, those given up included, because a disk that hangs keeps them all."""
CALLS_AT_ONCE: Final = 1000
"""Calls in one transaction, so that none waits for more than some ten milliseconds of others' work."""


@dataclass(slots=True, eq=False)
class _Batch:
    """The calls of one iteration of the event loop."""

    calls: list[tuple[Caller, Job[Any]]]
    timer: asyncio.TimerHandle


class Worker:
    """Runs jobs on its connection. All methods are called on the event loop that `start` was called on."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], StateTable],
        begin: str,
        *,
        where: object,
        timeout: float,
        busy_timeout: float,
        late: type[StoreUnavailableError] | type[OutcomeUnknownError] = StoreUnavailableError,
    ):
        """`begin` opens a transaction; a call unanswered after `timeout` seconds fails with `late`."""
        self._name = name
        self._connect = connect
        self._begin = begin
        self._where = where
        self._timeout = timeout
        self._busy_timeout = busy_timeout
        self._late = late
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._waiting: list[tuple[Caller, Job[Any]]] = []
        self._unanswered: set[_Batch] = set()
        self._behind = 0
        """Calls that were handed over and have not come back."""
        self._is_running = False
        self._table: StateTable | None = None
        """Used by the thread alone."""
        self._started: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Connect. Raises the StoreError of a failure."""
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.create_future()
        self._ended = self._loop.create_future()
        # A daemon thread, because a process that ends without closing the store must not wait for it. Only answered
        # writes count.
        Thread(target=self._run, name=self._name, daemon=True).start()
        self._is_running = True
        await self._started

    def submit(self, job: Job[Result]) -> asyncio.Future[Result]:
        """Have the job run; raises StoreUnavailableError if the worker is not running."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self.submit_for(future, job)
        return future

    def submit_for(self, caller: Caller, job: Job[Any]) -> None:
        """Have the job run, and give its outcome to `caller`; raises StoreUnavailableError like `submit`."""
        if not self._is_running:
            raise StoreUnavailableError(f"{self._where} is not open")
        if self._behind > MAX_BEHIND:
            raise StoreUnavailableError(f"{self._where} has {self._behind} calls waiting; its disk does not keep up")
        if not self._waiting:
            self._loop.call_soon(self._hand_over)
        self._waiting.append((caller, job))

    async def stop(self) -> None:
        """Carry out what waits, then close the connection. Harmless when not running."""
        if self._is_running:
            self._hand_over()
            self._is_running = False
            self._queue.put(None)
        if self._ended is not None:
            await asyncio.wait([self._ended], timeout=self._timeout)

    # --- on the event loop ----------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self._waiting:
            calls, self._waiting = self._waiting, []
            self._behind += len(calls)
            batch = _Batch(calls, self._loop.call_later(self._timeout, self._give_up, calls))
            self._unanswered.add(batch)
            self._queue.put(batch)

    def _give_up(self, calls: list[tuple[Caller, Job[Any]]]) -> None:
        for place, (caller, _) in enumerate(calls):
            calls[place] = (caller, _nothing)  # the thread may be stuck for long: it must not hold values meanwhile
            if not caller.done():
                caller.set_exception(self._late(f"{self._where} gave no answer within {self._timeout:g} s"))

    def _answer(self, batches: Sequence[_Batch], outcomes: Iterable[Outcome]) -> None:
        for batch in batches:
            batch.timer.cancel()
            self._unanswered.discard(batch)
            self._behind -= len(batch.calls)
        calls = (call for batch in batches for call in batch.calls)
        for (caller, _), (result, error) in zip(calls, outcomes, strict=True):
            if caller.done():
                continue  # given up by the caller, or too late
            try:
                if error is None:
                    caller.set_result(result)
                else:
                    caller.set_exception(error)
            except Exception as defect:  # it must not affect other calls
                message = f"an answer of {self._where} could not be taken"
                self._loop.call_exception_handler({"message": message, "exception": defect})

    def _has_started(self, error: StoreError | None) -> None:
        self._is_running = self._is_running and error is None
        if self._started is None or self._started.done():
            return
        if error is None:
            self._started.set_result(None)
        else:
            self._started.set_exception(error)

    def _has_ended(self) -> None:
        """Fail the calls that wait if the thread has died."""
        self._is_running = False
        self._hand_over()
        for batch in self._unanswered:
            batch.timer.cancel()
            for caller, _ in batch.calls:
                if not caller.done():
                    caller.set_exception(self._late(f"{self._where} was closed before it answered"))
        self._unanswered.clear()
        self._has_started(StoreUnavailableError(f"{self._where} could not be opened; the log says why"))
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # --- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            error = self._open_table()
            self._call_on_loop(self._has_started, error)
            if error is None:
                self._serve()
        finally:
            if self._table is not None:
                self._table.close()
            self._call_on_loop(self._has_ended)

    def _open_table(self) -> StoreError | None:
        try:
            self._table = self._connect()
        except StoreError as error:
            return error
        except DRIVER_ERRORS as error:
            return translate(error, self._where, busy_timeout=self._busy_timeout)
        return None

    def _attached_table(self) -> StateTable | StoreError:
        """Return the table; open it again if its file has been removed or replaced."""
        assert self._table is not None, "calls are carried out only once the table was opened"
        if self._table.is_detached():
            logger.warning("%s was removed or replaced while in use; it is opened again", self._where)
            self._table.close()
            error = self._open_table()
            if error is not None:
                return error
        return self._table

    def _call_on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop is closed: no caller is left to answer
            logger.debug("%s outlived its event loop", self._name)

    def _serve(self) -> None:
        while batches := self._take():
            # A call that was given up while it waited is not carried out: its caller may have gone on since.
            jobs = [job if not caller.done() else _nothing for batch in batches for caller, job in batch.calls]
            table = self._attached_table()
            if isinstance(table, StoreError):
                outcomes: list[Outcome] = [(None, table)] * len(jobs)
            else:
                outcomes = self._carried_out(table, jobs)
            self._call_on_loop(self._answer, batches, outcomes)

    def _take(self) -> list[_Batch]:
        """Wait for calls and return all that are there; an empty list means that it is time to end."""
        batch = self._queue.get()
        batches = []
        size = 0
        while batch is not None:
            batches.append(batch)
            size += len(batch.calls)
            if size >= CALLS_AT_ONCE:
                return batches
            try:
                batch = self._queue.get_nowait()
            except Empty:
                return batches
        if batches:
            self._queue.put(None)  # so that the next call of this ends too
        return batches

    def _carried_out(self, table: StateTable, jobs: Sequence[Job[Any]]) -> list[Outcome]:
        try:
            table.connection.execute(self._begin)
            now = time()
            outcomes = [_outcome(job, table, now) for job in jobs]
        except DRIVER_ERRORS as error:
            is_begun = table.connection.in_transaction
            _roll_back(table)
            if is_begun and len(jobs) > 1 and not is_busy(error):
                # One of them is wrong; the others must not fail with it.
                return [self._carried_out(table, [job])[0] for job in jobs]
            return [(None, translate(error, self._where, busy_timeout=self._busy_timeout)) for _ in jobs]
        try:
            table.connection.execute("COMMIT")
        except DRIVER_ERRORS as error:
            _roll_back(table)
            return [(None, outcome_of_commit(error, self._where, self._busy_timeout)) for _ in jobs]
        return outcomes


def _outcome(job: Job[Any], table: StateTable, now: float) -> Outcome:
    """Run a job; one that raises a StoreError has changed nothing."""
    try:
        return job(table, now), None
    except StoreError as error:
        return None, error


def _nothing(_: StateTable, __: float) -> None:
    """Take the place of a job whose caller no longer waits."""


def _roll_back(table: StateTable) -> None:
    if table.connection.in_transaction:  # some errors have rolled back already
        table.connection.execute("ROLLBACK")
