"""Writes one large value: first the record of its parts, then the parts, and the manifest last, with the precondition.

Until the manifest is written, nobody sees anything of the value. What a writer leaves that fails or is killed is found
by its record, and removed (`sweeping.py`).
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from pannier_sidecar.state.errors import (
    ETagMismatchError,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
    ValueTooLargeError,
)
from pannier_sidecar.state.preconditions import mismatch
from pannier_sidecar.state.requests import PARTITION, Delete, Get, Set
from pannier_sidecar.state.retries import attempt
from pannier_sidecar.state.writing import MAX_TTL_S

from .layout import Manifest, Record, as_stored, manifest_bytes, new_version, read_record, record_bytes
from .value_in_parts import PATIENCE

if TYPE_CHECKING:
    from pannier_sidecar.state.store import Store

    from .layout import Keys

MAX_WRITE_S: Final = 4 * 3600
"""Seconds that writing one value may take; parts outlive the expiry of their value by as much."""
NOTED_EVERY_S: Final = 60.0
"""Seconds after which a writer notes in the record that it is still at work."""
_FIRST_PARTS: Final = 16
"""Parts that the first record covers if the size of the value is not known."""
_AT_ONCE: Final = 100
"""Parts that are deleted in one call."""


class Body(Protocol):
    """Where the bytes of a value come from."""

    size: int | None
    """All of them; None: it is not known before the end."""

    async def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer, or none, at the end."""


class BytesBody:
    """A value that is in memory already."""

    def __init__(self, value: bytes):
        self.size: int | None = len(value)
        self._value = value
        self._at = 0

    async def read(self, size: int) -> bytes:
        self._at += size
        return self._value[self._at - size : self._at]


class PartWriter:
    """Writes values into one store."""

    def __init__(self, store: Store, keys: Keys, part_size: int, max_size: int):
        self._store = store
        self._keys = keys
        self._part_size = part_size
        self._max_size = max_size

    async def write(self, write: Set, body: Body) -> None:
        """Write what `body` returns under the key, precondition and options of `write`, whose own value is ignored.

        Raises ValueTooLargeError, what the body raises, and StoreError; nothing is written then, except after an
        OutcomeUnknownError.
        """
        self._check_size(body.size or 0)
        first, second = await body.read(self._part_size), b""
        if body.size is None and len(first) == self._part_size:
            second = await body.read(self._part_size)
        if not second and (body.size or 0) <= self._part_size:
            await self._store.set(replace(write, value=as_stored(first)))
            return
        await self._check_precondition(write)
        known = None if body.size is None else -(-body.size // self._part_size)
        parts = _Parts(self._store, self._keys, write, known)
        try:
            await parts.begin()
            await parts.add(first)
            if second:
                await parts.add(second)
            first = second = b""
            while part := await body.read(self._part_size):
                self._check_size(parts.size + len(part))
                await parts.add(part)
            await parts.go_on_for_a_while()
        except Exception:
            await parts.remove()
            raise
        manifest = Manifest(parts.version, parts.size, self._part_size)
        try:
            await self._store.set(replace(write, value=manifest_bytes(manifest), is_json=False))
        except OutcomeUnknownError:
            raise  # it may be there, and then it needs its parts
        except StoreError:
            await parts.remove()
            raise

    def _check_size(self, size: int) -> None:
        if size > self._max_size:
            raise ValueTooLargeError(self._max_size)

    async def _check_precondition(self, write: Set) -> None:
        """Raise ETagMismatchError at once if the precondition does not hold now. It is checked again at the end."""
        if write.is_conditional:
            found = await self._store.get(Get(write.key, True, write.metadata))
            if (error := mismatch(write, None if found is None else found.etag)) is not None:
                raise error


class _Parts:
    """The parts of one value that is being written, and their record."""

    def __init__(self, store: Store, keys: Keys, write: Set, number: int | None):
        """Write nothing yet. `number`: how many parts there will be, if that is known."""
        self.version = new_version()
        self.size = 0
        self._written = 0
        self._store = store
        self._keys = keys
        self._key = write.key
        self._partition = write.metadata.get(PARTITION)
        self._strong = write.strong
        left = write.ttl if write.kept_expiry is None else max(0, write.kept_expiry - int(time()))
        self._ttl = None if left is None else min(left + MAX_WRITE_S, MAX_TTL_S)
        self._covered = number or _FIRST_PARTS
        self._began = monotonic()
        self._noted = 0.0

    async def begin(self) -> None:
        """Write the record."""
        self._noted = monotonic()
        await self._put(self._record_key, record_bytes(self._record))

    async def add(self, part: bytes) -> None:
        """Write the next part."""
        if self._written >= self._covered:
            self._covered *= 2
            await self._note()
        else:
            await self.go_on_for_a_while()
        await self._put(self._keys.part(self._key, self.version, self._written), part)
        self._written += 1
        self.size += len(part)

    async def go_on_for_a_while(self) -> None:
        """Return if nobody removes the parts in the next minutes. Raises StoreUnavailableError if they are removed."""
        if monotonic() > self._began + MAX_WRITE_S:
            raise StoreUnavailableError(f"writing the value took over {MAX_WRITE_S // 3600} hours; send it faster")
        if monotonic() > self._noted + NOTED_EVERY_S:
            await self._note()

    async def remove(self) -> None:
        """Remove what was written, as well as that can be done now."""
        if self._noted:
            with suppress(StoreError):
                await remove_parts(self._store, self._keys, self._key, self.version, self._written + 1)
                await self._store.delete(Delete(self._record_key))

    @property
    def _record_key(self) -> str:
        return self._keys.record(self.version)

    @property
    def _record(self) -> Record:
        return Record(self._key, self._covered, time(), self._partition)

    async def _note(self) -> None:
        """Write the record again, unless whoever removes parts has taken it for one that a killed writer left."""
        self._noted = monotonic()
        found = await self._store.get(Get(self._record_key, True))
        standing = None if found is None else read_record(found.value)
        if found is None or standing is None or standing.is_unused:
            raise _removed()
        try:
            await self._put(self._record_key, record_bytes(self._record), found.etag)
        except ETagMismatchError as error:
            raise _removed() from error

    async def _put(self, key: str, value: bytes, etag: str | None = None) -> None:
        """Write a part or the record. Nobody else writes the same bytes there, so a lost answer does no harm."""
        write = Set(key, value, etag, ttl=self._ttl, strong=self._strong)
        try:
            await attempt(lambda: self._store.set(write), PATIENCE, is_conditional=write.is_conditional)
        except OutcomeUnknownError as error:
            raise StoreUnavailableError(f"a part was not written: {Exception.__str__(error)}") from error


async def remove_parts(store: Store, keys: Keys, key: str, version: str, number: int) -> None:
    """Remove the first `number` parts of a version; some may be gone already. Raises StoreError."""
    for start in range(0, number, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, number))
        for error in await store.bulk_write([Delete(keys.part(key, version, number)) for number in numbers]):
            if error is not None:
                raise error


def _removed() -> StoreUnavailableError:
    return StoreUnavailableError("writing the value stood still for so long that its parts were removed; send it again")
