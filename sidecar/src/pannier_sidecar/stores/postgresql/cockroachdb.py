"""What is different in CockroachDB, which speaks PostgreSQL's protocol: layouts, SQL, tables, and what is tried again.

https://www.cockroachlabs.com/docs/stable/postgresql-compatibility says what it lacks: it has no column `xmin`, and
makes no tables within a block of code. It is serializable unless configured otherwise, and undoes transactions that
meet (SQLSTATE 40001):
https://www.cockroachlabs.com/docs/stable/transaction-retry-error-reference. If it lost sight of a commit it says so
(40003). Only forms of SQL are used here that both databases have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from pannier_sidecar.network.jitter import uniform
from pannier_sidecar.state.errors import InvalidETagError

from . import errors
from .client import Pool
from .layout import BytesLayout, JsonLayout
from .schema import COLUMNS, Schema
from .statements import EXPIRY, Statements, given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connection import Connection
    from .layout import Layout
    from .schema import Tables

_LARGEST: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"(?a:0|[1-9]\d{0,18})")
_MAX_PAUSE_S: Final = 1.0


class CockroachDBJsonLayout(JsonLayout):
    """Version 1, with Dapr's column for the ETag, a number.

    Dapr counts: it writes 1 first, and 2 each time a value is overwritten without an ETag, so its ETags repeat. Ours
    are CockroachDB's unique numbers, which Dapr reads and compares too.
    """

    kept: ClassVar = re.compile(rb'-?[1-9][0-9]{0,14}|0|true|false|null|"[0-9A-Za-z ,.:;_+-]*"')
    """Fewer than PostgreSQL's, because CockroachDB writes JSON by itself, and does not promise how."""
    etag = "etag"
    etag_type = "bigint"
    new_etag = "unique_rowid()"
    level = 0
    definition = """\
CREATE TABLE IF NOT EXISTS {table} (
    key text NOT NULL PRIMARY KEY,
    value jsonb NOT NULL,
    isbinary boolean NOT NULL,
    etag int8,
    insertdate timestamp with time zone NOT NULL DEFAULT now(),
    updatedate timestamp with time zone,
    expiredate timestamp with time zone,
    row_id int8 NOT NULL DEFAULT unique_rowid(),
    UNIQUE (row_id)
);
CREATE INDEX IF NOT EXISTS {index} ON {table} (expiredate);"""

    def parsed(self, etag: str) -> object | None:
        if _NUMBER.fullmatch(etag) is None or int(etag) > _LARGEST:
            raise InvalidETagError(f"{etag[:40]!r} is no number below 2^63; write the ETag that the last read gave")
        return int(etag)


class CockroachDBBytesLayout(BytesLayout):
    """Version 2. Making the table may be repeated, because each of its statements is a transaction of its own."""

    definition = BytesLayout.definition.replace("CREATE INDEX ON", "CREATE INDEX IF NOT EXISTS {index} ON")


class CockroachDBStatements(Statements):
    """The statements that CockroachDB lacks, or plans worse than others, are other ones."""

    _alive = "({0} IS NULL OR {0} > now())"
    # `>=` finds where the prefix begins in the primary key, which is ordered by bytes.
    _has_prefix = "key >= $1::text AND left(key, char_length($1::text)) = $1::text"

    def __init__(self, table: str, layout: Layout):
        super().__init__(table, layout)
        alive, columns = self._alive.format(layout.expires), ", ".join(layout.values)
        new = ", ".join(f"new_{column}" for column in layout.values)
        set_new = "".join(f", {column} = new_{column}" for column in layout.values)
        self.read_many = (
            f"SELECT {columns}, {layout.etag}, date_part('epoch', {layout.expires}), key FROM {table} "
            f"WHERE key = ANY($1::text[]) AND {alive}"
        )
        # The ETag is compared in the row itself: it is compared again if the row was locked by another write.
        self.replace_many = (
            f"UPDATE {table} SET {layout.updated} = now(), {layout.expires} = new_expiry{set_new}, "
            f"{layout.etag} = {layout.new_etag} FROM (SELECT name, {EXPIRY.format('ttl::int4')}, {layout.row}, "
            f"expected::{layout.etag_type} FROM {given({**layout.given, 'expected': f'${layout.parameters + 1}'})}"
            f") AS matching (name, new_expiry, {new}, old_etag) "
            f"WHERE key = name AND {layout.etag} = old_etag AND {alive} RETURNING key"
        )
        self.sweep = (
            f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE {layout.expires} <= now() LIMIT $1) "
            f"AND {layout.expires} <= now()"
        )


class CockroachDBSchema(Schema):
    """The tables, made by one statement after the other: CockroachDB advises against schema changes in transactions.

    https://www.cockroachlabs.com/docs/stable/online-schema-changes
    """

    async def _with_schema(self, connection: Connection, table: str) -> str:
        path = self._settings.address.search_path
        if "." in table or not path:
            return table
        schemas = [f'"{name.strip().strip(chr(34))}"' for name in path.split(",") if name.strip()]
        for schema in schemas:
            if await connection.fetch(COLUMNS, f"{schema}.{table}"):
                return f"{schema}.{table}"
        return f"{schemas[0]}.{table}" if schemas else table

    async def _takes_keys_for_the_same(self, connection: Connection, tables: Tables) -> bool:
        return False  # a column with a collation is none of type text in CockroachDB

    def _scripts(self, tables: Tables) -> Sequence[str]:
        statements = "\n".join(self._definitions(tables)).split(";")
        return [statement for statement in map(str.strip, statements) if statement]


class CockroachDBPool(Pool):
    """Connections to CockroachDB. A transaction that was undone is begun again, after pauses that double."""

    # An internal error, or one between two nodes, may come after the commit of a write.
    _in_doubt = errors.OUTCOME_UNKNOWN | {"XX000", "XXUUU", "XXA00", "58C00", "58C01"}

    def _pause(self, attempt: int) -> float:
        return uniform(0.5, 1.0) * min(0.01 * (1 << attempt), _MAX_PAUSE_S)
