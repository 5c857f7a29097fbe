"""Changes of one key wait for one another, and those that wait together become one write.

A key that is being changed has a task. It reads the key, applies all changes that wait, in the order in which they
came, and writes the outcome on the condition that the ETag is still the one it has read. What is remembered of
Idempotency-Keys is read and written together with it. If another sidecar came first,
the task pauses for a random time, reads again and decides again, because a mismatch says that nothing was written. A
write whose outcome is unknown is never repeated: its callers get that error.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from .changes import UNGIVEN, Change, GetAndSet, Standing
from .directory import ServedStore
from .errors import ETagMismatchError, NotSupportedError, StateError, StoreError
from .errors.of_changes import ContentionError
from .idempotency import Once, Record, record_in
from .preconditions import mismatch
from .requests import Get, Set

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .bytes_in_flight import BytesInFlight, Read
    from .store import Store, StoredValue

PATIENCE_S: Final = 10.0
"""Seconds that a change may wait for others."""
MAX_WAITING: Final = 10_000
"""Maximum of changes that wait, of all keys."""
TOGETHER: Final = 256
"""Maximum of changes in one write."""
ONCE_TOGETHER: Final = 24
"""Maximum of changes with an Idempotency-Key among them: each adds an operation to the transaction, or two in Consul,
which takes 64.
"""
FIRST_PAUSE_S: Final = 0.002
MAX_PAUSE_S: Final = 0.2

Records = dict[str, Record]
"""What is remembered of Idempotency-Keys, by the stored keys of the records."""


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
    once: Once | None = None
    wants_etag: bool = False

    @property
    def goes_alone(self) -> bool:
        """Whether what would be remembered of it is as large as a value."""
        return self.once is not None and isinstance(self.change, GetAndSet)


class Result(Struct, frozen=True):
    """What a change has come to."""

    value: Any
    """As the change describes it."""
    etag: str | None = None
    """Of the value that the change has left, if it was asked for and is known."""


Outcome = Result | StateError | StoreError


class HotKeys:
    """The keys that are being changed, each with the changes that wait for it."""

    def __init__(self, bytes_in_flight: BytesInFlight) -> None:
        self._bytes_in_flight = bytes_in_flight
        self._queues: dict[Place, deque[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0

    async def change(
        self,
        place: Place,
        change: Change,
        *,
        etag: str | None,
        ttl: int | None,
        strong: bool,
        once: Once | None = None,
        wants_etag: bool = False,
    ) -> Result:
        """Carry out a change and return its result. Raises a ChangeRefusedError, ContentionError,
        IdempotencyKeyReusedError or a StoreError.

        A caller that is cancelled leaves the queue, unless its change is being written already.
        """
        if self._waiting >= MAX_WAITING:
            raise ContentionError(f"{MAX_WAITING} changes wait already")
        self._waiting += 1
        try:
            answer = asyncio.get_running_loop().create_future()
            deadline = monotonic() + PATIENCE_S
            self._enqueue(place, Waiting(change, answer, deadline, etag, ttl, strong, once, wants_etag))
            result: Result = await answer
            return result
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
            while together := _take(queue, _max_onces(place.served.store)):
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
        for waiting, outcome in zip(together, outcomes, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(outcome, Result):
                waiting.answer.set_result(outcome)
            else:
                waiting.answer.set_exception(outcome)
        return True


async def _outcomes(place: Place, together: list[Waiting], read: Read) -> list[Outcome]:
    """Return what becomes of each change, after the write. Raises StoreError."""
    metadata = dict(place.metadata)
    store = place.served.store
    reserved = await read.reserve(1)
    found, records = await _read(store, Get(place.key, True, metadata), together)
    size = 0 if found is None else len(found.value)
    remembered = sum(len(record.result) for record in records.values())
    # The value before and the value after; a get-and-set may remember the value before, in base64.
    read.settle(reserved, (4 if together[0].goes_alone else 2) * size + remembered, size)
    decided = Decided(Standing.of(found, keeps_expiry=store.keeps_expiry), records)
    for waiting in together:
        decided.apply(place, waiting, found)
    if decided.last_written is not None:
        strong = any(waiting.strong for waiting in together)
        write = _write(place, decided.standing, found, metadata, strong=strong)
        if decided.remembered:
            await store.transact([write, *decided.remembered])
        else:
            await store.set(write)
        if together[decided.last_written].wants_etag:
            decided.add_etag(await _etag_after(store, write))
    return decided.outcomes


async def _read(store: Store, get: Get, together: list[Waiting]) -> tuple[StoredValue | None, Records]:
    """Return what is stored under the key, and what is remembered of the changes. Raises StoreError."""
    onces = list({waiting.once.record: waiting.once for waiting in together if waiting.once is not None}.values())
    if not onces:
        return await store.get(get), {}
    entries = await store.bulk_get([get, *(once.read() for once in onces)])
    for entry in entries:
        if isinstance(entry, StoreError):
            raise entry
    found, *records = cast("Sequence[StoredValue | None]", entries)
    known = zip(onces, records, strict=True)
    return found, {once.record: record_in(record) for once, record in known if record is not None}


async def _etag_after(store: Store, write: Set) -> str | None:
    """Return the ETag of what was written; None if something else is there already, or it cannot be read now."""
    try:
        found = await store.get(Get(write.key, True, write.metadata))
    except StoreError:
        return None
    return found.etag if found is not None and found.value == write.value else None


def _pause(conflicts: int) -> float:
    """Return a random pause in seconds, on average longer after each conflict in a row."""
    maximum: float = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(conflicts, 10))
    return maximum * os.urandom(1)[0] / 255


def _max_onces(store: Store) -> int:
    """Return how many changes with an Idempotency-Key one transaction of the store can have, at least one."""
    return ONCE_TOGETHER if store.max_transaction is None else max(1, min(ONCE_TOGETHER, store.max_transaction - 1))


def _take(queue: deque[Waiting], max_onces: int) -> list[Waiting]:
    """Take the next changes out of a queue, without those whose callers have gone or have waited too long; at most
    `max_onces` of them have an Idempotency-Key.
    """
    taken: list[Waiting] = []
    now = monotonic()
    onces = 0
    while queue and len(taken) < TOGETHER:
        waiting = queue.popleft()
        if waiting.answer.done():
            continue
        if waiting.deadline <= now:
            _fail([waiting], ContentionError(f"others changed the key for {PATIENCE_S:g} s"))
            continue
        if taken and (taken[-1].goes_alone or waiting.goes_alone or (waiting.once and onces == max_onces)):
            queue.appendleft(waiting)
            break
        taken.append(waiting)
        onces += waiting.once is not None
    return taken


def _fail(together: list[Waiting], error: Exception) -> None:
    for waiting in together:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


class Decided:
    """What one write comes to."""

    def __init__(self, standing: Standing, records: Records):
        self.standing = standing
        self._records = records
        self.outcomes: list[Outcome] = []
        """Of the changes so far, in their order."""
        self.remembered: list[Set] = []
        """The records to write."""
        self.last_written: int | None = None
        """The place of the last change that has changed something; None: there is nothing to write."""

    def apply(self, place: Place, waiting: Waiting, found: StoredValue | None) -> None:
        """Apply the next change, unless it was carried out before."""
        try:
            self.outcomes.append(Result(self._result(place, waiting, found)))
        except (StateError, StoreError) as error:
            self.outcomes.append(error)

    def _result(self, place: Place, waiting: Waiting, found: StoredValue | None) -> object:
        once, change = waiting.once, waiting.change
        if once is not None and (record := self._records.get(once.record)) is not None:
            return record.result_of(once, change)
        _require(place, waiting, None if found is None else found.etag, has_changed=self.last_written is not None)
        result, changes = change.apply(self.standing, waiting.ttl)
        if changes:
            self.last_written = len(self.outcomes)
            if once is not None:
                record = self._records[once.record] = Record.of(once, result)
                self.remembered.append(once.write(record))
        return result

    def add_etag(self, etag: str | None) -> None:
        """Add the ETag of what was written to the result of the change that left that value."""
        assert self.last_written is not None
        outcome = self.outcomes[self.last_written]
        assert isinstance(outcome, Result)
        self.outcomes[self.last_written] = replace(outcome, etag=etag)


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
