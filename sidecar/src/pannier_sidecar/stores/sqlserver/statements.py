"""The SQL of one state table.

A key is compared three times: by the collation of its column, which finds it in the index, then by its characters and
by its length, because Dapr's tables take `a` and `A` for the same, and every table `a` and `a `. A write of a key that
the table takes for another one changes nothing. Values are only in parameters.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from .layout import EXACT, version_of
from .tds.requests import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pannier_sidecar.state.requests import Set

    from .layout import Layout, Table

MAX_ROWS: Final = 400
"""Rows that one statement writes: each has up to five parameters."""
_NOW: Final = "SYSDATETIME()"
_VERSION: Final = "CAST([RowVersion] AS VARBINARY(8))"
_COUNT: Final = "SELECT @@ROWCOUNT"
# Times are the server's, as Dapr writes them; so that whoever reads them elsewhere knows them, they become UTC.
_EXPIRES: Final = "DATEDIFF_BIG(SECOND, '19700101', [ExpireDate]) - 60 * DATEPART(TZOFFSET, SYSDATETIMEOFFSET()) + 1"


class Statement(NamedTuple):
    """A statement, and the values for its parameters."""

    text: str
    parameters: Sequence[Parameter] = ()


class Statements:
    """All statements of a table."""

    def __init__(self, name: str, table: Table, layout: Layout):
        """`name` is quoted, with its schema."""
        self._name = name
        self._table = table
        self._layout = layout
        self._values = ", ".join(f"[{column}]" for column in layout.columns)
        self.read_columns = len(layout.columns) + 2
        """Columns that `read` returns."""
        self.probe = Statement(f"SELECT TOP (1) 1 FROM {name}")

    def read(self, key: str) -> Statement:
        return Statement(f"{self._select()} WHERE {self._is('@k')} AND {_alive()}", [self._table.key("@k", key)])

    def read_many(self, keys: Sequence[str]) -> Statement:
        """Return the statement that reads many; the last column is the key.

        Rows of other keys may be among them, which the collation takes for these.
        """
        return Statement(
            f"{self._select(self._name_of_key())} WHERE {self._among(keys)} AND {_alive()}", self._keys(keys)
        )

    def write(self, sets: Sequence[Set]) -> Statement:
        """Write rows, whatever is there, and count them. A row is left out if the table takes its key for another."""
        return self._merge(sets, self._same("old", "new"))

    def create(self, sets: Sequence[Set]) -> Statement:
        """Write rows where there are none, or expired ones, and count them."""
        same = self._same("old", "new")
        expired = f"old.[ExpireDate] <= {_NOW}"
        return self._merge(sets, f"{same} AND {expired}" if same else expired)

    def replace(self, write: Set, etag: str) -> Statement:
        """Write a row that has an ETag, and count it."""
        assigned = ", ".join(f"[{column}] = @{column}" for column in self._layout.columns)
        if write.kept_expiry is None:
            assigned += f", [ExpireDate] = {_expiry('@TTL')}"
        return Statement(
            f"UPDATE {self._name} SET {assigned}, [UpdateDate] = {_NOW} "
            f"WHERE {self._is('@k')} AND [RowVersion] = @v AND {_alive()}; {_COUNT}",
            [
                self._table.key("@k", write.key),
                Parameter("@v", "VARBINARY(8)", version_of(write.key, etag)),
                *self._values_of(write, ""),
            ],
        )

    def delete(self, keys: Sequence[str]) -> Statement:
        return Statement(f"DELETE FROM {self._name} WHERE {self._is_any(keys)}; {_COUNT}", self._keys(keys))

    def delete_matching(self, key: str, etag: str) -> Statement:
        return Statement(
            f"DELETE FROM {self._name} WHERE {self._is('@k')} AND [RowVersion] = @v AND {_alive()}; {_COUNT}",
            [self._table.key("@k", key), Parameter("@v", "VARBINARY(8)", version_of(key, etag))],
        )

    def find(self, key: str) -> Statement:
        """Count the rows of a key that are alive."""
        return Statement(
            f"SELECT COUNT(*) FROM {self._name} WHERE {self._is('@k')} AND {_alive()}", [self._table.key("@k", key)]
        )

    def other(self, key: str) -> Statement:
        """Count the keys, expired or not, that the collation takes for this one and that are others."""
        return Statement(
            f"SELECT COUNT(*) FROM {self._name} WHERE [Key] = {self._operand('@k')} AND NOT ({self._is('@k')})",
            [self._table.key("@k", key)],
        )

    def lock(self, keys: Sequence[str]) -> Statement:
        """Lock keys until the transaction ends, also those that are absent; return keys and ETags of those alive."""
        return Statement(
            f"SELECT {self._name_of_key()}, {_VERSION} "
            f"FROM {self._name} WITH (UPDLOCK, HOLDLOCK) WHERE {self._among(keys)} AND {_alive()}",
            self._keys(keys),
        )

    def names(self, prefix: str, limit: int, after: str | None) -> Statement:
        """Return the statement for the next keys with a prefix and their versions, in the order of the table."""
        begins = f"SUBSTRING(CAST({self._name_of_key()} AS VARBINARY(8000)), 1, DATALENGTH(@p)) = @p"
        conditions = [begins, _alive()] if prefix else [_alive()]
        parameters = [Parameter("@n", "INT", limit)]
        if prefix:
            encoded = prefix.encode("utf-16-le")
            parameters.append(Parameter("@p", "VARBINARY(8000)", encoded))
        if prefix and self._table.key_type == "string" and self._table.is_exact and prefix[-1] < "\ud7ff":
            # A shorter text is compared as if blanks followed it, so that the first key may begin with less.
            conditions.append("[Key] >= @from AND [Key] < @to")
            end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            text = self._table.parameter_type
            parameters += [
                Parameter("@from", text, (prefix + "\0")[: self._table.max_key]),
                Parameter("@to", text, end),
            ]
        if after is not None:
            conditions.append(f"[Key] > {self._operand('@a')}")
            parameters.append(self._table.key("@a", after))
        return Statement(
            f"SELECT TOP (@n) {self._name_of_key()}, {_VERSION} FROM {self._name} "
            f"WHERE {' AND '.join(conditions)} ORDER BY [Key]",
            parameters,
        )

    def sweep(self, maximum: int) -> Statement:
        """Remove up to `maximum` expired rows, and count them."""
        return Statement(
            f"DELETE FROM {self._name} WHERE [Key] IN (SELECT TOP (@n) [Key] FROM {self._name} "
            f"WHERE [ExpireDate] <= {_NOW}) AND [ExpireDate] <= {_NOW}; {_COUNT}",
            [Parameter("@n", "INT", maximum)],
        )

    def _select(self, *more: str) -> str:
        columns = (self._values, _VERSION, _EXPIRES, *more)
        return f"SELECT {', '.join(columns)} FROM {self._name}"

    def _merge(self, sets: Sequence[Set], condition: str) -> Statement:
        """Update the rows for which the condition holds, insert those that are absent."""
        columns = ("Key", *self._layout.columns)
        given = ", ".join(f"[{column}]" for column in (*columns, "TTL"))
        rows = ", ".join(
            f"({', '.join(f'@{column}{place}' for column in (*columns, 'TTL'))})" for place in range(len(sets))
        )
        assigned = ", ".join(f"[{column}] = new.[{column}]" for column in self._layout.columns)
        expiry = _expiry("new.[TTL]")
        names = ", ".join(f"[{column}]" for column in columns)
        key = self._operand("new.[Key]")
        values = ", ".join((key, *(f"new.[{column}]" for column in self._layout.columns)))
        return Statement(
            f"MERGE INTO {self._name} WITH (HOLDLOCK) AS old USING (VALUES {rows}) AS new ({given}) "
            f"ON old.[Key] = {key} "
            f"WHEN MATCHED{f' AND {condition}' if condition else ''} THEN UPDATE SET {assigned}, "
            f"[UpdateDate] = {_NOW}, [ExpireDate] = {expiry} "
            f"WHEN NOT MATCHED THEN INSERT ({names}, [InsertDate], [ExpireDate]) VALUES ({values}, {_NOW}, {expiry}); "
            f"{_COUNT}",
            [*chain.from_iterable(self._row(write, place) for place, write in enumerate(sets))],
        )

    def _row(self, write: Set, place: int) -> Iterator[Parameter]:
        yield self._table.key(f"@Key{place}", write.key)
        yield from self._values_of(write, str(place))

    def _values_of(self, write: Set, suffix: str) -> Iterator[Parameter]:
        layout = self._layout
        for column, kind, value in zip(layout.columns, layout.types, layout.encoded(write.value), strict=True):
            yield Parameter(f"@{column}{suffix}", kind, value)
        yield Parameter(f"@TTL{suffix}", "INT", write.ttl)

    def _keys(self, keys: Iterable[str]) -> list[Parameter]:
        return [self._table.key(f"@k{place}", key) for place, key in enumerate(keys)]

    def _operand(self, expression: str) -> str:
        """Return the SQL of a key that was given, in the type of the column."""
        return f"CAST({expression} AS UNIQUEIDENTIFIER)" if self._table.key_type == "uuid" else expression

    def _name_of_key(self) -> str:
        """Return the SQL of a key as text."""
        if self._table.key_type == "string":
            return "[Key]"
        if self._table.key_type == "uuid":
            return "LOWER(CAST([Key] AS NVARCHAR(36)))"
        return "CAST([Key] AS NVARCHAR(11))"

    def _is(self, parameter: str) -> str:
        same = self._exactly("[Key]", parameter)
        return f"[Key] = {self._operand(parameter)}{f' AND {same}' if same else ''}"

    def _is_any(self, keys: Sequence[str]) -> str:
        return " OR ".join(f"({self._is(f'@k{place}')})" for place in range(len(keys)))

    def _among(self, keys: Sequence[str]) -> str:
        return f"[Key] IN ({', '.join(self._operand(f'@k{place}') for place in range(len(keys)))})"

    def _same(self, old: str, new: str) -> str:
        return self._exactly(f"{old}.[Key]", f"{new}.[Key]")

    def _exactly(self, stored: str, given: str) -> str:
        if self._table.key_type != "string":
            return ""
        return f"{stored} COLLATE {EXACT} = {given} AND DATALENGTH({stored}) = DATALENGTH({given})"


def _alive() -> str:
    return f"([ExpireDate] IS NULL OR [ExpireDate] > {_NOW})"


def _expiry(ttl: str) -> str:
    return f"DATEADD(SECOND, {ttl}, {_NOW})"
