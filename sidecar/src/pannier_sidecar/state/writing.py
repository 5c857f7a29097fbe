"""Turns an item of a request into a write for the store, or refuses it. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from .errors import MalformedRequestError
from .requests import FIRST_WRITE, NO_METADATA, STRONG, Delete, Set, Write, WriteItem, writing_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .directory import ServedStore

TTL_FIELD: Final = "ttlInSeconds"
OUTBOX_FIELDS: Final = "outbox."
"""Prefix of the names of the outbox's fields."""
MAX_TTL_S: Final = 2**31 - 1
"""Dapr's own limit (68 years); larger numbers overflow in some databases."""
_SECONDS: Final = re.compile(r"[+-]?[0-9]{1,18}")


def write_of(served: ServedStore, key: str, item: WriteItem, shared: Mapping[str, str] = NO_METADATA) -> Write:
    if shared:
        own = {name: value for name, value in item.metadata.items() if value}
        item = replace(item, metadata={**shared, **own})
    return delete_of(served, key, item) if item.value is None else _set_at(served, key, item)


def set_of(served: ServedStore, item: WriteItem) -> Set:
    return _set_at(served, served.keys.stored(item.key), item)


def _set_at(served: ServedStore, key: str, item: WriteItem) -> Set:
    if_match, if_absent = writing_rule(item.etag, item.concurrency)
    assert item.value is not None, "an item without a value is a delete"
    ttl = served.default_ttl
    if item.metadata:
        ttl = ttl_of(item.metadata, ttl)
        refuse_outbox(item.metadata)
    strong = item.consistency is STRONG
    is_first_write = item.concurrency is FIRST_WRITE
    key = checked_key(served, key)
    return Set(key, item.value, if_match, if_absent, ttl, strong, item.metadata, is_first_write, item.is_json)


def delete_of(served: ServedStore, key: str, item: WriteItem) -> Delete:
    if_match, if_absent = writing_rule(item.etag, item.concurrency)
    if item.metadata:
        refuse_outbox(item.metadata)
    strong = item.consistency is STRONG
    return Delete(checked_key(served, key), if_match, if_absent, strong, item.metadata)


def ttl_of(metadata: Mapping[str, str], default: int | None) -> int | None:
    """Return the TTL in seconds: None, which means never, for -1 and 0; the component's default if it is absent."""
    text = metadata.get(TTL_FIELD) or _in_another_case(metadata, TTL_FIELD)
    if not text:
        return default
    is_plain = len(text) < 10 and text.isascii() and text.isdigit()  # nearly always
    seconds = int(text) if is_plain or _SECONDS.fullmatch(text.strip()) else -2
    if not -1 <= seconds <= MAX_TTL_S:
        raise MalformedRequestError(
            f"metadata {TTL_FIELD} is {text[:50]!r}",
            f"write a whole number of seconds up to {MAX_TTL_S}, or -1 for never",
        )
    return seconds if seconds > 0 else None


def _in_another_case(metadata: Mapping[str, str], wanted: str) -> str | None:
    """Return the entry whose name differs only in case: a value that should expire must not stay for ever."""
    lower = wanted.lower()
    return next((value for name, value in metadata.items() if value and name.lower() == lower), None)


def refuse_outbox(metadata: Mapping[str, str]) -> None:
    """Raise MalformedRequestError for metadata of Dapr's outbox: the event would become the stored value."""
    for name, value in metadata.items():
        if name[:1] in "oO" and name.lower().startswith(OUTBOX_FIELDS) and value.strip().lower() not in ("", "false"):
            raise MalformedRequestError(
                f"metadata {name[:50]} asks for the outbox, which is not served: no event would be published",
                "take it out, and publish the event from the app",
            )


def checked_key(served: ServedStore, stored: str) -> str:
    """Return the stored key if the store can hold it. Raises MalformedRequestError if it is too long or not Unicode."""
    limit = served.store.max_key_bytes
    if len(stored) * 4 <= limit and stored.isascii():
        return stored
    try:
        size = len(stored.encode())
    except UnicodeEncodeError as error:
        raise MalformedRequestError(
            f"key {stored!r} is no Unicode text: {error.reason}", "write it without lone surrogates"
        ) from None
    if size > limit:
        raise MalformedRequestError(
            f"key is {size} bytes long with its prefix; state store {served.name} takes {limit}: write a shorter one"
        )
    return stored
