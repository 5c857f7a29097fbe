"""One connection: it signs in, sets its session, sends statements, and cancels those that are given up."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.keepalive import keep_alive
from pannier_sidecar.state.errors import StoreUnavailableError

from .errors import LoginFailedError, MovedTooOftenError, TLSMissingError, TLSWantedError
from .tds import answers, login, packets, prelogin, requests
from .tds.errors import BrokenProtocolError
from .wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from .settings import SQLServerSettings
    from .tds.answers import Answer, Row
    from .tds.requests import Parameter

_NO_COLLATION: Final = bytes(5)
_MAX_ROUTES: Final = 3
"""How often a server may name another one to go to."""
# Isolation and locking are set, because the store relies on them and a database's defaults may differ. An error undoes
# the whole transaction. A statement of a call that was given up must not wait for locks much longer than the call did.
_SESSION: Final = (
    "SET NOCOUNT ON; SET XACT_ABORT ON; SET IMPLICIT_TRANSACTIONS OFF; SET ARITHABORT ON; "
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCK_TIMEOUT {patience}"
)


class Connection:
    """A connection that is ready for statements."""

    def __init__(self, wire: Wire):
        self._wire = wire
        self._transaction = 0
        """The server's number of the transaction that is open; 0: none."""
        self._collation = _NO_COLLATION
        self._is_answer_due = False
        """Whether a request was sent and its answer has not come: the call that sent it was given up, or goes on."""
        self.opened_at = self.used_at = asyncio.get_running_loop().time()
        """When it was opened and last given back, on the loop's clock."""

    def expect_answer(self) -> None:
        """Begin to count the bytes that are received for a call."""
        self._wire.received = 0

    @property
    def has_received_too_much(self) -> bool:
        """Whether the connection was ended because an answer was larger than answers may be."""
        return self._wire.has_received_too_much

    async def fetch(self, text: str, parameters: Iterable[Parameter] = (), columns: int = 1) -> Sequence[Row]:
        """Return the rows of a statement's last result. Raises ServerError, BrokenProtocolError and OSError."""
        request = requests.statement(text, parameters, self._transaction, self._collation)
        answer = await self._ask(packets.RPC, request)
        if not answer.has_result or any(len(row) != columns for row in answer.rows):
            raise self._broken()
        return answer.rows

    async def count(self, text: str, parameters: Iterable[Parameter] = ()) -> int:
        """Return the number that is a statement's last result. Raises as `fetch` does."""
        rows = await self.fetch(text, parameters)
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise self._broken()
        return rows[0][0]

    async def run(self, statements: str) -> None:
        """Run statements without parameters. Raises as `fetch` does."""
        await self._ask(packets.BATCH, requests.batch(statements, self._transaction))

    async def begin(self) -> None:
        await self.run("BEGIN TRANSACTION")

    async def commit(self) -> None:
        await self.run("COMMIT TRANSACTION")

    async def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self._transaction:
            await self.run("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
            self._transaction = 0

    async def check(self) -> None:
        """Return if the server answers."""
        await self.run("SELECT 1")

    async def settle(self) -> None:
        """Return when the server has ended the statement of a call that was given up, and no transaction is open.

        The server is asked to cancel it, which it confirms. Raises OSError and BrokenProtocolError.
        """
        if self._is_answer_due:
            await self._wire.send(packets.ATTENTION, b"")
            while not (await self._next_answer()).is_cancelled:
                self._wire.received = 0
            self._is_answer_due = False
        await self.rollback()

    def is_closed(self) -> bool:
        """Return whether no call can use it any more. No call may be using it now."""
        return self._wire.is_closed()

    def terminate(self) -> None:
        self._wire.abort()

    async def close(self) -> None:
        """Close the connection. The protocol has no farewell."""
        self._wire.abort()

    async def _ask(self, kind: int, request: bytes) -> Answer:
        if self._is_answer_due:
            raise StoreUnavailableError("the caller has given the call up")
        self._is_answer_due = True
        await self._wire.send(kind, request)
        answer = await self._next_answer()
        self._is_answer_due = False
        if answer.error is not None:
            raise answer.error
        return answer

    async def _next_answer(self) -> Answer:
        answer = await read_answer(self._wire)
        if answer.transaction is not None:
            self._transaction = answer.transaction
        self.take_over(answer)
        return answer

    def take_over(self, answer: Answer) -> None:
        """Remember what an answer says about the connection."""
        if answer.collation is not None:
            self._collation = answer.collation
        if answer.packet_size is not None:
            if not 512 <= answer.packet_size <= packets.LARGEST:
                raise self._broken()
            self._wire.packet_size = answer.packet_size

    def _broken(self) -> BrokenProtocolError:
        self.terminate()
        return BrokenProtocolError()


async def read_answer(wire: Wire) -> Answer:
    """Return what the next message says. Raises OSError and BrokenProtocolError; then the connection is closed."""
    message = await wire.message()
    try:
        if message.kind != packets.ANSWER:
            raise BrokenProtocolError
        return answers.read(message.content)
    except BrokenProtocolError:
        wire.abort()
        raise


async def connect(
    settings: SQLServerSettings, context: ssl.SSLContext | None, token: str, database: str | None = None
) -> Connection:
    """Return a new connection to a database, by default that of the settings; an empty name is the user's own.

    `token` is one of Entra ID, or empty. Raises OSError, ServerError, and the errors of `errors.py`.
    """
    who = login.Login(
        server=settings.server.host,
        database=settings.database if database is None else database,
        user=settings.user,
        password=settings.password.reveal(),
        token=token,
        host=socket.gethostname()[: login.MAX_LENGTH],
    )
    host, port = settings.server.host, settings.server.port or 0
    for _ in range(_MAX_ROUTES):
        wire = Wire(asyncio.get_running_loop())
        try:
            answer = await _sign_in(wire, host, port, settings, context, who)
            if answer.route is not None:
                wire.abort()
                host, port = answer.route.host.partition("\\")[0], answer.route.port
                who = who._replace(server=host)
                continue
            if not answer.is_signed_in:
                raise LoginFailedError
            connection = Connection(wire)
            connection.take_over(answer)
            await connection.run(_SESSION.format(patience=max(1000, math.ceil(settings.timeout * 1000))))
        except BaseException:
            wire.abort()
            raise
        return connection
    raise MovedTooOftenError


async def _sign_in(
    wire: Wire, host: str, port: int, settings: SQLServerSettings, context: ssl.SSLContext | None, who: login.Login
) -> Answer:
    loop = asyncio.get_running_loop()
    name = settings.certificate_name or host
    is_strict = settings.encryption == "strict"
    await loop.create_connection(
        lambda: wire, host, port, ssl=context if is_strict else None, server_hostname=name if is_strict else None
    )
    keep_alive(wire.socket)
    wants_tls = settings.encryption not in ("strict", "disable")
    await wire.send(
        packets.PRELOGIN,
        prelogin.offer(prelogin.ON if wants_tls else prelogin.NOT_SUPPORTED, has_token=bool(who.token)),
    )
    offered = prelogin.read((await wire.message()).content)
    if wants_tls:
        if offered.encryption not in (prelogin.ON, prelogin.REQUIRED):
            raise TLSMissingError
        assert context is not None
        await wire.encrypt(context, name)
    elif settings.encryption == "disable" and offered.encryption in (prelogin.ON, prelogin.REQUIRED):
        raise TLSWantedError
    await wire.send(packets.LOGIN, login.login(who, offered))
    answer = await read_answer(wire)
    if answer.error is not None:
        raise answer.error
    return answer
