"""The meta commands that read and write state, and what their answers mean.

A value is a plain item at the full key, as Dapr writes it, so that either reads what the other wrote. The ETag is the
item's CAS number, and its client flags hold the time of expiry.
"""

from __future__ import annotations

from base64 import b64encode
from math import ceil
from re import compile as pattern
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_sidecar.state.errors import ETagMismatchError, KeyRefusedError, StoreError, StoreRefusedError
from pannier_sidecar.state.preconditions import exists_already, is_absent
from pannier_sidecar.state.requests import Delete, Set, Write
from pannier_sidecar.state.store import StoredValue

from . import errors

if TYPE_CHECKING:
    from .connection import Connection
    from .protocol import Reply

MAX_KEY_BYTES: Final = 250
MAX_ENCODED_KEY_BYTES: Final = MAX_KEY_BYTES // 4 * 3
"""Bytes that a key may have if it has to be sent in base64."""
OVERHEAD: Final = 128
"""Bytes allowed for what an item takes besides key and value (64 in 1.6.18). A server that refuses a value as too
large deletes the one that the key had, so a value that is too large must not be sent."""

_UNSENDABLE: Final = pattern(rb"[\x00-\x20\x7f]").search
"""Finds bytes that may not be sent in a key as they are: those that Dapr's client refuses too."""
_RELATIVE_LIMIT_S: Final = 60 * 60 * 24 * 30
"""memcached takes a number above this for a Unix time."""
_LAST_TIME: Final = 2**31 - 1
"""The largest Unix time that memcached takes (2038)."""
_CAS: Final = pattern(r"[1-9][0-9]{0,18}").fullmatch
"""Not 0, which memcached takes for no condition. 19 digits have room for more writes than there will ever be."""


class SentKey(NamedTuple):
    """A key as it is written into a command."""

    name: bytes
    flag: bytes
    """Says how the name is encoded."""


def sent_key(key: str) -> SentKey:
    """Return how a key is sent. Raises KeyRefusedError."""
    raw = key.encode()
    if _UNSENDABLE(raw) is None:
        return SentKey(raw, b"")
    if len(raw) > MAX_ENCODED_KEY_BYTES:
        raise KeyRefusedError(
            f"key {key!r} has {len(raw)} bytes; with spaces or control characters in it memcached takes "
            f"{MAX_ENCODED_KEY_BYTES}, so make it shorter or leave them out"
        )
    return SentKey(b64encode(raw), b" b")


def read(key: SentKey) -> bytes:
    """Return the command that reads a key."""
    return b"mg %b v c f t%b\r\n" % key


def write(write: Write, key: SentKey, connection: Connection) -> bytes:
    """Return the command that carries out a write.

    Raises ETagMismatchError, and StoreRefusedError for what is too large.
    """
    if isinstance(write, Delete):
        if write.if_absent:
            return b"mg %b%b\r\n" % key  # only a read: an existing key is a mismatch, an absent one needs no delete
        return b"md %b%b%b\r\n" % (*key, _cas_flag(write, connection))
    value = write.value
    size = len(value)
    if len(key.name) + size + OVERHEAD > connection.largest_item:
        raise too_large(write, connection)
    condition = b" ME" if write.if_absent else _cas_flag(write, connection)
    return b"ms %b %d%b%b%b\r\n%b\r\n" % (key.name, size, key.flag, condition, _expiry_flags(write.ttl), value)


def stored_value(reply: Reply, connection: Connection) -> StoredValue | None:
    """Return the value in the answer to `read`; None if there is none. Raises a StoreError for any other answer."""
    if not isinstance(reply, tuple):
        if reply.startswith(b"EN"):
            return None
        raise errors.refusal(reply, connection.name, is_write=False)
    line, value = reply
    try:
        parts = line.split(b" ", 5)
        etag = f"{parts[2][1:].decode()}-{connection.run}"
        flags, left = parts[3][1:], parts[4][1:]
        if flags == b"0" and left == b"-1":
            return StoredValue(value, etag)
        return StoredValue(value, etag, _expiry(int(flags), int(left)))
    except (IndexError, ValueError):
        raise errors.refusal(b"", connection.name, is_write=False) from None


def error_of(reply: Reply, write: Write, connection: Connection) -> StoreError | None:
    """Return the error that the answer to a write means; None if the write is done."""
    line = reply[0] if isinstance(reply, tuple) else reply
    kind = line[:2]
    is_read = isinstance(write, Delete) and write.if_absent
    if kind == (b"EN" if is_read else b"HD") or (kind == b"NF" and not write.is_conditional):
        return None
    if kind in (b"NS", b"HD"):
        return exists_already(write)
    if kind == b"NF":
        return is_absent(write)
    if kind == b"EX":
        return _other_etag(write)
    if isinstance(write, Set) and b"too large" in line:
        return too_large(write, connection)
    return errors.refusal(line, connection.name, is_write=True)


def too_large(write: Set, connection: Connection) -> StoreRefusedError:
    return StoreRefusedError(
        f"the value of key {write.key} is too large for memcached at {connection.name}: {len(write.value)} bytes, and "
        f"key, value and {OVERHEAD} bytes of overhead may have {connection.largest_item}; start memcached with a "
        "larger -I, or store less under one key"
    )


def _cas_flag(write: Write, connection: Connection) -> bytes:
    """Return the flag that makes a write depend on its ETag.

    Raises ETagMismatchError for one that cannot be current.
    """
    if write.if_match is None:
        return b""
    cas, _, run = write.if_match.partition("-")
    if run != connection.run or not _CAS(cas):
        raise _other_etag(write)
    return b" C" + cas.encode()


def _other_etag(write: Write) -> ETagMismatchError:
    return ETagMismatchError(f"key {write.key} has another ETag than {write.if_match}; read it again")


def _expiry_flags(ttl: int | None) -> bytes:
    """Return the flags by which the server expires the item, and by which the time can be read back.

    The server's clock ticks once a second, so one second more keeps an item from expiring too early.
    """
    if ttl is None:
        return b""
    expires_at = ceil(time() + ttl)
    if ttl < _RELATIVE_LIMIT_S:
        return b" F%d T%d" % (expires_at, ttl + 1)
    if expires_at > _LAST_TIME:
        return b" F%d" % min(expires_at, 2**32 - 1)  # the server would take it for a time long past
    return b" F%d T%d" % (expires_at, expires_at)


def _expiry(flags: int, left: int) -> int | None:
    """Return the Unix time at which an item expires, from its client flags and the seconds it has left (-1: no end).

    Other programs use the flags in other ways, so they count only if they agree with the seconds left.
    """
    if left < 0:
        return flags if flags > _LAST_TIME else None
    by_server = round(time()) + left
    return flags if abs(flags - by_server) <= 2 else by_server
