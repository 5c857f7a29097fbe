"""Decides what to do with a key, given what the target has. Newer data is overwritten only if the user asks
for that.
"""

from __future__ import annotations

from enum import Enum
from math import ceil
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_sidecar.moving.items import Item
    from pannier_sidecar.state.store import StoredValue

EXPIRY_TOLERANCE: Final = 10
"""Seconds by which the expiry of the same value may differ: stores round to whole seconds, and count from the moment
when they receive a write.
"""


class Verdict(Enum):
    """What becomes of a key, in the words of the summary."""

    CREATE = "copied"
    UPDATE = "updated, as an earlier run had written them"
    OVERWRITE = "overwritten"
    SAME = "the same already"
    EXPIRED = "expired meanwhile"
    LEAVE = "left as they are"
    FAIL = "failed"


WRITES: Final = frozenset((Verdict.CREATE, Verdict.UPDATE, Verdict.OVERWRITE))


class Decision(Struct, frozen=True):
    """A verdict on one key."""

    verdict: Verdict
    why: str = ""
    if_match: str | None = None


class Written(Struct, frozen=True):
    """What an earlier run wrote under a key, or was about to write when it was interrupted."""

    digest: bytes
    expires_at: int | None


class Target(Struct, frozen=True):
    """What the target can do, and what the user allowed."""

    max_key_bytes: int
    has_etags: bool = True
    has_expiry: bool = True
    overwrites: bool = False


def decide(
    item: Item, stored: str, found: StoredValue | None, written: Iterable[Written], target: Target, now: float
) -> Decision:
    """Decide what to do with an item. `found` is what the target has under the stored key; `now` is Unix time."""
    if item.has_expired(now):
        return Decision(Verdict.EXPIRED)
    if why := _obstacle(item, stored, target):
        return Decision(Verdict.FAIL, why)
    if found is None:
        return Decision(Verdict.CREATE)
    if is_same(item, found):
        return Decision(Verdict.SAME)
    etag = found.etag if target.has_etags else None
    if target.overwrites:
        return Decision(Verdict.OVERWRITE, if_match=etag)
    if any(_was_written(found, earlier) for earlier in written):
        return Decision(Verdict.UPDATE, if_match=etag)
    return Decision(Verdict.LEAVE, difference(item, found))


def ttl_of(item: Item, now: float) -> int | None:
    """Return the seconds until an item expires, at least 1; None: it never expires."""
    return None if item.expires_at is None else max(1, ceil(item.expires_at - now))


def is_same(item: Item, found: StoredValue) -> bool:
    """Return whether the target has the item: the same bytes, expiring at about the same time."""
    return item.value == found.value and _is_about(item.expires_at, found.expires_at)


def difference(item: Item, found: StoredValue) -> str:
    """Return how the target differs from an item that it does not have."""
    if item.value != found.value:
        return f"the target has another value, of {len(found.value)} bytes"
    return "the target has the same value, which expires at another time"


def digest_of(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()


def next_size(size: int, held: int, max_keys: int, max_bytes: int) -> int:
    """Return how many keys to take next, if the last `size` keys held `held` bytes: as many as fit, at most twice
    `size`.
    """
    fitting = size * max_bytes // held if held else max_keys
    return max(1, min(max_keys, size * 2, fitting))


def _obstacle(item: Item, stored: str, target: Target) -> str:
    size = len(stored.encode())
    if size > target.max_key_bytes:
        return f"the key is {size} bytes long with its prefix, and the target takes {target.max_key_bytes}"
    if item.expires_at is not None and not target.has_expiry:
        return "it expires, and the target can't let keys expire"
    return ""


def _was_written(found: StoredValue, earlier: Written) -> bool:
    return earlier.digest == digest_of(found.value) and _is_about(earlier.expires_at, found.expires_at)


def _is_about(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= EXPIRY_TOLERANCE
