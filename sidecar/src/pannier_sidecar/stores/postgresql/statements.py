"""The SQL of one state table."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .layout import Layout


class Statements:
    """All statements. `$1` is a name, or an array of names; each attribute's docstring lists the further parameters."""

    # Not `expires IS NULL OR ...`, for which PostgreSQL may use the index on expiry: without statistics it expects
    # that almost no rows match, and would read all that do to find a few keys.
    _alive: ClassVar[str] = "coalesce({}, 'infinity') > now()"
    """Whether a row has not expired yet; `{}` is the column of its expiry."""
    _has_prefix: ClassVar[str] = "starts_with(key, $1)"

    def __init__(self, table: str, layout: Layout):
        """`table` is quoted and may have a schema."""
        columns = ", ".join(layout.values)
        read = f"{columns}, {layout.etag}, date_part('epoch', {layout.expires})"
        alive = self._alive.format(layout.expires)
        etag = 3 + len(layout.values)
        changed = "".join(f", {column} = EXCLUDED.{column}" for column in (*layout.values, layout.expires))
        etag_column, new_etag = (f", {layout.etag}", f", {layout.new_etag}") if layout.new_etag else ("", "")
        renewal = f", {layout.etag} = {layout.new_etag}" if layout.new_etag else ""
        into = f"INSERT INTO {table} AS present (key, {layout.expires}, {columns}{etag_column})"
        over = f"ON CONFLICT (key) DO UPDATE SET {layout.updated} = now(){changed}{renewal}"
        own = "".join(f", {column} = ${number}" for number, column in enumerate(layout.values, 3))
        absent = f"WHERE present.{layout.expires} <= now()"
        one = f"{into} VALUES ($1, {EXPIRY.format('$2::int4')}, {_values(layout)}{new_etag})"
        many = f"{into} SELECT name, {EXPIRY.format('ttl::int4')}, {layout.row}{new_etag} FROM {given(layout.given)}"
        expected = {"expected": f"${layout.parameters + 1}"}
        new = ", ".join(f"new_{column}" for column in layout.values)
        set_new = "".join(f", {column} = new_{column}" for column in layout.values)

        self.read = f"SELECT {read} FROM {table} WHERE key = $1 AND {alive}"
        self.read_many = (
            f"SELECT found.* FROM {given({'name': '$1'})} CROSS JOIN LATERAL "
            f"(SELECT {read}, key FROM {table} WHERE key = name AND {alive} LIMIT 1) AS found"
        )
        """Looks each name up in the index. With `key = ANY($1)`, a plan that was made while the table was small would
        compare every row with every name once the table is large.
        """
        self.write = f"{one} {over}"
        """TTL, values."""
        self.create = f"{one} {over} {absent}"
        """TTL, values; writes a row only if there is none, or an expired one."""
        self.replace = (
            f"UPDATE {table} SET {layout.updated} = now(), {layout.expires} = {EXPIRY.format('$2::int4')}"
            f"{own}{renewal} WHERE key = $1 AND {layout.etag} = ${etag}::{layout.etag_type} AND {alive}"
        )
        """TTL, values, ETag."""
        self.replace_only = self.replace.replace(
            EXPIRY.format("$2::int4"), f"CASE WHEN $2::int4 IS NULL THEN {layout.expires} END"
        )
        """The same, without changing the expiry: the TTL is NULL."""
        self.delete = f"DELETE FROM {table} WHERE key = $1"
        self.delete_matching = f"{self.delete} AND {layout.etag} = $2::{layout.etag_type} AND {alive}"
        """ETag."""
        self.find = f"SELECT 1 FROM {table} WHERE key = $1 AND {alive}"
        self.write_many = f"{many} {over}"
        """TTLs, what the layout makes of values; the names are sorted so that no two of these deadlock."""
        self.create_many = f"{many} {over} {absent} RETURNING key"
        self.replace_many = (
            f"UPDATE {table} AS present SET {layout.updated} = now(), {layout.expires} = new_expiry{set_new}"
            f"{renewal} FROM (SELECT name, {EXPIRY.format('ttl::int4')}, {layout.row} "
            f"FROM {given({**layout.given, **expected})} JOIN {table} AS held ON key = name "
            f"WHERE held.{layout.etag} = expected::{layout.etag_type} AND {alive} ORDER BY name FOR UPDATE OF held"
            f") AS matching (name, new_expiry, {new}) WHERE key = name RETURNING key"
        )
        """TTLs, what the layout makes of values, ETags as text; locks rows by name, so that no two of these deadlock.
        """
        self.delete_many = f"DELETE FROM {table} WHERE key = ANY($1)"
        self.lock = f"SELECT key, {layout.etag} FROM {table} WHERE key = ANY($1) AND {alive} ORDER BY key FOR UPDATE"
        self._names = f"SELECT key FROM {table} WHERE {self._has_prefix} AND {alive}"
        self._searched = layout.searched
        self._etags = f"SELECT key, {layout.etag}::text FROM {table} WHERE {self._has_prefix} AND {alive}"
        self.expiring = (
            f"SELECT key, date_part('epoch', {layout.expires}) FROM {table} WHERE {self._has_prefix} "
            f"AND ({layout.expires}, key) > (to_timestamp($3::float8), $4::text) AND {layout.expires} < 'infinity' "
            f"ORDER BY {layout.expires}, key LIMIT $2"
        )
        """Maximum number of rows, Unix time and name of the last known one: the next rows by expiry."""
        self.probe = f"SELECT 1 FROM {table} LIMIT 1"
        self.sweep = (
            f"DELETE FROM {table} WHERE key = ANY(ARRAY(SELECT key FROM {table} "
            f"WHERE {layout.expires} <= now() LIMIT $1 FOR UPDATE SKIP LOCKED))"
        )
        """`$1` is the maximum number of rows to remove."""

    def etags(self, *, is_first: bool) -> str:
        """Return the statement for a page of names and ETags in order: parameters as those of `names`."""
        return f"{self._etags}{'' if is_first else ' AND key > $3'} ORDER BY key LIMIT $2"

    def names(self, *, is_first: bool, groups: int) -> str:
        """Return the statement for a page of names in order: the maximum number of them, the last name of the page
        before unless this is the first page, and for each group of texts of which values must contain one the patterns
        in hexadecimal.
        """
        parameter = count(3 if is_first else 4)
        found = [
            f" AND coalesce({self._searched} LIKE ANY ({_PATTERNS % next(parameter)}), true)" for _ in range(groups)
        ]
        after = "" if is_first else " AND key > $3"
        return f"{self._names}{after}{''.join(found)} ORDER BY key LIMIT $2"


_PATTERNS: Final = "ARRAY(SELECT decode(pattern, 'hex') FROM unnest($%d::text[]) AS pattern)"

EXPIRY: Final = "now() + {} * interval '1 second'"
"""When a row expires that lives for `{}` seconds."""


def given(columns: Mapping[str, str]) -> str:
    """Return the SQL for rows whose columns are arrays in parameters."""
    arrays = ", ".join(f"{parameter}::text[]" for parameter in columns.values())
    return f"unnest({arrays}) AS given ({', '.join(columns)})"


def _values(layout: Layout) -> str:
    """Return each value's parameter with the type of its column."""
    return ", ".join(f"${number}::{own}" for number, own in enumerate(layout.values.values(), 3))
