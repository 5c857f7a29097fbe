"""The changes of keys, by blocking queries: Consul answers when an entry with the prefix has changed, with all of them,
and they are compared with those that were known. There are no positions, but a lost answer loses nothing either.

That nothing has changed is shown by the index of the last change of any entry, which a linearizable read returns.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_sidecar.network.background_reads import give_up
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange
from pannier_sidecar.state.polling import MAX_KEYS, differences, too_many_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.feeds import Entry, Feed

    from .client import Client, Listing
    from .layout import Version

_EVERY_S: Final = 1.0
"""Usual seconds between two proofs that nothing was missed."""
_MAX_PAUSE_S: Final = 3.0
_SHARE: Final = 0.05
"""Maximum part of the time that these proofs may take."""
_WAIT_S: Final = 50
"""Seconds that Consul may wait before it sends all entries again: less than proxies allow a connection to be idle."""
_PAUSE_S: Final = 0.01
"""Seconds between two listings, at least."""
_PAUSE_PER_KEY_S: Final = 0.000_02
"""More seconds for each key, because each listing has all of them."""
_UNKNOWN_POSITION: Final = "Consul does not know what has changed since then"


class Names(NamedTuple):
    """Which entries have the keys of a feed."""

    listed: str
    """A prefix of entries, which may have others too."""
    start: str
    """The prefix of the entries."""
    cut: int
    """Characters of a name before the stored key."""
    absent: str
    """A name that no entry has."""


async def follow(client: Client, names: Names, since: str | None) -> Feed:
    """Yield the changes of the names, as a store's feed does."""
    began = monotonic()
    following = _Following(client, names)
    try:
        await following.begin()
        yield [Alive(began)] if since is None else [Gap(_UNKNOWN_POSITION), Alive(began)]
        while True:
            batch = await following.step()
            if batch:
                yield batch
    finally:
        await following.close()


class _Following:
    """The entries that are known, and the blocking query for what changes next."""

    def __init__(self, client: Client, names: Names):
        self._client = client
        self._names = names
        self._known = _Known(names)
        self._index = 0
        """That of the entries that are known."""
        self._changes_index = 0
        self._waiting: asyncio.Task[Listing] | None = None
        self._due = 0.0
        """When to prove again that nothing was missed."""

    async def begin(self) -> None:
        self._changes_index = await self._client.changes_index(self._names.absent)
        await self._read()
        self._due = monotonic() + _EVERY_S

    async def step(self) -> Sequence[Entry]:
        """Return what has changed, if anything."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._wait())
        pause = min(self._due - monotonic(), self._known.next_expiry - time())
        await asyncio.wait({self._waiting}, timeout=max(pause, 0))
        entries: list[Entry] = []
        if self._waiting.done():
            waiting, self._waiting = self._waiting, None
            entries += await self._take(waiting.result())
        entries += self._known.expire()
        if monotonic() >= self._due:
            entries += await self._prove()
        return entries

    async def close(self) -> None:
        """Give up the query that waits."""
        await give_up(self._waiting)

    async def _wait(self) -> Listing:
        await asyncio.sleep(_PAUSE_S + _PAUSE_PER_KEY_S * self._known.number)
        return await self._client.versions(self._names.listed, self._index, _WAIT_S)

    async def _take(self, listing: Listing) -> Sequence[Entry]:
        if listing.index < self._index:
            return await self._read()  # what it says may be older than what is known
        self._index = listing.index
        return self._known.compare(listing.versions)

    async def _read(self) -> Sequence[Entry]:
        listing = await self._client.versions(self._names.listed)
        self._index = listing.index
        return self._known.compare(listing.versions)

    async def _prove(self) -> Sequence[Entry]:
        """Return `Alive`, after what the blocking query has not reported yet."""
        began = monotonic()
        entries: Sequence[Entry] = ()
        changes_index = await self._client.changes_index(self._names.absent)
        if changes_index != self._changes_index:
            if await self._client.prefix_index(self._names.listed) != self._index:
                entries = await self._read()
            self._changes_index = changes_index
        took = monotonic() - began
        self._due = monotonic() + min(max(_EVERY_S, took / _SHARE), _MAX_PAUSE_S)
        return [*entries, Alive(began)]


class _Known:
    """The ETag of each key that was reported or was there at first; None: it has expired, and is not removed yet."""

    def __init__(self, names: Names):
        self.next_expiry = inf
        """Unix time when the next key expires."""
        self._names = names
        self._etags: dict[str, str | None] = {}
        self._expiries: dict[str, int] = {}

    @property
    def number(self) -> int:
        return len(self._etags)

    def compare(self, versions: Sequence[Version]) -> Sequence[KeyChange]:
        """Take what there is now, and return what has changed. Raises StoreRefusedError if there are too many keys."""
        found = [each for each in versions if each.key.startswith(self._names.start)]
        if len(found) > MAX_KEYS:
            raise too_many_keys()
        before, now = self._etags, time()
        self._expiries = {each.key: at for each in found if (at := each.expires_at) is not None and at > now}
        self.next_expiry = min(self._expiries.values(), default=inf)
        self._etags = {each.key: None if each.has_expired else each.etag for each in found}
        return [KeyChange(name[self._names.cut :], etag) for name, etag in differences(before, self._etags)]

    def expire(self) -> Sequence[KeyChange]:
        """Return the keys that have expired since the last time."""
        now = time()
        if now < self.next_expiry:
            return ()
        expired = [name for name, at in self._expiries.items() if at <= now]
        for name in expired:
            del self._expiries[name]
            self._etags[name] = None
        self.next_expiry = min(self._expiries.values(), default=inf)
        return [KeyChange(name[self._names.cut :], None) for name in expired]
