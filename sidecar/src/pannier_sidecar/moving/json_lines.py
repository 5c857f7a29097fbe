"""Encodes an item as one line of JSON, and decodes such a line.

    {"key": "weapon", "value": {"name": "DeathStar"}, "ttlExpireTime": "2026-11-25T20:00:00Z"}
    {"key": "blob", "base64": "/wD/"}
    {"actorType": "cat", "actorId": "tom", "key": "mood", "value": "good"}

A value that is JSON is in the line byte for byte. A value that is not JSON, or that has line breaks or outer spaces and
would come back changed, is base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime
from typing import Final

import msgspec

from pannier_crds.problems import one_line
from pannier_sidecar.moving.items import AppKey, Item
from pannier_sidecar.state.keys import SEPARATOR
from pannier_sidecar.state.store import rfc3339

_OUTER_SPACE: Final = b" \t"


class InvalidLineError(ValueError):
    """A line is not an item; the text says why and what to write."""


class _Line(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The fields of a line."""

    key: str
    actor_type: str = ""
    actor_id: str = ""
    value: msgspec.Raw = msgspec.Raw()
    base64: str | None = None
    ttl_expire_time: str | None = None


_decode = msgspec.json.Decoder(_Line).decode


def line_of(item: Item) -> bytes:
    """Return the line, its line break included."""
    if _is_embeddable(item.value):
        line = _encoded(item, value=msgspec.Raw(item.value))
        if item_of(line).value == item.value:
            return line
    return _encoded(item, base64=b64encode(item.value).decode())


def item_of(line: bytes) -> Item:
    """Read a line. Raises InvalidLineError."""
    try:
        line.decode()
        read = _decode(line)
    except msgspec.MsgspecError as error:
        raise InvalidLineError(one_line(str(error))) from None
    except (RecursionError, UnicodeDecodeError):
        raise InvalidLineError("it is nested too deeply or not UTF-8; write the value as base64") from None
    return Item(_key_of(read), _value_of(read), _expiry_of(read))


def _is_embeddable(value: bytes) -> bool:
    if not value or b"\n" in value or b"\r" in value or value != value.strip(_OUTER_SPACE):
        return False
    try:
        value.decode()
        msgspec.json.decode(value, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def _encoded(item: Item, value: msgspec.Raw | None = None, base64: str | None = None) -> bytes:
    line: dict[str, object] = {}
    if item.key.actor_type:
        line |= {"actorType": item.key.actor_type, "actorId": item.key.actor_id}
    line["key"] = item.key.key
    line |= {"value": value} if base64 is None else {"base64": base64}
    if item.expires_at is not None:
        line["ttlExpireTime"] = rfc3339(item.expires_at)
    return msgspec.json.encode(line) + b"\n"


def _key_of(line: _Line) -> AppKey:
    parts = {"key": line.key}
    if line.actor_type or line.actor_id:
        parts |= {"actorType": line.actor_type, "actorId": line.actor_id}
    for name, part in parts.items():
        if not part:
            raise InvalidLineError(f'"{name}" is empty; write what the app calls it')
        if SEPARATOR in part:
            raise InvalidLineError(f'"{name}" holds {SEPARATOR}; write the app\'s own key, without prefixes')
    return AppKey(line.key, line.actor_type, line.actor_id)


def _value_of(line: _Line) -> bytes:
    value = bytes(line.value)
    if bool(value) == (line.base64 is not None):
        raise InvalidLineError('a line holds either "value" or "base64"; write one of them')
    if line.base64 is None:
        return value
    try:
        return b64decode(line.base64, validate=True)
    except ValueError:
        raise InvalidLineError('"base64" is not base64; write it with + and /, padded with =') from None


def _expiry_of(line: _Line) -> int | None:
    if line.ttl_expire_time is None:
        return None
    try:
        time = datetime.fromisoformat(line.ttl_expire_time)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidLineError(
            f'"ttlExpireTime" is {one_line(line.ttl_expire_time)!r}; write a time like 2026-11-25T20:00:00Z'
        )
    return int(time.timestamp())
