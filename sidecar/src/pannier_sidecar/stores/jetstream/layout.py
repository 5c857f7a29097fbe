"""How state is stored in a bucket: a message for each key, with the value as it is.

A bucket is a stream, and a key is the last token or tokens of a subject, which `.` separates. Dapr writes `.` for each
`||`, and leaves the rest of a key as it is. Then `app||a.b` and `app||a||b` are the same key to it, and it cannot write
a key with a character that NATS clients refuse in keys. Here two keys never have the same name:

- The first `||` becomes `.`. Later ones are escaped, which costs nothing: Dapr has no actors on this store, so its keys
  have only one `||`, after the prefix.
- Letters, digits, `-`, `_`, `/` and `=` stay, and so does `.` after the first `||`, if no token would be empty.
- All other bytes of UTF-8 become `%XX`. Servers allow `%`, and Dapr's client does not, so Dapr never wrote such a name.
- An empty part, for which there is no subject, becomes a lone `%`.

So Dapr's names are read under the key that Dapr had, if its prefix has no `.`. With `keyPrefix: namespace`, or an app
id with a `.`, Dapr's `a.b||c` has the same name as its `a||b.c`; it is found here as the latter.

An ETag is the revision: the sequence number of the message in the stream, which never repeats as long as the stream
exists. A deleted key has a marker as its last message, whose number is no ETag. The ETag of a value that expires also
says when, because the server removes its message a moment later, and a conditional write should not read first.
"""

from __future__ import annotations

import re
from datetime import datetime
from math import ceil
from time import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.values import parse_duration
from pannier_sidecar.state.errors import InvalidETagError, KeyRefusedError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.requests import Write

MAX_KEY_BYTES: Final = 1000
"""So that a name, whose escapes are three bytes each, fits into a line of the protocol, which has at most 4096."""
EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
"""The header with the number that the key's last message must have; 0: there is no message."""
TTL: Final = "Nats-TTL"
"""The header with the seconds, or the Go duration, after which the server removes a message (NATS 2.11)."""
DELETION: Final = {"KV-Operation": "DEL"}
NEVER: Final = 2**62
"""A sequence number that no stream reaches."""
MAX_REVISION: Final = 2**63 - 1
"""Servers read the header as a signed number of 64 bits, and ignore one that is larger."""

_SEPARATOR: Final = "||"
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/=")
_PLAIN_AND_DOT: Final = _PLAIN | {ord(".")}
_EMPTY: Final = "%"
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_ETAG: Final = re.compile(r"([1-9][0-9]{0,18})(?:-([1-9][0-9]{0,10}))?", re.ASCII)


class Message(Struct):
    """A message of the stream, as the server describes it."""

    subject: str
    seq: int
    data: bytes = b""
    hdrs: bytes = b""
    time: str = ""
    """When it was stored, by the server's clock, as RFC 3339 says."""

    @property
    def stored(self) -> StoredValue | None:
        """What it stores; None: it is a marker, which says that the key was deleted or has expired, or a value that has
        expired and is not removed yet.
        """
        found = headers(self.hdrs)
        if found.get(b"KV-Operation") in (b"DEL", b"PURGE") or b"Nats-Marker-Reason" in found:
            return None
        expires_at = _expiry(found, self.time)
        if expires_at is None:
            return StoredValue(self.data, str(self.seq))
        return StoredValue(self.data, f"{self.seq}-{expires_at}", expires_at) if expires_at > time() else None


class ApiError(Struct):
    """Why the server did not do what was asked: `err_code` is JetStream's own number."""

    code: int = 0
    err_code: int = 0


class ReadAnswer(Struct):
    message: Message | None = None
    error: ApiError | None = None


class WriteAnswer(Struct):
    seq: int = 0
    error: ApiError | None = None


class StreamConfig(Struct):
    subjects: list[str] | None = None
    sealed: bool = False
    allow_msg_ttl: bool = False
    max_msgs_per_subject: int = 0


class StreamState(Struct):
    subjects: dict[str, int] | None = None


class StreamAnswer(Struct):
    """A stream, with a page of its subjects if these were asked for."""

    config: StreamConfig | None = None
    state: StreamState | None = None
    total: int = 0
    offset: int = 0
    limit: int = 0
    error: ApiError | None = None


def headers(block: bytes) -> Mapping[bytes, bytes]:
    """Return the fields of a message's header."""
    lines = (line.partition(b":") for line in block.split(b"\r\n")[1:])
    return {name: value.strip() for name, colon, value in lines if colon}


def _expiry(fields: Mapping[bytes, bytes], stored_at: str) -> int | None:
    """Return the Unix time when a message expires that was stored at a time; None: never.

    Raises ValueError for what no server says.
    """
    ttl = fields.get(TTL.encode())
    if ttl is None or ttl == b"never":
        return None
    return ceil(datetime.fromisoformat(stored_at).timestamp() + parse_duration(ttl.decode(), "s"))


def size(fields: Mapping[str, str]) -> int:
    """Return the bytes of a header, which count as payload."""
    return len("NATS/1.0\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in fields.items()) if fields else 0


def name_of(key: str) -> str:
    """Return the name of a stored key in the bucket. Raises KeyRefusedError."""
    first, separator, rest = key.partition(_SEPARATOR)
    if not separator:
        return _escaped(key, first, _PLAIN)
    plain = _PLAIN_AND_DOT if "." in rest and all(rest.split(".")) else _PLAIN
    return f"{_escaped(key, first, _PLAIN)}.{_escaped(key, rest, plain)}"


def key_of(name: str) -> str | None:
    """Return the stored key that has a name; None if no key has it, so that others wrote it."""
    first, dot, rest = name.partition(".")
    try:
        key = f"{_unescaped(first)}{_SEPARATOR}{_unescaped(rest)}" if dot else _unescaped(first)
        return key if name_of(key) == name else None
    except (UnicodeError, KeyRefusedError):
        return None


def names_with(prefix: str) -> str:
    """Return the pattern of names, of which some or all have keys with this prefix."""
    first, separator, _ = prefix.partition(_SEPARATOR)
    return f"{_escaped(prefix, first, _PLAIN)}.>" if separator else ">"


def _escaped(key: str, text: str, plain: frozenset[int]) -> str:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise KeyRefusedError(f"key {key[:80]!r} holds a surrogate, which is no character; take it out") from error
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in encoded) or _EMPTY


def _unescaped(text: str) -> str:
    if text == _EMPTY:
        return ""
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text.encode()).decode()


def revision(write: Write) -> int:
    """Return the sequence number in a write's ETag. Raises InvalidETagError, and ETagMismatchError if its value has
    expired.
    """
    found = _ETAG.fullmatch(write.if_match or "")
    if found is None or int(found[1]) > MAX_REVISION:
        raise InvalidETagError(f"{write.if_match!r} is no ETag of this store; send the one that the last read returned")
    if found[2] is not None and int(found[2]) <= time():
        raise absent_or_changed(write)
    return int(found[1])
