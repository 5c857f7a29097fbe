"""A few connections, each lent to one call at a time, for databases that answer one call at a time on a connection.

The connection of a call that is given up stays taken until the server has ended the call's statement, so the server
never runs more than `size` statements for a store. Then its transaction is undone, and the next call gets it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from pannier_sidecar.network import answers
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

Result = TypeVar("Result")

ATTEMPTS: Final = 10
"""Attempts at a call that the server undoes because others write the same keys."""
FRESH_S: Final = 1.0
"""Seconds; a connection that was used so recently counts as alive. Before a write, an older one is checked."""
_PROBE_S: Final = 0.3
"""How long calls wait for the attempt to connect that follows a failed one; then they are refused at once."""


def never() -> bool:
    """Return False: the call changes nothing."""
    return False


def always() -> bool:
    """Return True: a write of one statement may have happened once it was sent."""
    return True


class PooledConnection(Protocol):
    """A connection that can be lent."""

    opened_at: float
    used_at: float
    """When it was opened and last given back, on the loop's clock."""

    def expect_answer(self) -> None:
        """Begin to count the bytes that are received for a call."""

    @property
    def has_received_too_much(self) -> bool:
        """Whether the connection was ended because an answer was larger than answers may be."""

    async def check(self) -> None:
        """Return if the server answers. Raises the client library's errors."""

    async def settle(self) -> None:
        """Return when the server has ended the statement of a call that was given up, and no transaction is open.
        Raises the client library's errors when the connection is lost.
        """

    def is_closed(self) -> bool:
        """Return whether no call can use it any more. No call may be using it now."""

    def terminate(self) -> None:
        """Close it at once."""

    async def close(self) -> None:
        """Close it in order. Raises nothing."""


class ErrorMeanings(Protocol):
    """What the `errors.py` of a store says about the errors of its client library."""

    def is_lost(self, error: BaseException) -> bool:
        """Return whether the connection must not be used any more."""

    def is_full(self, error: BaseException | None) -> bool:
        """Return whether the server answers that it takes no more connections."""

    def is_no_primary(self, error: BaseException) -> bool:
        """Return whether nothing was done, because this server is no longer the primary."""

    def translate(self, error: Exception, where: object, *, is_unknown: bool) -> StoreError:
        """Return the error to raise. `is_unknown`: a write was sent, and may have happened."""


Pooled = TypeVar("Pooled", bound=PooledConnection)


class ConnectionPool(ABC, Generic[Pooled]):
    """Opens connections when calls need them, up to `size`, and closes those that were idle for `idle_time`."""

    _errors: ClassVar[ErrorMeanings]
    _answered: ClassVar[type[Exception]]
    """The client library's class of errors that the server has answered."""
    _parting_s: ClassVar[float] = 0.0
    """Seconds for which `close` waits for calls that were given up."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Pooled]],
        *,
        where: object,
        size: int,
        timeout: float,
        idle_time: float,
    ):
        """`timeout` is what a call may take, waiting included; times in seconds."""
        self._connect = connect
        self._where = where
        self._timeout = timeout
        self._idle_time = idle_time
        self._size = size
        self._room = size
        """How many more connections may be opened."""
        self._idle: list[Pooled] = []
        """The one used last comes last, and is used next."""
        self._open: set[Pooled] = set()
        self._settling: set[asyncio.Task[None]] = set()
        """One for each connection whose call was given up before the server had answered."""
        self._waiting: OrderedDict[asyncio.Future[Pooled], None] = OrderedDict()
        """Calls without a connection; the one that has waited longest comes first."""
        self._opening: set[asyncio.Task[None]] = set()
        """Attempts to open connections."""
        self._last_failure: Exception | None = None
        """Why no connection could be opened the last time; None: one could."""
        self._is_late = False
        """Whether the attempt after a failed one takes so long that it will probably fail too."""
        self._next_check: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._now = asyncio.get_running_loop().time

    async def run(
        self,
        work: Callable[..., Coroutine[Any, Any, Result]],
        *arguments: object,
        may_be_done: Callable[[], bool] = never,
    ) -> Result:
        """Return what `work` returns, given a connection and the arguments.

        `work` must leave no transaction open. `may_be_done` says, after a failure of `work`, whether the server may
        have been asked to change something; what was certainly not done is tried again on another connection.
        Raises a StoreError; OutcomeUnknownError if a write was sent and not answered.
        """
        is_sent = False
        try:
            async with asyncio.timeout(self._timeout):
                for attempt in count(1):
                    is_sent = False
                    connection = self._take_idle() or await self._wait_for_one()
                    try:
                        connection.expect_answer()
                        if may_be_done is not never and self._now() - connection.used_at > FRESH_S:
                            await connection.check()
                        is_sent = True
                        result = await work(connection, *arguments)
                    except Exception as error:
                        is_unknown = is_sent and may_be_done() and self._may_have_happened(error, connection)
                        self._keep_or_discard(connection, error)
                        if connection.has_received_too_much and not is_unknown:
                            raise answers.too_large(self._where) from error
                        if is_unknown or not self._is_worth_repeating(error, attempt):
                            raise self._errors.translate(error, self._where, is_unknown=is_unknown) from error
                        is_sent = False  # what was sent was certainly not carried out
                        await asyncio.sleep(self._pause(attempt))
                    except BaseException:
                        self._abandon(connection)
                        raise
                    else:
                        self._release(connection)
                        return result
        except TimeoutError:
            raise self._late(is_sent, is_sent and may_be_done()) from None
        raise AssertionError("the loop returns or raises")

    def is_full(self, error: StoreError) -> bool:
        """Return whether a call failed because the server takes no more connections."""
        return self._errors.is_full(error.__cause__)

    async def close(self) -> None:
        """Close all connections, at once if it is cancelled; calls that use one fail."""
        self._is_closed = True
        if self._next_check is not None:
            self._next_check.cancel()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(self._closed())
        self._waiting.clear()
        for opening in self._opening:
            opening.cancel()
        try:
            await asyncio.gather(*self._opening, return_exceptions=True)
            if self._settling and self._parting_s:
                await asyncio.wait(self._settling, timeout=self._parting_s)
            idle, self._idle = self._idle, []
            for connection in self._open.difference(idle):
                connection.terminate()
            await asyncio.gather(*self._settling, *(connection.close() for connection in idle))
        finally:
            for connection in self._open:
                connection.terminate()
            self._open.clear()

    @abstractmethod
    def _may_have_happened(self, error: Exception, connection: Pooled) -> bool:
        """Return whether a write that was sent on the connection may have happened in spite of an error."""

    @abstractmethod
    def _is_passing(self, error: Exception) -> bool:
        """Return whether nothing was done, and the call may succeed when it is made again, even several times."""

    @abstractmethod
    def _settling_time(self, connection: Pooled) -> float | None:
        """Return how many seconds the server has to end a statement that was given up; None: as many as it takes."""

    async def _connected(self) -> Pooled:
        """Return a new connection. Raises the client library's errors, or a StoreError."""
        return await self._connect()

    def _take_idle(self) -> Pooled | None:
        """Return an idle connection that is still open."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._discard(connection)
        return None

    async def _wait_for_one(self) -> Pooled:
        """Return a new connection, or the next that becomes free."""
        if self._is_closed:
            raise self._closed()
        if self._is_late and not self._may_get_one:
            raise self._why_unconnected()
        waiting: asyncio.Future[Pooled] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = None
        self._open_more()
        try:
            return await waiting
        except asyncio.CancelledError:
            self._waiting.pop(waiting, None)
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._release(waiting.result())
            raise

    @property
    def _may_get_one(self) -> bool:
        """Whether a call uses a connection that it may release soon."""
        return len(self._open) > len(self._settling)

    def _open_more(self) -> None:
        """Open connections for the calls that wait; if the last attempt failed, one at a time."""
        maximum = len(self._waiting) if self._last_failure is None else min(1, len(self._waiting))
        while self._room and len(self._opening) < maximum and not self._is_closed:
            self._room -= 1
            self._opening.add(asyncio.create_task(self._open_one()))

    async def _open_one(self) -> None:
        """Open a connection; this goes on when the call that needed it has timed out."""
        connection = None
        late = None
        if self._last_failure is not None:
            late = asyncio.get_running_loop().call_later(_PROBE_S, self._probe_is_late)
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connected()
        except Exception as error:  # of any kind: otherwise calls would wait for nothing
            self._last_failure = error
        finally:
            self._opening.discard(asyncio.current_task())
            self._is_late = False
            if late is not None:
                late.cancel()
            if connection is None:
                self._room += 1
        if connection is None:
            self._refuse_waiting()
        else:
            self._last_failure = None
            self._open.add(connection)
            self._release(connection)
        self._open_more()

    def _probe_is_late(self) -> None:
        self._is_late = True
        if not self._may_get_one:
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        """Fail calls that wait, the longest waiting first, until the others may still get a connection."""
        while self._waiting:
            waiting, _ = self._waiting.popitem(last=False)
            if not waiting.done():
                waiting.set_exception(self._why_unconnected())
            if self._may_get_one:
                return

    def _why_unconnected(self) -> StoreError:
        assert self._last_failure is not None
        return self._errors.translate(self._last_failure, self._where, is_unknown=False)

    def _release(self, connection: Pooled) -> None:
        if self._is_closed or connection.is_closed():
            self._discard(connection)
            return
        connection.used_at = self._now()
        while self._waiting:
            waiting, _ = self._waiting.popitem(last=False)
            if not waiting.done():
                waiting.set_result(connection)
                return
        self._idle.append(connection)
        if self._next_check is None:
            self._check_later()

    def _keep_or_discard(self, connection: Pooled, error: Exception) -> None:
        """Keep a connection after an error that has not harmed it; close it after any other."""
        if self._errors.is_no_primary(error) and self._now() - connection.opened_at > FRESH_S:
            self._discard(connection)
            self._discard_idle()  # they lead to the same server
        elif isinstance(error, (self._answered, StoreError)) and not self._errors.is_lost(error):
            self._release(connection)
        else:
            self._discard(connection)
            if self._idle and self._now() - self._idle[0].used_at > FRESH_S:  # they may be lost too
                self._discard_idle()

    def _abandon(self, connection: Pooled) -> None:
        """Keep a connection taken until the server has ended the statement that no caller waits for any more."""
        task = asyncio.create_task(self._settle(connection))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, connection: Pooled) -> None:
        try:
            async with asyncio.timeout(self._settling_time(connection)):
                await connection.settle()
        except Exception:  # of any kind: otherwise the connection would be taken for ever
            self._discard(connection)
        else:
            self._release(connection)

    def _discard(self, connection: Pooled) -> None:
        connection.terminate()
        self._open.discard(connection)
        self._room += 1
        if self._waiting:
            self._open_more()

    def _discard_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            self._discard(connection)

    def _check_later(self) -> None:
        self._next_check = asyncio.get_running_loop().call_later(self._idle_time, self._close_unused)

    def _close_unused(self) -> None:
        """Close the connections that have been idle since the last check."""
        used_before = self._now() - self._idle_time
        unused = [each for each in self._idle if each.used_at <= used_before]
        self._idle = [each for each in self._idle if each.used_at > used_before]
        self._next_check = None
        for connection in unused:
            self._discard(connection)
        if self._idle:
            self._check_later()

    def _late(self, is_sent: bool, may_be_done: bool) -> StoreError:
        late = f"{self._where} did not answer within {self._timeout:g} s"
        if may_be_done:
            return OutcomeUnknownError(late)
        if not is_sent and self._settling:
            return StoreUnavailableError(
                f"{late}: of {self._size} connections (maxConns), {len(self._settling)} have yet to end calls that "
                "were given up; look there for locks that are held for long"
            )
        return StoreUnavailableError(late)

    def _closed(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"the store over {self._where} is closed")

    def _pause(self, attempt: int) -> float:
        """Return how many seconds pass between an attempt, the first one being 1, and the next one."""
        return uniform(0, 0.01) * attempt

    def _is_worth_repeating(self, error: Exception, attempt: int) -> bool:
        """Return whether a call that was certainly not carried out may succeed on another connection, or later."""
        if self._is_passing(error):
            return attempt < ATTEMPTS
        return attempt == 1 and (self._errors.is_lost(error) or self._errors.is_no_primary(error))
