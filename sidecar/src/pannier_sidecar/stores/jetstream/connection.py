"""One connection of nats-py, which ends for good when it is lost, with bounds on what a server may send.

nats-py would connect again by itself, and send what had waited meanwhile, long after its caller has got an error. So it
may not reconnect here: `client.py` makes a new connection, and what an old one had not sent is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from contextlib import suppress
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol import parser

from pannier_sidecar.network import answers

from . import errors
from .errors import LostError, NotEncryptedError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from pannier_crds.addresses.nats import NatsServer
    from pannier_sidecar.state.errors import StoreError

    from .settings import JetStreamSettings

MAX_LINE: Final = 64 * 1024
"""Bytes of a line of the protocol."""
MAX_HEADER: Final = 16 * 1024
"""Bytes of a message's header; nats-py makes a text of each field."""
MAX_UNSENT: Final = 64 * 1024 * 1024
"""Bytes that wait for the server to read."""
PING_EVERY_S: Final = 30
PULL: Final = "$JS.API.CONSUMER.MSG.NEXT."
"""The beginning of the subject by which a consumer's messages are asked for."""
MAX_CLOSING_S: Final = 2.0

logging.getLogger("nats.aio.client").disabled = True  # it logs what servers say


class Call(NamedTuple):
    """A request that is not answered yet."""

    subject: str
    answer: asyncio.Future[Msg]


class BoundedTransport(TcpTransport):
    """Reads no more than an answer may have, speaks TLS where that is wanted, and never waits for a peer to end."""

    def __init__(self, parsing: parser.Parser, needs_tls: bool):
        super().__init__()  # type: ignore[no-untyped-call]
        self.heard_at = 0.0
        """Loop time when something was last received."""
        self._parsing = parsing
        self._lacks_tls = needs_tls

    def __bool__(self) -> bool:
        return True  # nats-py would put a transport of its own in the place of one that is not connected yet

    async def connect_tls(self, *arguments: Any, **options: Any) -> None:
        await super().connect_tls(*arguments, **options)
        if self._io_reader is not None and self._io_writer is not None:
            self._io_reader.set_transport(self._io_writer.transport)  # else it would read without a limit
        self._lacks_tls = False

    def write(self, payload: bytes) -> None:
        if self._lacks_tls:
            raise NotEncryptedError
        super().write(payload)  # type: ignore[no-untyped-call]

    async def read(self, buffer_size: int) -> bytes:
        in_payload = self._parsing.state == parser.AWAITING_MSG_PAYLOAD
        if max(self._parsing.needed if in_payload else 0, len(self._parsing.buf)) > answers.limit():
            raise ConnectionError
        if in_payload and self._parsing.header_needed > MAX_HEADER:
            raise ConnectionError
        if not in_payload and len(self._parsing.buf) > MAX_LINE:
            raise ConnectionError
        data: bytes = await super().read(buffer_size)
        self.heard_at = asyncio.get_running_loop().time()
        return data

    def close(self) -> None:
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()


class Connection(Client):
    """A connection to one server. `is_over` when it has ended."""

    def __init__(self, server: NatsServer, settings: JetStreamSettings):
        super().__init__()
        self.is_over = False
        self.pull_refusal: StoreError | None = None
        """Why the messages of a consumer may not be asked for."""
        self._server = server
        self._settings = settings
        self._line = BoundedTransport(self._ps, server.needs_tls)
        self._transport = self._line
        self._inbox = f"_INBOX.{token_hex(11)}"
        self._numbers = count()
        self._calls: dict[str, Call] = {}
        self._refusal: Exception | None = None
        self._receiving: asyncio.Task[None] | None = None
        """The task that receives answers."""

    async def open(self, seconds: float) -> None:
        """Connect and log in. Raises errors of nats-py, of the system and of TLS."""
        settings, server = self._settings, self._server
        login: dict[str, Any] = {}
        if settings.jwt:
            login = {"user_jwt_cb": lambda: bytearray(settings.jwt.reveal().encode()), "signature_cb": self._sign}
        elif server.user is not None and server.secret is not None:
            login = {"user": server.user.reveal(), "password": server.secret.reveal()}
        elif server.secret is not None:
            login = {"token": server.secret.reveal()}
        await self.connect(
            [f"nats://{server.address}"],
            error_cb=self._on_error,
            name=settings.name or None,
            allow_reconnect=False,
            connect_timeout=seconds,  # type: ignore[arg-type]  # it is only passed to asyncio
            ping_interval=PING_EVERY_S,
            pending_size=0,  # nothing waits for a connection
            tls=settings.encryption.context() if settings.encryption else None,
            **login,
        )
        if not (isinstance(self.max_payload, int) and self.max_payload > 0):
            raise nats.errors.ProtocolError
        assert self._reading_task is not None
        self._reading_task.add_done_callback(self._on_end)
        subscription = await self.subscribe(f"{self._inbox}.*", cb=self._on_answer)
        self._receiving = subscription._wait_for_msgs_task  # noqa: SLF001 - else it would end after `close`

    async def ask(self, subject: str, payload: bytes, fields: Mapping[str, str] | None, deadline: float) -> Msg:
        """Return the answer to a request. Raises NotSentError, LostError, TimeoutError, StoreRefusedError."""
        loop = asyncio.get_running_loop()
        if self.is_over or self.pending_data_size > MAX_UNSENT:
            raise NotSentError
        number, began = str(next(self._numbers)), loop.time()
        call = self._calls[number] = Call(subject, loop.create_future())
        try:
            try:
                await self.publish(subject, payload, f"{self._inbox}.{number}", dict(fields) if fields else None)
            except nats.errors.Error as error:
                raise NotSentError from error
            async with asyncio.timeout_at(deadline):
                return await call.answer
        except TimeoutError:
            if self._line.heard_at <= began:
                self.abort()  # the server is silent, so what it has not read must not reach it later
            raise
        finally:
            self._calls.pop(number, None)

    async def inbox(self, limit: int) -> Subscription:
        """Return a subscription with a subject of its own, which holds up to `limit` messages."""
        return await self.subscribe(f"_INBOX.{token_hex(11)}", pending_msgs_limit=limit)

    def abort(self) -> None:
        """End the connection at once; what was not sent is dropped."""
        self.is_over = True
        self._pending.clear()
        self._pending_data_size = 0
        self._line.close()

    async def close(self) -> None:
        """End the connection and all its tasks; calls in flight fail."""
        self.abort()
        with suppress(Exception):
            async with asyncio.timeout(MAX_CLOSING_S):
                await super().close()
        own = (self._reading_task, self._ping_interval_task, self._flusher_task, self._receiving)
        tasks = [task for task in own if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=MAX_CLOSING_S)
        self._fail_calls()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        info.pop("connect_urls", None)  # nats-py would keep every address that a server names, however many it names
        await super()._process_info(info, initial_connection)

    def _sign(self, nonce: str) -> bytes:
        import nkeys

        pair = nkeys.from_seed(bytearray(self._settings.seed.reveal().encode()))
        return b64encode(pair.sign(nonce.encode()))

    async def _on_answer(self, message: Msg) -> None:
        call = self._calls.get(message.subject.rpartition(".")[2])
        if call is not None and not call.answer.done():
            call.answer.set_result(message)

    async def _on_error(self, error: Exception) -> None:
        """While connecting, raise the error, so that nats-py does not try again. Later, find out who may not do what.

        The server answers to a subject that the user may not use with an error that quotes it in lower case.
        """
        if self._reading_task is None:
            raise error
        said = str(error)
        if "permissions violation" not in said:
            return
        if "subscription" in said:
            self._refusal = errors.may_not_receive(self._settings.where)
            self.abort()
            return
        if PULL.lower() in said:  # such a request has no call that waits
            self.pull_refusal = errors.may_not(f"{PULL}>", self._settings.bucket, self._settings.where)
        concerned = [call for call in self._calls.values() if f'"{call.subject.lower()}"' in said]
        if len({call.subject for call in concerned}) == 1:
            for call in concerned:
                if not call.answer.done():
                    settings = self._settings
                    call.answer.set_exception(errors.may_not(call.subject, settings.bucket, settings.where))

    def _on_end(self, _: object) -> None:
        self.abort()
        self._fail_calls()

    def _fail_calls(self) -> None:
        for call in list(self._calls.values()):
            if not call.answer.done():
                call.answer.set_exception(self._refusal or LostError())
