"""One connection, which leaves nothing behind that could disturb another client.

Behind a pooler (PgBouncer, Odyssey, a cloud's proxy) each statement may run on another connection of the server, which
other clients use before and after. If a pooler is found, statements therefore have no name, and each call parses, binds
and executes its statement in one message. Otherwise each statement is prepared under a name that no other client ever
uses, because there may be a pooler that was not found. See docs/decisions/0013.
"""

from __future__ import annotations

from asyncio import get_running_loop
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from asyncpg import connect_utils

from pannier_sidecar.network.keepalive import keep_alive

from .errors import ERRORS
from .protocol import BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncpg.prepared_stmt import PreparedStatement

    from pannier_sidecar.clouds.database_tokens import SentToken

_SYNC: Final = "SELECT 1"

connect_utils.protocol.Protocol = BoundedProtocol
"""Replaced here because the client library has no parameter for the protocol class."""


class Connection:
    """A connection of the client library, and the statements that were prepared on it."""

    def __init__(self, raw: asyncpg.Connection, *, is_direct: bool, names_statements: bool):
        """`is_direct`: PostgreSQL itself is at the other end. `names_statements` is for direct connections only."""
        self.is_direct = is_direct
        self._raw = raw
        self._protocol: BoundedProtocol = raw._protocol  # noqa: SLF001  # asyncpg has no public way to it
        self._prefix = f"pannier_{token_hex(12)}_" if names_statements else ""
        self._count = 0
        self._statements: dict[str, PreparedStatement[Any]] = {}
        self.opened_at = self.used_at = get_running_loop().time()
        """When it was opened and last given back, on the loop's clock."""

    def expect_answer(self) -> None:
        """Begin to count the bytes that are received for a call."""
        self._protocol.received = 0

    @property
    def has_received_too_much(self) -> bool:
        """Whether the connection was ended because an answer was larger than answers may be."""
        return self._protocol.has_received_too_much

    async def fetch(self, text: str, *parameters: object) -> list[Any]:
        """Return the rows."""
        statement = self._statements.get(text) or await self._prepared(text)
        rows: list[Any] = await statement.fetch(*parameters)
        return rows

    async def fetchrow(self, text: str, *parameters: object) -> Any:
        """Return the first row, or None."""
        statement = self._statements.get(text) or await self._prepared(text)
        return await statement.fetchrow(*parameters)

    async def execute(self, text: str, *parameters: object) -> str:
        """Return the status, such as `UPDATE 1`."""
        statement = self._statements.get(text) or await self._prepared(text)
        await statement.fetch(*parameters)
        return str(statement.get_statusmsg())

    async def run(self, script: str) -> str:
        """Send statements without parameters, which are not prepared, and return the status of the last one."""
        return str(await self._raw.execute(script))

    async def listen(self, channel: str, on_text: Callable[[str], object], on_end: Callable[[], object]) -> None:
        """Have `on_text` called with the text of each notification of a channel from now on, and `on_end` when the
        connection has ended.
        """
        self._raw.add_termination_listener(lambda _: on_end())
        await self._raw.add_listener(channel, lambda *notification: on_text(notification[-1]))

    async def _prepared(self, text: str) -> PreparedStatement[Any]:
        self._count += 1
        statement = await self._raw.prepare(text, name=f"{self._prefix}{self._count}" if self._prefix else "")
        # Preparing does not send the message that ends a call. A pooler keeps its connection for us until one comes.
        await self._raw.execute(_SYNC)
        self._statements[text] = statement
        return statement

    def forget_statements(self) -> None:
        """Have statements prepared again."""
        self._statements.clear()

    def stop_naming(self) -> None:
        """Have statements prepared again, and without names."""
        self._prefix = ""
        self._statements.clear()

    async def check(self) -> None:
        """Return if the server answers. Raises the client library's errors."""
        await self._raw.execute(_SYNC)

    async def check_transactions(self) -> None:
        """Return if the server keeps transactions of several statements. Raises the client library's errors."""
        if not self.is_direct:
            await self._raw.execute("BEGIN")
            await self._raw.execute("ROLLBACK")

    async def settle(self) -> None:
        """Return when the server has ended the statement that was given up, and no transaction is open.

        The client library asks the server to cancel it. Raises the client library's errors when the connection is lost.
        """
        with suppress(asyncpg.InFailedSQLTransactionError, asyncpg.QueryCanceledError):
            await self._raw.execute(_SYNC)  # is not sent before the cancelled call has been answered
        if self._raw.is_in_transaction():
            await self._raw.execute("ROLLBACK")

    def is_closed(self) -> bool:
        return bool(self._raw.is_closed())

    def terminate(self) -> None:
        self._raw.terminate()

    async def close(self) -> None:
        """Close the connection in order, within a second."""
        try:
            await self._raw.close(timeout=1)
        except ERRORS:
            self._raw.terminate()


async def connect(
    url: str, *, patience: float, names_statements: bool, password: SentToken | None = None
) -> Connection:
    """Return a new connection. Raises the client library's errors, and TimeoutError after `patience` seconds.

    With a token as the password it raises StoreErrors too.
    """
    open_one = partial(asyncpg.connect, url, timeout=patience, statement_cache_size=0)
    try:
        raw = await (open_one() if password is None else password.sent(open_one, _is_refusal))
    except AttributeError as error:  # the server was ready before it reported its version
        raise asyncpg.InternalClientError from error
    try:
        keep_alive(raw._transport.get_extra_info("socket"))  # noqa: SLF001  # asyncpg has no public way to it
        # A pooler has announced a process id of its own; then statements run on whichever connection it chooses.
        is_direct = await raw.fetchval("SELECT pg_backend_pid()") == raw.get_server_pid()
    except BaseException:
        raw.terminate()
        raise
    return Connection(raw, is_direct=is_direct, names_statements=names_statements and is_direct)


def _is_refusal(error: Exception) -> bool:
    """Return whether the server takes neither this user nor this password."""
    return isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)
