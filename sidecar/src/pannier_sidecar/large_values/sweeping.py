"""Removes parts that no manifest refers to: of values that were replaced or deleted, and of writes that never ended.

Parts are removed in two steps, at least GRACE_S apart: the first sweep that finds a version without its manifest notes
that in the record, and a later one removes the parts. So whoever is reading the version has time to end, and a writer
that was only slow finds the note before it writes the manifest.

Of all sidecars of an app one sweeps at a time: whoever writes down first that the next sweep has begun.
"""

from __future__ import annotations

import asyncio
import logging
from time import time
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from pannier_sidecar.state.errors import ETagMismatchError, StoreError
from pannier_sidecar.state.requests import Delete, Get, Set, in_partition
from pannier_sidecar.state.store import StoredValue, or_error

from .layout import read_record, record_bytes, version_in
from .part_store import parts_of
from .part_writer import remove_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pannier_sidecar.state.store import Store

    from .layout import Keys, Record

log = logging.getLogger(__name__)

GRACE_S: Final = 600.0
"""Seconds that parts stay after they were found unused, and that a record is left alone after its writer noted it."""
INTERVAL_S: Final = 600.0
"""Seconds between two sweeps of an app's parts, however many sidecars there are."""
FIRST_AFTER_S: Final = 60.0
"""Seconds from the opening of a store to its first sweep."""
_PAGE: Final = 100
_VALUES_TOGETHER: Final = 8
"""Values that are read at once, each of up to a part's size."""
_PAUSE_S: Final = 0.02


async def sweep_regularly(store: Callable[[], Store], name: str, jitter: Callable[[float, float], float]) -> None:
    """Sweep until it is cancelled. `store` returns the store as it is served now, `name` is for the log."""
    await asyncio.sleep(FIRST_AFTER_S * jitter(0.8, 1.2))
    while True:
        parts = parts_of(store())
        if parts is not None:
            try:
                if await _may_sweep(parts.inner, parts.part_keys):
                    removed = await sweep(parts.inner, parts.part_keys)
                    if removed:
                        log.info("store %s: the parts of %d unused versions of values are removed", name, removed)
            except StoreError as error:
                log.warning("store %s: unused parts of large values could not be removed: %s", name, error)
        await asyncio.sleep(INTERVAL_S * jitter(0.8, 1.2))


async def _may_sweep(store: Store, keys: Keys) -> bool:
    """Return whether nobody else has swept in the last interval; then nobody else will in the next."""
    found = await store.get(Get(keys.swept, True))
    now = time()
    if found is not None:
        last = found.value.decode("ascii", "replace")
        if last.isdigit() and 0 <= now - int(last) < INTERVAL_S / 2:
            return False
    claim = Set(keys.swept, b"%d" % now, found.etag if found is not None else None, found is None, strong=True)
    return not isinstance(await or_error(store.set(claim)), ETagMismatchError)


async def sweep(store: Store, keys: Keys, grace: float = GRACE_S) -> int:
    """Look through all records once; return how many versions were removed. Raises StoreError.

    `store` is the one around which parts are kept.
    """
    removed, cursor = 0, None
    while True:
        page = await store.keys(keys.records, _PAGE, cursor)
        records = [key for key in page.keys if keys.version_of(key)]
        for start in range(0, len(records), _VALUES_TOGETHER):
            removed += await _judge(store, keys, records[start : start + _VALUES_TOGETHER], grace)
            await asyncio.sleep(_PAUSE_S)
        cursor = page.cursor
        if cursor is None:
            return removed


async def _judge(store: Store, keys: Keys, stored: Sequence[str], grace: float) -> int:
    """Judge some records by what is stored under the keys of their values."""
    due: list[tuple[str, StoredValue, Record]] = []
    for key, found in zip(stored, await store.bulk_get([Get(key, True) for key in stored]), strict=True):
        record = read_record(found.value) if isinstance(found, StoredValue) else None
        if isinstance(found, StoredValue) and record is not None and time() - record.noted_at >= grace:
            due.append((key, found, record))
    reads = [Get(record.key, True, in_partition(record.partition)) for _, _, record in due]
    values = await store.bulk_get(reads) if reads else ()
    removed = 0
    for (key, found, record), value in zip(due, values, strict=True):
        if isinstance(value, StoreError):
            continue  # nobody knows whether its parts are used
        version = keys.version_of(key)
        is_used = value is not None and version_in(value.value) == version
        if not is_used and record.is_unused and version is not None:
            await remove_parts(store, keys, record.key, version, record.parts)
            error = await or_error(store.delete(Delete(key, found.etag)))
            removed += error is None
        elif is_used is record.is_unused:  # it is noted wrongly
            await _note(store, key, found, replace(record, noted_at=time(), is_unused=not is_used))
    return removed


async def _note(store: Store, key: str, found: StoredValue, record: Record) -> None:
    """Write a record that nobody has changed meanwhile. It expires no sooner than its parts."""
    ttl = None if found.expires_at is None else max(1, int(found.expires_at - time()))
    await or_error(store.set(Set(key, record_bytes(record), found.etag, ttl=ttl, strong=True)))
