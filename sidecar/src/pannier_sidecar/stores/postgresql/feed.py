"""Reports changes of rows, as triggers push them by NOTIFY to a connection that LISTENs.

PostgreSQL delivers the notifications of committed transactions in the order of their commits, to a session that is
idle or has just ended a statement. It keeps none for a session that comes later.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_sidecar.state.errors import NotSupportedError, StoreUnavailableError
from pannier_sidecar.state.feeds import Gap
from pannier_sidecar.state.pushed_changes import PushedChanges

from . import errors
from .connection import Connection
from .expiries import LISTED, Expiries
from .names import key_of, name_of
from .triggers import ARE_THERE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pannier_sidecar.network.connection_pool import ConnectionPool
    from pannier_sidecar.state.feeds import Feed

    from .triggers import Triggers

SERVER: Final = "SELECT pg_postmaster_start_time()::text, NOT pg_is_in_recovery()"
"""What identifies a running server, and whether it takes writes."""
_PROOF: Final = f"{SERVER}, extract(epoch FROM clock_timestamp())::float8, ({ARE_THERE})"
_NO_HISTORY: Final = "PostgreSQL keeps no history of changes"
_EXPIRED_TOGETHER: Final = "more keys expired at once than are listed"
_TRUNCATED: Final = "the table was emptied by TRUNCATE"


class Followed(NamedTuple):
    """A table whose changes are followed, and how to reach it."""

    connect: Callable[[], Awaitable[Connection]]
    pool: ConnectionPool[Connection]
    """The connections on which calls are made."""
    triggers: Triggers
    table: str
    expiring: str
    """The statement that lists the next expiries."""
    where: str
    timeout: float
    """Seconds for each step."""


async def feed(followed: Followed, prefix: str, since: str | None, interval_s: float) -> Feed:
    """Yield the changes of stored keys with the prefix; `interval_s` is the time between two proofs that it is alive.

    Raises NotSupportedError if a pooler is in between or the triggers are missing, StoreUnavailableError when the
    connection is lost or leads to another server than that of calls.
    """
    changes = PushedChanges()
    listening = _Listening(followed, prefix, changes)
    try:
        await listening.begin()
        gap = None if since is None else Gap(_NO_HISTORY)
        async with aclosing(changes.follow(listening.prove, interval_s, gap)) as batches:
            async for batch in batches:
                yield batch
    finally:
        await listening.close()


class _Listening:
    """The connection of one feed."""

    def __init__(self, followed: Followed, prefix: str, changes: PushedChanges):
        self._followed = followed
        self._prefix = name_of(prefix)
        self._changes = changes
        self._connection: Connection | None = None
        self._expiries: Expiries | None = None

    async def begin(self) -> None:
        """Connect and listen. Raises a StoreError."""
        followed = self._followed
        try:
            self._connection = connection = await followed.connect()
            if not connection.is_direct:
                raise NotSupportedError(
                    f"{followed.where} is a pooler, which does not pass notifications of changes on; write the "
                    "server's own address into the component, or changes: poll"
                )
            async with asyncio.timeout(followed.timeout):
                await followed.triggers.check(connection, followed.where)
                await connection.listen(followed.triggers.channel, self._take, self._end)
        except errors.ERRORS as error:
            raise errors.translate(error, followed.where, is_unknown=False) from error

    async def prove(self) -> float:
        """Return a time (of `time.monotonic`) up to which all changes have come. Raises a StoreError.

        A committed transaction has woken the sessions that listen before its client is answered, and these send what
        they have before they answer the next statement. The second statement begins after that.
        """
        followed, connection = self._followed, self._connection
        assert connection is not None
        as_of = monotonic()
        try:
            async with asyncio.timeout(followed.timeout):
                await connection.check()
                connection.expect_answer()
                server, takes_writes, now, has_triggers = await connection.fetchrow(_PROOF, followed.table)
                await self._report_expired(connection, now)
        except errors.ERRORS as error:
            raise errors.translate(error, followed.where, is_unknown=False) from error
        called, _ = await followed.pool.run(Connection.fetchrow, SERVER)
        if not takes_writes or called != server:
            raise StoreUnavailableError(f"{followed.where} is another server now than the one that reported changes")
        if not has_triggers:
            raise StoreUnavailableError(f"{followed.where} has lost the triggers that report changes, or the table")
        return as_of

    async def _report_expired(self, connection: Connection, now: float) -> None:
        """Report the rows that have expired until now, by the database's clock."""
        if self._expiries is None:
            self._expiries = Expiries(now)
        expiries = self._expiries
        after = expiries.begin_listing(now)
        if after is not None:
            connection.expect_answer()
            rows = await connection.fetch(self._followed.expiring, self._prefix, LISTED, *after)
            expiries.end_listing([(name, at) for name, at in rows])
        for name in expiries.due(now):
            self._changes.add(key_of(name), None)
        if expiries.is_behind(now):
            self._changes.lose(_EXPIRED_TOGETHER)
            self._expiries = None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    def _end(self) -> None:
        self._changes.end(StoreUnavailableError(f"the connection to {self._followed.where} was lost"))

    def _take(self, text: str) -> None:
        """Take a notification: the row's place, its ETag and expiry, each `-` if there is none, and its key."""
        assert self._connection is not None
        self._connection.expect_answer()
        if not text:
            self._changes.lose(_TRUNCATED)
            return
        parts = text.split(" ", 3)
        if len(parts) < 4 or not parts[3].startswith(self._prefix):
            return
        _, etag, expiry, name = parts
        self._changes.add(key_of(name), None if etag == "-" else etag)
        if self._expiries is not None:
            at = None
            with suppress(ValueError):
                at = float(expiry)
            self._expiries.note(name, at)
