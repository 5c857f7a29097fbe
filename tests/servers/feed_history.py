"""What writers did to keys of their own, what a feed reported of them meanwhile, and whether the two agree."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from servers.eventually import eventually
from servers.mirror import PAUSE_S, etags_of

from pannier_sidecar.state.errors import StoreError
from pannier_sidecar.state.feeds import UNREAD, Alive, Gap, KeyChange
from pannier_sidecar.state.polling import feed_of
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Store

PATIENCE_S = 120.0


class Written(NamedTuple):
    """A state of a key, and between which times it was written."""

    etag: str | None
    began: float
    done: float


class Reported(NamedTuple):
    """What a feed reported of a key; the key is empty for `Alive`, which came at a time as of another one."""

    key: str
    etag: str | None = None
    as_of: float = 0.0
    came: float = 0.0


class FeedHistory:
    """Each key has one writer, so the order of its states is known."""

    def __init__(self, prefix: str):
        self.written: dict[str, list[Written]] = defaultdict(list)
        self.reported: list[Reported] = []
        self.ends: list[str] = []
        """Why feeds ended."""
        self.gaps = 0
        self.as_of = 0.0
        self._prefix = prefix
        self._position: str | None = None

    async def write(self, store: Store, key: str, times: int) -> None:
        """Write and delete a key again and again, and note each state when it is known."""
        for number in range(times):
            began = monotonic()
            write = Delete(key) if number and random.random() < 0.2 else Set(key, b"%d" % number)
            try:
                await (store.delete(write) if isinstance(write, Delete) else store.set(write))
                done = monotonic()
            except StoreError:
                done = 0.0
            found = await eventually(lambda: store.get(Get(key, strong=True)), PATIENCE_S)
            self.written[key].append(Written(None if found is None else found.etag, began, done or monotonic()))

    async def follow(self, store: Store) -> None:
        """Follow one feed after the other: the next goes on where the last one was, if there are positions."""
        while True:
            try:
                async for batch in feed_of(store, self._prefix, 0.2, self._position):
                    for entry in batch:
                        await self._note(store, entry)
            except StoreError as error:
                self.ends.append(str(error))
                if self._position is None:
                    self._begins = True
                await asyncio.sleep(PAUSE_S)

    _begins = True
    """Whether all states have to be read when the feed is on."""

    async def _note(self, store: Store, entry: KeyChange | Gap | Alive) -> None:
        if isinstance(entry, Gap):
            self.gaps += 1
            self._begins = True
        elif isinstance(entry, KeyChange):
            self._position = entry.position or self._position
            self.reported.append(Reported(entry.key, entry.etag))
        else:
            if self._begins:
                await self._read_all(store)
                self._begins = False
            self._position = entry.position or self._position
            self.as_of = entry.as_of
            self.reported.append(Reported("", None, entry.as_of, monotonic()))

    async def _read_all(self, store: Store) -> None:
        found = await etags_of(store, self._prefix)
        for key in {*found, *(each.key for each in self.reported if each.key)}:
            self.reported.append(Reported(key, found.get(key)))

    async def until_now(self) -> None:
        now = monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while self.as_of < now:
                await asyncio.sleep(0.01)

    def check(self) -> int:
        """Raise AssertionError if a key's states were reported out of order, or if `Alive` came before a state that was
        there at that time; return how many changes were reported.
        """
        places: dict[str, int] = {}
        for each in self.reported:
            if each.key:
                places[each.key] = _next_place(self.written[each.key], places.get(each.key, -1), each)
            else:
                for key, written in self.written.items():
                    _check_alive(key, written, places.get(key, -1), each)
        return sum(1 for each in self.reported if each.key)


def _check_alive(key: str, written: Sequence[Written], place: int, alive: Reported) -> None:
    needed = max((number for number, state in enumerate(written) if state.done < alive.as_of), default=-1)
    if place < needed:  # it may have been absent several times
        now = written[place].etag if place >= 0 else None
        later = [state.etag for state in written[needed:] if state.began < alive.came]
        assert now in later, f"{key}: {written[needed]} was not reported by {alive}"


def _next_place(written: Sequence[Written], place: int, reported: Reported) -> int:
    """Return which state of a key was reported: the next one that is the same, or the same one again."""
    assert reported.etag != UNREAD
    for number in range(max(place, 0), len(written)):
        if written[number].etag == reported.etag:
            return number
    raise AssertionError(f"{reported} is none of the states from number {place} on: {written[max(place - 1, 0) :][:5]}")
