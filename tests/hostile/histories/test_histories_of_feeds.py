"""Keys are written while the feed of their changes is cut off and its server is killed: nothing is reported out of
order, and what a feed says to have reported has been.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hostile.effort import Effort
from servers import consul_server, etcd_server, jetstream_server, postgresql_server
from servers.cutting_proxy import CuttingProxy
from servers.databases import named
from servers.feed_history import FeedHistory
from servers.processes import ServerProcess
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.store import Store

Promise = Callable[..., None]
KEYS = 10
RESTARTS = 2


@contextmanager
def _bucket(folder: Path) -> Iterator[ServerProcess]:
    with jetstream_server.with_bucket(folder, subject_delete_marker_ttl=60_000_000_000) as server:
        yield server


SERVERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "etcd, whose watches say too early how far they are": ("etcd", etcd_server.running),
    "etcd": ("etcd", lambda folder: etcd_server.running(folder, is_new=True)),
    "consul": ("consul", consul_server.single),
    "jetstream": ("jetstream", _bucket),
    "PostgreSQL": ("postgresql", lambda folder: postgresql_server.with_triggers(folder, "v1")),
}


@pytest.mark.parametrize("title", SERVERS)
async def test_what_a_feed_has_reported_is_what_happened(
    title: str, tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    name, serve = SERVERS[title]
    subject = named(name)
    history = FeedHistory("app||")
    times = effort.times(60, 2000)
    with serve(tmp_path / "server") as server:
        async with CuttingProxy(server.port) as proxy:
            names = PROXY_SETUPS[name].names
            direct = _store(subject, names(server.port))
            behind = _store(subject, names(proxy.port))
            await direct.open()
            await behind.open()
            following = asyncio.create_task(history.follow(behind))
            try:
                assert behind.changes_by is ChangesBy.PUSH
                await history.until_now()
                writers = [history.write(direct, f"app||{number}", times) for number in range(KEYS)]
                cuts = await _trouble(asyncio.gather(*writers), server, proxy)
                await history.until_now()
                assert not following.done()
            finally:
                following.cancel()
                await asyncio.wait([following])
                await behind.close()
                await direct.close()
        version = server.version
    reported, feeds = history.check(), len(history.ends) + 1
    promise(
        "A feed of changes reports each key's states in order, and when it says that it is up to date, no state that "
        "was there by then has been left out",
        on=f"{title} ({version})",
        fault="its connections are cut again and again, and its server is killed and restarted, while keys are written "
        "and deleted",
        times=cuts + RESTARTS,
        counted=f"{KEYS * times:,} changes; {reported:,} reported by {feeds} feeds; {history.gaps} gaps",
    )


def _store(subject: Any, settings: Any) -> Store:
    store: Store = subject.store_class(subject.typed({**settings, "timeout": "5s"}))
    return store


async def _trouble(writing: asyncio.Future[Any], server: Any, proxy: CuttingProxy) -> int:
    """Cut connections, and kill the server, until all is written; return how often connections were cut."""
    cuts = 0
    for number in range(1_000_000):
        await asyncio.wait([writing], timeout=0.3)
        if number < RESTARTS:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        elif writing.done():
            break
        else:
            await proxy.end_all()
            cuts += 1
    await writing
    return cuts
