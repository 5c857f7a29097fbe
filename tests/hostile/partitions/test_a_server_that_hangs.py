"""A server hangs on requests and does not notice clients that gave up: it gets no more connections than allowed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hostile.effort import Effort
from servers.database import Database, Server
from servers.databases import named
from servers.eventually import eventually
from servers.hanging_proxy import HangingProxy
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

Promise = Callable[..., None]
MAX_CONNECTIONS = {name: setup.max_connections for name, setup in PROXY_SETUPS.items() if setup.max_connections}
"""Connections."""
SLACK = 5
"""Connections that the proxy still counts for an instant after the store has closed them."""
AT_ONCE = 50
KEY = "hung-key"


@pytest.fixture(params=list(MAX_CONNECTIONS))
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@asynccontextmanager
async def over(proxy: HangingProxy, subject: Database, server: Server) -> AsyncIterator[Store]:
    kind: Any = registry.load(subject.store_type, subject.store_version)
    settings = {
        **server.settings,
        **PROXY_SETUPS[subject.name].names(proxy.port),
        **PROXY_SETUPS[subject.name].impatient,
    }
    store = kind(subject.typed(settings))
    await eventually(store.open)
    try:
        yield store
    finally:
        await store.close()


async def outcome(call: Any) -> object:
    try:
        return await call
    except StoreError as fault:
        return fault


async def test_calls_that_time_out_leave_no_more_connections_than_there_may_be(
    subject: Database, tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    calls = effort.times(300, 1500)
    setup = PROXY_SETUPS[subject.name]
    with subject.serve(tmp_path) as server:
        async with HangingProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port) as proxy:
            async with over(proxy, subject, server) as store:
                await eventually(lambda: store.set(Set(KEY, b"1")))
                proxy.word = KEY.encode()
                for turn in range(calls // AT_ONCE):
                    some: list[Any] = [store.get(Get(KEY)) for _ in range(AT_ONCE // 2)]
                    some += [store.set(Set(KEY, b"%d" % turn)) for _ in range(AT_ONCE // 2)]
                    faults = await asyncio.gather(*map(outcome, some))
                    assert {type(fault) for fault in faults} <= {StoreUnavailableError, OutcomeUnknownError}, faults
                most = proxy.most
                proxy.release()
                found = await eventually(lambda: store.get(Get(KEY)))
                assert found is not None
                await asyncio.gather(*(eventually(lambda: store.get(Get(KEY))) for _ in range(AT_ONCE)))
        assert most <= MAX_CONNECTIONS[subject.name] + SLACK, f"{most} connections"
        promise(
            "Calls that time out leave no more connections at the server than the store may have",
            on=server.version,
            fault="the server hangs on requests, and does not notice that clients have gone",
            times=calls,
            counted=f"{calls:,} calls; {most} connections at most",
        )
