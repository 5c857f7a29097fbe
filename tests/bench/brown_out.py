"""A store in a brown-out: its server is slow, does not answer, or refuses connections, and is well again afterwards.

Called by `one_store.py`. Sixteen callers get and save through a sidecar that reaches its server by way of a proxy, once
without and once with a Resiliency.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

from servers.component_files import component
from servers.database import Database, Settings
from servers.proxy import CHUNK, OwnThread
from under_test import STORE, sidecar

CALLERS = 16
PAUSE_S = 0.01
"""Between two calls of a caller: what fails at once would otherwise keep the processors busy."""
PATIENCE_S = 10.0
"""After which a caller gives a call up."""
IN_A_ROW = 50
"""So many calls have to succeed, one after the other, until the store counts as recovered."""
LONGEST_RECOVERY_S = 60.0
DELAY_S = 0.5
NO_FAULT = "-"
FAULTS = ("slow", "drops", "refuses")
POLICY = f"""
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {{name: brown-out}}
spec:
  policies:
    timeouts: {{quick: 250ms}}
    retries: {{few: {{policy: constant, duration: 100ms, maxRetries: 3}}}}
    circuitBreakers: {{careful: {{maxRequests: 1, timeout: 1s, trip: consecutiveFailures >= 5}}}}
  targets:
    components: {{{STORE}: {{outbound: {{timeout: quick, retry: few, circuitBreaker: careful}}}}}}
"""
LEGEND = f"""\
slow: {DELAY_S:g} s more for every answer. drops: nothing passes, connections stay. refuses: no connections. failed:
calls without a success. p99: of all calls, in milliseconds. sends: how often the sidecar sent something to the server;
calls may share one. recovery: seconds from the end of the fault until {IN_A_ROW} calls in a row succeed."""


class Call(NamedTuple):
    """One call: when it ended, how many seconds it took, and whether it succeeded."""

    ended: float
    took: float
    succeeded: bool


class BrownOutProxy(OwnThread):
    """Forwards connections, later or not at all."""

    def __init__(self, target: int):
        super().__init__(target)
        self.delay = 0.0
        """Seconds by which answers are late."""
        self.drops = False
        """Whether nothing passes, in either direction."""
        self.sends = 0
        """How often bytes came from a client."""

    def begin(self, fault: str) -> None:
        self.delay, self.drops = (DELAY_S, False) if fault == "slow" else (0.0, fault == "drops")
        if fault == "refuses":
            self.thread.run(self.close())

    def end(self, fault: str) -> None:
        if fault != "slow":
            self.thread.run(self.close())  # what was dropped does not arrive later
            self.thread.run(self.open())
        self.delay, self.drops = 0.0, False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        there = asyncio.create_task(self._there(reader, to_server))
        back = asyncio.create_task(self._back(from_server, writer))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            to_server.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                self.sends += 1
                if not self.drops:
                    writer.write(chunk)
                    await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await asyncio.sleep(self.delay)
                if not self.drops:
                    writer.write(chunk)
                    await writer.drain()


class Callers:
    """Threads that get and save without end."""

    def __init__(self, store_url: str):
        self._url = urlsplit(store_url)
        self._calls: list[Call] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(each,), daemon=True) for each in range(CALLERS)]

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join()

    def between(self, begin: float, end: float) -> list[Call]:
        """Return the calls that ended between two times, in the order in which they ended."""
        return sorted(call for call in list(self._calls) if begin <= call.ended < end)

    def recovered(self, since: float) -> float | None:
        """Return when the first of enough successes in a row ended; None: not yet."""
        row: list[Call] = []
        for call in self.between(since, time.perf_counter()):
            row = [*row, call] if call.succeeded else []
            if len(row) == IN_A_ROW:
                return row[0].ended
        return None

    def _go_on(self, caller: int) -> None:
        connection = HTTPConnection(self._url.hostname or "", self._url.port, timeout=PATIENCE_S)
        number = caller
        while not self._ends.is_set():
            number += CALLERS
            began = time.perf_counter()
            succeeded = self._call(connection, f"k{number // 2 % 100}", is_save=number // CALLERS % 2 == 0)
            ended = time.perf_counter()
            self._calls.append(Call(ended, ended - began, succeeded))
            time.sleep(PAUSE_S)
        connection.close()

    def _call(self, connection: HTTPConnection, key: str, *, is_save: bool) -> bool:
        try:
            if is_save:
                connection.request("POST", self._url.path, json.dumps([{"key": key, "value": 1}]))
            else:
                connection.request("GET", f"{self._url.path}/{key}")
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            connection.close()
            return False
        return answer.status < 300


def rows(database: Database, settings: Settings, seconds: float) -> Iterator[str]:
    """Yield the lines of the table while they are measured."""
    setup = database.proxy_setup
    if setup is None or setup.announces_its_port:
        yield f"{database.title} cannot be reached through a proxy here, so no brown-out is measured"
        return
    yield LEGEND
    yield f"{'fault':>9}{'policy':>8}{'calls/s':>9}{'failed':>8}{'p99':>8}{'sends/s':>9}{'recovery':>10}"
    for policy in ("none", "yes"):
        with BrownOutProxy(setup.port(settings)) as proxy:
            reached = {**settings, **setup.names(proxy.port)}
            manifest = component(STORE, database.store_type, reached, version=database.store_version)
            with sidecar(manifest + (POLICY if policy == "yes" else "")) as server:
                callers = Callers(server.store_url)
                with callers.calling():
                    for fault in (NO_FAULT, *FAULTS):
                        yield _row(callers, proxy, fault, policy, seconds)


def _row(callers: Callers, proxy: BrownOutProxy, fault: str, policy: str, seconds: float) -> str:
    proxy.begin(fault)
    began, sends = time.perf_counter(), proxy.sends
    time.sleep(seconds)
    if fault != NO_FAULT:
        proxy.end(fault)
    ended, sends = time.perf_counter(), proxy.sends - sends
    recovered: float | None = None
    while recovered is None and time.perf_counter() - ended < LONGEST_RECOVERY_S:
        time.sleep(0.05)
        recovered = callers.recovered(ended)
    calls = callers.between(began, ended)
    failed = sum(not call.succeeded for call in calls) / max(len(calls), 1)
    recovery = f">{LONGEST_RECOVERY_S:g}" if recovered is None else f"{recovered - ended:.1f}"
    return (
        f"{fault:>9}{policy:>8}{len(calls) / seconds:>9.0f}{failed:>8.0%}{_p99(calls):>8.0f}"
        f"{sends / seconds:>9.0f}{recovery if fault != NO_FAULT else '':>10}"
    )


def _p99(calls: Sequence[Call]) -> float:
    """Return the 99th percentile in milliseconds; 0 if no call has ended."""
    times = sorted(call.took for call in calls)
    return times[min(len(times) * 99 // 100, len(times) - 1)] * 1e3 if times else 0.0
