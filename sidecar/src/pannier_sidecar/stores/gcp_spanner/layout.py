"""Converts the table's columns to the messages of Spanner's API, and back.

    key         STRING, the stored key
    value       BYTES
    etag        TIMESTAMP, when the row was written: Spanner fills it in, and no two commits to a row have the same
    expires_at  TIMESTAMP or NULL

An ETag is that time in microseconds, as a number. So ETags do not repeat, not even after a delete.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from google.cloud.spanner_v1.types import (
    CommitRequest,
    KeyRange,
    KeySet,
    Mutation,
    ReadRequest,
    TransactionOptions,
    TransactionSelector,
)
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Value
from msgspec import Struct

from pannier_sidecar.state.requests import Set, Write
from pannier_sidecar.state.store import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

# The classes of protobuf itself: instances of proto-plus' classes cost several times as much.
_Commit: Any = CommitRequest.meta.pb
_Keys: Any = KeySet.meta.pb
_Mutation: Any = Mutation.meta.pb
_Options: Any = TransactionOptions.meta.pb
_Range: Any = KeyRange.meta.pb
_Read: Any = ReadRequest.meta.pb
_Selector: Any = TransactionSelector.meta.pb

COLUMNS: Final = ("key", "value", "etag", "expires_at")
CONDITION_COLUMNS: Final = ("key", "etag", "expires_at")
_COMMIT_TIME: Final = Value(string_value="spanner.commit_timestamp()")
_NULL: Final = Value(null_value=NULL_VALUE)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_READ_WRITE: Final = _Options(read_write=_Options.ReadWrite())
_BEGIN: Final = _Selector(begin=_READ_WRITE)

Row = list[str | None]


class Condition(Struct, frozen=True):
    """What the precondition of a write is compared with."""

    etag: str
    expires: float | None

    def is_present(self, now: float) -> bool:
        return self.expires is None or self.expires > now


def read(session: str, table: str, columns: Sequence[str], keys: Sequence[str]) -> Any:
    """Return the request to read the rows of some keys."""
    key_set = _Keys(keys=[_key(key) for key in keys])
    return ReadRequest.wrap(_Read(session=session, table=table, columns=columns, key_set=key_set))


def locking_read(session: str, table: str, keys: Sequence[str]) -> Any:
    """Return the request to begin a transaction by reading the rows of its preconditions."""
    key_set = _Keys(keys=[_key(key) for key in keys])
    request = _Read(session=session, table=table, columns=CONDITION_COLUMNS, key_set=key_set, transaction=_BEGIN)
    return ReadRequest.wrap(request)


def listing(session: str, table: str, prefix: str, after: str | None, limit: int) -> Any:
    """Return the request to read the next keys with a prefix, in the order of their bytes."""
    interval = _Range(start_open=_key(after)) if after is not None else _Range(start_closed=_key(prefix))
    end = end_of(prefix)
    if end is None:
        interval.end_closed.SetInParent()  # an empty key as the end means none
    else:
        interval.end_open.CopyFrom(_key(end))
    key_set = _Keys(ranges=[interval])
    return ReadRequest.wrap(
        _Read(session=session, table=table, columns=CONDITION_COLUMNS, key_set=key_set, limit=limit)
    )


def commit(session: str, table: str, writes: Sequence[Write], now: float, transaction: bytes | None) -> Any:
    """Return the request to carry out writes in order, in a transaction of their own or in one that was begun."""
    mutations = [_mutation(table, write, now) for write in writes]
    if transaction is None:
        return CommitRequest.wrap(_Commit(session=session, single_use_transaction=_READ_WRITE, mutations=mutations))
    return CommitRequest.wrap(_Commit(session=session, transaction_id=transaction, mutations=mutations))


def end_of(prefix: str) -> str | None:
    """Return the first text that sorts after all texts with the prefix; None if there is none."""
    for position in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[position])
        if code < 0x10FFFF:
            return prefix[:position] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None


def texts_of(values: Any) -> Row:
    """Return the values of a row as texts: a value of any of our columns' types arrives as a string or as null."""
    return [value.string_value if value.HasField("string_value") else None for value in values]


def stored_value(row: Row, now: float) -> StoredValue | None:
    """Return the value of a row in COLUMNS; None if it has expired."""
    _, value, etag, expiry = row
    expires = _time_of(expiry)
    if expires is not None and expires <= now:
        return None
    return StoredValue(b64decode(value or ""), etag_of(etag), None if expires is None else round(expires))


def condition(row: Row) -> Condition:
    """Return the condition of a row in CONDITION_COLUMNS."""
    return Condition(etag_of(row[1]), _time_of(row[2]))


def etag_of(text: str | None) -> str:
    """Return the microseconds of a commit's time."""
    return str((_parsed_time(text or "1970-01-01T00:00:00Z") - _EPOCH) // _MICROSECOND)


def _mutation(table: str, write: Write, now: float) -> Any:
    if not isinstance(write, Set):
        return _Mutation(delete=_Mutation.Delete(table=table, key_set=_Keys(keys=[_key(write.key)])))
    expires = write.kept_expiry if write.ttl is None else now + write.ttl
    expiry = _NULL if expires is None else Value(string_value=_text_of(expires))
    value = Value(string_value=b64encode(write.value).decode())
    row = ListValue(values=[Value(string_value=write.key), value, _COMMIT_TIME, expiry])
    return _Mutation(insert_or_update=_Mutation.Write(table=table, columns=COLUMNS, values=[row]))


def _key(key: str) -> ListValue:
    return ListValue(values=[Value(string_value=key)])


def _text_of(unix: float) -> str:
    return (_EPOCH + timedelta(seconds=unix)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time_of(text: str | None) -> float | None:
    return None if text is None else _parsed_time(text).timestamp()


def _parsed_time(text: str) -> datetime:
    """Read a time as Spanner writes it: UTC, with as many decimals as it needs."""
    return datetime.fromisoformat(text)
