"""Clients of several sidecars lose every tenth answer, and send those requests again with their Idempotency-Key, to
whichever sidecar: each increment and append happens once, and each client learns its own result.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial

import pytest
import uvloop
from scenarios.http_client import HttpClient, path
from scenarios.test_no_increment_is_lost import Connection
from scenarios.worlds import World, served
from servers.forgetful_proxy import EVERY, ForgetfulProxy

from pannier_sidecar.state.store import Feature

SIDECARS = 3
CALLERS = 24
STORE = "statestore"

pytestmark = [
    pytest.mark.every_store,
    pytest.mark.on(
        lambda database: (
            database.claims >= {Feature.TRANSACTIONAL, Feature.TTL}
            and database.is_shared
            and database.transactions_may_race
        )
    ),
    pytest.mark.timeout(600),  # three sidecars, and each change waits for a disk, if there is one
]


@pytest.fixture
def ports(here: World) -> Iterator[list[int]]:
    """The ports of several sidecars of one app over one database."""
    with ExitStack() as stack:
        found = [here.http.port]
        for _ in range(SIDECARS - 1):
            pannier = stack.enter_context(served(here.components, **here.environment))
            http = HttpClient(pannier.port())
            stack.callback(http.close)
            pannier.until(partial(_is_open, http), "the store open")
            found.append(http.port)
        yield found


def _is_open(http: HttpClient) -> bool:
    return http.call("GET", path(STORE, "k")).status == 204


class Caller:
    """Sends requests until they are answered, each time through the next proxy."""

    def __init__(self, proxies: list[ForgetfulProxy], first: int):
        self._proxies = proxies
        self._next = first
        self._connection: Connection | None = None
        self.repeated = 0

    async def change(self, name: str, once: str, **fields: object) -> int:
        """Carry out a change; return its result."""
        body = json.dumps(fields).encode()
        head = f"POST /v1.0-alpha1/state/{STORE}/{name} HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {once}\r\n"
        request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
        while True:
            try:
                status, _, answer = await (await self._connected()).ask(request)
            except (OSError, EOFError):
                await self.close()
            else:
                if status == 200:
                    [result] = json.loads(answer).values()
                    return int(result)
                assert status in (500, 503), answer  # the outcome is unknown, or too many wait
                await asyncio.sleep(0.05)
            self.repeated += 1

    async def _connected(self) -> Connection:
        if self._connection is None:
            proxy = self._proxies[self._next % len(self._proxies)]
            self._next += 1
            self._connection = Connection(*await asyncio.open_connection("127.0.0.1", proxy.port))
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(OSError):  # it was reset
                await connection.close()


def test_no_change_is_lost_or_made_twice(here: World, ports: list[int], key: str, pytestconfig: pytest.Config) -> None:
    wanted = pytestconfig.getoption("--changes") or here.database.increments // 5
    each = max(2, wanted // CALLERS)
    total = each * CALLERS

    async def call(caller: Caller, name: int) -> list[int]:
        numbers = []
        for turn in range(each):
            number = name * each + turn
            numbers.append(await caller.change("increment", f"n{number}", key=f"{key}n"))
            length = await caller.change("append", f"l{number}", key=f"{key}l", values=[number], maxLength=total)
            assert length <= total
        await caller.close()
        return numbers

    async def run() -> tuple[list[int], int, int]:
        async with AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(ForgetfulProxy(port)) for port in ports]
            callers = [Caller(proxies, number) for number in range(CALLERS)]
            numbers = await asyncio.gather(*(call(caller, name) for name, caller in enumerate(callers)))
            lost, repeated = sum(proxy.lost for proxy in proxies), sum(caller.repeated for caller in callers)
            return sum(numbers, []), lost, repeated

    numbers, lost, repeated = uvloop.run(run())
    assert sorted(numbers) == list(range(1, total + 1))
    http = HttpClient(ports[0])  # a connection of its own: the sidecar closes those that were silent for long
    assert http.change(STORE, "increment", f"{key}n", by=0) == total
    found = http.get(STORE, f"{key}l")
    http.close()
    assert found is not None
    assert sorted(json.loads(found.value)) == list(range(total))
    assert repeated >= lost >= 2 * total // (2 * EVERY)
