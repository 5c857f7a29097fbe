"""A value as an item `{id, partitionKey, value, isBinary, ttl}`, as Dapr writes and reads it. Where the id is a digest,
`key` has the key.

A value is stored in base64 and marked as binary, because only then does Cosmos DB return the same bytes. Dapr stores
all values in this way that are not JSON objects. What it stored as JSON comes back as JSON: decision 11.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from pannier_sidecar.state.errors import NotSupportedError, StoreRefusedError
from pannier_sidecar.state.requests import PARTITION
from pannier_sidecar.state.store import StoredValue

from .errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.requests import Get, Set, Write

Item = dict[str, Any]

MAX_ID_BYTES: Final = 1023
MAX_ITEM_BYTES: Final = 2 * 1024 * 1024
"""Cosmos DB's limits."""
MAX_TTL_S: Final = 2**31 - 1
_OVERHEAD: Final = 1024
"""Bytes allowed for the names, ETag and times of an item, which take fewer."""
_NEVER: Final = -1
_KEY: Final = "key"
_DIGEST: Final = "=sha256-"

_NO_ID: Final = re.compile(r"=|.*[/\\?#\x00-\x1f\x7f-\x9f]|\s|.*\s\Z|\.{1,2}\Z", re.DOTALL)
"""Keys that cannot be an id: they have characters that Cosmos DB or a URL does not allow, or look like an encoded key.
"""
_NOT_ENCODED: Final = "|:;,@!$&'()*+"


def id_of(key: str) -> str:
    """Return the id of a key: the key itself, as in Dapr, or `=` and its percent-encoding where it cannot be one."""
    if _NO_ID.match(key) is None:
        return key
    whole = encoded(key)
    # An encoded key contains a % or consists of dots, so it cannot look like a digest.
    return whole if len(whole) <= MAX_ID_BYTES else _DIGEST + sha256(key.encode()).hexdigest()


def encoded(key: str) -> str:
    """Return `=` and the key in percent-encoding; that of a prefix is a prefix of it."""
    return "=" + quote(key, safe=_NOT_ENCODED)


def key_of(item: Mapping[str, Any]) -> str | None:
    """Return the key of an item; None if another program has given it an id under which no key is found."""
    name = item["id"]
    try:
        key = item.get(_KEY) if name.startswith(_DIGEST) else unquote(name[1:], errors="strict")
    except UnicodeDecodeError:
        return None
    if not name.startswith("="):
        key = name
    return key if isinstance(key, str) and id_of(key) == name else None


def partition_of(call: Get | Write) -> str:
    """Return the partition key: the one of the request's metadata, else the stored key."""
    return call.metadata.get(PARTITION) or call.key


def item_of(write: Set, default_ttl: int | None) -> Item:
    """Return the item of a write; `default_ttl` is the container's, None if nothing expires in it.

    Raises StoreRefusedError for a value that is too large, and NotSupportedError if it should expire and cannot.
    """
    item: Item = {
        "id": id_of(write.key),
        PARTITION: partition_of(write),
        "value": b64encode(write.value).decode(),
        "isBinary": True,
    }
    if item["id"].startswith(_DIGEST):
        item[_KEY] = write.key  # lists find it so
    size = (
        sum(len(item[name].encode()) for name in ("value", "id", PARTITION))
        + len(item.get(_KEY, "").encode())
        + _OVERHEAD
    )
    if size > MAX_ITEM_BYTES:
        raise StoreRefusedError(
            f"the value of key {write.key} is too large: Cosmos DB takes items of up to {MAX_ITEM_BYTES} bytes, and "
            f"this one has {size} in base64"
        )
    ttl = _ttl(write, default_ttl)
    return item if ttl is None else {**item, "ttl": ttl}


def _ttl(write: Set, default_ttl: int | None) -> int | None:
    if write.ttl is None:
        return _NEVER if default_ttl is not None and default_ttl > 0 else None
    if default_ttl is None:
        raise NotSupportedError(
            f"key {write.key} can't expire: the container's time to live is off; turn it on without a default "
            "(az cosmosdb sql container update --ttl -1 ...), or leave ttlInSeconds out"
        )
    # Cosmos DB counts from the start of the current second: with one more, nothing expires too early.
    return min(write.ttl + 1, MAX_TTL_S)


def checked_item(answer: Item) -> Item:
    """Return an answer that has to be an item. Raises NotUnderstoodError if it is not one."""
    if "id" not in answer or "_etag" not in answer:
        raise NotUnderstoodError
    return answer


def stored_value(item: Mapping[str, Any], default_ttl: int | None) -> StoredValue:
    """Return what an item holds. Raises StoreRefusedError for one that holds no state."""
    if "value" not in item:
        raise StoreRefusedError(
            f"item {item['id']} has no property value, so it holds no state; write another collection"
        )
    return StoredValue(_decoded(item), item["_etag"], _expiry(item, default_ttl))


def _expiry(item: Mapping[str, Any], default_ttl: int | None) -> int | None:
    if default_ttl is None:
        return None
    ttl = item.get("ttl")
    lasts = default_ttl if ttl is None else ttl
    return item["_ts"] + lasts if lasts > 0 else None


def _decoded(item: Mapping[str, Any]) -> bytes:
    value = item["value"]
    if not item.get("isBinary"):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    text = str(value or "")
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return text.encode()  # as Dapr reads it
