"""Makes the tables as Dapr makes them, or reports which statements somebody with the permission has to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connection import Connection
    from .layout import Layout
    from .settings import PostgreSQLSettings

_METADATA_TABLE: Final = """\
CREATE TABLE IF NOT EXISTS {metadata} (
    key text NOT NULL PRIMARY KEY,
    value text NOT NULL
);"""
_LEVEL: Final = (
    "INSERT INTO {metadata} (key, value) VALUES ('{key}', '{level}') ON CONFLICT (key) DO UPDATE SET value = '{level}';"
)
COLUMNS: Final = """
SELECT attname, replace(format_type(atttypid, atttypmod), '"', '') FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"""
# The collations of the key column and of its unique indexes. JSON is used because collisdeterministic is missing before
# PostgreSQL 12.
_NONDETERMINISTIC_COLLATIONS: Final = """
SELECT collname FROM pg_collation AS c WHERE to_jsonb(c) ->> 'collisdeterministic' = 'false' AND c.oid IN (
    SELECT attcollation FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'key'
    UNION SELECT unnest(indcollation::oid[]) FROM pg_index WHERE indrelid = to_regclass($1) AND indisunique)"""
# Finds the schema by the component's search path or else by the user's default, but not by one that another client has
# set on a pooler's connection. `true` sets the path only until this statement ends. Temporary tables come last.
_SCHEMA: Final = """
WITH looked AS MATERIALIZED (
    SELECT set_config(name, concat_ws(', ', nullif(coalesce($2::text, reset_val), ''), 'pg_temp'), true) AS path
    FROM pg_settings WHERE name = 'search_path')
SELECT coalesce(found.nspname, own.schema)
FROM looked, LATERAL (
    SELECT to_regclass(CASE WHEN path IS NOT NULL THEN $1::text END) AS id, current_schema() AS schema) AS own
LEFT JOIN pg_class ON pg_class.oid = own.id LEFT JOIN pg_namespace AS found ON found.oid = relnamespace"""
# One statement, because a pooler may refuse transactions of several. Other processes that make tables, Dapr's among
# them, lock the same row meanwhile.
_MAKE: Final = """\
DO $pannier$ BEGIN
    {metadata_table}
    INSERT INTO {metadata} (key, value) VALUES ('lock', 'lock') ON CONFLICT (key) DO NOTHING;
    PERFORM value FROM {metadata} WHERE key = 'lock' FOR UPDATE;
    IF to_regclass('{table}') IS NULL THEN
        {state_table}
        {level}
    END IF;
END $pannier$"""
_ATTEMPTS: Final = 5
_OVERTAKEN: Final = (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.DuplicateTableError)
"""Another process makes the tables too, and was a moment ahead."""


class Tables(NamedTuple):
    """Where state is kept: names of tables, quoted, with their schemas."""

    state: str
    metadata: str


class Schema:
    """The two tables of a component."""

    def __init__(self, settings: PostgreSQLSettings, layout: Layout, where: str):
        """`where` is how messages call the server."""
        self._settings = settings
        self._where = where
        self._layout = layout
        of_version = "" if layout.version == "v1" else f"-state-{layout.version}-{settings.table_prefix}"
        self._level_key = f"migrations{of_version}"
        self.cleanup_key = f"last-cleanup{of_version}"

    async def prepare(self, connection: Connection) -> Tables:
        """Make missing tables; return the names of both. Raises StoreRefusedError, and the client library's errors."""
        tables = Tables(
            await self._with_schema(connection, self._settings.table),
            await self._with_schema(connection, self._settings.metadata_table),
        )
        for attempts_left in range(_ATTEMPTS, -1, -1):
            if await self._is_there(connection, tables):
                break
            try:
                await self._make(connection, tables)
            except _OVERTAKEN:
                if not attempts_left:
                    raise
        return tables

    async def _with_schema(self, connection: Connection, table: str) -> str:
        """Return a table's name with the schema in which it is found or will be made."""
        if "." in table:
            return table
        schema = (await connection.fetch(_SCHEMA, table, self._settings.address.search_path))[0][0]
        return table if schema is None else '"' + schema.replace('"', '""') + f'".{table}'

    async def _is_there(self, connection: Connection, tables: Tables) -> bool:
        layout = self._layout
        found = dict(await connection.fetch(COLUMNS, tables.state))
        wanted = {"key": "text", layout.expires: "timestamp with time zone", **layout.values}
        if layout.new_etag:
            wanted[layout.etag] = layout.etag_type
        for name, own in wanted.items() if found else ():
            if found.get(name) != own:
                raise StoreRefusedError(
                    f"table {self._settings.shown_table} is none of version {layout.version}: its column {name} is "
                    f"{found.get(name, 'missing')}, not {own}; write {layout.advice}"
                )
        if found and await self._takes_keys_for_the_same(connection, tables):
            raise StoreRefusedError(
                f"table {self._settings.shown_table} takes different keys for the same, because its column key has a "
                "collation that is not deterministic, or a unique index with one; have its owner drop that index and "
                'run ALTER TABLE ... ALTER COLUMN key TYPE text COLLATE "C"'
            )
        return bool(found) and bool(await connection.fetch(COLUMNS, tables.metadata))

    async def _takes_keys_for_the_same(self, connection: Connection, tables: Tables) -> bool:
        return bool(await connection.fetch(_NONDETERMINISTIC_COLLATIONS, tables.state))

    async def _make(self, connection: Connection, tables: Tables) -> None:
        try:
            for script in self._scripts(tables):
                await connection.run(script)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            raise StoreRefusedError(self._advice(error, tables)) from error

    def _scripts(self, tables: Tables) -> Sequence[str]:
        """Return what makes the tables, each part in a transaction of its own."""
        metadata_table, state_table, level = self._definitions(tables)
        script = _MAKE.format(
            metadata_table=metadata_table,
            metadata=tables.metadata,
            table=tables.state.replace("'", "''"),
            state_table=state_table,
            level=level,
        )
        return (script,)

    def _definitions(self, tables: Tables) -> tuple[str, str, str]:
        """Return what makes the metadata table, what makes the state table, and what notes its version."""
        metadata_table = _METADATA_TABLE.format(metadata=tables.metadata)
        index = tables.state.rpartition('."')[2].strip('"')
        state_table = self._layout.definition.format(table=tables.state, index=f'"{index}_{self._layout.expires}_idx"')
        return metadata_table, state_table, self._level(tables)

    def _level(self, tables: Tables) -> str:
        if not self._layout.level:
            return ""
        return _LEVEL.format(metadata=tables.metadata, key=self._level_key, level=self._layout.level)

    def _advice(self, error: Exception, tables: Tables) -> str:
        if self._settings.hides_tables:
            tables = Tables("TABLE", "METADATA_TABLE")
        statements = (
            *self._definitions(tables),
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables.state}, {tables.metadata} TO ...;",
        )
        return (
            f"{self._where} does not let this user make the tables; "
            f"have somebody run, with the user's name at the end: {' '.join(' '.join(statements).split())}"
        )
