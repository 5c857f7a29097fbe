"""One connection: how it signs in, how its session is set, and bounds on what a server sends.

The client library gets no parameters: the store writes its statements whole. Values come back as bytes.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiomysql
from pymysql.constants import CLIENT

from pannier_sidecar.network import answers
from pannier_sidecar.network.keepalive import keep_alive
from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError

from .errors import ERRORS, BrokenProtocolError, PlainPasswordError, TLSMissingError, is_login_refused, is_lost

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    from pannier_sidecar.clouds.database_tokens import SentToken

    from .settings import MySQLSettings

_PACKET_COST: Final = 100
"""Bytes that each packet of an answer counts for beside its content: an empty row takes memory too."""
_HEADER: Final = 4
_PLAIN: Final = ("mysql_clear_password", "mysql_old_password")
"""Ways to sign in that send the password as it is, or nearly so."""
# Isolation and strictness are set, because the store relies on them and a server's defaults may be weaker. A statement
# of a call that was given up must not wait for locks much longer than the call did.
_SESSION: Final = (
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, "
    "innodb_lock_wait_timeout = {patience}, lock_wait_timeout = {patience}",
)

Row = tuple[bytes | None, ...]
Result = TypeVar("Result")


class _Raw(aiomysql.Connection):  # type: ignore[misc]  # it has no types
    """The client library's connection, which signs in only as the settings allow, and reads no more than it may."""

    def __init__(self, *, tls: str, may_send_password: bool, **options: Any):
        super().__init__(**options)
        self.client_flag &= ~CLIENT.MULTI_STATEMENTS
        self._ssl_context: ssl.SSLContext | None
        self._tls = tls
        self._may_send_password = may_send_password
        self._limit = answers.limit()
        self.received = 0
        """Bytes since this was last set to 0."""
        self.has_received_too_much = False

    async def _request_authentication(self) -> None:
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            if self._tls != "preferred":
                raise TLSMissingError  # the library would go on without
            self._ssl_context = None
            self.client_flag &= ~CLIENT.SSL
        self._check_method(self._server_auth_plugin)
        await super()._request_authentication()

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        self._check_method(plugin_name.decode("ascii", "replace"))
        return await super()._process_auth(plugin_name, auth_packet)

    def _check_method(self, method: str) -> None:
        is_safe = self._may_send_password and (self._ssl_context or self._unix_socket)
        if method in _PLAIN and not is_safe:
            raise PlainPasswordError

    async def _read_bytes(self, num_bytes: int) -> bytes:
        self.received += num_bytes + (_PACKET_COST if num_bytes == _HEADER else 0)
        if self.received > self._limit:
            self.has_received_too_much = True
            self.close()
            raise BrokenProtocolError
        found: bytes = await super()._read_bytes(num_bytes)
        return found


class Connection:
    """A connection of the client library that is ready for statements."""

    def __init__(self, raw: _Raw, max_statement: int):
        """`max_statement`: the largest statement that the server takes, in bytes."""
        self._raw = raw
        self._max_statement = max_statement
        self._is_in_transaction = False
        self._given_up: asyncio.Task[Any] | None = None
        """The work of a call that was given up, while the server may still be busy with its statement."""
        self.opened_at = self.used_at = asyncio.get_running_loop().time()
        """When it was opened and last given back, on the loop's clock."""

    def expect_answer(self) -> None:
        """Begin to count the bytes that are received for a call."""
        self._raw.received = 0

    @property
    def has_received_too_much(self) -> bool:
        """Whether the connection was ended because an answer was larger than answers may be."""
        return bool(self._raw.has_received_too_much)

    async def fetch(self, statement: str, columns: int = 1) -> Sequence[Row]:
        """Return the rows. Raises StoreRefusedError for a statement that is too large, and the library's errors."""
        await self._query(statement)
        rows: Sequence[Row] = self._raw._result.rows or ()  # noqa: SLF001  # a cursor would cost more than it does
        if any(len(row) != columns for row in rows):
            self.terminate()
            raise BrokenProtocolError
        return rows

    async def execute(self, statement: str) -> int:
        """Return how many rows were changed, or found. Raises as `fetch` does."""
        await self._query(statement)
        return int(self._raw.affected_rows())

    async def begin(self) -> None:
        self._is_in_transaction = True
        await self._query("BEGIN")

    async def commit(self) -> None:
        await self._query("COMMIT")
        self._is_in_transaction = False

    async def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self._is_in_transaction:
            await query(self._raw, "ROLLBACK")
            self._is_in_transaction = False

    async def carry_out(self, work: Callable[..., Coroutine[Any, Any, Result]], *arguments: object) -> Result:
        """Return what `work` returns, given this connection and the arguments.

        If the caller gives up, the statement that was sent goes on, because the client library would close the
        connection. No further one is sent: a transaction that was not asked to commit must not be committed later.
        """
        task = asyncio.create_task(work(self, *arguments))
        try:
            return await asyncio.shield(task)
        finally:
            if not task.done():
                self._given_up = task

    async def settle(self) -> None:
        """Return when the server has ended the statement of a call that was given up, and no transaction is open.

        Raises the client library's errors when the connection is lost.
        """
        if self._given_up is not None:
            await _ended(self._given_up)
        await self.rollback()
        self._given_up = None

    async def check(self) -> None:
        """Return if the server answers."""
        await self.carry_out(Connection.execute, "DO 1")

    async def _query(self, statement: str) -> None:
        if self._given_up is not None:
            raise StoreUnavailableError("the caller has given the call up")
        if len(statement) >= self._max_statement:
            raise StoreRefusedError(
                f"a value is too large for the server, which takes statements of {self._max_statement >> 10} KiB; "
                "raise its max_allowed_packet"
            )
        await query(self._raw, statement)
        if self._raw._result.has_next:  # noqa: SLF001
            self.terminate()
            raise BrokenProtocolError

    def is_closed(self) -> bool:
        """Return whether the connection is closed, or has received what nobody asked for. No call may be using it."""
        raw = self._raw
        return bool(raw.closed or raw._reader.eof_received or raw._reader._buffer)  # noqa: SLF001

    def terminate(self) -> None:
        _abort(self._raw)

    async def close(self) -> None:
        """Close the connection in order."""
        with suppress(Exception):  # whatever it is, nothing of it is needed any more
            await self._raw.ensure_closed()
        self.terminate()


async def _ended(work: asyncio.Task[Any]) -> None:
    """Return when work that was given up has ended. Raises its error if the connection is lost."""
    try:
        await asyncio.wait([work])
    finally:
        work.cancel()  # if nobody waits any more
    failure = None if work.cancelled() else work.exception()
    if failure is not None and is_lost(failure):
        raise failure


async def query(raw: _Raw, statement: str) -> None:
    """Send a statement and read its answer. Raises the library's errors, and BrokenProtocolError for an answer that is
    none; after that the connection is closed.
    """
    try:
        await raw.query(statement.encode())
    except aiomysql.MySQLError:
        raise
    except Exception as error:  # of any kind, for bytes that the library does not expect
        _abort(raw)
        raise BrokenProtocolError from error


async def connect(
    settings: MySQLSettings, context: ssl.SSLContext | None, password: SentToken | None = None
) -> Connection:
    """Return a new connection. Raises the client library's errors, and those of `errors.py`.

    With a token as the password it raises StoreErrors too.
    """
    open_one = partial(_connect, settings, context)
    if password is None:
        return await open_one(password=settings.password.reveal())
    return await password.sent(open_one, is_login_refused)


async def _connect(settings: MySQLSettings, context: ssl.SSLContext | None, *, password: str) -> Connection:
    server = settings.server
    raw = _Raw(
        tls=settings.tls,
        may_send_password=settings.sends_password_as_text,
        host=server.host if server else "localhost",
        port=server.port if server else 0,
        unix_socket=settings.socket or None,
        user=settings.user,
        password=password.encode().decode("latin1"),  # the library encodes it as latin1
        charset="utf8mb4",
        conv={},
        use_unicode=False,
        autocommit=None,
        ssl=context,
        program_name="pannier",
    )
    try:
        await _open(raw)
        for statement in _SESSION:
            await query(raw, statement.format(patience=max(1, math.ceil(settings.timeout))))
        await query(raw, "SELECT @@max_allowed_packet")
        ((maximum,),) = raw._result.rows  # noqa: SLF001
        return Connection(raw, int(maximum))
    except BaseException as error:
        _abort(raw)
        if isinstance(error, Exception) and not isinstance(error, ERRORS):  # of bytes that the library does not expect
            raise BrokenProtocolError from error
        raise


async def _open(raw: _Raw) -> None:
    try:
        await raw._connect()  # noqa: SLF001  # its public way makes a connection of its own class
    except aiomysql.OperationalError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # it says why there is no connection
        raise
    keep_alive(raw._writer.get_extra_info("socket"))  # noqa: SLF001


def _abort(raw: _Raw) -> None:
    """Close a connection at once. The library's own way waits until the kernel has taken all that was written."""
    if raw._writer is not None:  # noqa: SLF001
        raw._writer.transport.abort()  # noqa: SLF001
    raw.close()
