"""A feed never claims to be complete while another server takes writes that it does not see."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from hostile.effort import Effort
from servers.eventually import until
from servers.mirror import etags_of
from servers.opened_store import opening
from servers.redis_net import CLIENTS, ClusterNet, Watched, ask, cluster, serves, watched

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import Store

Promise = Callable[..., None]
PREFIX = "app||"


class Written(NamedTuple):
    """A write that was acknowledged, with times of `time.monotonic`."""

    key: str
    began: float
    ended: float


class Witness:
    """Follows the feed of a store, and compares what it claims with what another store writes: a new key each time."""

    def __init__(self, followed: Store, writing: Store, tags: list[str]):
        self.writes: list[Written] = []
        self.begun = 0
        """Feeds that have begun."""
        self.as_of = 0.0
        """What the current feed claims to be complete up to."""
        self.checked = 0
        """Writes that a claim was about."""
        self.missing: list[str] = []
        """Keys that were not reported although a claim says so."""
        self._followed = followed
        self._writing = writing
        self._tags = tags

    async def write(self) -> None:
        number = 0
        while True:
            number += 1
            key, began = f"{PREFIX}{self._tags[number % len(self._tags)]}{number}", monotonic()
            try:
                await self._writing.set(Set(key, b"1"))
                self.writes.append(Written(key, began, monotonic()))
            except (StoreUnavailableError, OutcomeUnknownError):
                pass
            await asyncio.sleep(0.005)

    async def follow(self) -> None:
        while True:
            try:
                async with aclosing(self._followed.feed(PREFIX)) as feed:
                    await self._check(feed)
            except StoreError:
                await asyncio.sleep(0.02)

    async def _check(self, feed: object) -> None:
        since, checked, reported = 0.0, len(self.writes), set[str]()
        async for batch in feed:  # type: ignore[attr-defined]
            for entry in batch:
                if isinstance(entry, KeyChange):
                    reported.add(entry.key)
                elif isinstance(entry, Gap):
                    since = monotonic()
                elif isinstance(entry, Alive):
                    if not since:
                        since = entry.as_of
                        self.begun += 1
                    self.as_of = entry.as_of
                    while checked < len(self.writes) and self.writes[checked].ended <= entry.as_of:
                        write = self.writes[checked]
                        checked += 1
                        if write.began > since:
                            self.checked += 1
                            if write.key not in reported:
                                self.missing.append(write.key)


@asynccontextmanager
async def witnessed(followed: Store, writing: Store, tags: list[str]) -> AsyncIterator[Witness]:
    """Write and follow during the block, and until a feed is complete after it; nothing may be missing then."""
    witness = Witness(followed, writing, tags)
    tasks = [asyncio.create_task(witness.write()), asyncio.create_task(witness.follow())]
    try:
        await until(lambda: witness.checked > 20)
        yield witness
        tasks[0].cancel()
        ended = monotonic()
        await until(lambda: witness.as_of > ended, 120)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    kept = await etags_of(followed, PREFIX)
    assert not set(witness.missing) & set(kept)
    assert len(witness.writes) < 2 * len(kept), "most writes are kept"


async def test_a_primary_that_sentinels_have_replaced_claims_nothing(
    tmp_path: Path, effort: Effort, promise: Promise
) -> None:
    rounds, checked, begun = effort.times(1, 10), 0, 0
    with watched(tmp_path) as net:
        async with opening("state.redis", {**net.settings, "dialTimeout": 4.0, "readTimeout": 1.0}) as open_one:
            followed, writing = await open_one("v1"), await open_one("v1")
            for _ in range(rounds):
                async with witnessed(followed, writing, [""]) as witness:
                    old = net.primary()
                    others = [place for place in net.places if place is not old]
                    net.split([old, CLIENTS], [*others, CLIENTS])
                    await until(lambda old=old: net.primary() is not old)
                    await _goes_on(witness)
                    net.heal()
                    await until(lambda: _have_healed(net))
                checked, begun = checked + witness.checked, begun + witness.begun
    assert begun >= 2 * rounds
    promise(
        "A feed of changes never claims to be complete while Sentinels have another primary take writes",
        on="Redis 7.0, three Sentinels, two replicas",
        fault="the primary cut off from Sentinels and replicas, not from two sidecars",
        times=rounds,
        counted=f"{checked:,} writes compared with what the feed claimed, none missing",
    )


async def test_a_node_that_was_replaced_claims_nothing(tmp_path: Path, effort: Effort, promise: Promise) -> None:
    rounds, checked, begun = effort.times(1, 10), 0, 0
    with cluster(tmp_path) as net:
        tags, watching = [net.tag_on(place) for place in net.places[:3]], net.places[1]
        async with opening("state.redis", {**net.settings, "dialTimeout": 4.0, "readTimeout": 1.0}) as open_one:
            followed, writing = await open_one("v1"), await open_one("v1")
            for _ in range(rounds):
                async with witnessed(followed, writing, tags) as witness:
                    old = net.owner(tags[0], watching)
                    assert old is not None
                    net.split([old, CLIENTS], [*(place for place in net.places if place is not old), CLIENTS])
                    # A vote may need several rounds.
                    await until(lambda old=old: net.owner(tags[0], watching) not in (old, None), 120)
                    await until(lambda: serves(watching))
                    await _goes_on(witness)
                    net.heal()
                    await until(lambda: _has_replica(net, tags[0]))
                checked, begun = checked + witness.checked, begun + witness.begun
    assert begun >= 2 * rounds
    promise(
        "A feed of changes never claims to be complete while another node of a Cluster has taken slots over",
        on="Redis 7.0, Cluster of three, one replica",
        fault="the primary cut off from the other nodes, not from two sidecars",
        times=rounds,
        counted=f"{checked:,} writes compared with what the feed claimed, none missing",
    )


async def _goes_on(witness: Witness) -> None:
    """Wait until another feed has begun, and is complete up to writes that are made now."""
    begun, now = witness.begun, len(witness.writes)
    await until(lambda: witness.begun > begun or witness.begun > 1, 120)
    await until(lambda: len(witness.writes) > now + 50, 120)


def _have_healed(net: Watched) -> bool:
    primary = net.primary()
    assert primary.server is not None
    with primary.server.client() as client:
        return int(client.info("replication")["connected_slaves"]) == len(net.data) - 1


def _has_replica(net: ClusterNet, tag: str) -> bool:
    owner = net.owner(tag, net.places[1])
    return owner is not None and bool(ask(owner, "WAIT", 1, 100) == 1)
