"""A consumer of a bucket's messages: JetStream sends them, without their values, as they are asked for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import nats.errors
from msgspec import DecodeError, json

from pannier_sidecar.state.errors import StoreError, StoreUnavailableError

from . import errors, layout
from .connection import PULL
from .layout import ConsumerAnswer

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from .client import Client
    from .connection import Connection
    from .settings import JetStreamSettings

BATCH: Final = 256
"""Messages that are asked for at once: the server sends no more before it is asked again."""
_WAIT_S: Final = 20
"""Seconds for which such a request waits for messages."""
_INACTIVE_S: Final = 300
"""Seconds after which the server forgets a consumer that asks for nothing."""
_NANO: Final = 1_000_000_000
_ENDED: Final = frozenset({"404", "408"})
"""Statuses that end a request: there were no messages, or it has waited for long enough."""
_ACK: Final = "$JS.ACK."
_FIELDS: Final = {9: 4, 11: 6, 12: 6}
"""For each number of tokens in the subject for an acknowledgement: how many stand before its numbers. In newer servers
the domain and the account do too, and a random token may be the last.
"""


class Delivered(NamedTuple):
    """What a message says of its key."""

    name: str
    sequence: int
    stored_at: int
    """Unix time in nanoseconds, by the server's clock."""
    etag: str | None
    """None: the key is gone."""


class Consumer:
    """Receives the messages whose subjects match a pattern, after one of them. Every method raises a StoreError."""

    def __init__(self, client: Client, settings: JetStreamSettings, stream: str, subject: str):
        self._client = client
        self._settings = settings
        self._stream = stream
        self._subject = subject
        self._name = ""
        self._connection: Connection | None = None
        self._received = 0
        """Messages so far, by the consumer's own numbers."""
        self._left = 0
        """Messages that the request in flight may still bring."""
        self._request_ends = 0.0

    async def create(self, pattern: str, after: int) -> None:
        """Have the server make it, for messages after this number."""
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subject": pattern,
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _INACTIVE_S * _NANO,
        }
        request = json.encode({"stream_name": self._stream, "config": config})
        answer = await self._client.request(f"$JS.API.CONSUMER.CREATE.{self._stream}", request)
        try:
            made = json.decode(answer, type=ConsumerAnswer)
        except (DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._nonsense() from error
        if made.error is not None:
            raise errors.of_api(made.error, self._settings, is_write=False)
        if not made.name or not made.name.isascii() or not made.name.isalnum():
            raise self._nonsense()
        self._name = made.name
        self._connection = await self._client.connection()
        self._inbox = await self._connection.inbox(2 * BATCH)

    async def receive(self, seconds: float) -> list[Delivered]:
        """Return the next messages; none if that many seconds pass."""
        connection = self._open_connection()
        if connection.pull_refusal is not None:
            raise connection.pull_refusal
        loop = asyncio.get_running_loop()
        if self._left <= 0 or loop.time() >= self._request_ends:
            await self._ask()
        found: list[Delivered] = []
        try:
            message = await self._inbox.next_msg(timeout=max(seconds, 0.001))
            self._take(message, found)
            while self._inbox.pending_msgs and len(found) < BATCH:
                self._take(await self._inbox.next_msg(timeout=self._settings.timeout), found)
        except nats.errors.TimeoutError:
            pass
        except nats.errors.Error as error:
            raise self._lost() from error
        if not found and connection.is_over:
            raise self._lost()
        return found

    async def close(self) -> None:
        """Have the server forget it."""
        if self._connection is None:
            return
        with suppress(nats.errors.Error):
            await self._inbox.unsubscribe()
        if not self._connection.is_over:
            with suppress(StoreError):
                await self._client.request(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        request = json.encode({"batch": BATCH, "expires": _WAIT_S * _NANO})
        subject = f"{PULL}{self._stream}.{self._name}"
        try:
            await self._open_connection().publish(subject, request, self._inbox.subject)
        except nats.errors.Error as error:
            raise self._lost() from error
        self._left = BATCH
        self._request_ends = loop.time() + _WAIT_S + self._settings.timeout

    def _take(self, message: Msg, found: list[Delivered]) -> None:
        status = (message.headers or {}).get("Status")
        if status is not None and not message.reply.startswith(_ACK):
            if status in _ENDED:
                self._left = 0
            elif status != "100":
                raise StoreUnavailableError(f"{self._settings.where} has given up the consumer of the bucket's changes")
            return
        self._left -= 1
        found.append(self._delivered(message))

    def _delivered(self, message: Msg) -> Delivered:
        tokens = message.reply.split(".")
        before = _FIELDS.get(len(tokens))
        numbers = tokens[before + 1 : before + 4] if before is not None and message.reply.startswith(_ACK) else []
        if len(numbers) != 3 or not all(each.isascii() and each.isdigit() and len(each) < 20 for each in numbers):
            raise self._nonsense()
        sequence, received, stored_at = map(int, numbers)
        self._received += 1
        if received != self._received or not message.subject.startswith(self._subject):
            raise self._nonsense()
        fields = message.headers or {}
        try:
            expires_at = layout.expiry(fields.get(layout.TTL), stored_at // 1000 / 1_000_000)
        except (ValueError, OverflowError) as error:
            raise self._nonsense() from error
        is_gone = layout.is_marker(fields.get("KV-Operation", "").encode(), "Nats-Marker-Reason" in fields)
        etag = None if is_gone or layout.has_expired(expires_at) else layout.etag_of(sequence, expires_at)
        return Delivered(message.subject[len(self._subject) :], sequence, stored_at, etag)

    def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.is_over:
            raise self._lost()
        return self._connection

    def _lost(self) -> StoreError:
        return StoreUnavailableError(f"the connection to {self._settings.where} was lost")

    def _nonsense(self) -> StoreError:
        return StoreUnavailableError(f"{self._settings.where} did not answer as JetStream does")
