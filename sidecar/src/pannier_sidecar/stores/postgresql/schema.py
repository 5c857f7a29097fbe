"""Making the tables as Dapr makes them, or saying who has to, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from pannier_sidecar.state.errors import StoreRefused

if TYPE_CHECKING:
    from asyncpg import Connection

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
_COLUMNS: Final = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"""
_ATTEMPTS: Final = 5
_OVERTAKEN: Final = (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.DuplicateTableError)
"""Another process makes the tables too, and was a moment ahead."""


class Schema:
    """The two tables of a component."""

    def __init__(self, settings: PostgreSQLSettings, layout: Layout):
        self._settings = settings
        self._layout = layout
        of_version = "" if layout.version == "v1" else f"-state-{layout.version}-{settings.table_prefix}"
        self._level_key = f"migrations{of_version}"
        self.cleanup_key = f"last-cleanup{of_version}"

    async def prepare(self, connection: Connection) -> None:
        """Make what is missing. Raises StoreRefused, and the client library's errors."""
        for attempts_left in range(_ATTEMPTS, -1, -1):
            if await self._is_there(connection):
                return
            try:
                await self._make(connection)
            except _OVERTAKEN:
                if not attempts_left:
                    raise

    async def _is_there(self, connection: Connection) -> bool:
        table, layout = self._settings.table, self._layout
        found = dict(await connection.fetch(_COLUMNS, table))
        wanted = {"key": "text", layout.expires: "timestamp with time zone"}
        wanted |= {column: own for column, (_, own) in layout.values.items()}
        for name, own in wanted.items() if found else ():
            if found.get(name) != own:
                raise StoreRefused(
                    f"table {table} is none of version {layout.version}: its column {name} is "
                    f"{found.get(name, 'missing')}, not {own}; write {layout.elsewhere}"
                )
        return bool(found) and bool(await connection.fetch(_COLUMNS, self._settings.metadata_table))

    async def _make(self, connection: Connection) -> None:
        try:
            async with connection.transaction():
                await connection.execute(_METADATA_TABLE.format(metadata=self._settings.metadata_table))
                await self._lock(connection)
                if not await connection.fetch(_COLUMNS, self._settings.table):
                    await connection.execute(self._layout.definition.format(table=self._settings.table))
                    await connection.execute(self._level())
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            raise StoreRefused(self._advice(error)) from error

    async def _lock(self, connection: Connection) -> None:
        """Wait for other processes that make tables, Dapr's among them: they lock the same row."""
        table = self._settings.metadata_table
        await connection.execute(
            f"INSERT INTO {table} (key, value) VALUES ('lock', 'lock') ON CONFLICT (key) DO NOTHING"
        )
        await connection.execute(f"SELECT value FROM {table} WHERE key = 'lock' FOR UPDATE")

    def _level(self) -> str:
        level, metadata = self._layout.level, self._settings.metadata_table
        return _LEVEL.format(metadata=metadata, key=self._level_key, level=level)

    def _advice(self, error: Exception) -> str:
        table, metadata = self._settings.table, self._settings.metadata_table
        statements = (
            _METADATA_TABLE.format(metadata=metadata),
            self._layout.definition.format(table=table),
            self._level(),
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table}, {metadata} TO ...;",
        )
        return (
            f"{self._settings.address.where} does not let this user make the tables; "
            f"have somebody run, with the user's name at the end: {' '.join(' '.join(statements).split())}"
        )
