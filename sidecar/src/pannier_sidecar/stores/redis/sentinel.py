"""Sentinels name the server that is the primary (Redis documentation, "Sentinel clients").

All of them are polled all the time, because a single one may have been cut off together with a primary that the others
have replaced. What is written to such a primary is lost as soon as it is reachable again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

from . import errors, info, votes
from .client import Primary
from .connection import PushConnection
from .resp import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .client import Connect
    from .connecting import Connector
    from .connection import Connection
    from .settings import Address, RedisSettings
    from .votes import Report, Verdict

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""Seconds between two polls of a Sentinel. While its connection is up, it reports a failover at once."""
VALID_S: Final = 5.0
"""Seconds after which a Sentinel that does not answer counts as unreachable."""
PAUSE_S: Final = 1.0
"""Seconds before a Sentinel that could not be reached is tried again."""


class Sentinel:
    """One Sentinel, polled for as long as the store is open."""

    def __init__(self, address: Address, settings: RedisSettings, connector: Connector, on_report: Callable[[], None]):
        self.address = address
        self.report: Report | None = None
        """Its last report."""
        self.error: StoreError | None = None
        """Why it does not report now."""
        self.was_polled = False
        self._name = settings.master_name or ""
        self._settings = settings
        self._connector = connector
        self._on_report = on_report
        self._reported_at = 0.0
        self.asked_at = 0.0
        """When it was sent the question that it answered last (`time.monotonic`)."""
        self._poll_now = asyncio.Event()
        """Set to poll it without further pause."""
        self._task = asyncio.create_task(self._run())

    def current(self, now: float) -> Report | None:
        """Return its report if that is recent; None: it is unreachable."""
        return self.report if now - self._reported_at < VALID_S else None

    def poll_now(self) -> None:
        """Ask it without waiting for its turn."""
        self._poll_now.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except StoreError as error:
                if str(error) != str(self.error):
                    log.warning("%s", error)
                self.error = error
            except ConnectionLostError as lost:
                self.error = StoreUnavailableError(str(lost))
            self.was_polled = True
            self._on_report()
            await asyncio.sleep(PAUSE_S)

    async def _listen(self) -> None:
        """Poll it until its connection ends. Raises a StoreError or ConnectionLostError."""
        connection, run_id = await self._connect()
        try:
            while True:
                self._poll_now.clear()
                asked_at = monotonic()
                answers = await connection.send(self._query(), 4)
                self.asked_at = asked_at
                self._record(run_id, answers)
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._poll_now.wait()
                except TimeoutError:
                    continue
        finally:
            connection.abort("no longer polled")

    async def _connect(self) -> tuple[Connection, str]:
        commands = (("INFO", "server"), ("HELLO", 3))
        try:
            connection, (server, hello) = await self._connector.connect(
                self.address,
                self._settings.sentinel_credentials,
                *commands,
                patience=self._settings.dial_timeout / 2,
                kind=PushConnection,
            )
        except StoreRefusedError as error:
            raise StoreRefusedError(
                f"{error} (the Sentinel at {self.address}; its login is sentinelUsername and sentinelPassword)"
            ) from error
        if isinstance(connection, PushConnection) and not isinstance(hello, ReplyError):
            connection.on_push = lambda _: self._poll_now.set()
            connection.send(pack("SUBSCRIBE", "+switch-master"), 1).add_done_callback(_drop_answer)
        return connection, info.run_id(server) or str(self.address)

    def _query(self) -> bytes:
        queries = ("get-master-addr-by-name", "MASTER", "REPLICAS", "SENTINELS")
        return b"".join([pack("SENTINEL", query, self._name) for query in queries])

    def _record(self, run_id: str, answers: Sequence[object]) -> None:
        address, *more = answers
        if isinstance(address, ReplyError):
            advice = "is redisHost a Sentinel (port 26379 by default)? Are sentinelUsername and sentinelPassword right?"
            message = errors.translate(address, f"the Sentinel at {self.address} refused")
            raise StoreRefusedError(f"{message}; {advice}")
        if not isinstance(address, list) or not address:
            raise StoreRefusedError(
                f"the Sentinel at {self.address} monitors no {self._name!r}; set sentinelMasterName to a name that it "
                "monitors"
            )
        self.report, self.error = votes.report_from(run_id, address, *more), None
        self._reported_at = asyncio.get_running_loop().time()
        self.was_polled = True
        self._on_report()


class Sentinels:
    """All Sentinels: those that the component names, and those that they know of."""

    def __init__(self, settings: RedisSettings, connector: Connector, on_verdict: Callable[[Verdict], None]):
        """Have `on_verdict` called with the verdict when a Sentinel has reported, or could not be polled."""
        self.verdict: Verdict | None = None
        self._settings = settings
        self._connector = connector
        self._on_verdict = on_verdict
        self._sentinels: dict[Address, Sentinel] = {}
        self._left: set[asyncio.Task[None]] = set()
        self._has_news = asyncio.Event()
        self._is_closed = False

    def start(self) -> None:
        for address in self._settings.addresses:
            self._add(address)

    async def close(self) -> None:
        self._is_closed = True
        await asyncio.gather(*(sentinel.close() for sentinel in self._sentinels.values()), *self._left)

    async def find(self, patience: float) -> Verdict:
        """Return the verdict as soon as a majority has reported, or all were polled. Raises a StoreError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while self.verdict is None or not self.verdict.has_majority:
            if all(sentinel.was_polled for sentinel in self._sentinels.values()) or loop.time() >= deadline:
                break
            self._has_news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._has_news.wait()
            except TimeoutError:
                break
        if self.verdict is None:
            raise self._why()
        return self.verdict

    async def confirm(self, as_of: float) -> None:
        """Return when all Sentinels that can be reached have been asked after a time (of `time.monotonic`)."""
        for sentinel in self._sentinels.values():
            sentinel.poll_now()
        loop = asyncio.get_running_loop()
        while any(each.asked_at < as_of and each.current(loop.time()) for each in self._sentinels.values()):
            self._has_news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):  # one that does not answer is unreachable after a while
                    await self._has_news.wait()

    def judge(self) -> None:
        """Decide again which server is the primary."""
        now = asyncio.get_running_loop().time()
        reports = [report for each in self._sentinels.values() if (report := each.current(now)) is not None]
        verdict = votes.judge(reports, self.verdict)
        if verdict is not None:
            self.verdict = verdict
            self._on_verdict(verdict)

    def _on_report(self) -> None:
        if self._is_closed:
            return
        self._update_members()
        self.judge()
        self._has_news.set()

    def _update_members(self) -> None:
        known = [sentinel.report.others for sentinel in self._sentinels.values() if sentinel.report is not None]
        if not known:
            return
        wanted = dict.fromkeys((*self._settings.addresses, *(address for others in known for address in others)))
        for address in wanted:
            self._add(address)
        for address in [address for address in self._sentinels if address not in wanted]:
            task = asyncio.create_task(self._sentinels.pop(address).close())
            self._left.add(task)
            task.add_done_callback(self._left.discard)

    def _add(self, address: Address) -> None:
        if address not in self._sentinels:
            self._sentinels[address] = Sentinel(address, self._settings, self._connector, self._on_report)

    def _why(self) -> StoreError:
        reasons = [sentinel.error for sentinel in self._sentinels.values() if sentinel.error is not None]
        if len(self._sentinels) == 1 and reasons and isinstance(reasons[0], StoreRefusedError):
            return StoreRefusedError(*reasons[0].args)
        return StoreUnavailableError(
            f"no Sentinel names a primary: {'; '.join(map(str, reasons)) or 'none has answered'}"
        )


class WatchedPrimary(Primary):
    """The primary that Sentinels name; its connections are dropped as soon as they name another one."""

    def __init__(self, settings: RedisSettings, connector: Connector):
        super().__init__(settings, self._dial, replicas_are_known=True)
        self._connector = connector
        self._sentinels = Sentinels(settings, connector, self._on_verdict)
        self._patience = settings.dial_timeout / 2
        """Seconds to find the primary, and to reach it."""
        self._watcher: asyncio.Task[None] | None = None
        self._named: Address | None = None

    async def open(self) -> None:
        self._sentinels.start()
        await super().open()
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait((self._watcher,))
        await self._sentinels.close()
        await super().close()

    async def _dial(self) -> Connection:
        """Return a connection for calls to the primary. Raises a StoreError."""
        database = self._settings.database
        return await self._reached(lambda address, patience: self._connector.primary(address, database, patience))

    async def _reached(self, connect: Connect) -> Connection:
        """Return a connection to the primary, which must report that role itself. Raises a StoreError."""
        verdict = await self._sentinels.find(self._patience)
        connection = await connect(verdict.primary, self._patience)
        now = self._sentinels.verdict or verdict
        why = self._why_doubtful(now, connection.online_replicas)
        if now.primary != verdict.primary:
            why = f"the Sentinels have replaced the primary at {verdict.primary}"
        if why:
            connection.abort(why)
            raise StoreUnavailableError(why)
        return connection

    async def check_roll(self, connections: Sequence[Connection], replies: Sequence[Any], as_of: float) -> None:
        await super().check_roll(connections, replies, as_of)
        await self._sentinels.confirm(as_of)

    def _on_verdict(self, verdict: Verdict) -> None:
        self._node.replicas.require(verdict.replicas, verdict.listed)
        if verdict.primary != self._named:
            self._named = verdict.primary
            self._node.move_to(str(verdict.primary), f"the Sentinels name {verdict.primary} as the primary now")

    async def _watch(self) -> None:
        """Decide again every POLL_S, also while the Sentinels are silent."""
        while True:
            await asyncio.sleep(POLL_S)
            self._sentinels.judge()
            verdict, connection = self._sentinels.verdict, self._link.connection
            if verdict is None or connection is None or verdict.has_majority:
                continue
            try:
                report = await connection.send(pack("INFO", "replication"), 1)
            except ConnectionLostError:
                continue
            if why := self._why_doubtful(verdict, info.online_replicas(report)):
                self._node.drop(why)

    def _why_doubtful(self, verdict: Verdict, replicas: int | None) -> str | None:
        """Return why the primary may have been replaced unnoticed; None if it has not been.

        If no majority of the Sentinels can be reached, the primary has not been replaced as long as replicas follow it,
        or the Sentinels that can be reached reach its replicas: after a failover those would follow another primary.
        """
        if verdict.has_majority or not verdict.replicas or verdict.reachable or replicas is None or replicas > 0:
            return None
        return (
            f"only {verdict.answering} of {verdict.sentinels} Sentinels can be reached and the primary at "
            f"{verdict.primary} has lost its replicas, so that another one may have taken its place; "
            "make the Sentinels reachable"
        )


def _drop_answer(answer: asyncio.Future[object]) -> None:
    """Drop the answer: a connection that ends before it has subscribed is noticed by the next poll."""
    if not answer.cancelled():
        answer.exception()
