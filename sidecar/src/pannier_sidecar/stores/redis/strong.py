"""Writes that replicas have to acknowledge (`consistency: strong`).

WAIT blocks its connection until the replicas have acknowledged all that this connection wrote before. So strong writes
have a separate connection, and those that come during one WAIT share the next.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError, TooFewReplicasError

from . import errors, info
from .resp import pack

if TYPE_CHECKING:
    from .reconnecting import Link
    from .replicas import ReplicaCount
    from .settings import RedisSettings

log = logging.getLogger(__name__)

MAX_WAIT_S: Final = 1.0
"""Dapr's limit. A caller waits at most for its own group of writes and the one before it; each WAITs once, or twice
if a replica has just connected."""


class _Write:
    def __init__(self, payload: bytes, replies: int, deadline: float, future: asyncio.Future[Any]):
        self.payload = payload
        self.replies = replies
        self.deadline = deadline
        self.future = future


class StrongWrites:
    """The strong writes to one server."""

    def __init__(self, link: Link, settings: RedisSettings, replicas: ReplicaCount):
        self.link = link
        self._settings = settings
        self._replicas = replicas
        self._run_id = ""
        self._server = ""
        """The address at which strong writes were acknowledged last."""
        self._wait_s = min(MAX_WAIT_S, settings.read_timeout / 2)
        self._waiting: list[_Write] = []
        self._sender: asyncio.Task[None] | None = None

    async def write(self, payload: bytes, deadline: float, replies: int = 1) -> Any:
        """Return the (last) reply to the write once the replicas have acknowledged it.

        Raises ConnectionLostError, a StoreError if there is no connection by `deadline`, and TooFewReplicasError if the
        write succeeded but not all replicas acknowledged it in time.
        """
        write = _Write(payload, replies, deadline, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await write.future

    async def close(self) -> None:
        await self.link.close()
        if self._sender is not None:
            await asyncio.wait((self._sender,))

    async def _send(self) -> None:
        while self._waiting:
            try:
                await self._prepare(max(write.deadline for write in self._waiting))
            except (StoreError, ConnectionLostError) as error:
                group, self._waiting = self._waiting, []
                for write in group:
                    _settle(write, _unsent(error))
                continue
            group, self._waiting = self._waiting, []
            await self._send_group(group)

    async def _prepare(self, deadline: float) -> None:
        """Return when there is a connection and its server's replicas are known."""
        connection = await self.link.usable(deadline, self._settings.write_timeout)
        now = asyncio.get_running_loop().time()
        if connection.run_id != self._run_id:
            if self._run_id:
                self._replicas.after_restart(now)
            self._run_id = connection.run_id
        if not self._replicas.is_valid(now):
            report = await connection.send(pack("INFO", "replication"), 1)
            self._record(report)
            self._compare(connection.name, report)
        online, expected = self._replicas.online_replicas, self._replicas.expected
        if online is not None and online < expected:
            self._replicas.forget()
            raise StoreUnavailableError(
                f"only {online} of {expected} replicas follow {connection.name}, so that a strong write could be "
                f"lost; nothing was written: bring them back, or {self._replicas.remedy}, or use eventual consistency"
            )

    def _compare(self, server: str, report: object) -> None:
        """Log an error if the server lacks strong writes that were acknowledged on the one before it."""
        if server != self._server and self._replicas.lacks(info.history(report)):
            log.error(
                "Redis at %s is the primary now, but had not copied all strong writes that the one before it "
                "acknowledged: it was down or cut off meanwhile, and no server that had them could be promoted; what "
                "it lacks is lost",
                server,
            )
        if server != self._server:
            self._server, self._replicas.acknowledged = server, None

    async def _send_group(self, group: list[_Write]) -> None:
        connection = self.link.connection
        if connection is None:
            for write in group:
                _settle(write, ConnectionLostError(str(self.link.last_error), was_sent=False))
            return
        waited_for = self._replicas.expected
        payload = b"".join([write.payload for write in group]) + self._wait_for(waited_for)
        try:
            *replies, acknowledged, about = await connection.send(payload, sum(write.replies for write in group) + 2)
            expected = self._expected_now(about, waited_for)
            if isinstance(acknowledged, int) and waited_for <= acknowledged < expected:
                acknowledged, about = await connection.send(self._wait_for(expected), 2)
                expected = self._expected_now(about, expected)
        except ConnectionLostError as lost:
            for write in group:
                _settle(write, ConnectionLostError(str(lost), was_sent=lost.was_sent, timed_out=lost.timed_out))
            return
        if isinstance(acknowledged, int) and acknowledged >= expected:
            self._replicas.acknowledged = info.acknowledged(about)
        left = iter(replies)
        for write in group:
            answer = list(islice(left, write.replies))[-1]
            _settle(write, self._shortage(answer, acknowledged, expected) or answer)

    def _wait_for(self, expected: int) -> bytes:
        """Return the commands to wait for replicas, and to ask how many there are now."""
        return pack("WAIT", expected, int(self._wait_s * 1000)) + pack("INFO", "replication")

    def _expected_now(self, about: object, expected: int) -> int:
        """Return how many replicas have to acknowledge, by what the server reports after WAIT.

        WAIT counts any replica. One that has connected since they were counted, such as a former primary that comes
        back, must not stand in for one that lags behind: the latter may be promoted next.
        """
        if info.connected(about) is not None:
            self._record(about)
        return max(expected, self._replicas.reported)

    def _shortage(self, reply: object, acknowledged: object, expected: int) -> StoreError | None:
        """Return the error of a write that succeeded without enough replicas."""
        if not isinstance(reply, int):  # it was refused
            return None
        if isinstance(acknowledged, ReplyError):
            message = errors.described(str(acknowledged))
            return TooFewReplicasError(f"the write is done, but Redis refused to wait for its replicas: {message}")
        if isinstance(acknowledged, int) and acknowledged >= expected:
            return None
        self._replicas.forget()
        return TooFewReplicasError(
            f"the write is on the primary, but only {acknowledged} of {expected} replicas acknowledged it within "
            f"{self._wait_s:g} s; it is lost if the primary fails before the others have it"
        )

    def _record(self, report: object) -> None:
        count = info.connected(report)
        if count is None:
            raise StoreUnavailableError(
                "Redis does not report how many replicas it has; grant INFO, or use eventual consistency"
            )
        self._replicas.note(count, asyncio.get_running_loop().time(), info.addresses(report))
        self._replicas.online_replicas = info.online_replicas(report)


def _settle(write: _Write, outcome: object) -> None:
    if write.future.done():
        return
    if isinstance(outcome, (StoreError, ConnectionLostError)):
        write.future.set_exception(outcome)
    else:
        write.future.set_result(outcome)


def _unsent(error: StoreError | ConnectionLostError) -> StoreError | ConnectionLostError:
    if isinstance(error, ConnectionLostError):
        return ConnectionLostError(str(error), was_sent=False, timed_out=error.timed_out)
    return type(error)(*error.args)
