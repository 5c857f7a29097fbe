"""How many items a JSON body has, found out before they are read: to refuse too many costs little."""

from __future__ import annotations

import re
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
FEW: Final = 64
"""Bytes of one kind that are looked for one after another: most large values are one text, which has hardly any."""
_METADATA: Final = re.compile(rb'"metadata"')
"""Found by `re`, which takes the same time in every text: `in` takes ten times as long in some."""
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[67]")
"""How a letter of `metadata` or `key` can be written in another way."""


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
    if len(body) > most * SHORTEST_ITEM and _has_over(body, b"{", most) and _may_have_keys(body, most):
        if _count(body) > most:
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


def _has_over(body: bytes, one: bytes, most: int) -> bool:
    at = -1
    for _ in range(min(most, FEW) + 1):
        at = body.find(one, at + 1)
        if at < 0:
            return False
    return most < FEW or body.count(one) > most


def _may_have_keys(body: bytes, most: int) -> bool:
    return body.count(b'"key"') > most or (b"\\" in body and _ESCAPED_LETTER.search(body) is not None)


def _may_have_metadata(body: bytes) -> bool:
    if b"\\" in body and _ESCAPED_LETTER.search(body):
        return True
    at = -1
    for _ in range(FEW):
        at = body.find(b'"', at + 1)
        if at < 0:
            return False
        if body.startswith(b'"metadata"', at):
            return True
    return _METADATA.search(body, at) is not None


def _check_metadata(body: bytes) -> None:
    if not _may_have_metadata(body):
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
