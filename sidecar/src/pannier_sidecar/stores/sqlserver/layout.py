"""How keys, values and ETags are stored in the columns of Dapr's two tables.

Text is UTF-16 in SQL Server, so UTF-8 comes back byte for byte. Bytes that are no UTF-8 are, in version v1, halves of
characters, which no text has (PEP 383).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import msgspec

from pannier_sidecar.state.errors import InvalidETagError, KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.store import LAST_TIME, StoredValue

from .tds.requests import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .tds.answers import Row

EXACT: Final = "Latin1_General_100_BIN2"
"""The collation of keys in tables that are made here: it takes no two keys for the same, but for blanks at the end."""
_END: Final = "\uffff"
"""Is added to a key that ends with blanks, which SQL Server would ignore; not in tables with other collations."""
_ENDS_WITH_BLANKS: Final = re.compile(f" {_END}*\\Z")
_ENDED: Final = re.compile(f" {_END}+\\Z")
_ETAG: Final = re.compile(r"(?a:[0-9a-fA-F]{16})")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER: Final = re.compile(r"(?a:0|-?[1-9]\d{0,9})")
KEY_TYPES: Final = {"string": "nvarchar", "uuid": "uniqueidentifier", "integer": "int"}
"""The types of the column of keys, for each keyType."""


class Table(NamedTuple):
    """What differs between tables."""

    key_type: str = "string"
    """One of KEY_TYPES."""
    max_key: int = 200
    """Maximum of UTF-16 units in a key."""
    collation: str = EXACT
    """Of the column of keys; empty if they are no text."""
    has_shared_notes: bool = True
    """Whether the table of metadata can hold when expired rows were removed: not if its keys are no text."""

    @property
    def is_exact(self) -> bool:
        """Whether it holds all keys that differ."""
        return self.key_type != "string" or self.collation.endswith("_BIN2")

    @property
    def parameter_type(self) -> str:
        """The type of a parameter that is a key."""
        if self.key_type == "string":
            return f"NVARCHAR({self.max_key})"
        return "INT" if self.key_type == "integer" else "NVARCHAR(36)"

    def stored(self, key: str) -> str:
        """Return a key as it is stored."""
        if self.key_type == "string" and self.is_exact and _ENDS_WITH_BLANKS.search(key):
            return key + _END
        return key

    def named(self, stored: object) -> str:
        """Return the key that is stored so."""
        if not isinstance(stored, str):
            return str(stored)
        if self.key_type == "string" and self.is_exact and _ENDED.search(stored):
            stored = stored.removesuffix(_END)
        return stored.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def key(self, name: str, key: str) -> Parameter:
        """Return a parameter that is a key, which `check` has let through."""
        return Parameter(name, self.parameter_type, int(key) if self.key_type == "integer" else self.stored(key))

    def can_hold(self, key: str) -> bool:
        if self.key_type == "integer":
            return _INTEGER.fullmatch(key) is not None and -(2**31) <= int(key) < 2**31
        if self.key_type == "uuid":
            return _UUID.fullmatch(key) is not None
        return units(self.stored(key)) <= self.max_key

    def check(self, key: str) -> None:
        """Raise KeyRefusedError for a key that the table cannot hold."""
        if self.can_hold(key):
            return
        if self.key_type == "integer":
            wanted = "whole numbers of 32 bits, without zeros before them; write keyPrefix: none, and such keys"
        elif self.key_type == "uuid":
            wanted = "UUIDs in lower case; write keyPrefix: none, and such keys"
        else:
            raise KeyRefusedError(
                f"key {key[:40]}... has {units(self.stored(key))} characters with its prefix, and the table holds "
                f"{self.max_key}; shorten it"
            )
        raise KeyRefusedError(f"key {key[:80]} cannot be held by a table of keyType {self.key_type}, for {wanted}")


def units(text: str) -> int:
    """Return how many UTF-16 units a text has: SQL Server counts these."""
    return len(text) + sum(letter > "\uffff" for letter in text)


class Layout:
    """The columns that hold a value: those of version v1."""

    version: ClassVar[str] = "v1"
    columns: ClassVar[Sequence[str]] = ("Data",)
    types: ClassVar[Sequence[str]] = ("NVARCHAR(MAX)",)
    """Of parameters for them."""
    definition: ClassVar[str] = "[Data] NVARCHAR(MAX) NOT NULL,"
    wanted: ClassVar[dict[str, str]] = {"data": "nvarchar"}
    """Columns that a table must have, and their types."""
    unwanted: ClassVar[str] = "binarydata"
    """A column that only a table of the other version has."""

    def encoded(self, value: bytes) -> tuple[str | bytes | int | None, ...]:
        """Return a value as parameters for `columns`."""
        return (value.decode("utf-8", "surrogateescape"),)

    def decoded(self, key: str, stored: Sequence[object]) -> bytes:
        """Return the value that `columns` hold. Raises StoreRefusedError."""
        (text,) = stored
        return _as_bytes(key, text)


class LayoutV2(Layout):
    """The columns of version v2: text that is JSON in one, any other bytes in another."""

    version = "v2"
    columns = ("Data", "BinaryData", "isBinary")
    types = ("NVARCHAR(MAX)", "VARBINARY(MAX)", "BIT")
    definition = "[Data] NVARCHAR(MAX) NULL, [BinaryData] VARBINARY(MAX) NULL, [isBinary] BIT NOT NULL DEFAULT 0,"
    wanted: ClassVar[dict[str, str]] = {"data": "nvarchar", "binarydata": "varbinary", "isbinary": "bit"}
    unwanted = ""

    def encoded(self, value: bytes) -> tuple[str | bytes | int | None, ...]:
        try:
            msgspec.json.decode(value, type=msgspec.Raw)
            return (value.decode(), None, 0)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (None, value, 1)

    def decoded(self, key: str, stored: Sequence[object]) -> bytes:
        text, content, is_binary = stored
        if is_binary:
            return content if isinstance(content, bytes) else b""
        return _as_bytes(key, text)


def _as_bytes(key: str, text: object) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else b""
    except UnicodeEncodeError as error:
        raise StoreRefusedError(f"the value of key {key} holds halves of characters; write it again") from error


def etag_of(version: object) -> str:
    """Return the ETag of a row, as Dapr writes it."""
    return version.hex() if isinstance(version, bytes) else ""


def version_of(key: str, etag: str) -> bytes:
    """Return the row's version that an ETag of a key means. Raises InvalidETagError."""
    if _ETAG.fullmatch(etag) is None:
        raise InvalidETagError(
            f"{etag[:40]!r} for key {key} is none of 16 hexadecimal digits; write the ETag that the last read gave"
        )
    return bytes.fromhex(etag)


def stored_value(layout: Layout, key: str, row: Row) -> StoredValue:
    """Return what a row holds: the columns of the layout, its version, and its Unix time of expiry.

    Raises StoreRefusedError.
    """
    *stored, version, expires = row
    expires_at = min(expires, LAST_TIME) if isinstance(expires, int) else None
    return StoredValue(layout.decoded(key, stored), etag_of(version), expires_at)
