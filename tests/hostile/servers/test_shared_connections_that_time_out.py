"""A server hangs on some calls, so that the shared connection is given up again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.databases import named
from servers.eventually import eventually, until
from servers.hostile_proxy import HostileProxy
from servers.proxy_setups import PROXY_SETUPS
from servers.server_faults import silent

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores import registry

Promise = Callable[..., None]
IMPATIENT = {"redis": {"readTimeout": "300ms"}, "memcached": {"timeout": "300ms"}, "jetstream": {"timeout": "300ms"}}
ROUNDS = 6
AT_ONCE = 20
KEY = "hung-key"


@pytest.mark.parametrize("name", IMPATIENT)
async def test_the_connection_before_is_closed(name: str, tmp_path: Path, promise: Promise) -> None:
    subject = named(name)
    setup = PROXY_SETUPS[name]
    with subject.serve(tmp_path) as server, HostileProxy(setup.port(server.settings)) as proxy:
        kind: Any = registry.load(subject.store_type, subject.store_version)
        store = kind(subject.typed({**server.settings, **setup.names(proxy.port), **IMPATIENT[name]}))
        await eventually(store.open)
        try:
            await eventually(lambda: store.set(Set(KEY, b"1")))
            proxy.turn(silent, KEY.encode())
            for _ in range(ROUNDS):
                calls = [store.get(Get(KEY)) for _ in range(AT_ONCE)]
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                assert all(isinstance(outcome, StoreError) for outcome in outcomes), outcomes
            most = proxy.most
            await until(lambda: proxy.now <= 1)
            proxy.come_back()
            await eventually(lambda: store.get(Get(KEY)))
        finally:
            await store.close()
        await until(lambda: proxy.now == 0)
    assert most <= 3
    promise(
        "If all calls on a shared connection time out, it is closed when the next call is made",
        on=server.version,
        fault="the server hangs on all calls of one key",
        times=ROUNDS * AT_ONCE,
        counted=f"{ROUNDS * AT_ONCE} calls; at most 3 connections at the server",
    )
