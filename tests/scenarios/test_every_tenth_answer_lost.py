"""Clients of several sidecars lose every tenth answer, and send those requests again with their Idempotency-Key, to
whichever sidecar: each increment and append happens once, and each client learns its own result.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import pytest
import uvloop
from scenarios.http_client import HttpClient, path
from scenarios.worlds import World, served
from servers.forgetful_proxy import EVERY, ForgetfulProxy
from servers.repeating_caller import RepeatingCaller

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


def test_no_change_is_lost_or_made_twice(here: World, ports: list[int], key: str, pytestconfig: pytest.Config) -> None:
    wanted = pytestconfig.getoption("--changes") or here.database.increments // 5
    each = max(2, wanted // CALLERS)
    total = each * CALLERS

    async def call(caller: RepeatingCaller, name: int) -> list[int]:
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
            addresses = [proxy.port for proxy in proxies]
            callers = [RepeatingCaller(addresses, number) for number in range(CALLERS)]
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
