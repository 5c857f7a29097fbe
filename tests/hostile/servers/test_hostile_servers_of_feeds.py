"""Servers become hostile or break while a store follows the changes of its keys: the feed ends, or is right again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from conformance.feeds import Followed
from hostile.effort import Effort
from servers import server_faults, usage
from servers.databases import named
from servers.eventually import eventually
from servers.hostile_proxy import Fault, HostileProxy
from servers.nats_faults import NATS
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import UNREAD, ChangesBy
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store

Promise = Callable[..., None]
FAULTS = {"etcd": server_faults.HTTP2, "consul": server_faults.HTTP, "jetstream": NATS}
"""Faults of the servers of stores that report changes, beside those of any server."""
BUDGET_MIB = 500
"""Memory that several hostile servers together may make this process hold."""
PATIENCE_S = 60
AT_ONCE = 4


@pytest.mark.parametrize("name", FAULTS)
async def test_a_server_that_turns_hostile_while_its_changes_are_followed(
    name: str, tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    subject = named(name)
    faults = {**server_faults.ANY, **FAULTS[name]}
    setup = PROXY_SETUPS[name]
    turns = asyncio.Semaphore(AT_ONCE)

    async def go_through(title: str, fault: Fault) -> str:
        async with turns:
            settings = {**server.settings, **setup.names(proxies[title].port), "timeout": "1s"}
            store = subject.store_class(subject.typed(settings))
            said = await end_of_feed(store, f"{title}||", proxies[title], fault)
            return said if "canary" in said or "Traceback" in said or "\n" in said else ""

    with subject.serve(tmp_path / "server") as server:
        async with AsyncExitStack() as stack:
            proxies = {title: HostileProxy(setup.port(server.settings)) for title in faults}
            for proxy in proxies.values():
                stack.enter_context(proxy)
            before = usage.resident_mib(os.getpid())
            usage.forget_peak(os.getpid())
            ends = await asyncio.gather(*(go_through(*each) for each in faults.items()), return_exceptions=True)
            grown = usage.peak_mib(os.getpid()) - before
        wrong = {title: end for title, end in zip(faults, ends, strict=True) if end}
        assert not wrong, wrong
        assert grown < BUDGET_MIB
        version = server.version
    promise(
        "Whatever a database server sends to a feed of changes, the feed ends in time with an error that shows no "
        "secret, the sidecar's memory is bounded, and a new feed is right when a good server is back",
        on=version,
        fault=f"{len(faults)} kinds of hostile or broken answers: endless, huge, nested, slow, unrequested, "
        "missing, malformed",
        times=len(faults),
        counted=f"{2 * len(faults)} feeds; at most {BUDGET_MIB} MiB more",
    )


async def end_of_feed(store: Store, prefix: str, proxy: HostileProxy, fault: Fault) -> str:
    """Follow changes through a server that becomes hostile, and again after it has become good. Return what the first
    feed said at its end.
    """
    await eventually(store.open, PATIENCE_S)
    assert store.changes_by is ChangesBy.PUSH
    try:
        feed = Followed(store, prefix)
        async with asyncio.timeout(PATIENCE_S):
            await feed.until_now()
            proxy.turn(fault)
            await asyncio.to_thread(proxy.thread.run, proxy.end_all())
            with pytest.raises(StoreError) as caught:
                while True:
                    await feed.take()
        await feed.close()
        await asyncio.to_thread(proxy.come_back)
        await eventually(lambda: follows(store, prefix), PATIENCE_S)
        return str(caught.value)
    finally:
        await store.close()


async def follows(store: Store, prefix: str) -> None:
    """Follow changes with a feed of its own. Raises StoreError."""
    feed = Followed(store, prefix)
    try:
        await feed.take()
        await store.set(Set(f"{prefix}k", b"1"))
        await feed.until_now()
    finally:
        await feed.close()
    found = await store.get(Get(f"{prefix}k"))
    assert found is not None
    assert feed.etags(f"{prefix}k")[-1] in (UNREAD, found.etag)
