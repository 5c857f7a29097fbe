"""The SQL of one state table.

A key is compared twice: by the collation of its column, which finds it in the index, and byte by byte, because Dapr's
tables take `a` and `A`, or `a` and `a `, for the same. A write of a key that such a table takes for another one changes
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .layout import MAX_KEY, bytes_of, may_contain, new_etag, raw, text, value_and_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pannier_sidecar.state.prefilter import Needed
    from pannier_sidecar.state.requests import Set

    from .layout import Table

_ALIVE: Final = "(expiredate IS NULL OR expiredate > CURRENT_TIMESTAMP)"
_EXPIRED: Final = "expiredate <= CURRENT_TIMESTAMP"
_READ: Final = f"{bytes_of('value')}, isbinary, {bytes_of('eTag')}, UNIX_TIMESTAMP(expiredate)"
_SAME_KEY: Final = f"{bytes_of('id')} = {bytes_of('VALUES(id)')}"
_COLUMNS: Final = ("value", "isbinary", "eTag", "expiredate")
"""In the order of assignments: expiredate comes last, because the condition of the others reads the old one."""


class Statements:
    """All statements of a table."""

    def __init__(self, name: str, table: Table):
        """`name` is quoted, with its database."""
        self._name = name
        self._table = table
        self.probe = f"SELECT 1 FROM {name} LIMIT 1"
        self.sweep = f"DELETE FROM {name} WHERE {_EXPIRED} LIMIT "
        """The maximum number of rows to remove is to be added."""

    def read(self, key: str) -> str:
        return f"SELECT {_READ} FROM {self._name} WHERE {self._is(key)} AND {_ALIVE}"

    def read_many(self, keys: Iterable[str]) -> str:
        """Return the statement that reads many; the last column is the key.

        Rows of other keys may be among them, which the collation takes for these.
        """
        return f"SELECT {_READ}, {bytes_of('id')} FROM {self._name} WHERE {self._among(keys)} AND {_ALIVE}"

    def write(self, sets: Sequence[Set]) -> str:
        """Write rows, whatever is there. Each row counts 1 if it is new, 2 if it was there, and 0 if the table takes
        its key for another one.
        """
        return f"{self._insert(sets)} {_over(_SAME_KEY)}"

    def create(self, write: Set) -> str:
        """Write a row only if there is none, or an expired one; otherwise 0 rows are affected."""
        return f"{self._insert([write])} {_over(f'{_SAME_KEY} AND {_EXPIRED}')}"

    def insert(self, sets: Sequence[Set]) -> str:
        """Write rows that must not be there, not even expired ones."""
        return self._insert(sets)

    def replace(self, write: Set, etag: str) -> str:
        value, kind = value_and_kind(write.value)
        expiry = "expiredate" if write.kept_expiry is not None else _expiry(write.ttl)
        return (
            f"UPDATE {self._name} SET value = {value}, isbinary = {kind}, eTag = {text(new_etag())}, "
            f"expiredate = {expiry} WHERE {self._is(write.key)} AND {_has_etag(etag)} AND {_ALIVE}"
        )

    def delete(self, key: str) -> str:
        return f"DELETE FROM {self._name} WHERE {self._is(key)}"

    def delete_matching(self, key: str, etag: str) -> str:
        return f"{self.delete(key)} AND {_has_etag(etag)} AND {_ALIVE}"

    def delete_many(self, keys: Sequence[str]) -> str:
        return f"DELETE FROM {self._name} WHERE {self._among_exactly(keys)}"

    def delete_expired(self, keys: Sequence[str]) -> str:
        return f"{self.delete_many(keys)} AND {_EXPIRED}"

    def find(self, key: str) -> str:
        return f"SELECT 1 FROM {self._name} WHERE {self._is(key)} AND {_ALIVE}"

    def other(self, key: str) -> str:
        """Find another key that the collation takes for this one, expired or not."""
        return f"SELECT 1 FROM {self._name} WHERE id = {self._as_id(key)} AND {bytes_of('id')} <> {raw(key)} LIMIT 1"

    def lock(self, keys: Iterable[str]) -> str:
        """Lock rows until the transaction ends, and return their keys and ETags."""
        return (
            f"SELECT {bytes_of('id')}, {bytes_of('eTag')} FROM {self._name} "
            f"WHERE {self._among(keys)} AND {_ALIVE} ORDER BY id FOR UPDATE"
        )

    def names(self, prefix: str, limit: int, after: str | None, needed: Needed = ()) -> str:
        """Return the statement for the next keys with a prefix and their ETags, in the order of the table; of those, if
        anything is needed, whose values may contain it.

        It has no LIKE: through an index, MariaDB's LIKE misses characters beyond the first plane.
        """
        conditions = [f"{bytes_of(f'LEFT(id, {len(prefix)})')} = {raw(prefix)}", _ALIVE]
        if self._table.is_exact:  # the order is that of code points
            rest = f"REPEAT(_utf8mb4 X'F48FBFBF', {MAX_KEY})"
            conditions.append(f"id BETWEEN {text(prefix)} AND CONCAT({text(prefix)}, {rest})")
        if after is not None:
            conditions.append(f"id > {self._as_id(after)}")
        conditions += filter(None, map(may_contain, needed))
        where = " AND ".join(conditions)
        columns = f"{bytes_of('id')}, {bytes_of('eTag')}"
        return f"SELECT {columns} FROM {self._name} WHERE {where} ORDER BY id LIMIT {limit}"

    def _is(self, key: str) -> str:
        return f"id = {self._as_id(key)} AND {bytes_of('id')} = {raw(key)}"

    def _among(self, keys: Iterable[str]) -> str:
        return f"id IN ({', '.join(map(self._as_id, keys))})"

    def _among_exactly(self, keys: Sequence[str]) -> str:
        return f"{self._among(keys)} AND {bytes_of('id')} IN ({', '.join(map(raw, keys))})"

    def _as_id(self, key: str) -> str:
        """Return a key as the column of keys compares it; a character that the column cannot hold becomes `?`."""
        if self._table.charset == "utf8mb4":
            return text(key)
        return f"CONVERT({text(key)} USING {self._table.charset}) COLLATE {self._table.collation}"

    def _insert(self, sets: Sequence[Set]) -> str:
        rows = ", ".join(map(_row, sets))
        return f"INSERT INTO {self._name} (id, {', '.join(_COLUMNS)}) VALUES {rows}"


def _has_etag(etag: str) -> str:
    return f"{bytes_of('eTag')} = {raw(etag)}"


def _row(write: Set) -> str:
    value, kind = value_and_kind(write.value)
    return f"({text(write.key)}, {value}, {kind}, {text(new_etag())}, {_expiry(write.ttl)})"


def _over(condition: str) -> str:
    assignments = ", ".join(f"{each} = IF({condition}, VALUES({each}), {each})" for each in _COLUMNS)
    return f"ON DUPLICATE KEY UPDATE {assignments}"


def _expiry(ttl: int | None) -> str:
    """Return the SQL of a time of expiry: whole seconds, rounded up, so that nothing expires too early."""
    return "NULL" if ttl is None else f"FROM_UNIXTIME(CEIL(UNIX_TIMESTAMP(NOW(6))) + {int(ttl)})"
