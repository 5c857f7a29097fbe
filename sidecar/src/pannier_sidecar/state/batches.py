"""Several writes with an outcome for each: every one has its own precondition, and none depends on another.

Imported with the first such call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from .bulk_reads import read_values
from .errors import (
    ETagMismatchError,
    MalformedRequestError,
    NotSupportedError,
    OperationFailedError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from .preconditions import is_absent
from .requests import LAST_WRITE, NO_METADATA, Get, Set, WriteItem
from .writing import write_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .bulk_reads import BulkItem
    from .bytes_in_flight import BytesInFlight
    from .directory import Directory, ServedStore
    from .pacing import Pace
    from .requests import Write

ANY_ETAG: Final = "*"
"""As an ETag: the key must be present, whatever its ETag (RFC 9110, 13.1.1)."""
ATTEMPTS: Final = 10
"""Attempts at writes of keys that must be present, while others write them between the read and the write."""
MAX_PAUSE_S: Final = 0.05


class OutcomeKind(Enum):
    """What has become of an item, in a word."""

    WRITTEN = "written"
    """Also: deleted."""
    CONDITION_FAILED = "conditionFailed"
    REFUSED = "refused"
    """The store cannot take it."""
    UNAVAILABLE = "unavailable"
    """Nothing was done, and it may be repeated."""
    UNKNOWN = "unknown"
    """It may have happened."""
    FAILED = "failed"


_KINDS: Final = {
    400: OutcomeKind.REFUSED,
    409: OutcomeKind.CONDITION_FAILED,
    503: OutcomeKind.UNAVAILABLE,
}
"""Kinds by the HTTP status of the error."""


class Batch(Struct, frozen=True):
    """Write and delete items in order, each by itself."""

    store: str | None
    items: Sequence[WriteItem]
    metadata: Mapping[str, str] = NO_METADATA
    returns_etags: bool = False
    """Whether to read the ETags of the values that were written."""


class Outcome(Struct, frozen=True):
    """What has become of one item."""

    key: str
    error: StoreError | None = None
    """None: it is written, or deleted."""
    etag: str | None = None
    """Of the value that was written, if it was asked for and is known."""

    @property
    def alone(self) -> OperationFailedError | None:
        """The error that the write of this key alone would have had."""
        return None if self.error is None else OperationFailedError("ERR_STATE_BATCH", "", [(self.key, self.error)])

    @property
    def kind(self) -> OutcomeKind:
        if isinstance(self.error, OutcomeUnknownError):
            return OutcomeKind.UNKNOWN
        if self.error is None:
            return OutcomeKind.WRITTEN
        return _KINDS.get(self.error.http_status, OutcomeKind.FAILED)


class Calls(Protocol):
    """What is needed of the service."""

    directory: Directory
    pace: Pace

    def write_each(
        self,
        served: ServedStore,
        operation: str,
        items: Sequence[WriteItem],
        writes: Sequence[Write],
        code: str,
        what: str,
    ) -> Awaitable[None]:
        """Carry out writes independently, and count the call. Raises OperationFailedError."""


class Batches:
    """Carries out these calls."""

    def __init__(self, calls: Calls, max_bytes: int, bytes_in_flight: BytesInFlight):
        """`max_bytes` is the maximum of bytes of all values that one call reads."""
        self._calls = calls
        self._max_bytes = max_bytes
        self._bytes_in_flight = bytes_in_flight

    async def run(self, request: Batch) -> list[Outcome]:
        """Carry out the items; return the outcome of each, in the order of the request.

        Raises StoreNotFoundError, StoreNotReadyError, and MalformedRequestError for a wrong item, or for a key that is
        there twice, because the ETag of the first write would decide about the second.
        """
        served = self._calls.directory.find(request.store)
        items = request.items
        _refuse_twice([item.key for item in items])
        writes = await self._calls.pace.each(
            lambda item: write_of(served, served.keys.stored(item.key), item, request.metadata), items
        )
        errors = await self._carried_out(served, items, writes)
        etags = await self._etags(served, items, writes, errors) if request.returns_etags else {}
        return [Outcome(item.key, error, etags.get(item.key)) for item, error in zip(items, errors, strict=True)]

    async def _carried_out(
        self, served: ServedStore, items: Sequence[WriteItem], writes: list[Write]
    ) -> list[StoreError | None]:
        errors: list[StoreError | None] = [None] * len(items)
        must_exist = [place for place, item in enumerate(items) if _must_exist(item)]
        asked = list(range(len(items)))
        for attempt in range(ATTEMPTS):
            for place, outcome in (await self._with_etags(served, items, writes, must_exist)).items():
                errors[place] = outcome if isinstance(outcome, StoreError) else None
                if not isinstance(outcome, StoreError):
                    writes[place] = outcome
            ready = {place: None for place in asked if errors[place] is None}
            for place, error in zip(ready, await self._written(served, items, writes, [*ready]), strict=True):
                errors[place] = error
            asked = must_exist = [place for place in must_exist if place in ready and _has_changed(errors[place])]
            if not must_exist:
                return errors
            await asyncio.sleep(MAX_PAUSE_S * (attempt + 1) / ATTEMPTS * os.urandom(1)[0] / 255)
        for place in must_exist:
            errors[place] = StoreUnavailableError(f"others wrote key {writes[place].key} {ATTEMPTS} times in between")
        return errors

    async def _with_etags(
        self, served: ServedStore, items: Sequence[WriteItem], writes: Sequence[Write], places: Sequence[int]
    ) -> dict[int, Write | StoreError]:
        """Return the writes of keys that must be present with the ETags that these have now, or why not."""
        found = await self._read(served, [items[place].key for place in places], [writes[place] for place in places])
        if isinstance(found, StoreError):
            return dict.fromkeys(places, found)
        return {place: _on(writes[place], entry) for place, entry in zip(places, found, strict=True)}

    async def _written(
        self, served: ServedStore, items: Sequence[WriteItem], writes: Sequence[Write], places: Sequence[int]
    ) -> Sequence[StoreError | None]:
        if not places:
            return []
        what = f"failed writing a batch to state store {served.name}"
        wanted = [items[place] for place in places]
        try:
            await self._calls.write_each(
                served, "batch", wanted, [writes[place] for place in places], "ERR_STATE_BATCH", what
            )
        except OperationFailedError as error:
            assert error.of_items is not None, "they are written one by one"
            return error.of_items
        return [None] * len(places)

    async def _etags(
        self,
        served: ServedStore,
        items: Sequence[WriteItem],
        writes: Sequence[Write],
        errors: Sequence[StoreError | None],
    ) -> dict[str, str]:
        """Return the ETags of the values that were written and are still there, by the app's keys."""
        sets = {
            item.key: write
            for item, write, error in zip(items, writes, errors, strict=True)
            if error is None and isinstance(write, Set)
        }
        found = await self._read(served, [*sets], [*sets.values()])
        if isinstance(found, StoreError):
            return {}
        return {
            entry.key: entry.found.etag
            for entry in found
            if entry.found is not None and entry.found.value == sets[entry.key].value
        }

    async def _read(
        self, served: ServedStore, keys: Sequence[str], writes: Sequence[Write]
    ) -> Sequence[BulkItem] | StoreError:
        gets = [Get(write.key, True, write.metadata) for write in writes]
        served.calls_in_flight += 1
        try:
            return await read_values(served.store, keys, gets, self._max_bytes, self._bytes_in_flight)
        except StoreError as error:
            return error
        finally:
            served.calls_in_flight -= 1


def _refuse_twice(keys: Sequence[str]) -> None:
    known: set[str] = set()
    for key in keys:
        if key in known:
            raise MalformedRequestError(
                f"key {key[:80]} is in the batch twice", "send the second write in another call, or a transaction"
            )
        known.add(key)


def _must_exist(item: WriteItem) -> bool:
    return item.etag == ANY_ETAG and item.concurrency is not LAST_WRITE


def _has_changed(error: StoreError | None) -> bool:
    return isinstance(error, ETagMismatchError)


def _on(write: Write, entry: BulkItem) -> Write | StoreError:
    """Return a write on the condition that the key is as it was read; or why it cannot be written."""
    if entry.error is not None:
        return StoreRefusedError(entry.error)
    if entry.found is None:
        return is_absent(write)
    if not entry.found.etag:
        return NotSupportedError(f"the value of key {write.key} was written by another program, without an ETag")
    return replace(write, if_match=entry.found.etag)
