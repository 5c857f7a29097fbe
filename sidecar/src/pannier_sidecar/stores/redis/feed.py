"""Reports which keys have changed, as the servers push it.

A server reports to each connection that asked for it (CLIENT TRACKING in broadcasting mode, Redis 6) which keys with a
prefix were written, deleted, expired or evicted, whoever did it. That needs no setting of the server. It keeps no
history.
https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import NotSupportedError, StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import Gap
from pannier_sidecar.state.pushed_changes import PushedChanges

from . import errors, info
from .connecting import check_primary
from .connection import PushConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.feeds import Feed

    from .client import Servers
    from .connecting import Connector
    from .connection import Connection
    from .settings import Address

CHANNEL: Final = "pannier:feed"
"""Nobody publishes to it. The server bounds what it holds for a slow connection only if that listens to a channel
(client-output-buffer-limit pubsub).
"""
TRIPS: Final = 3
"""Round trips after which all earlier changes have come, one after the other. A server reports changes at the end of
each pass of its event loop, and may send answers before that. With threads for I/O (Redis 8) two answers may go out in
one pass, after the events that began it and at its end, but not three.
"""
MAX_PROOF_S: Final = 10.0
"""Seconds that a proof may take; a server that sends messages without end, and no answers, is not silent."""
_PING: Final = b"*1\r\n$4\r\nPING\r\n"
_NO_HISTORY: Final = "Redis keeps no history of changes"
_EMPTIED: Final = "a database of the Redis server was emptied"


async def feed(
    servers: Servers, connector: Connector | None, prefix: str, since: str | None, interval_s: float
) -> Feed:
    """Yield the changes of stored keys with the prefix; `interval_s` is the time between two proofs that it is alive.

    Raises NotSupportedError if the server cannot report changes to this user, StoreUnavailableError when a connection
    is lost, or leads to the wrong server.
    """
    if connector is None:
        raise StoreUnavailableError("the Redis store is not open")
    connections = await servers.connect_for_feed(partial(_tracking, connector, prefix))
    try:
        changes = PushedChanges()
        for connection in connections:
            assert isinstance(connection, PushConnection)
            connection.on_push = partial(_take, changes, prefix)
            connection.lost.add_done_callback(lambda lost: changes.end(StoreUnavailableError(lost.result())))
        gap = None if since is None else Gap(_NO_HISTORY)
        async with aclosing(changes.follow(partial(_proven, servers, connections), interval_s, gap)) as batches:
            async for batch in batches:
                yield batch
    finally:
        for connection in connections:
            connection.abort("the feed has ended")


async def _tracking(connector: Connector, prefix: str, address: Address, patience: float) -> Connection:
    """Return a connection on which the server reports changed keys. Raises a StoreError."""
    connection, (role, about, protocol, tracking, _) = await connector.sign_in(
        address,
        ("ROLE",),
        ("INFO", "replication"),
        ("HELLO", 3),
        ("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix),
        ("SUBSCRIBE", CHANNEL),  # refused to a user without channels, for whom all else works
        patience=patience,
        kind=PushConnection,
    )
    try:
        check_primary(role, address)
        for reply in (protocol, tracking):
            if isinstance(reply, ReplyError):
                raise _unsupported(reply, address)
    except StoreError:
        connection.abort("refused")
        raise
    connection.online_replicas = info.online_replicas(about)
    return connection


def _unsupported(reply: ReplyError, address: Address) -> StoreError:
    refusal = errors.translate(reply)
    if isinstance(refusal, StoreUnavailableError):
        return refusal
    return NotSupportedError(
        f"Redis at {address} does not report changes: {errors.described(str(reply))}; it takes Redis 6 and the "
        "permissions +hello and +client|tracking, or write changes: poll into the component"
    )


def _take(changes: PushedChanges, prefix: str, push: Sequence[Any]) -> None:
    """Take a message about changed keys: a list of them, or None after FLUSHALL and FLUSHDB."""
    if push[0] != b"invalidate":
        return
    names = push[1] if len(push) > 1 else None
    if not isinstance(names, list):
        changes.lose(_EMPTIED)
        return
    for name in names:
        try:
            key = name.decode()
        except (UnicodeDecodeError, AttributeError):  # no key of state; no key at all
            continue
        if key.startswith(prefix):
            changes.add(key)


async def _proven(servers: Servers, connections: Sequence[Connection]) -> float:
    """Return a time (of `time.monotonic`) up to which all changes have come. Raises a StoreError."""
    as_of = monotonic()
    try:
        async with asyncio.timeout(MAX_PROOF_S):
            for _ in range(TRIPS - 1):
                await _asked(connections, _PING)
            await servers.check_roll(connections, await _asked(connections, servers.roll_call), as_of)
    except TimeoutError as error:
        raise StoreUnavailableError(f"Redis did not answer a feed within {MAX_PROOF_S:g} s") from error
    for connection in connections:
        if connection.why_ended is not None:  # it was dropped meanwhile, and leads to the wrong server
            raise StoreUnavailableError(connection.why_ended)
    return as_of


async def _asked(connections: Sequence[Connection], payload: bytes) -> Sequence[Any]:
    try:
        return await asyncio.gather(*(connection.send(payload, 1) for connection in connections))
    except ConnectionLostError as lost:
        raise StoreUnavailableError(str(lost)) from lost
