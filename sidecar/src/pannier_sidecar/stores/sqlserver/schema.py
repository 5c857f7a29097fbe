"""Makes the tables as Dapr makes them, or reports which statements somebody with the permission has to run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_sidecar.state.errors import StoreRefusedError

from .errors import DENIED, EXISTS
from .layout import EXACT, KEY_TYPES, Table
from .tds.errors import ServerError
from .tds.requests import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .connection import Connection
    from .layout import Layout
    from .settings import SQLServerSettings

logger = logging.getLogger(__name__)

# The collation of Key compares every character. Dapr leaves it to the database, whose default ignores case.
_STATE: Final = (
    "CREATE TABLE {table} ([Key] {key} NOT NULL, {values} [InsertDate] DATETIME2 NOT NULL DEFAULT SYSDATETIME(), "
    "[UpdateDate] DATETIME2 NULL, [ExpireDate] DATETIME2 NULL, [RowVersion] ROWVERSION NOT NULL, "
    "CONSTRAINT [PK_{name}] PRIMARY KEY ([Key]))"
)
_METADATA: Final = (
    "CREATE TABLE {table} ([Key] {key} NOT NULL, [Value] NVARCHAR(MAX) NOT NULL, "
    "CONSTRAINT [PK_{name}] PRIMARY KEY ([Key]))"
)
_NOTES_KEY: Final = f"NVARCHAR(200) COLLATE {EXACT}"
_COLUMNS: Final = (
    "SELECT LOWER(COLUMN_NAME), LOWER(DATA_TYPE), CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME "
    "FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = @schema AND TABLE_NAME = @table"
)
_WANTED: Final = {"insertdate": "datetime2", "expiredate": "datetime2", "rowversion": "timestamp"}
"""Columns that every table has, in lower case, and their types."""


class Column(NamedTuple):
    """A column that a table has."""

    type: str
    length: int | None
    """Characters; None: it is no text."""
    collation: str


class Schema:
    """The two tables of a component."""

    def __init__(self, settings: SQLServerSettings, layout: Layout):
        self._settings = settings
        self._layout = layout
        self.state = f"[{settings.schema}].[{settings.table}]"
        self.metadata = f"[{settings.schema}].[{settings.metadata_table}]"

    async def make_database(self, connection: Connection) -> None:
        """Make the database if it is missing. Raises StoreRefusedError, and the connection's errors."""
        name = self._settings.database
        named = [Parameter("@name", "NVARCHAR(128)", name)]
        if await connection.count("SELECT COUNT(DB_ID(@name))", named):
            return
        await self._make(connection, f"CREATE DATABASE [{name}]")

    async def prepare(self, connection: Connection) -> Table:
        """Make missing tables, check that of the state. Raises StoreRefusedError, and the connection's errors."""
        columns = await self._columns(connection, self._settings.table)
        notes = await self._columns(connection, self._settings.metadata_table)
        if not columns or not notes:
            schema = [Parameter("@schema", "NVARCHAR(128)", self._settings.schema)]
            if not await connection.count("SELECT COUNT(SCHEMA_ID(@schema))", schema):
                await self._make(connection, f"CREATE SCHEMA [{self._settings.schema}]")
            if not columns:
                await self._make(connection, self._state(self.state))
            if not notes:
                await self._make(connection, self._metadata(self.metadata))
            columns = await self._columns(connection, self._settings.table)
            notes = await self._columns(connection, self._settings.metadata_table)
        table = self._checked(columns, notes)
        for statement in self._indexes(columns):
            await self._make(connection, statement)
        return table

    async def _columns(self, connection: Connection, table: str) -> Mapping[str, Column]:
        """Return the columns of a table by their names in lower case; empty if there is no table."""
        parameters = [
            Parameter("@schema", "NVARCHAR(128)", self._settings.schema),
            Parameter("@table", "NVARCHAR(128)", table),
        ]
        return {
            str(name): Column(str(kind), length if isinstance(length, int) else None, str(collation or ""))
            for name, kind, length, collation in await connection.fetch(_COLUMNS, parameters, 4)
        }

    def _checked(self, columns: Mapping[str, Column], notes: Mapping[str, Column]) -> Table:
        """Return what the table can hold. Raises StoreRefusedError if it is not as Dapr makes it."""
        settings = self._settings
        wanted = {"key": KEY_TYPES[settings.key_type], **self._layout.wanted, **_WANTED}
        for name, kind in wanted.items():
            found = columns[name].type if name in columns else "missing"
            if found != kind:
                raise StoreRefusedError(
                    f"table {settings.shown_table} is none of version {self._layout.version}: its column {name} is "
                    f"{found}, not {kind}; write another tableName, keyType or version"
                )
        if self._layout.unwanted in columns:
            raise StoreRefusedError(
                f"table {settings.shown_table} is one of version v2; write version: v2, or another tableName"
            )
        key = columns["key"]
        has_notes = "key" in notes and notes["key"].type == "nvarchar"
        table = Table(settings.key_type, key.length or settings.key_length, key.collation, has_notes)
        if not table.is_exact:
            self._warn(table)
        return table

    async def _make(self, connection: Connection, statement: str) -> None:
        """Run a statement; another process may have made the same a moment before."""
        try:
            await connection.run(statement)
        except ServerError as error:
            if error.number in EXISTS:
                return
            if error.number not in DENIED:
                raise
            raise StoreRefusedError(self._advice()) from error

    def _state(self, table: str) -> str:
        key = f"NVARCHAR({self._settings.key_length}) COLLATE {EXACT}"
        if self._settings.key_type != "string":
            key = KEY_TYPES[self._settings.key_type].upper()
        return _STATE.format(table=table, key=key, values=self._layout.definition, name=self._settings.table)

    def _metadata(self, table: str) -> str:
        return _METADATA.format(table=table, key=_NOTES_KEY, name=self._settings.metadata_table)

    def _indexes(self, columns: Mapping[str, Column]) -> Iterator[str]:
        """Yield the statements for properties that have no column yet."""
        for each in self._settings.indexed_properties:
            if each.column.lower() not in columns:
                value = f"CONVERT({each.type}, JSON_VALUE([Data], '$.{each.property}'))"
                yield f"ALTER TABLE {self.state} ADD [{each.column}] AS {value} PERSISTED"
                yield f"CREATE NONCLUSTERED INDEX [IX_{each.column}] ON {self.state} ([{each.column}])"

    def _advice(self) -> str:
        """Return what somebody with the permission has to run."""
        settings = self._settings
        database, schema, state, metadata = f"[{settings.database}]", f"[{settings.schema}]", self.state, self.metadata
        if settings.hides_names:
            database, schema, state, metadata = "DATABASE", "SCHEMA", "SCHEMA.TABLE", "SCHEMA.METADATA_TABLE"
        statements = [f"CREATE DATABASE {database}; USE {database};"] if settings.may_make_database else []
        if settings.schema != "dbo":
            statements.append(f"EXEC('CREATE SCHEMA {schema}');")
        made = self._state(state)
        if settings.hides_names:
            made = made.replace(f"PK_{settings.table}", "PK_TABLE")
        notes = self._metadata(metadata)
        if settings.hides_names:
            notes = notes.replace(f"PK_{settings.metadata_table}", "PK_METADATA_TABLE")
        statements += [f"{made};", f"{notes};"]
        statements += (f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ...;" for table in (state, metadata))
        return (
            f"{settings.where} does not let this user make the tables; "
            f"have somebody run, with the user's name at the end: {' '.join(statements)}"
        )

    def _warn(self, table: Table) -> None:
        name = "TABLE" if self._settings.hides_names else self.state
        logger.warning(
            "table %s may take keys for the same that differ in case or accents; a write of such a key is refused "
            "while the other one is there. To keep both, have its owner drop the primary key, and run: ALTER TABLE %s "
            "ALTER COLUMN [Key] NVARCHAR(%d) COLLATE %s NOT NULL, and add the primary key again",
            self._settings.shown_table,
            name,
            table.max_key,
            EXACT,
        )
