"""The changes of keys, by a consumer of the bucket's messages. A position is the bucket's time of creation, the number
of a message, and a time at which there was no later one.

That nothing was missed is shown by the bucket's leader: it has no later message for the names than those that were
received. It is not enough that all up to a number were received, because the bucket forgets a message when the key has
a later one: what was not received may have been replaced by what has not been received either.
"""

from __future__ import annotations

import re
from datetime import datetime
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.state.feeds import Alive, Gap, KeyChange

from . import layout
from .consumer import Consumer
from .layout import Message, StreamAnswer, StreamConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pannier_sidecar.state.feeds import Entry, Feed

    from .client import Client
    from .consumer import Delivered
    from .settings import JetStreamSettings

_MAX_MARKER_S: Final = 1500
"""Seconds after which programs may remove the markers of deleted keys (`nats kv compact`: half an hour)."""
_EVERY_S: Final = 1.0
"""Seconds between two proofs that nothing was missed."""
_AGAIN_S: Final = 0.05
"""Seconds until a proof is tried again."""
_NANO: Final = 1_000_000_000
_POSITION: Final = re.compile(r"(?a:([0-9a-f]{1,16})-(\d{1,19})-(\d{1,12}))")
_UNKNOWN_POSITION: Final = "the bucket no longer has the changes since then, or never had them"
_TOO_LATE: Final = "changes were taken so late that the bucket may have forgotten deleted keys"


class Bucket(NamedTuple):
    """What the feed needs of the store."""

    client: Client
    settings: JetStreamSettings
    stream: str
    subject: str
    """The beginning of the subjects of all keys."""
    info: Callable[[], Awaitable[StreamAnswer]]
    message: Callable[[dict[str, Any]], Awaitable[Message | None]]
    """Reads a message, as JetStream's API describes it."""


class Position(NamedTuple):
    """The number of a message, up to which all changes were reported at a time."""

    created: int
    """Unix time in microseconds."""
    sequence: int
    time: int
    """Unix time by the server's clock."""

    def __str__(self) -> str:
        return f"{self.created:x}-{self.sequence}-{self.time}"


def _remembered_s(config: StreamConfig) -> float:
    """Return for how many seconds a deleted or expired key has a marker."""
    times = (config.max_age, config.subject_delete_marker_ttl)
    return min([each / _NANO for each in times if each > 0], default=inf)


async def follow(bucket: Bucket, prefix: str, since: str | None) -> Feed:
    """Yield the changes of the keys with a prefix, as a store's feed does."""
    began = monotonic()
    following = _Following(bucket, prefix, began)
    try:
        is_known = await following.begin(since)
        if not is_known:
            yield [Gap(_UNKNOWN_POSITION), Alive(began, following.position)]
        elif since is None:
            yield [Alive(began, following.position)]
        while True:
            batch = await following.step()
            if batch:
                yield batch
    finally:
        await following.close()


class _Following:
    """A consumer, and how far it has come."""

    def __init__(self, bucket: Bucket, prefix: str, began: float):
        self._bucket = bucket
        self._prefix = prefix
        self._pattern = bucket.subject + layout.names_with(prefix)
        self._consumer = Consumer(bucket.client, bucket.settings, bucket.stream, bucket.subject)
        self._created = 0
        self._reported = 0
        """The number of the message up to which all were reported."""
        self._as_of = 0
        """Unix time by the server's clock: all that was stored until then was reported."""
        self._remembered_s = float(_MAX_MARKER_S)
        self._proved = began
        self._due = began
        self._stuck_after = inf

    @property
    def position(self) -> str:
        return str(Position(self._created, self._reported, self._as_of))

    async def begin(self, since: str | None) -> bool:
        """Make the consumer; return whether it begins where it should."""
        info = await self._bucket.info()
        self._remembered_s = min(_remembered_s(info.config or StreamConfig()), _MAX_MARKER_S)
        now = Position(_microseconds(info.created), self._last(info), _microseconds(info.ts) // 1_000_000)
        start = now if since is None else self._known(since, now)
        self._created, self._reported, self._as_of = start or now
        self._proved -= now.time - self._as_of
        await self._consumer.create(self._pattern, self._reported)
        return start is not None

    def _known(self, since: str, now: Position) -> Position | None:
        """Return a position that was given, if everything that came after it is still there."""
        found = _POSITION.fullmatch(since)
        if found is None:
            return None
        position = Position(int(found[1], 16), int(found[2]), int(found[3]))
        is_of_bucket = position.created == now.created and position.sequence <= now.sequence
        is_remembered = 0 <= now.time - position.time < self._remembered_s
        return position if is_of_bucket and is_remembered else None

    async def step(self) -> Sequence[Entry]:
        """Return what has happened, if anything."""
        entries: list[Entry] = []
        if monotonic() >= self._due:
            entries += await self._prove()
        for each in await self._consumer.receive(self._due - monotonic()):
            entries += self._change(each)
            self._stuck_after = inf
        return entries

    async def close(self) -> None:
        await self._consumer.close()

    def _change(self, delivered: Delivered) -> Sequence[KeyChange]:
        if delivered.sequence > self._reported:
            self._reported, self._as_of = delivered.sequence, max(self._as_of, delivered.stored_at // _NANO)
        key = layout.key_of(delivered.name)
        if key is None or not key.startswith(self._prefix):
            return ()
        return [KeyChange(key, delivered.etag, self.position)]

    async def _prove(self) -> Sequence[Entry]:
        """Return `Alive` if everything was received."""
        began = monotonic()
        info = await self._bucket.info()
        last = self._last(info)
        if _microseconds(info.created) != self._created or last < self._reported:
            raise StoreUnavailableError(f"bucket {self._bucket.settings.bucket} was made again, or restored")
        if last > self._reported and await self._has_later():
            self._due = monotonic() + _AGAIN_S
            self._stuck_after = min(self._stuck_after, began + self._bucket.settings.timeout)
            if began > self._stuck_after:
                raise StoreUnavailableError(f"{self._bucket.settings.where} does not send the changes that it has")
            return ()
        self._reported, self._as_of = max(self._reported, last), max(self._as_of, _microseconds(info.ts) // 1_000_000)
        late = monotonic() - self._proved > self._remembered_s
        self._proved, self._due, self._stuck_after = began, monotonic() + _EVERY_S, inf
        alive = Alive(began, self.position)
        return [Gap(_TOO_LATE), alive] if late else [alive]

    async def _has_later(self) -> bool:
        """Return whether there is a message for the names after those that were received."""
        return await self._bucket.message({"seq": self._reported + 1, "next_by_subj": self._pattern}) is not None

    def _last(self, info: StreamAnswer) -> int:
        """Return the number of the last message."""
        if info.state is None or info.state.last_seq < 0:
            raise StoreUnavailableError(f"{self._bucket.settings.where} did not answer as JetStream does")
        return info.state.last_seq


def _microseconds(text: str) -> int:
    """Return the Unix time of a text as RFC 3339 says, in microseconds; 0: there is none."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return 0
