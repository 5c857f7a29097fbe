"""How many items a JSON body has, found out before they are read: to refuse too many costs little."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from ..state.errors import MalformedRequest, TooManyItems

SHORTEST_ITEM: Final = len('{"key":""},')
SHORTEST_KEY: Final = len('"",')
LARGE: Final = 32 * 1024
"""Bytes of a body whose metadata are measured before they are read."""
MAX_METADATA: Final = 16 * 1024
"""Bytes of an item's metadata, and of a request's."""


class _Measured(Struct):
    metadata: Raw = Raw(b"")


class _MeasuredOperation(Struct):
    metadata: Raw = Raw(b"")
    request: _Measured | None = None


class _MeasuredTransaction(Struct):
    operations: list[_MeasuredOperation] | None = None
    metadata: Raw = Raw(b"")


class _Operations(Struct):
    operations: list[Raw] | None = None


_LIST: Final = msgspec.json.Decoder(list[Raw])
_OPERATIONS: Final = msgspec.json.Decoder(_Operations)
_MEASURED: Final = msgspec.json.Decoder(list[_MeasuredOperation] | _MeasuredTransaction)


def check_items(body: bytes, most: int) -> None:
    """Raise TooManyItems for a body with more items or operations, MalformedRequest for one with too much metadata.

    What is no body of that kind passes: who reads it says what is wrong.
    """
    # Single bytes are counted and looked for, because longer patterns take ten times as long in some bodies.
    if len(body) > most * SHORTEST_ITEM and body.count(b"{") > most and _count(body) > most:
        raise TooManyItems(most)
    if len(body) > LARGE:
        _check_metadata(body)


def check_keys(body: bytes, most: int) -> None:
    """Raise TooManyItems for the body of a bulk get with more keys, MalformedRequest for one with too much metadata."""
    if len(body) > most * SHORTEST_KEY:
        quotes = body.count(b'"') - body.count(b'\\"')
        if quotes > 2 * most + MAX_METADATA:
            raise TooManyItems(most)
    if len(body) > LARGE:
        _check_metadata(body)


def _count(body: bytes) -> int:
    try:
        if body.lstrip()[:1] == b"[":
            return len(_LIST.decode(body))
        return len(_OPERATIONS.decode(body).operations or ())
    except (msgspec.DecodeError, RecursionError):
        return 0


def _check_metadata(body: bytes) -> None:
    if b'"metadata"' not in body and b"\\" not in body:  # names may be written with escapes
        return
    try:
        sent = _MEASURED.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return
    operations = sent if isinstance(sent, list) else sent.operations or []
    sizes = [len(bytes(one.metadata)) for one in operations]
    sizes += [len(bytes(one.request.metadata)) for one in operations if one.request is not None]
    if not isinstance(sent, list):
        sizes.append(len(bytes(sent.metadata)))
    if max(sizes, default=0) > MAX_METADATA:
        raise MalformedRequest(f"metadata of over {MAX_METADATA} bytes", "store what is large in a value")
