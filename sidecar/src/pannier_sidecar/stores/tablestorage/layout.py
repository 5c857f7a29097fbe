"""How state is stored in a table: an entity for each key, with Dapr's names, and the value in its property `Value`.

Dapr's PartitionKey is what stands before the first `||` of a stored key, and its RowKey is the rest. Of a key without
`||` the RowKey is empty, or a word in Cosmos DB, which takes none that is empty. To Dapr all keys of three or more
parts that begin alike are one key. Here two keys are never one entity: a part that Azure or Dapr's
layout does not take is stored as `=` and the part, in which `=XX` stands for each byte of a character that cannot stay.

Values are text where Azure takes them as such, as in Dapr, and otherwise binary, which Dapr refuses to read. An expiry
is a property of ours.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from math import ceil
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct, field

from pannier_sidecar.state.errors import InvalidETagError, KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.store import LAST_TIME, StoredValue

if TYPE_CHECKING:
    from pannier_sidecar.state.requests import Set, Write

MAX_PART: Final = 512
"""Code units of UTF-16 in a PartitionKey or RowKey, which may have 1 KiB."""
MAX_KEY_BYTES: Final = 512
NEVER: Final = "W/\"datetime'0001-01-01T00%3A00%3A00Z'\""
"""An ETag that no entity has."""
EXPIRES: Final = "PannierExpires"
"""The property with the Unix time when an entity expires."""

_MAX_VALUE: Final = 64 * 1024
"""Bytes of a property, whose text is in UTF-16."""
_SEPARATOR: Final = "||"
_MARK: Final = "="
_EMPTY_IN_COSMOS: Final = "_dapr_empty_row_key_value_"
_REFUSED: Final = r"/\\#?\x00-\x1f\x7f-\x9f\ufffe\uffff"
"""Characters that Azure takes in no key, and two that are no characters."""
_NEVER_PLAIN: Final = re.compile(rf"\A=|\|\||[{_REFUSED}]")
_NOT_ENCODED: Final = re.compile(rf"[^={_REFUSED}]")
_BYTE: Final = re.compile(rb"=([0-9A-F]{2})")
_ALL_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
"""Characters of which a text is stored as binary."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_ETAG: Final = re.compile(r'(W/"[!#-?A-\[\]-~]{1,200})(?:@([1-9][0-9]{0,11}))?"', re.ASCII)
"""An ETag of Azure, in which the Unix time of expiry is inserted before its last quote."""


class EntityName(NamedTuple):
    """The key of an entity."""

    partition: str
    row: str


class Entity(Struct):
    """What the store reads of an entity."""

    partition: str = field(name="PartitionKey", default="")
    row: str = field(name="RowKey", default="")
    etag: str = field(name="odata.etag", default="")
    value: str | float | bool | None = field(name="Value", default=None)
    type: str = field(name="Value@odata.type", default="Edm.String")
    expires: str | float | bool | None = field(name=EXPIRES, default=None)

    @property
    def expires_at(self) -> int | None:
        """Unix time; None: never, or another program wrote the property."""
        return int(self.expires) if isinstance(self.expires, str) and _NUMBER.fullmatch(self.expires) else None

    @property
    def has_expired(self) -> bool:
        return (expires_at := self.expires_at) is not None and expires_at <= time()


class Layout:
    """The names of keys, in Azure Table Storage or in Azure Cosmos DB."""

    def __init__(self, *, is_cosmos: bool):
        self._empty = _EMPTY_IN_COSMOS if is_cosmos else ""

    def name_of(self, key: str) -> EntityName:
        """Return the name of a key's entity. Raises KeyRefusedError."""
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise KeyRefusedError(f"key {key[:80]!r} holds a surrogate, which is no character; take it out") from error
        first, separator, rest = key.partition(_SEPARATOR)
        row = self._empty
        if separator:
            row = _encoded(rest) if rest in ("", self._empty) else _part(rest)
        name = EntityName(_part(first), row)
        if any(_units(each) > MAX_PART for each in name):
            raise KeyRefusedError(
                f"key {key[:80]!r}... is too long for Azure: before or after its first '||' it has more than "
                f"{MAX_PART} characters encoded; shorten it"
            )
        return name

    def key_of(self, name: EntityName) -> str | None:
        """Return the key of an entity; None: no key has this name, so that another program wrote it."""
        try:
            first = _read_part(name.partition)
            key = first if name.row == self._empty else f"{first}{_SEPARATOR}{_read_part(name.row)}"
            return key if self.name_of(key) == name else None
        except (UnicodeError, KeyRefusedError):
            return None


def filters_for(prefix: str) -> tuple[str, ...]:
    """Return filters that find the entities of keys with a prefix, and perhaps others; at most one finds each."""
    first, separator, rest = prefix.partition(_SEPARATOR)
    if not separator:
        return tuple(_range("PartitionKey", each) for each in _beginnings(prefix.rstrip("|")))
    partition = f"PartitionKey eq {quoted(_part(first))}"
    rows = (_range("RowKey", each) for each in _beginnings(rest))
    return tuple(f"{partition} and {row}" if row else partition for row in rows)


def expired_in(partition: str) -> str:
    """Return the filter that finds the expired entities of a partition."""
    return f"PartitionKey eq {quoted(partition)} and {EXPIRES} le {int(time())}L"


def quoted(text: str) -> str:
    """Return a text as a literal of a filter or of an entity's address."""
    return "'" + text.replace("'", "''") + "'"


def body_of(write: Set, name: EntityName, expires_at: int | None) -> bytes:
    """Return an entity as it is sent. Raises StoreRefusedError for a value that is too large."""
    properties = {"PartitionKey": name.partition, "RowKey": name.row, **_value(write)}
    if expires_at is not None:
        properties |= {EXPIRES: str(expires_at), f"{EXPIRES}@odata.type": "Edm.Int64"}
    return json.dumps(properties).encode()  # all ASCII: Azurite breaks other characters between parts of a body


def expiry_of(write: Set) -> int | None:
    """Return the Unix time when a value that is written now expires; None: never."""
    return write.kept_expiry if write.ttl is None else min(ceil(time() + write.ttl), LAST_TIME)


def stored(entity: Entity, etag: str) -> StoredValue:
    """Return what an entity with Azure's ETag stores. Raises ValueError if its value is neither text nor binary."""
    expires_at = entity.expires_at
    shown = shown_etag(etag, expires_at)
    if not isinstance(entity.value, str) or entity.type not in ("Edm.Binary", "Edm.String"):
        raise ValueError("a value that is neither text nor binary")
    if entity.type == "Edm.Binary":
        return StoredValue(b64decode(entity.value, validate=True), shown, expires_at)
    return StoredValue(entity.value.encode(), shown, expires_at)


def shown_etag(etag: str, expires_at: int | None) -> str:
    """Return the ETag for clients of an entity with Azure's ETag. It contains the expiry too, so that a conditional
    write can check it without a read.
    """
    return etag if expires_at is None else f'{etag[:-1]}@{expires_at}"'


def is_etag(text: str) -> bool:
    """Return whether a text has the form of Azure's ETags."""
    found = _ETAG.fullmatch(text)
    return found is not None and found[2] is None


def condition_of(write: Write) -> str | None:
    """Return the ETag that the entity of a write must have in Azure; None: any.

    Raises InvalidETagError, and ETagMismatchError if the value with this ETag has expired.
    """
    if write.if_match is None:
        return None
    found = _ETAG.fullmatch(write.if_match)
    if found is None:
        shown = repr(write.if_match[:80])
        raise InvalidETagError(f"{shown} is no ETag that Azure gave the entity of key {write.key}; read it again")
    if found[2] is not None and int(found[2]) <= time():
        raise absent_or_changed(write)
    return f'{found[1]}"'


def _value(write: Set) -> dict[str, str]:
    try:
        text = write.value.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and _ALL_CONTROLS.search(text) is None and _units(text) * 2 <= _MAX_VALUE:
        return {"Value": text}
    if len(write.value) > _MAX_VALUE:
        raise StoreRefusedError(
            f"the value of key {write.key} is too large for Azure: {len(write.value)} bytes, and a property takes "
            f"{_MAX_VALUE}; store less under one key"
        )
    return {"Value": b64encode(write.value).decode(), "Value@odata.type": "Edm.Binary"}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _part(text: str) -> str:
    return _encoded(text) if _NEVER_PLAIN.search(text) else text


def _encoded(text: str) -> str:
    """Return the beginning of the encoded forms of all parts that begin with a text."""
    return _MARK + "".join(
        each if _NOT_ENCODED.match(each) else "".join(f"={byte:02X}" for byte in each.encode()) for each in text
    )


def _read_part(text: str) -> str:
    if not text.startswith(_MARK):
        return text
    return _BYTE.sub(lambda found: bytes((int(found[1], 16),)), text[1:].encode()).decode()


def _beginnings(text: str) -> tuple[str, ...]:
    """Return the beginnings of the stored forms of parts that begin with a text."""
    if not text:
        return ("",)
    return (_encoded(text),) if _NEVER_PLAIN.search(text) else (text, _encoded(text))


def _range(name: str, beginning: str) -> str:
    """Return the filter for a key that begins with a text, and perhaps for some that do not; empty: for all."""
    if not beginning:
        return ""
    after = _after(beginning)
    least = f"{name} ge {quoted(beginning)}"
    return f"{least} and {name} lt {quoted(after)}" if after else least


def _after(beginning: str) -> str:
    """Return a text after all that begin like this, in the order of code units of UTF-16; empty: there is none."""
    kept = beginning
    while kept and kept[-1] >= "\ufffd":  # the next code unit belongs to no character
        kept = kept[:-1]
    if not kept:
        return ""
    following = chr(ord(kept[-1]) + 1)
    if "\x7f" <= following <= "\x9f":
        following = "\xa0"
    return kept[:-1] + ("\ue000" if following == "\ud800" else following)
