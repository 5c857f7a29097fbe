"""The statements. Each write has an IF, which makes it a lightweight transaction; `etag != ''` always holds.

For Cassandra too, an expired value is null, also in conditions. If a row was made by Dapr, it stays after a later value
has expired. So a key is absent if `value = null`, even if it has a row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.state.store import StoredValue

from .frames import ProtocolViolationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cassandra.cluster import Session

    Row = tuple[bytes | None, str | None, int, int | None, int | None, int]

PROBE: Final = "SELECT key FROM system.local"
"""A query that every node answers from its own tables."""
_SET: Final = "UPDATE {table} USING TTL ? SET value = ?, etag = ? WHERE key = ? IF "
_LIST: Final = "SELECT key, etag, writetime(value), writetime(etag) FROM {table} "
_DELETE: Final = "DELETE FROM {table} WHERE key = ? IF "


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements as Cassandra has prepared them."""

    get: Any
    set: Any
    set_if_etag: Any
    set_if_absent: Any
    set_if_same: Any
    delete: Any
    delete_if_etag: Any
    delete_if_same: Any
    first_keys: Any
    next_keys: Any


CQL: Final = Statements(
    get="SELECT value, etag, writetime(value), writetime(etag), ttl(value), toUnixTimestamp(now()) "
    "FROM {table} WHERE key = ?",
    set=_SET + "etag != ''",
    set_if_etag=_SET + "etag = ?",
    set_if_absent=_SET + "value = null",
    set_if_same=_SET + "value = ? AND etag = ?",
    delete=_DELETE + "EXISTS",
    delete_if_etag=_DELETE + "etag = ?",
    delete_if_same=_DELETE + "value = ? AND etag = ?",
    first_keys=_LIST + "LIMIT ?",
    next_keys=_LIST + "WHERE token(key) > token(?) LIMIT ?",
)


def prepare(session: Session, table: str) -> Statements:
    """Have the statements prepared for a table. Blocks."""
    texts = {field.name: getattr(CQL, field.name).format(table=table) for field in fields(Statements)}
    return Statements(**{name: session.prepare(text) for name, text in texts.items()})


Types = tuple[type | tuple[type, ...], ...]
_INTEGER: Final = (int, NoneType)
VALUE: Final[Types] = ((bytes, NoneType), (str, NoneType), _INTEGER, _INTEGER, _INTEGER, int)
KEY: Final[Types] = (str, (str, NoneType), _INTEGER, _INTEGER)
APPLIED: Final[Types] = (bool,)
"""The types of the first columns in the answers to `get`, to lists of keys, and to writes, which always have a row."""


def check_rows(rows: Sequence[tuple[Any, ...]], types: Types) -> None:
    """Check that rows have the types of their statement. Raises ProtocolViolationError."""
    if types is APPLIED and not rows:
        raise ProtocolViolationError("no row for a write")
    for row in rows:
        if len(row) < len(types) or not all(map(isinstance, row, types)):
            raise ProtocolViolationError("rows of another statement")


FOREIGN: Final = "-"
"""The first character of ETags of values that other programs wrote; the time of that write follows."""


def stored_value(row: Row | None) -> StoredValue | None:
    """Return what a row of `get` holds."""
    if row is None:
        return None
    value, etag, written, etag_written, ttl, now = row
    if value is None:
        return None
    return StoredValue(value, etag_of(etag, written, etag_written), None if ttl is None else now // 1000 + ttl)


def etag_of(etag: str | None, written: int | None, etag_written: int | None) -> str:
    """Return the ETag of a row, by its column and the times when its value and its ETag were written.

    Pannier writes value and ETag together. If their times differ, another program has written the value since.
    """
    return f"{FOREIGN}{written}" if etag is None or written != etag_written else etag
