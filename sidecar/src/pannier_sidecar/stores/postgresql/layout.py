"""How a row holds a value and its ETag: Dapr's first layout (jsonb, xmin) and its second (bytea, uuid)."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pannier_sidecar.state.errors import InvalidETagError, StoreRefusedError
from pannier_sidecar.state.store import LAST_TIME, StoredValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Layout(ABC):
    """The columns of a table beside `key`, and what is in them."""

    version: ClassVar[str]
    advice: ClassVar[str]
    """What to change in a component so that it uses another table."""
    etag: ClassVar[str]
    """The column that changes with every write."""
    etag_type: ClassVar[str]
    new_etag: ClassVar[str]
    """The expression that makes a new ETag; empty if PostgreSQL changes the column itself."""
    expires: ClassVar[str]
    updated: ClassVar[str]
    values: ClassVar[Mapping[str, str]]
    """The types of the columns that hold the value, each a part of it."""
    given: ClassVar[Mapping[str, str]]
    """The columns of many given rows, and the parameters that hold them: names, TTLs and what `columns` returns.

    Arrays are `text[]` only: to look up another type, the client library would change a setting of the session.
    """
    row: ClassVar[str]
    """The expressions that make the columns of `values` from such a row."""
    searched: ClassVar[str]
    """The expression for a value's bytes; NULL for a row that cannot be read."""
    parameters: ClassVar[int]
    """How many parameters there are for many rows."""
    definition: ClassVar[str]
    """What creates the table, in statements that end with a semicolon; `{table}` is its name, `{index}` may be that
    of its index.
    """
    level: ClassVar[int]
    """How many of Dapr's migrations `definition` includes; 0: Dapr does not note them. Dapr makes later ones itself,
    which does no harm.
    """

    @abstractmethod
    def encoded(self, value: bytes) -> tuple[Any, ...]:
        """Return a value as parameters for the columns of `values`."""

    @abstractmethod
    def columns(self, values: Sequence[bytes]) -> tuple[Any, ...]:
        """Return many values as parameters of `given`."""

    @abstractmethod
    def decoded(self, key: str, row: Sequence[Any]) -> StoredValue:
        """Return what a row holds: the columns of `values`, ETag, Unix time of expiry, and any others.

        Raises StoreRefusedError.
        """

    @abstractmethod
    def parsed(self, etag: str) -> object | None:
        """Return an ETag as PostgreSQL takes it; None if no row can have it. Raises InvalidETagError."""


class BytesLayout(Layout):
    """Version 2."""

    version = "v2"
    advice = "version: v1, or a tablePrefix to have another table"
    etag = "etag"
    etag_type = "uuid"
    new_etag = "gen_random_uuid()"
    expires = "expires_at"
    updated = "updated_at"
    values: ClassVar = {"value": "bytea"}
    given: ClassVar = {"name": "$1", "ttl": "$2", "start": "$4", "size": "$5"}
    searched = "value"
    row = "substring($3::bytea FROM start::int4 FOR size::int4)"
    parameters = 5
    level = 1
    definition = """\
CREATE TABLE IF NOT EXISTS {table} (
    key text NOT NULL PRIMARY KEY,
    value bytea NOT NULL,
    etag uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone,
    expires_at timestamp with time zone
);
CREATE INDEX ON {table} (expires_at);"""

    def encoded(self, value: bytes) -> tuple[Any, ...]:
        return (value,)

    def columns(self, values: Sequence[bytes]) -> tuple[Any, ...]:
        sizes = [len(value) for value in values]
        starts = accumulate(sizes[:-1], initial=1)
        return b"".join(values), [*map(str, starts)], [*map(str, sizes)]

    def decoded(self, key: str, row: Sequence[Any]) -> StoredValue:
        return StoredValue(row[0], str(row[1]), _whole_seconds(row[2]))

    def parsed(self, etag: str) -> object | None:
        return etag if _UUID.fullmatch(etag) else None


class JsonLayout(Layout):
    """Version 1. docs/decisions/0009 says which values are kept as JSON, and why."""

    version = "v1"
    advice = "version: v2, or another tableName"
    kept: ClassVar = re.compile(rb'-?[1-9][0-9]{0,99}|0|true|false|null|"[^"\\\x00-\x1f]*"')
    """Whole numbers, words, and strings without escapes: values that jsonb returns byte for byte."""
    etag = "xmin"
    etag_type = "xid"
    new_etag = ""
    expires = "expiredate"
    updated = "updatedate"
    values: ClassVar = {"value": "jsonb", "isbinary": "boolean"}
    given: ClassVar = {"name": "$1", "ttl": "$2", "document": "$3", "is_base64": "$4"}
    # decode() fails for what is no base64.
    searched = (
        "CASE WHEN NOT isbinary THEN convert_to(value::text, 'UTF8') "
        "WHEN jsonb_typeof(value) = 'string' AND length(value #>> '{}') % 4 = 0 "
        "AND value #>> '{}' ~ '^[A-Za-z0-9+/]*={0,2}$' THEN decode(value #>> '{}', 'base64') END"
    )
    row = "document::jsonb, is_base64::boolean"
    parameters = 4
    level = 2
    definition = """\
CREATE TABLE IF NOT EXISTS {table} (
    key text NOT NULL PRIMARY KEY,
    value jsonb NOT NULL,
    isbinary boolean NOT NULL,
    insertdate timestamp with time zone NOT NULL DEFAULT now(),
    updatedate timestamp with time zone,
    expiredate timestamp with time zone
);"""

    def encoded(self, value: bytes) -> tuple[Any, ...]:
        if self.kept.fullmatch(value):
            try:
                return value.decode(), False
            except UnicodeDecodeError:
                pass
        return f'"{b64encode(value).decode()}"', True

    def columns(self, values: Sequence[bytes]) -> tuple[Any, ...]:
        encoded = [self.encoded(value) for value in values]
        return [text for text, _ in encoded], [str(is_binary) for _, is_binary in encoded]

    def decoded(self, key: str, row: Sequence[Any]) -> StoredValue:
        text, etag, expires_at = row[0], str(row[2]), _whole_seconds(row[3])
        if not row[1]:
            return StoredValue(text.encode(), etag, expires_at)
        try:
            value = b64decode(text[1:-1], validate=True)
        except ValueError as error:
            raise StoreRefusedError(
                f"the value of key {key} is marked as binary but is no base64; write it again"
            ) from error
        return StoredValue(value, etag, expires_at)

    def parsed(self, etag: str) -> object | None:
        if _XID.fullmatch(etag) is None or int(etag) >= 2**32:
            raise InvalidETagError(f"{etag[:40]!r} is no number below 2^32; write the ETag that the last read gave")
        return int(etag)


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_XID: Final = re.compile(r"(?a:0|[1-9]\d{0,9})")


def _whole_seconds(expires: float | None) -> int | None:
    return None if expires is None else round(min(expires, LAST_TIME))
