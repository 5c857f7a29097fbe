"""Changes of one key wait for one another, and those that wait together become one write.

A key that is being changed has a task. It reads the key, applies all changes that wait, in the order in which they
came, and writes the outcome on the condition that the ETag is still the one it has read. If another sidecar came first,
the task pauses for a random time, reads again and decides again, because a mismatch says that nothing was written. A
write whose outcome is unknown is never repeated: its callers get that error.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from .changes import UNGIVEN, Change, Standing
from .directory import ServedStore
from .errors import ETagMismatchError, NotSupportedError, StateError, StoreError
from .errors.of_changes import ContentionError
from .preconditions import mismatch
from .requests import Get, Set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .bytes_in_flight import BytesInFlight, Read
    from .store import StoredValue

PATIENCE_S: Final = 10.0
"""Seconds that a change may wait for others."""
MAX_WAITING: Final = 10_000
"""Maximum of changes that wait, of all keys."""
TOGETHER: Final = 256
"""Maximum of changes in one write."""
FIRST_PAUSE_S: Final = 0.002
MAX_PAUSE_S: Final = 0.2

Outcome = tuple[object, StateError | StoreError | None]
"""The result of a change, or its error."""


class Place(Struct, frozen=True):
    """Where a change happens."""

    served: ServedStore
    key: str
    """The stored key."""
    metadata: tuple[tuple[str, str], ...] = ()
    """The metadata of the request without its TTL: stores with partitions find the key by them."""


class Waiting(Struct, eq=False):
    """A change that waits for its turn, or for its write to be answered."""

    change: Change
    answer: asyncio.Future[Any]
    deadline: float
    """Time of `monotonic`."""
    etag: str | None = None
    """The ETag that the key must have before the change."""
    ttl: int | None = UNGIVEN
    strong: bool = False


class HotKeys:
    """The keys that are being changed, each with the changes that wait for it."""

    def __init__(self, bytes_in_flight: BytesInFlight) -> None:
        self._bytes_in_flight = bytes_in_flight
        self._queues: dict[Place, deque[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0

    async def change(self, place: Place, change: Change, *, etag: str | None, ttl: int | None, strong: bool) -> Any:
        """Carry out a change and return its result. Raises a ChangeRefusedError, ContentionError or a StoreError.

        A caller that is cancelled leaves the queue, unless its change is being written already.
        """
        if self._waiting >= MAX_WAITING:
            raise ContentionError(f"{MAX_WAITING} changes wait already")
        self._waiting += 1
        try:
            answer = asyncio.get_running_loop().create_future()
            self._enqueue(place, Waiting(change, answer, monotonic() + PATIENCE_S, etag, ttl, strong))
            return await answer
        finally:
            self._waiting -= 1

    def _enqueue(self, place: Place, waiting: Waiting) -> None:
        queue = self._queues.get(place)
        if queue is not None:
            queue.append(waiting)
            return
        self._queues[place] = queue = deque([waiting])
        task = asyncio.create_task(self._carry_out_all(place, queue), name="changes of a key")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out_all(self, place: Place, queue: deque[Waiting]) -> None:
        conflicts = 0
        together: list[Waiting] = []
        place.served.calls_in_flight += 1
        try:
            while together := _take(queue):
                if await self._carry_out(place, together):
                    conflicts = 0
                    continue
                conflicts += 1
                queue.extendleft(reversed(together))
                await asyncio.sleep(_pause(conflicts))
        except Exception as error:  # a defect: whoever waits gets it, as it would without a queue
            _fail([*together, *queue], error)
        finally:
            del self._queues[place]
            place.served.calls_in_flight -= 1

    async def _carry_out(self, place: Place, together: list[Waiting]) -> bool:
        """Read, decide and write once. Return False if another write came between."""
        read = self._bytes_in_flight.begin()
        try:
            outcomes = await _outcomes(place, together, read)
        except ETagMismatchError:
            return False
        except StoreError as error:
            _fail(together, error)
            return True
        finally:
            read.end()
        for waiting, (result, refusal) in zip(together, outcomes, strict=True):
            if waiting.answer.done():
                continue
            if refusal is None:
                waiting.answer.set_result(result)
            else:
                waiting.answer.set_exception(refusal)
        return True


async def _outcomes(place: Place, together: list[Waiting], read: Read) -> list[Outcome]:
    """Return what becomes of each change, after the write. Raises StoreError."""
    metadata = dict(place.metadata)
    store = place.served.store
    reserved = await read.reserve(1)
    found = await store.get(Get(place.key, True, metadata))
    size = 0 if found is None else len(found.value)
    read.settle(reserved, 2 * size, size)  # the value before and the value after
    standing = Standing.of(found, keeps_expiry=store.keeps_expiry)
    outcomes, has_changed = _decide(place, together, standing, found)
    if has_changed:
        strong = any(waiting.strong for waiting in together)
        await store.set(_write(place, standing, found, metadata, strong=strong))
    return outcomes


def _pause(conflicts: int) -> float:
    """Return a random pause in seconds, on average longer after each conflict in a row."""
    maximum: float = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(conflicts, 10))
    return maximum * os.urandom(1)[0] / 255


def _take(queue: deque[Waiting]) -> list[Waiting]:
    """Take the next changes out of a queue, without those whose callers have gone or have waited too long."""
    taken: list[Waiting] = []
    now = monotonic()
    while queue and len(taken) < TOGETHER:
        waiting = queue.popleft()
        if waiting.answer.done():
            continue
        if waiting.deadline <= now:
            _fail([waiting], ContentionError(f"others changed the key for {PATIENCE_S:g} s"))
        else:
            taken.append(waiting)
    return taken


def _fail(together: list[Waiting], error: Exception) -> None:
    for waiting in together:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _decide(
    place: Place, together: list[Waiting], standing: Standing, found: StoredValue | None
) -> tuple[list[Outcome], bool]:
    """Apply the changes one after another; return what becomes of each, and whether there is something to write."""
    outcomes: list[Outcome] = []
    has_changed = False
    for waiting in together:
        try:
            _require(place, waiting, None if found is None else found.etag, has_changed=has_changed)
            result, changes = waiting.change.apply(standing, waiting.ttl)
        except (StateError, StoreError) as error:
            outcomes.append((None, error))
        else:
            outcomes.append((result, None))
            has_changed = has_changed or changes
    return outcomes, has_changed


def _require(place: Place, waiting: Waiting, etag: str | None, *, has_changed: bool) -> None:
    """Raise ETagMismatchError if a change wants an ETag that the key does not have when its turn comes."""
    if waiting.etag is None:
        return
    if has_changed:
        raise ETagMismatchError(f"another call changed key {place.key} first; read it again")
    error = mismatch(Set(place.key, b"", waiting.etag), etag)
    if error is not None:
        raise error


def _write(
    place: Place, standing: Standing, found: StoredValue | None, metadata: Mapping[str, str], *, strong: bool
) -> Set:
    value = standing.current()
    assert value is not None, "no change removes a value"
    if found is not None and not found.etag:
        raise NotSupportedError(
            f"the value of key {place.key} was written by another program, without an ETag: save it once through here"
        )
    if_match = None if found is None else found.etag
    return Set(
        place.key,
        value,
        if_match,
        found is None,
        standing.ttl,
        strong,
        metadata,
        is_json=standing.is_json,
        kept_expiry=standing.expires_at,
    )
