"""A store in which large values are kept in parts; values that are no larger than a part pass through as they are."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pannier_sidecar.state.delegating_store import DelegatingStore
from pannier_sidecar.state.errors import NotSupportedError, StoreError, StoreRefusedError, ValueInPartsError
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import KeyPage, StoredValue, or_error

from .layout import MARK, ROOT, Keys, Manifest, as_stored, read
from .part_writer import BytesBody, PartWriter
from .value_in_parts import MAX_READINGS, ReplacedError, ValueInParts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.requests import Delete, Get, Write
    from pannier_sidecar.state.store import Completion, Store

    from .part_writer import Body


class Sizes(Struct, frozen=True):
    """Sizes in bytes."""

    part: int
    """A value of more bytes is kept in parts of this size."""
    value: int
    """Maximum of a value."""
    joined: int
    """Maximum of a value that is joined for calls that need it in one piece."""
    joined_together: int
    """Maximum of all values of one call that are joined."""


class PartStore(DelegatingStore):
    """Everything but large values is the other store's: keys, ETags, expiry, transactions, lists and limits."""

    def __init__(self, store: Store, keys: Keys, sizes: Sizes):
        """Put it around a store, which may be open already."""
        super().__init__(store)
        self.sizes = sizes
        self.part_keys = keys

    @property
    def unretried(self) -> Store:
        unretried = self.inner.unretried
        return self if unretried is self.inner else PartStore(unretried, self.part_keys, self.sizes)

    async def get(self, get: Get) -> StoredValue | None:
        """Return what is stored. Raises ValueInPartsError for a value that is too large to be joined."""
        return await self.joined(get, await self.inner.get(get))

    async def look_up(self, get: Get) -> ValueInParts | StoredValue | None:
        """Return what is stored; parts are not read yet."""
        return self._read(get, await self.inner.get(get))

    async def set(self, write: Set) -> None:
        if len(write.value) <= self.sizes.part:
            await self.inner.set(self._as_it_is(write))
        else:
            await self.write(write, BytesBody(write.value))

    async def write(self, write: Set, body: Body) -> None:
        """Write what `body` returns instead of the write's own value; whoever reads meanwhile gets the value before.

        Raises what `set` raises and what the body raises; then nothing is written, unless the outcome is unknown.
        """
        await PartWriter(self.inner, self.part_keys, self.sizes.part, self.sizes.value).write(write, body)

    async def delete(self, write: Delete) -> None:
        await self.inner.delete(write)

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        self.inner.begin_get(get, _Joining(self, get, completion))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        if isinstance(write, Set):
            if len(write.value) > self.sizes.part:
                completion.resume(self.set(write))
                return
            write = self._as_it_is(write)
        self.inner.begin_write(write, completion)

    async def bulk_get(self, gets: Sequence[Get]) -> Sequence[StoredValue | StoreError | None]:
        found = list(await self.inner.bulk_get(gets))
        room = self.sizes.joined_together
        for place, entry in enumerate(found):
            if not (isinstance(entry, StoredValue) and entry.value.startswith(MARK)):
                continue
            found[place] = joined = await or_error(self.joined(gets[place], entry, room))
            room -= len(joined.value) if isinstance(joined, StoredValue) else 0
        return found

    async def bulk_write(self, writes: Sequence[Write]) -> Sequence[StoreError | None]:
        errors: list[StoreError | None] = []
        together: list[Write] = []
        for write in writes:
            if not isinstance(write, Set) or len(write.value) <= self.sizes.part:
                together.append(self._as_it_is(write) if isinstance(write, Set) else write)
                continue
            errors += await self.inner.bulk_write(together) if together else ()
            together = []
            errors.append(await or_error(self.set(write)))
        return [*errors, *(await self.inner.bulk_write(together) if together else ())]

    async def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Set) and len(write.value) > self.sizes.part:
                raise NotSupportedError(
                    f"the value of key {write.key} has {len(write.value):,} bytes, and a transaction takes only values "
                    f"in one piece, of up to {self.sizes.part:,}; save it alone, or raise largeValuePartSize"
                )
        await self.inner.transact([self._as_it_is(write) if isinstance(write, Set) else write for write in writes])

    async def keys(self, prefix: str, limit: int, cursor: str | None) -> KeyPage:
        page = await self.inner.keys(prefix, limit, cursor)
        if not any(key.startswith(ROOT) for key in page.keys):  # they are only listed with very short prefixes
            return page
        kept = [(key, partition) for key, partition in page.placed if not key.startswith(ROOT)]
        return KeyPage([key for key, _ in kept], page.cursor, [partition for _, partition in kept])

    def _as_it_is(self, write: Set) -> Set:
        return replace(write, value=as_stored(write.value)) if write.value.startswith(MARK) else write

    def _read(self, get: Get, found: StoredValue | None) -> ValueInParts | StoredValue | None:
        if found is None or not found.value.startswith(MARK):
            return found
        content = read(found.value)
        if isinstance(content, Manifest):
            return ValueInParts(self, self.part_keys, get, found, content)
        return StoredValue(content, found.etag, found.expires_at)

    async def joined(self, get: Get, found: StoredValue | None, room: int | None = None) -> StoredValue | None:
        """Return the whole value. `room`: as many bytes as it may have at most, if other values are joined too."""
        value = self._read(get, found)
        for _ in range(MAX_READINGS):
            if not isinstance(value, ValueInParts):
                return value
            if value.size > self.sizes.joined:
                raise ValueInPartsError(value.size, self.sizes.joined, value)
            if room is not None and value.size > room:
                raise StoreRefusedError("the values don't fit into one answer; get this key in another call")
            try:
                return StoredValue(await value.whole(), value.etag, value.expires_at)
            except ReplacedError:
                value = await value.again()
        raise ReplacedError("the value was replaced each time it was read; read it again")


def parts_of(store: Store) -> PartStore | None:
    """Return the store that keeps large values in parts, if it is this one or inside it."""
    while isinstance(store, DelegatingStore) and not isinstance(store, PartStore):
        store = store.inner
    return store if isinstance(store, PartStore) else None


class _Joining:
    """Takes the result of a begun read, and passes it on whole."""

    __slots__ = ("_completion", "_get", "_store")

    def __init__(self, store: PartStore, get: Get, completion: Completion[StoredValue | None]):
        self._store = store
        self._get = get
        self._completion = completion

    def complete(self, result: StoredValue | None) -> None:
        if result is None or not result.value.startswith(MARK):
            self._completion.complete(result)
        else:
            self._completion.resume(self._store.joined(self._get, result))

    def resume(self, rest: Coroutine[Any, Any, StoredValue | None]) -> None:
        self._completion.resume(_Rest(self._store, self._get, rest))


class _Rest(Coroutine[Any, Any, "StoredValue | None"]):
    """The rest of a begun read, whose result is joined. A class, because closing a coroutine function that has not
    begun would leave the coroutine inside it open.
    """

    __slots__ = ("_joined", "_rest")

    def __init__(self, store: PartStore, get: Get, rest: Coroutine[Any, Any, StoredValue | None]):
        async def joined() -> StoredValue | None:
            return await store.joined(get, await rest)

        self._rest = rest
        self._joined = joined()

    def send(self, value: Any) -> Any:
        return self._joined.send(value)

    def throw(self, *error: Any) -> Any:
        return self._joined.throw(*error)

    def close(self) -> None:
        self._joined.close()
        self._rest.close()

    def __await__(self) -> Generator[Any, Any, StoredValue | None]:
        return self._joined.__await__()
