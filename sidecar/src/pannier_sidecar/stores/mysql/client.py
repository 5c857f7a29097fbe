"""A few connections, each lent to one call at a time.

The client library has a pool too; it closes the connection of a call that is given up, while the server goes on with
the statement. Here such a connection stays taken until the server has answered, so the server never runs more than
`size` statements for a store. Then its transaction is undone, and the next call gets it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiomysql

from pannier_sidecar.network import answers
from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError

from . import errors
from .connection import FRESH_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from .connection import Connection

Result = TypeVar("Result")

ATTEMPTS: Final = 10
"""Attempts at a call that MySQL undoes because others write the same keys."""
_SETTLING_S: Final = 60.0
"""Seconds, beside the call's own time, in which the server must end a statement that was given up."""
_PROBE_S: Final = 0.3
"""How long calls wait for the attempt to connect that follows a failed one; then they are refused at once."""


def never() -> bool:
    """Return False: the call changes nothing."""
    return False


def always() -> bool:
    """Return True: a write of one statement may have happened once it was sent."""
    return True


class Pool:
    """Opens connections when calls need them, up to `size`, and closes those that were idle for `idle_time`."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
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
        self._idle: list[Connection] = []
        """The one used last comes last, and is used next."""
        self._open: set[Connection] = set()
        self._settling: set[asyncio.Task[None]] = set()
        """One for each connection whose call was given up before the server had answered."""
        self._waiting: OrderedDict[asyncio.Future[Connection], None] = OrderedDict()
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
                    connection.expect_answer()
                    try:
                        if may_be_done is not never and self._now() - connection.used_at > FRESH_S:
                            await self._on(connection, connection.check())
                        is_sent = True
                        result = await self._on(connection, work(connection, *arguments))
                    except (*errors.ERRORS, StoreError) as error:
                        is_unknown = is_sent and may_be_done() and errors.may_have_happened(error)
                        self._keep_or_discard(connection, error)
                        if connection.has_received_too_much and not is_unknown:
                            raise answers.too_large(self._where) from error
                        if is_unknown or not _is_worth_repeating(error, attempt):
                            raise errors.translate(error, self._where, is_unknown=is_unknown) from error
                        await asyncio.sleep(uniform(0, 0.01) * attempt)
                    else:
                        self._release(connection)
                        return result
        except TimeoutError:
            raise self._late(is_sent, is_sent and may_be_done()) from None
        raise AssertionError("the loop returns or raises")

    async def _on(self, connection: Connection, work: Coroutine[Any, Any, Result]) -> Result:
        """Await work on a connection. If the caller gives up, the statement goes on, and the connection stays taken."""
        task = asyncio.create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._abandon(connection, task)
            raise

    async def close(self) -> None:
        """Close all connections; calls that use one fail."""
        self._is_closed = True
        if self._next_check is not None:
            self._next_check.cancel()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(self._closed())
        self._waiting.clear()
        for opening in self._opening:
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        idle, self._idle = self._idle, []
        for connection in self._open.difference(idle):
            connection.terminate()
        self._open.clear()
        await asyncio.gather(*self._settling, *(connection.close() for connection in idle))

    def _take_idle(self) -> Connection | None:
        """Return an idle connection that is still open."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._discard(connection)
        return None

    async def _wait_for_one(self) -> Connection:
        """Return a new connection, or the next that becomes free."""
        if self._is_closed:
            raise self._closed()
        if self._is_late and not self._may_get_one:
            assert self._last_failure is not None
            raise errors.translate(self._last_failure, self._where, is_unknown=False)
        waiting: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
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
                connection = await self._connect()
        except (*errors.ERRORS, StoreError) as error:
            self._last_failure = error
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._opening.discard(task)
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
        assert self._last_failure is not None
        while self._waiting:
            waiting, _ = self._waiting.popitem(last=False)
            if not waiting.done():
                waiting.set_exception(errors.translate(self._last_failure, self._where, is_unknown=False))
            if self._may_get_one:
                return

    def _release(self, connection: Connection) -> None:
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

    def _keep_or_discard(self, connection: Connection, error: Exception) -> None:
        """Keep a connection after an error that has not harmed it; close it after any other."""
        if errors.is_no_primary(error) and self._now() - connection.opened_at > FRESH_S:
            self._discard(connection)
            self._discard_idle()  # they lead to the same server
        elif isinstance(error, aiomysql.MySQLError | StoreError) and not errors.is_lost(error):
            self._release(connection)
        else:
            self._discard(connection)
            if self._idle and self._now() - self._idle[0].used_at > FRESH_S:  # they may be lost too
                self._discard_idle()

    def _abandon(self, connection: Connection, work: asyncio.Task[Any]) -> None:
        """Keep a connection taken until the server has ended the statement that no caller waits for any more.

        No further statement is sent: a transaction that was not asked to commit must not be committed later.
        """
        connection.give_up()
        task = asyncio.create_task(self._settle(connection, work))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, connection: Connection, work: asyncio.Task[Any]) -> None:
        try:
            async with asyncio.timeout(self._timeout + _SETTLING_S):
                await asyncio.wait([work])
                failure = None if work.cancelled() else work.exception()
                if failure is None or not errors.is_lost(failure):
                    await connection.settle()
        except (*errors.ERRORS, StoreError):
            work.cancel()
            self._discard(connection)
        else:
            self._release(connection)

    def _discard(self, connection: Connection) -> None:
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


def _is_worth_repeating(error: Exception, attempt: int) -> bool:
    """Return whether a call that was certainly not carried out may succeed on another connection, or later."""
    if errors.was_undone(error) or errors.code_of(error) == errors.DUPLICATE_KEY:
        return attempt < ATTEMPTS
    return attempt == 1 and (errors.is_lost(error) or errors.is_no_primary(error))
