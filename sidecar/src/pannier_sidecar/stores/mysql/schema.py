"""Makes the tables as Dapr makes them, or reports which statements somebody with the permission has to run."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import aiomysql

from pannier_sidecar.state.errors import StoreRefusedError

from .errors import code_of
from .layout import EXACT, MAX_KEY, Table, bytes_of, decoded, raw, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .connection import Connection
    from .settings import MySQLSettings

logger = logging.getLogger(__name__)

_DATABASE: Final = "CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4;"
# The collation of id compares every character, and trailing spaces. Dapr leaves it to the server, whose default ignores
# case, and often trailing spaces too.
_STATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
    id VARCHAR({max_key}) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL PRIMARY KEY,
    value JSON NOT NULL,
    isbinary BOOLEAN NOT NULL,
    insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    eTag VARCHAR(36) CHARACTER SET utf8mb4 NOT NULL,
    expiredate TIMESTAMP NULL DEFAULT NULL,
    row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    INDEX expiredate_idx (expiredate),
    UNIQUE INDEX row_id_uidx (row_id)
) ENGINE=InnoDB;"""
_METADATA: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
    id VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY,
    value TEXT CHARACTER SET utf8mb4 NOT NULL
) ENGINE=InnoDB;"""
_NEARLY_EXACT: Final = "utf8mb4_bin"
"""It ignores trailing spaces; for servers that have neither of the others."""
_NAME: Final = re.compile(r"(?a:\w{1,64})")
_ENGINES: Final = frozenset({"innodb", "rocksdb", "ndbcluster", "tokudb"})
"""Storage engines that undo transactions."""
_DENIED: Final = frozenset({1044, 1142, 1227, 1370})
_WANTED: Final = {
    "id": ("varchar",),
    "value": ("json", "longtext"),
    "isbinary": ("tinyint",),
    "etag": ("varchar",),
    "expiredate": ("timestamp",),
}
"""Columns that are used, in lower case, and their types."""


class Schema:
    """The two tables of a component."""

    def __init__(self, settings: MySQLSettings):
        self._settings = settings
        self.state = f"`{settings.schema}`.`{settings.table}`"
        self.metadata = f"`{settings.schema}`.`{settings.metadata_table}`"

    async def prepare(self, connection: Connection) -> Table:
        """Make missing tables, check that of the state. Raises StoreRefusedError, and the connection's errors."""
        collation = await self._collation(connection)
        columns = await self._columns(connection, self._settings.table)
        if not columns or not await self._columns(connection, self._settings.metadata_table):
            await self._make(connection, collation)
            columns = await self._columns(connection, self._settings.table)
        self._check_columns(columns)
        await self._check_engine(connection)
        _, length, own = columns["id"]
        if _NAME.fullmatch(own) is None:
            raise StoreRefusedError(f"table {self._settings.shown_table} has no character set for its column id")
        found = Table(int(length or MAX_KEY), own)
        if not found.is_exact:
            self._warn(collation, found.max_key)
        return found

    async def _collation(self, connection: Connection) -> str:
        rows = await connection.fetch(
            f"SELECT COLLATION_NAME FROM information_schema.COLLATIONS WHERE COLLATION_NAME IN "
            f"({', '.join(map(text, EXACT))})"
        )
        return decoded(rows[0][0]) if rows else _NEARLY_EXACT

    async def _columns(self, connection: Connection, table: str) -> Mapping[str, tuple[str, str, str]]:
        """Return type, length and collation of each column, by its name in lower case; empty if there is no table."""
        rows = await connection.fetch(
            "SELECT LOWER(COLUMN_NAME), LOWER(DATA_TYPE), CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME "
            f"FROM information_schema.COLUMNS WHERE {self._of(table)}",
            4,
        )
        return {
            decoded(name): (decoded(kind), decoded(length), decoded(collation))
            for name, kind, length, collation in rows
        }

    def _of(self, table: str) -> str:
        return f"{_is_named('TABLE_SCHEMA', self._settings.schema)} AND {_is_named('TABLE_NAME', table)}"

    def _check_columns(self, columns: Mapping[str, tuple[str, str, str]]) -> None:
        for name, kinds in _WANTED.items():
            found = columns[name][0] if name in columns else "missing"
            if found not in kinds:
                raise StoreRefusedError(
                    f"table {self._settings.shown_table} is not as Dapr makes it: its column {name} is {found}, not "
                    f"{' or '.join(kinds)}; write another tableName"
                )

    async def _check_engine(self, connection: Connection) -> None:
        rows = await connection.fetch(
            f"SELECT LOWER(ENGINE) FROM information_schema.TABLES WHERE {self._of(self._settings.table)}"
        )
        engine = decoded(rows[0][0]) if rows else ""
        if engine not in _ENGINES:
            raise StoreRefusedError(
                f"table {self._settings.shown_table} has a storage engine without transactions; have its owner run "
                "ALTER TABLE ... ENGINE=InnoDB"
            )

    async def _make(self, connection: Connection, collation: str) -> None:
        try:
            if not await connection.fetch(
                f"SELECT 1 FROM information_schema.SCHEMATA WHERE {_is_named('SCHEMA_NAME', self._settings.schema)}"
            ):
                await connection.execute(_DATABASE.format(schema=f"`{self._settings.schema}`"))
            for table in self._tables(collation, self.state, self.metadata):
                await connection.execute(table)
        except aiomysql.MySQLError as error:
            if code_of(error) not in _DENIED:
                raise
            raise StoreRefusedError(self._advice(collation)) from error

    def _tables(self, collation: str, state: str, metadata: str) -> Iterator[str]:
        yield _STATE.format(table=state, collation=collation, max_key=MAX_KEY)
        yield _METADATA.format(table=metadata)

    def _advice(self, collation: str) -> str:
        schema, state, metadata = f"`{self._settings.schema}`", self.state, self.metadata
        if self._settings.hides_names:
            schema, state, metadata = "SCHEMA", "SCHEMA.TABLE", "SCHEMA.METADATA_TABLE"
        rights = (f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ...;" for table in (state, metadata))
        statements = (_DATABASE.format(schema=schema), *self._tables(collation, state, metadata), *rights)
        return (
            f"{self._settings.where} does not let this user make the tables; "
            f"have somebody run, with the user's name at the end: {' '.join(' '.join(statements).split())}"
        )

    def _warn(self, collation: str, max_key: int) -> None:
        if collation not in EXACT:
            return
        table = "TABLE" if self._settings.hides_names else self.state
        logger.warning(
            "table %s may take keys for the same that differ in case, accents or trailing spaces; a write of such a "
            "key is refused while the other one is there. To keep both, have its owner run: ALTER TABLE %s MODIFY id "
            "VARCHAR(%d) CHARACTER SET utf8mb4 COLLATE %s NOT NULL",
            self._settings.shown_table,
            table,
            max_key,
            collation,
        )


def _is_named(column: str, name: str) -> str:
    """Return the SQL that compares a name, with regard to case if the server's own names have it.

    `=` ignores case. Without it the server would open all tables to find the name.
    """
    return f"{column} = {text(name)} AND (@@lower_case_table_names > 0 OR {bytes_of(column)} = {raw(name)})"
