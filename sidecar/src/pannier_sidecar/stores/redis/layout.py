"""The commands that read and write state, and what their replies mean.

Compatible with Dapr's `state.redis`: a hash with the fields `data`, `version` and perhaps `first-write`; the ETag is
the version. Plain strings, as Dapr once wrote, and Dapr's RedisJSON documents are read; a write turns either into a
hash.
"""

from __future__ import annotations

import re
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any, Final

from hiredis import ReplyError
from msgspec import DecodeError, Raw, Struct, json

from pannier_crds.digests import sha1
from pannier_sidecar.state.errors import (
    InvalidETagError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.preconditions import unmet
from pannier_sidecar.state.requests import Delete, Set, Write
from pannier_sidecar.state.store import StoredValue

from . import errors, scripts
from .resp import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .resp import Part

# Formatted by hand, which takes half the time of hiredis.pack_command.
_READ: Final = b"*4\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n$4\r\ndata\r\n$7\r\nversion\r\n*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n"
_CALL: Final = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n$%%d\r\n%%b\r\n"
_ARGUMENT: Final = b"$%d\r\n%b\r\n"
_SET: Final = _CALL % (5, scripts.SET.sha) + _ARGUMENT
_SET_TTL: Final = _CALL % (6, scripts.SET.sha) + _ARGUMENT * 2
_SET_IF: Final = _CALL % (6, scripts.SET_IF.sha) + _ARGUMENT * 2
_SET_IF_TTL: Final = _CALL % (7, scripts.SET_IF.sha) + _ARGUMENT * 3
_SET_FIRST: Final = _CALL % (8, scripts.SET_IF.sha) + _ARGUMENT * 3 + b"$1\r\n1\r\n"
_DELETE: Final = b"*2\r\n$3\r\nDEL\r\n$%d\r\n%b\r\n"
_DELETE_IF: Final = _CALL % (5, scripts.DELETE_IF.sha) + _ARGUMENT

READ_REPLIES: Final = 2
"""How many replies a read gets: the fields and the time to live."""

FOREIGN_REPLIES: Final = 3
JSON_TYPE: Final = b"ReJSON-RL"
TYPES: Final = frozenset({b"string", b"list", b"set", b"zset", b"hash", b"stream", JSON_TYPE})

_STRING_ETAG: Final = re.compile(r"sha1-[0-9a-f]{40}")
_INTEGER: Final = re.compile(r"-?[0-9]+")


class _Document(Struct):
    """State that Dapr keeps as a RedisJSON document."""

    data: Raw
    version: int


# --- commands -----------------------------------------------------------------------------------------------------


def read(key: bytes) -> bytes:
    """Return the commands that read a key."""
    size = len(key)
    return _READ % (size, key, size, key)


def read_etag(key: bytes) -> bytes:
    """Return the command that reads only the version of a key."""
    return pack("HGET", key, "version")


def read_foreign(key: bytes) -> bytes:
    """Return the commands that read a key that is not a hash: type, content if it is a string, time to live."""
    return pack("TYPE", key) + pack("GET", key) + pack("PTTL", key)


def read_document(key: bytes) -> bytes:
    return pack("JSON.GET", key)


def write(write: Write, key: bytes) -> bytes:
    """Return the command that carries out a write. Raises InvalidETagError."""
    if isinstance(write, Delete):
        if not write.is_conditional:
            return _DELETE % (len(key), key)
        wanted = precondition(write)
        return _DELETE_IF % (len(key), key, len(wanted), wanted)
    value = write.value
    if write.if_match is None and not write.if_absent:
        if write.ttl is None:
            return _SET % (len(key), key, len(value), value)
        ttl = _milliseconds(write.ttl)
        return _SET_TTL % (len(key), key, len(value), value, len(ttl), ttl)
    wanted = precondition(write)
    if write.is_first_write:
        ttl = _ttl(write)
        return _SET_FIRST % (len(key), key, len(value), value, len(wanted), wanted, len(ttl), ttl)
    ttl = _ttl(write)
    if not ttl:
        return _SET_IF % (len(key), key, len(value), value, len(wanted), wanted)
    return _SET_IF_TTL % (len(key), key, len(value), value, len(wanted), wanted, len(ttl), ttl)


def transaction(writes: Sequence[Write], keys: Sequence[bytes]) -> bytes:
    """Return the command that carries out all the writes or none. Raises InvalidETagError."""
    command: list[Part] = [b"EVALSHA", scripts.TRANSACT.sha, len(keys), *keys]
    for write in writes:
        if isinstance(write, Set):
            kind = b"first-write" if write.is_first_write else b"set"
            command += (kind, precondition(write), write.value, _ttl(write))
        else:
            command += (b"delete", precondition(write), b"", b"")
    return pack(*command)


def precondition(write: Write) -> bytes:
    """Return a write's precondition as the scripts take it. Raises InvalidETagError."""
    etag = write.if_match
    if write.if_absent:
        return scripts.ABSENT
    if etag is None:
        return b""
    if _INTEGER.fullmatch(etag) or _STRING_ETAG.fullmatch(etag):
        return etag.encode()
    raise InvalidETagError(
        f"{etag!r} for key {write.key} is no ETag of a Redis store, whose ETags are integers; "
        "send the one that the last read returned"
    )


def _ttl(write: Set) -> bytes:
    """Return the TTL of a write as the scripts take it; empty: never."""
    if write.kept_expiry is not None:
        return b"keep"
    return b"" if write.ttl is None else _milliseconds(write.ttl)


def _milliseconds(ttl: int) -> bytes:
    return b"%d" % (ttl * 1000)


# --- replies ------------------------------------------------------------------------------------------------------


def stored_value(fields: Any, ttl: object, key: str) -> StoredValue | None:
    """Return the value that the fields of a hash hold. Raises StoreRefusedError for a hash that is not state."""
    if type(fields) is not list:
        raise errors.translate(fields) if isinstance(fields, ReplyError) else not_redis()
    try:
        data, version = fields
    except ValueError:
        raise not_redis() from None
    if type(data) is not bytes or type(version) is not bytes:
        if not (data is None or version is None):
            raise not_redis()
        if ttl == -2:
            return None
        raise StoreRefusedError(
            f"required hash field 'data' or 'version' was not found; Redis key {key} is a hash that something else "
            "wrote: delete it or use another key"
        )
    if ttl == -1:
        return StoredValue(data, version.decode("latin-1"))
    return _expiring(data, version.decode("latin-1"), ttl)


def etag(version: object) -> str:
    """Return the ETag that a version stands for. Raises StoreUnavailableError for a reply that Redis never gives."""
    if type(version) is not bytes:
        raise not_redis()
    return version.decode("latin-1")


def not_redis() -> StoreUnavailableError:
    """Return the error for an answer to a read that Redis never gives."""
    return StoreUnavailableError("the server that answers is not Redis; check redisHost")


def is_wrong_type(reply: object) -> bool:
    """Return whether a reply says that the key is not a hash."""
    return type(reply) is ReplyError and str(reply).startswith("WRONGTYPE")


def foreign_stored_value(kind: object, content: object, ttl: object, key: str) -> StoredValue | None:
    """Return the value of a key that is not a hash. Raises StoreRefusedError for types that state never has."""
    if kind == b"none":
        return None
    if kind not in (b"string", JSON_TYPE) or not isinstance(content, bytes):
        type_name = kind.decode("latin-1") if kind in TYPES else "type that is not known"
        raise StoreRefusedError(
            f"Redis key {key} holds a {type_name}, not state; use another key, or delete it or write it without ETag"
        )
    if kind == b"string":
        return _expiring(content, "sha1-" + sha1(content).hexdigest(), ttl)
    try:
        document = json.decode(content, type=_Document)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise StoreRefusedError(f"Redis key {key} holds a JSON document that is not state") from error
    return _expiring(bytes(document.data), str(document.version), ttl)


def _expiring(data: bytes, etag: str, ttl: object) -> StoredValue | None:
    if ttl == -1:
        return StoredValue(data, etag)
    if ttl == -2:  # expired, or deleted by another client, between the two commands
        return None
    if not isinstance(ttl, int):
        raise errors.translate(ReplyError(str(ttl)))
    return StoredValue(data, etag, ceil(time() + ttl / 1000))


def refusal(reply: Any, writes: Sequence[Write]) -> StoreError:
    """Return the error for writes that the server refused, as its answer says."""
    if isinstance(reply, ReplyError):
        return errors.translate(reply)
    if not _is_refusal(reply, len(writes)):
        return OutcomeUnknownError("the server that answers is not Redis; check redisHost")
    write = writes[reply[0] - 1]
    etag = reply[1].decode("latin-1") if len(reply) > 1 else None
    return unmet(write, etag)


def _is_refusal(reply: object, writes: int) -> bool:
    """Return whether a reply is the number of the refused write and, if its key exists, the key's ETag."""
    if not isinstance(reply, list) or not 1 <= len(reply) <= 2:
        return False
    return type(reply[0]) is int and 1 <= reply[0] <= writes and all(type(etag) is bytes for etag in reply[1:])
