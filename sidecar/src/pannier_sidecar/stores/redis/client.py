"""Decides which server gets a call, and when the call is made again.

The fast path is `call`, which sends on an existing connection. Everything else is in `call_with_retries`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hiredis import ReplyError
from msgspec import Struct

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError

from . import errors, scripts
from .connecting import check_primary
from .reconnecting import Link
from .replicas import ReplicaCount
from .slots import SLOTS
from .strong import StrongWrites

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from .connection import Connection
    from .logins import Logins
    from .settings import Address, RedisSettings

    Connect = Callable[[Address, float], Awaitable[Connection]]
    """Makes a connection to a server in at most so many seconds. Raises a StoreError."""

PAUSE_IN_TRANSITION_S: Final = 0.05
"""Seconds between attempts while the server answers that it cannot carry out the call yet."""
MAX_LOGINS: Final = 2
"""Errors of a call after which a server that wants a login is not signed in to again for it."""
MAX_ERRORS: Final = 200
"""Attempts after which an error that should be temporary is raised."""


class Request(Struct):
    """A call as it is sent, with what is needed to send it again."""

    key: bytes
    """Decides which server gets it."""
    payload: bytes
    replies: int = 1
    may_repeat: bool = False
    """Whether it is a read. A write that may have been carried out is never repeated: others may have written since."""
    is_strong: bool = False
    """Whether replicas have to acknowledge it."""


Trouble = ConnectionLostError | ReplyError | None
"""Why a request is not answered yet; None: it has not been sent."""


class Node:
    """One server that takes writes."""

    def __init__(
        self, dial: Callable[[], Awaitable[Connection]], settings: RedisSettings, *, replicas_are_known: bool = False
    ):
        """`replicas_are_known`: Sentinels or a Cluster know how many the server should have."""
        self._dial = dial
        self._settings = settings
        self.link = self._new_link()
        self.replicas = ReplicaCount(is_known=replicas_are_known)
        """How many have to acknowledge a strong write."""
        self._strong: StrongWrites | None = None
        self._of_feeds: set[Connection] = set()
        self._is_closed = False

    @property
    def strong(self) -> StrongWrites:
        """Strong writes have their own connection, because WAIT blocks one; it is made for the first of them."""
        if self._is_closed:
            raise StoreUnavailableError("the Redis store is closed")
        if self._strong is None:
            link = self._new_link()
            link.start()
            self._strong = StrongWrites(link, self._settings, self.replicas)
        return self._strong

    def drop(self, reason: str) -> None:
        """Drop the connections, and find the server again."""
        for link in self._links():
            link.drop(reason)
        for connection in tuple(self._of_feeds):
            connection.abort(reason)

    def move_to(self, server: str, why: str) -> None:
        """Drop connections to any other server than this one (host:port) at once."""
        for link in self._links():
            link.drop_unless_at(server, why)
            link.retry_now()
        for connection in tuple(self._of_feeds):
            if connection.name != server:
                connection.abort(why)

    def keep_for_feed(self, connection: Connection) -> None:
        """End a feed's connection too whenever those for calls are dropped."""
        self._of_feeds.add(connection)
        connection.lost.add_done_callback(lambda _: self._of_feeds.discard(connection))

    async def close(self) -> None:
        self._is_closed = True
        for connection in tuple(self._of_feeds):
            connection.abort("the Redis store is closed")
        await self.link.close()
        if self._strong is not None:
            await self._strong.close()

    def _links(self) -> Iterator[Link]:
        yield self.link
        if self._strong is not None:
            yield self._strong.link

    def _new_link(self) -> Link:
        settings = self._settings
        return Link(self._dial, settings.min_pause, settings.max_pause, settings.dial_timeout)


class Servers(ABC):
    """All servers of a component."""

    def __init__(self, settings: RedisSettings):
        self._settings = settings
        self.logins: Logins | None = None
        """What signs in again where a server wants a login; None: nothing does."""

    @abstractmethod
    async def open(self) -> None:
        """Connect and sign in. Raises a StoreError."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def ping(self) -> None:
        """Raise a StoreError unless every server answers now."""

    @abstractmethod
    def connection(self, key: bytes) -> Connection | None:
        """Return the connection to send a call for `key` on, None if there is none that takes calls."""

    @abstractmethod
    async def node(self, key: bytes, deadline: float) -> Node:
        """Return the server that has `key`. Raises a StoreError if none is known by `deadline` (loop time)."""

    @abstractmethod
    async def owner(self, slot: int, deadline: float) -> tuple[Node, int]:
        """Return the server of a hash slot, and the last slot of the range that it has from there on."""

    async def still_has(self, connection: Connection, first: int, last: int, deadline: float) -> bool:
        """Return whether the server at the other end has these hash slots, as it says itself. If not, return when it is
        known, at the latest at `deadline` (loop time), which server has them.
        """
        return True

    @abstractmethod
    async def redirect(self, request: Request, error: ReplyError, deadline: float) -> Any | None:
        """Follow a MOVED, ASK or CLUSTERDOWN. Return the answer if only this request had to go to another server (ASK),
        else None.
        """

    @abstractmethod
    async def connect_for_feed(self, connect: Connect) -> Sequence[Connection]:
        """Return a connection to each server that may take writes. Each is ended when calls would be sent to another
        server instead. Raises a StoreError.
        """

    roll_call: ClassVar[bytes] = b"*1\r\n$4\r\nROLE\r\n"
    """What is sent on each of these connections to find out whether they still lead to all such servers."""

    async def check_roll(self, connections: Sequence[Connection], replies: Sequence[Any], as_of: float) -> None:
        """Raise a StoreError if they do not, by the replies to `roll_call`, which was sent after `as_of`
        (`time.monotonic`).
        """
        for connection, reply in zip(connections, replies, strict=True):
            if not isinstance(reply, list | ReplyError):
                raise StoreUnavailableError(f"the server at {connection.name} is not Redis; check redisHost")
            check_primary(reply, connection.name)

    def grouped(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """Return the indexes of `keys` in groups, one for each server."""
        return [range(len(keys))]

    def check_together(self, keys: Sequence[bytes]) -> None:
        """Raise NotSupportedError if no server can change all these keys in one script."""
        return

    async def ready(self, key: bytes) -> None:
        """Return when the server with `key` takes calls. Raises a StoreError if it does not in time."""
        deadline = asyncio.get_running_loop().time() + self._settings.dial_timeout
        await (await self.node(key, deadline)).link.usable(deadline, self._settings.write_timeout)

    async def call(self, key: bytes, payload: bytes, replies: int, may_repeat: bool) -> Any:
        """Return what the server with `key` replies to `payload`; replies that are errors are returned too.

        Raises StoreUnavailableError if nothing was done, OutcomeUnknownError if a write may have been.
        """
        connection = self.connection(key)
        if connection is None:
            return await self.call_with_retries(Request(key, payload, replies, may_repeat), None)
        try:
            return await connection.send(payload, replies)
        except ConnectionLostError as lost:
            return await self.call_with_retries(Request(key, payload, replies, may_repeat), lost)

    async def call_with_retries(self, request: Request, trouble: Trouble, deadline: float | None = None) -> Any:
        """Send a request, after `trouble`, until it is answered, may not be repeated, or the deadline has passed.

        As `call`, but a temporary error that lasts is raised, not returned.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.dial_timeout if deadline is None else deadline
        losses = error_replies = 0
        while True:
            try:
                if isinstance(trouble, ReplyError):
                    error_replies += 1
                    reply = await self._retry_after_error(request, trouble, error_replies, deadline)
                else:
                    if trouble is not None:
                        losses += 1
                        self._check_loss(request, trouble, losses, is_late=loop.time() >= deadline)
                    reply = await self._send(request, deadline)
            except ConnectionLostError as lost:
                trouble = lost
                continue
            trouble = _first_error(reply)
            if trouble is None or not self._may_pass(trouble):
                return reply

    async def _send(self, request: Request, deadline: float) -> Any:
        node = await self.node(request.key, deadline)
        if request.is_strong:
            return await node.strong.write(request.payload, deadline)
        connection = await node.link.usable(deadline, self._settings.write_timeout)
        return await connection.send(request.payload, request.replies)

    def _check_loss(self, request: Request, lost: ConnectionLostError, times: int, *, is_late: bool) -> None:
        """Raise the StoreError that the loss of the connection means, unless the request may be sent again."""
        if lost.was_sent and not request.may_repeat:
            raise OutcomeUnknownError(str(lost))
        if is_late or lost.timed_out or (lost.was_sent and times > self._settings.max_retries):
            raise StoreUnavailableError(str(lost)) from lost

    def _may_pass(self, error: ReplyError) -> bool:
        return _is_temporary(error) or (self.logins is not None and errors.code(str(error)) in errors.NOT_SIGNED_IN)

    async def _sign_in_again(self, error: ReplyError, times: int) -> None:
        if self.logins is None or times > MAX_LOGINS:
            raise errors.translate(error)
        await self.logins.again()

    async def _retry_after_error(self, request: Request, error: ReplyError, times: int, deadline: float) -> Any:
        """Send a request again after a temporary error. Raises the StoreError of one that lasts."""
        kind = errors.code(str(error))
        if not self._may_pass(error) or asyncio.get_running_loop().time() >= deadline or times > MAX_ERRORS:
            raise errors.translate(error)
        if kind == "NOSCRIPT":
            request.payload = scripts.with_source(request.payload)
        elif kind in errors.NOT_SIGNED_IN:
            await self._sign_in_again(error, times)
        elif kind in errors.REDIRECTING:
            answer = await self.redirect(request, error, deadline)
            if answer is not None:
                return answer
        else:
            if kind in errors.NOT_PRIMARY:
                (await self.node(request.key, deadline)).drop(f"Redis says: {errors.described(str(error))}")
            await asyncio.sleep(PAUSE_IN_TRANSITION_S)
        return await self._send(request, deadline)


class NotOpenServers(Servers):
    """Takes the place of the servers before the store is opened."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        raise StoreUnavailableError("the Redis store is not open")

    def connection(self, key: bytes) -> Connection | None:
        return None

    async def node(self, key: bytes, deadline: float) -> Node:
        raise StoreUnavailableError("the Redis store is not open")

    async def owner(self, slot: int, deadline: float) -> tuple[Node, int]:
        raise StoreUnavailableError("the Redis store is not open")

    async def redirect(self, request: Request, error: ReplyError, deadline: float) -> Any | None:
        raise StoreUnavailableError("the Redis store is not open")

    async def connect_for_feed(self, connect: Connect) -> Sequence[Connection]:
        raise StoreUnavailableError("the Redis store is not open")


class Primary(Servers):
    """One server that has all keys: named in the component, or by Sentinels."""

    def __init__(
        self, settings: RedisSettings, dial: Callable[[], Awaitable[Connection]], *, replicas_are_known: bool = False
    ):
        super().__init__(settings)
        self._node = Node(dial, settings, replicas_are_known=replicas_are_known)
        self._link = self._node.link

    async def open(self) -> None:
        await self._link.open()

    async def close(self) -> None:
        await self._node.close()

    async def ping(self) -> None:
        await answer_ping(self._link)

    def connection(self, key: bytes) -> Connection | None:
        return self._link.connection

    async def node(self, key: bytes, deadline: float) -> Node:
        return self._node

    async def owner(self, slot: int, deadline: float) -> tuple[Node, int]:
        return self._node, SLOTS - 1

    async def redirect(self, request: Request, error: ReplyError, deadline: float) -> Any | None:
        raise errors.translate(error)

    async def connect_for_feed(self, connect: Connect) -> Sequence[Connection]:
        connection = await self._reached(connect)
        self._node.keep_for_feed(connection)
        return (connection,)

    async def _reached(self, connect: Connect) -> Connection:
        """Return a connection to the server. Raises a StoreError."""
        return await connect(self._settings.addresses[0], self._settings.dial_timeout)


async def answer_ping(link: Link) -> None:
    """Raise a StoreError unless the server answers now. Without a connection, raise the link's `last_error` at once."""
    connection = await link.usable(0, 0)
    try:
        reply = await connection.send(b"*1\r\n$4\r\nPING\r\n", 1)
    except ConnectionLostError as lost:
        raise StoreUnavailableError(str(lost)) from lost
    if isinstance(reply, ReplyError):
        raise errors.translate(reply)


def _first_error(reply: object) -> ReplyError | None:
    """Return the error in a reply; of several replies only the first counts."""
    if isinstance(reply, list) and reply:
        reply = reply[0]
    return reply if isinstance(reply, ReplyError) else None


def _is_temporary(error: ReplyError) -> bool:
    kind = errors.code(str(error))
    return kind == "NOSCRIPT" or kind in errors.NOT_PRIMARY | errors.IN_TRANSITION | errors.REDIRECTING
