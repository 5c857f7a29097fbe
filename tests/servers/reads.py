"""What a store has under a key, for tests that look at one part of it."""

from __future__ import annotations

from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import Store


async def value_of(store: Store, key: str) -> bytes | None:
    """Return the value; None: there is none."""
    found = await store.get(Get(key))
    return None if found is None else found.value


async def etag_of(store: Store, key: str) -> str:
    """Return the ETag of a value, which must be there."""
    found = await store.get(Get(key))
    assert found is not None
    return found.etag
