"""How values are stored, with their ETags and times of expiry. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from pannier_sidecar.state.requests import Set


class Record(NamedTuple):
    """What TITLE keeps for a key."""

    value: bytes
    etag: str
    expires_at: int | None


def record(write: Set, etag: str, now: float) -> Record:
    """Return what is stored for a write. `now` is Unix time."""
    return Record(write.value, etag, None if write.ttl is None else int(now) + write.ttl)


def stored_value(found: Record, now: float) -> StoredValue | None:
    """Return what was read; None where it has expired."""
    if found.expires_at is not None and found.expires_at <= now:
        return None
    return StoredValue(found.value, found.etag, found.expires_at)
