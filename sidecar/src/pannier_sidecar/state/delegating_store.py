"""A store around another one: it has the other's features and limits, and is opened, asked and closed as the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .store import Store

if TYPE_CHECKING:
    from .feeds import ChangesBy, ETagPage, Feed


class DelegatingStore(Store):
    """What stores around others have in common. What becomes of calls for keys is up to the subclass."""

    def __init__(self, inner: Store):
        """Put a store around `inner`, which may be open already."""
        self.features = inner.features  # type: ignore[misc]  # of a class elsewhere
        self.max_key_bytes = inner.max_key_bytes
        self.max_transaction = inner.max_transaction
        self.keeps_expiry = inner.keeps_expiry
        self.inner = inner

    @property
    def changes_by(self) -> ChangesBy:  # type: ignore[override]  # opening the inner store may change it
        return self.inner.changes_by

    @property
    def feed_lag_s(self) -> float:  # type: ignore[override]  # as above
        return self.inner.feed_lag_s

    async def etags(self, prefix: str, limit: int, cursor: str | None) -> ETagPage:
        return await self.inner.etags(prefix, limit, cursor)

    async def change_mark(self) -> object:
        return await self.inner.change_mark()

    def feed(self, prefix: str, since: str | None = None) -> Feed:
        return self.inner.feed(prefix, since)

    def together(self, key: str) -> str:
        return self.inner.together(key)

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def ping(self) -> None:
        await self.inner.ping()

    async def probe(self) -> None:
        await self.inner.probe()
