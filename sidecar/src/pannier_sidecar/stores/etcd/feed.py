"""The changes of keys, by one of etcd's watches. A position is the cluster's id and a revision.

A response to a watch says nothing of when nothing happens. So from time to time a linearizable read returns etcd's
revision, and then it is shown that all events up to it have been reported: the watch itself says how far it is or, with
servers that say so too early, a read shows that no key has changed since the last event.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aetcd import rpc

from pannier_sidecar.network.background_reads import give_up
from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange

from .client import RANGE, TXN, CompactedError
from .watch import Watch, answers_behind_events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pannier_sidecar.state.feeds import Entry, Feed

    from .client import Client

LAG_S: Final = 3.0
"""Maximum of seconds between two proofs that nothing was missed."""
_EVERY_S: Final = 1.0
"""Usual seconds between two proofs."""
_AGAIN_S: Final = 0.2
"""Seconds until a proof is tried again."""
_SHARE: Final = 0.05
"""Maximum part of the time that reads of all keys may take."""
_POSITION: Final = re.compile(r"(?a:([0-9a-f]{1,16})-([1-9]\d{0,18}))")
_UNKNOWN_POSITION: Final = "etcd no longer has the changes since then, or never had them"
_COMPACTED: Final = "etcd was compacted before all changes were sent"


class Range(NamedTuple):
    """The names of the keys with a prefix, and how a name becomes a key."""

    first: bytes
    key_of: Callable[[bytes], str]

    @property
    def end(self) -> bytes:
        return self.first[:-1] + bytes((self.first[-1] + 1,))  # UTF-8 has no byte 0xff


class Position(NamedTuple):
    """A revision of which, and of all before it, all changes were reported."""

    cluster: int
    revision: int

    def __str__(self) -> str:
        return f"{self.cluster:x}-{self.revision}"


async def follow(client: Client, names: Range, since: str | None) -> Feed:
    """Yield the changes of the names, as a store's feed does."""
    began = monotonic()
    now = await _now(client, names)
    start = now if since is None else _known_position(since, now)
    gap = _UNKNOWN_POSITION if start is None else None
    while True:
        following = _Following(client, names, start or now)
        try:
            await following.begin()
            if gap is not None:
                yield [Gap(gap), Alive(began, str(now))]
            elif since is None:
                yield [Alive(began, str(now))]
            async for batch in following.batches():
                yield batch
        except CompactedError:
            gap, start, began = _COMPACTED, None, monotonic()
            now = await _now(client, names)
        finally:
            await following.close()


def _known_position(since: str, now: Position) -> Position | None:
    found = _POSITION.fullmatch(since)
    if found is None:
        return None
    position = Position(int(found[1], 16), int(found[2]))
    return position if position.cluster == now.cluster and position.revision <= now.revision else None


async def _now(client: Client, names: Range) -> Position:
    """Return the revision that a majority of the members has agreed on."""
    header = (await client.call(RANGE, rpc.RangeRequest(key=names.first, count_only=True))).header
    return Position(header.cluster_id, header.revision)


class _Proof(NamedTuple):
    """What a linearizable read has found."""

    began: float
    revision: int
    """That of etcd when it was read."""
    reported: int
    """All changes up to this revision had been reported before."""
    is_unchanged: bool
    """Whether the keys are known to be the same at both revisions."""


class _Following:
    """One watch, and how far it has come."""

    def __init__(self, client: Client, names: Range, start: Position):
        self.watch = Watch(client)
        self._client = client
        self._names = names
        self._cluster = start.cluster
        self._reported = start.revision
        """All changes up to this revision were reported."""
        self._asks_watch = False
        self._proving: asyncio.Task[_Proof] | None = None
        self._to_reach: _Proof | None = None
        """It becomes `Alive` when all changes up to its revision were reported."""
        self._due = 0.0
        """When to go on with the next proof."""

    async def begin(self) -> None:
        """Create the watch. Events of the start's own revision come too, because a watch that begins with a revision to
        come has no progress. Raises StoreError, CompactedError.
        """
        await self.watch.create(self._names.first, self._names.end, self._reported)
        self._asks_watch = answers_behind_events(await self.watch.version())

    async def batches(self) -> AsyncGenerator[list[Entry], None]:
        """Yield what happens. Raises StoreError, CompactedError."""
        patience = LAG_S + self._client.timeout
        silent_after = monotonic() + patience
        while True:
            entries = await self._step()
            if entries:
                yield entries
            if entries is not None:
                silent_after = monotonic() + patience
            elif monotonic() >= silent_after:
                raise self.watch.silence()

    async def close(self) -> None:
        """End the watch, at the server too."""
        await self.watch.close()
        await give_up(self._proving)

    async def _step(self) -> list[Entry] | None:
        """Return what has come, perhaps nothing of interest; None: nothing has come."""
        if self._proving is None and monotonic() >= self._due:
            self._due = monotonic() + _AGAIN_S
            if self._to_reach is not None and self._asks_watch:
                await self.watch.request_progress()
            else:
                self._proving = asyncio.create_task(self._prove())
        response = await self.watch.receive(self._due - monotonic(), self._proving)
        entries = None if response is None else self._changes(response)
        if self._proving is not None and self._proving.done():
            proof, self._proving = self._proving.result(), None
            self._take(proof)
        alive = self._alive()
        return [*(entries or ()), alive] if alive is not None else entries

    async def _prove(self) -> _Proof:
        began, reported = monotonic(), self._reported
        if self._asks_watch:
            return _Proof(began, (await _now(self._client, self._names)).revision, reported, False)
        revision, is_unchanged = await _compare(self._client, self._names, reported)
        return _Proof(began, revision, reported, is_unchanged)

    def _take(self, proof: _Proof) -> None:
        self._to_reach = proof
        if self._asks_watch:
            self._due = monotonic()
        elif proof.is_unchanged and proof.reported == self._reported:
            self._reported = max(self._reported, proof.revision)  # what happened in between has no effect

    def _alive(self) -> Alive | None:
        proof = self._to_reach
        if proof is None or self._reported < proof.revision:
            return None
        self._to_reach = None
        took = monotonic() - proof.began
        pause = _EVERY_S if self._asks_watch else min(max(_EVERY_S, took / _SHARE), LAG_S)
        self._due = monotonic() + pause
        return Alive(proof.began, self._position)

    def _changes(self, response: Any) -> list[Entry]:
        """Return the changes in a response, and note how far it goes."""
        if not response.events:
            if self._asks_watch and not response.created:
                self._reported = max(self._reported, response.header.revision)
            return []
        revisions = [event.kv.mod_revision for event in response.events]
        following = [*revisions[1:], revisions[-1] if response.fragment else revisions[-1] + 1]
        entries: list[Entry] = []
        for event, revision, next_one in zip(response.events, revisions, following, strict=True):
            if revision > next_one or not event.kv.key.startswith(self._names.first):
                raise self.watch.nonsense()
            if revision <= self._reported:
                continue
            if next_one > revision:
                self._reported = revision
            etag = None if event.type == event.DELETE else str(revision)
            entries.append(KeyChange(self._names.key_of(event.kv.key), etag, self._position))
        return entries

    @property
    def _position(self) -> str:
        return str(Position(self._cluster, self._reported))


async def _compare(client: Client, names: Range, reported: int) -> tuple[int, bool]:
    """Return etcd's revision, and whether the names and their revisions are those of an earlier revision.

    They are if no name has a later revision and there are as many: none was written, and so none was removed.
    Raises StoreError, CompactedError.
    """
    every = {"key": names.first, "range_end": names.end}
    ranges = (
        rpc.RangeRequest(**every, count_only=True, revision=reported),
        rpc.RangeRequest(**every, count_only=True),
        rpc.RangeRequest(**every, keys_only=True, min_mod_revision=reported + 1, limit=1),
    )
    answer = await client.call(TXN, rpc.TxnRequest(success=[rpc.RequestOp(request_range=each) for each in ranges]))
    if len(answer.responses) != len(ranges):
        raise StoreUnavailableError(f"{client.where} did not answer as etcd does; check endpoints")
    before, now, written = (each.response_range for each in answer.responses)
    return answer.header.revision, before.count == now.count and not written.kvs
