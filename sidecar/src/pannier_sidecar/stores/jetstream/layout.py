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

_MIN_MARKER: Final = 10 * 1_000_000_000
"""Nanoseconds for which a bucket must show that a key has expired, so that it is certainly seen."""
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
        ttl = found.get(TTL.encode())
        expires_at = expiry(None if ttl is None else ttl.decode(), self.time)
        if is_marker(found.get(b"KV-Operation"), b"Nats-Marker-Reason" in found) or has_expired(expires_at):
            return None
        return StoredValue(self.data, etag_of(self.seq, expires_at), expires_at)


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
    max_msgs: int = 0
    max_bytes: int = 0
    max_age: int = 0
    """Nanoseconds; 0: messages do not expire by their age."""
    subject_delete_marker_ttl: int = 0
    """Nanoseconds for which a marker shows that a message has expired; 0: there are none."""
    discard: str = "new"


class StreamState(Struct):
    subjects: dict[str, int] | None = None
    last_seq: int = 0


class StreamAnswer(Struct):
    """A stream, with a page of its subjects if these were asked for."""

    config: StreamConfig | None = None
    state: StreamState | None = None
    total: int = 0
    offset: int = 0
    limit: int = 0
    created: str = ""
    ts: str = ""
    """The server's time."""
    error: ApiError | None = None


class ConsumerAnswer(Struct):
    name: str = ""
    error: ApiError | None = None


def headers(block: bytes) -> Mapping[bytes, bytes]:
    """Return the fields of a message's header."""
    lines = (line.partition(b":") for line in block.split(b"\r\n")[1:])
    return {name: value.strip() for name, colon, value in lines if colon}


def shows_changes(config: StreamConfig) -> bool:
    """Return whether a bucket shows everything that happens to its keys: not if it forgets messages silently."""
    can_expire = config.allow_msg_ttl or config.max_age > 0
    if can_expire and config.subject_delete_marker_ttl < _MIN_MARKER:
        return False
    return config.discard != "old" or (config.max_msgs <= 0 and config.max_bytes <= 0)


def is_marker(operation: bytes | None, has_reason: bool) -> bool:
    """Return whether a message says that its key was deleted or has expired, by its header."""
    return has_reason or operation in (b"DEL", b"PURGE")


def expiry(ttl: str | None, stored_at: str | float) -> int | None:
    """Return the Unix time when a message expires that was stored at a time, as text or in Unix time; None: never.

    Raises ValueError for what no server says.
    """
    if ttl is None or ttl == "never":
        return None
    unix = datetime.fromisoformat(stored_at).timestamp() if isinstance(stored_at, str) else stored_at
    return ceil(unix + parse_duration(ttl, "s"))


def has_expired(expires_at: int | None) -> bool:
    return expires_at is not None and expires_at <= time()


def etag_of(sequence: int, expires_at: int | None) -> str:
    return str(sequence) if expires_at is None else f"{sequence}-{expires_at}"


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
