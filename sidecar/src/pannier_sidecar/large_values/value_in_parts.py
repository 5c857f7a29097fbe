"""One large value that was found, read part by part. Parts of different versions are never mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Pattern, RetryPolicy
from pannier_sidecar.state.retries import attempt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pannier_sidecar.state.store import StoredValue

    from .layout import Keys, Manifest
    from .part_store import PartStore

PATIENCE: Final = RetryPolicy(interval_ms=100, threshold=3, pattern=Pattern.EXPONENTIAL)
"""How often to try again to read or write a part: a value has hundreds, and one lost connection should not end it."""
MAX_READINGS: Final = 4
"""How often the manifest is read if its parts are gone, because others replace the value all the time."""


class ReplacedError(StoreUnavailableError):
    """The parts are gone, because the value has been replaced or deleted meanwhile."""


class ValueInParts:
    """A value as one version of its manifest says."""

    def __init__(self, store: PartStore, keys: Keys, get: Get, found: StoredValue, manifest: Manifest):
        self._store = store
        self._keys = keys
        self._get = get
        self._manifest = manifest
        self.size = manifest.size
        self.part_size = manifest.part_size
        self.etag = found.etag
        self.expires_at = found.expires_at

    @property
    def version(self) -> str:
        return self._manifest.version

    async def again(self) -> ValueInParts | StoredValue | None:
        """Return what the key holds now. Raises StoreError."""
        return await self._store.look_up(replace(self._get, strong=True))

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`, part by part.

        Raises ReplacedError if the value has been replaced or deleted, StoreRefusedError if a part is missing
        although it has not, and any other StoreError.
        """
        size = self._manifest.part_size
        for number in range(start // size, -(-stop // size)):
            part, first = await self._part(number), number * size
            if first < start or stop < first + len(part):
                part = part[max(0, start - first) : stop - first]
            yield part

    async def whole(self) -> bytes:
        """Return all bytes. Raises as `read`."""
        return b"".join([part async for part in self.read(0, self.size)])

    async def _part(self, number: int) -> bytes:
        get = Get(self._keys.part(self._get.key, self.version, number), self._get.strong)
        found = await attempt(lambda: self._store.inner.get(get), PATIENCE, is_conditional=False)
        if found is None and not get.strong:  # a replica may not have it yet
            get = replace(get, strong=True)
            found = await attempt(lambda: self._store.inner.get(get), PATIENCE, is_conditional=False)
        if found is not None and len(found.value) == self._manifest.size_of(number):
            return found.value
        now = await self.again()
        if isinstance(now, ValueInParts) and now.version == self.version:
            what = f"part {number + 1} of {self._manifest.number_of_parts} is missing or damaged"
            raise StoreRefusedError(f"{what}: it was changed in the database; write the value again")
        raise ReplacedError("the value was replaced while it was read; read it again")
