"""How state is stored in Consul, compatible with Dapr: the value as it is, under the key prefix and the stored key.

The ETag is the entry's ModifyIndex. Expiry is in the entry's flags, a number that Consul keeps for its clients:

    12 bits   a mark: these flags are ours (Dapr's are 0)
    33 bits   Unix time of expiry, 0 for never
    19 bits   a number that differs from that of the last write: if nothing changed, Consul would leave the entry and
              its ModifyIndex as they are, but each write must make a new ETag
"""

from __future__ import annotations

import random
from itertools import count
from math import ceil
from re import compile as pattern
from time import time
from typing import Any, Final

from msgspec import Struct

from pannier_sidecar.state.errors import InvalidETagError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Set, Write
from pannier_sidecar.state.store import StoredValue

MAX_OPERATIONS: Final = 64
"""Consul's limit for one transaction, checks included."""

_MARK: Final = 0x5A7
_MARK_SHIFT: Final = 52
_EXPIRY_SHIFT: Final = 19
_LAST_EXPIRY: Final = 2**33 - 1
_NUMBERS: Final = 2**_EXPIRY_SHIFT

# Consul refuses characters that are not printable, and Go's servers redirect from paths with empty segments, `.` or
# `..`.
_PLAIN: Final = pattern(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[ -~]+").fullmatch
_ETAG: Final = pattern(r"([1-9][0-9]{0,18})(?:-([0-9]{1,10}))?").fullmatch

_number: Final = count(random.randrange(_NUMBERS))

Operation = dict[str, Any]


class Version(Struct, rename="pascal"):
    """What an entry as Consul returns it says of its value."""

    key: str
    flags: int
    modify_index: int

    @property
    def expires_at(self) -> int | None:
        if self.flags >> _MARK_SHIFT != _MARK:
            return None
        return (self.flags >> _EXPIRY_SHIFT) & _LAST_EXPIRY or None

    @property
    def has_expired(self) -> bool:
        expires_at = self.expires_at
        return expires_at is not None and expires_at <= time()

    @property
    def etag(self) -> str:
        """The ETag. It contains the expiry too, so that a conditional write can check it without a read."""
        expires_at = self.expires_at
        return str(self.modify_index) if expires_at is None else f"{self.modify_index}-{expires_at}"


class Entry(Version):
    """An entry as Consul returns it."""

    value: bytes | None = None
    """None: empty."""

    @property
    def stored(self) -> StoredValue:
        return StoredValue(self.value or b"", self.etag, self.expires_at)


def is_plain(name: str) -> bool:
    """Return whether a name may be part of a URL. Other names are sent in the body of a transaction."""
    return _PLAIN(name) is not None


def flags(write: Set) -> int:
    """Return the flags of a new value."""
    expires_at = write.kept_expiry or 0
    if write.ttl is not None:
        expires_at = min(ceil(time() + write.ttl), _LAST_EXPIRY)
    return _MARK << _MARK_SHIFT | expires_at << _EXPIRY_SHIFT | next(_number) % _NUMBERS


def index(write: Write) -> int:
    """Return the ModifyIndex that a write with an ETag expects. Raises ETagMismatchError and InvalidETagError."""
    found = _ETAG(write.if_match or "")
    if found is None:
        raise InvalidETagError(
            f"{write.if_match!r} for key {write.key} is no ETag of a Consul store; "
            "send the one that the last read returned"
        )
    if found[2] is not None and int(found[2]) <= time():
        raise absent_or_changed(write)
    return int(found[1])


# --- operations of a transaction --------------------------------------------------------------------------------------


def read(name: str) -> Operation:
    return {"KV": {"Verb": "get", "Key": name}}


def removal(name: str, modify_index: int) -> Operation:
    return {"KV": {"Verb": "delete-cas", "Key": name, "Index": modify_index}}


def check(write: Write, name: str, expired: int | None) -> Operation:
    """Return the check of a write's precondition; `expired` is the ModifyIndex of an entry that counts as absent."""
    if not write.if_absent:
        return {"KV": {"Verb": "check-index", "Key": name, "Index": index(write)}}
    if expired is not None:
        return {"KV": {"Verb": "check-index", "Key": name, "Index": expired}}
    return {"KV": {"Verb": "check-not-exists", "Key": name}}


def write_operation(write: Write, name: str) -> Operation:
    if isinstance(write, Set):
        return {"KV": {"Verb": "set", "Key": name, "Value": write.value, "Flags": flags(write)}}
    return {"KV": {"Verb": "delete", "Key": name}}
