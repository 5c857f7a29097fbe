"""A store around another one: it has the other's features and limits, and is opened, asked and closed as the other."""

from __future__ import annotations

from .store import Store


class DelegatingStore(Store):
    """What stores around others have in common. What becomes of calls for keys is up to the subclass."""

    def __init__(self, inner: Store):
        """Put a store around `inner`, which may be open already."""
        self.features = inner.features  # type: ignore[misc]  # of a class elsewhere
        self.max_key_bytes = inner.max_key_bytes
        self.max_transaction = inner.max_transaction
        self.inner = inner

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def ping(self) -> None:
        await self.inner.ping()

    async def probe(self) -> None:
        await self.inner.probe()
