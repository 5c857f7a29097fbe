"""A value as a document `{_id, value, _etag, _ttl}`: Dapr and Pannier read what the other has written.

Bytes that are UTF-8 text are stored as a string of just that text, as Dapr stores the bytes of its gRPC clients; others
as Binary. From its HTTP clients, Dapr stores objects, arrays and numbers as BSON, which comes back as JSON: decision
10.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from bson import json_util
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from pannier_sidecar.state.prefilter import Group, Needed
    from pannier_sidecar.state.requests import Set

Document = dict[str, Any]

OPTIONS: Final[CodecOptions[Document]] = CodecOptions(
    document_class=dict,
    # Dapr stores any bytes as a string. Bytes that are not UTF-8 come back unchanged.
    unicode_decode_error_handler="surrogateescape",
    # MongoDB has times that Python's datetime cannot hold.
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)
MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""MongoDB's limit."""
_OVERHEAD: Final = 256
"""Bytes allowed for the names, the ETag and the time of a document, which take fewer."""
_MAX_EXACT_INTEGER: Final = 2**53


def expired(now: float) -> Document:
    """Return the condition that the `_ttl` of an expired document meets."""
    return {"$type": "date", "$lte": _time(now)}


def alive(now: float) -> Document:
    """Return the condition that the `_ttl` of every other document meets, also where it is null or missing."""
    return {"$not": expired(now)}


def containing(needed: Needed) -> Document:
    """Return the condition that documents meet whose values may contain what is needed.

    Only values that are stored as text can be searched; all others meet it.
    """
    no_text = {"value": {"$not": {"$type": "string"}}}
    groups = ["|".join(_alternatives(group)) for group in needed]
    return {"$and": [{"$or": [no_text, {"value": {"$regex": each}}]} for each in groups]} if groups else {}


def _alternatives(group: Group) -> list[str]:
    texts = [re.escape(text.decode()) for text in group.texts]
    return [*texts, "[0-9][.eE]"] if group.or_fraction else texts


def document(write: Set, now: float) -> Document:
    """Return the document of a write without its `_id`, and without `_ttl` if that has to stay as it is.

    Raises StoreRefusedError for one that is too large.
    """
    size = len(write.value) + len(write.key.encode()) + _OVERHEAD
    if size > MAX_DOCUMENT_BYTES:
        raise StoreRefusedError(
            f"the value of key {write.key} is too large: MongoDB takes documents of up to {MAX_DOCUMENT_BYTES} bytes, "
            f"and this one has {size}"
        )
    found: Document = {"value": _encoded(write.value), "_etag": str(uuid4())}
    if write.kept_expiry is None:
        found["_ttl"] = None if write.ttl is None else _time(now + write.ttl)
    return found


def is_expired(found: Document, now: float) -> bool:
    expires = found.get("_ttl")
    return isinstance(expires, DatetimeMS) and int(expires) <= now * 1000


def stored_value(found: Document, now: float) -> StoredValue | None:
    """Return what a document holds; None: it has expired. Raises StoreRefusedError for one that holds no state."""
    if is_expired(found, now):
        return None
    if "value" not in found:
        raise StoreRefusedError(
            f"the document of key {found['_id']} has no field value, so it holds no state; write another collectionName"
        )
    expires = found.get("_ttl")
    expires_at = round(int(expires) / 1000) if isinstance(expires, DatetimeMS) else None
    return StoredValue(_decoded(found["value"]), etag_of(found), expires_at)


def etag_of(found: Document) -> str:
    return str(found.get("_etag") or "")


def _time(unix: float) -> DatetimeMS:
    """Return the time with milliseconds, rounded up so that nothing expires early."""
    return DatetimeMS(ceil(unix * 1000))


def _encoded(value: bytes) -> str | Binary:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Binary(value)


def _decoded(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        return value
    text = json_util.dumps(
        _with_integers(value),
        json_options=json_util.RELAXED_JSON_OPTIONS,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return text.encode(errors="surrogateescape")


def _with_integers(value: object) -> object:
    """Make integers of doubles without a fraction: Dapr stores every number as a double, also an app's `10`."""
    if isinstance(value, dict):
        return {name: _with_integers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_integers(part) for part in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_INTEGER:
        return int(value)
    return value
