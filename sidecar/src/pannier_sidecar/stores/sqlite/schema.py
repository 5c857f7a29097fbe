"""Opens the file and makes its tables, as Dapr 1.18 does: a state table, and a table with the layout's level."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from os.path import dirname, isdir
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import StoreRefusedError

from .layout import StateTable
from .locks import retry_while_busy

if TYPE_CHECKING:
    from .settings import Location, SQLiteSettings

LEVEL: Final = 1
"""How many changes the layout has seen; kept in the metadata table under `migrations`."""

_COLUMNS: Final = frozenset({"key", "value", "is_binary", "etag", "expiration_time", "update_time"})
_TEXTS: Final = ("key", "value", "etag")
_KEPT_AS_SENT: Final = ("CHAR", "CLOB", "TEXT", "BLOB")
"""Parts of the names of column types that keep text (https://sqlite.org/datatype3.html, 3.1); others turn it into
numbers.
"""
_COLLATIONS_OF_KEYS: Final = """
SELECT columns.coll FROM pragma_index_list(?) AS indexes, pragma_index_xinfo(indexes.name) AS columns
WHERE indexes."unique" AND columns.key AND lower(columns.name) = 'key'"""

_STATE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS "{table}" (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    is_binary BOOLEAN NOT NULL,
    etag TEXT NOT NULL,
    expiration_time TIMESTAMP DEFAULT NULL,
    update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)"""
# Dapr has no such index, and is not harmed by it. With it, removing expired rows costs the same for any number of rows.
_EXPIRY_INDEX: Final = """
CREATE INDEX IF NOT EXISTS "{table}_expiring" ON "{table}" (expiration_time) WHERE expiration_time IS NOT NULL"""
_METADATA_TABLE: Final = """
CREATE TABLE IF NOT EXISTS "{metadata}" (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"""


def connect_writer(settings: SQLiteSettings) -> StateTable:
    """Return the table for writing; make the folder, the file and the tables if they are missing.

    Raises StoreRefusedError or an error of SQLite.
    """
    _make_folder(settings.location)
    _make_file(settings.location)
    connection = sqlite3.connect(settings.location.uri, settings.busy_timeout, isolation_level=None, uri=True)
    try:
        # With NORMAL in WAL mode, a commit would survive the end of the process but not a power failure. All waiting
        # writes share one fsync, so FULL costs little under load. `_pragma=synchronous(NORMAL)` changes it.
        connection.execute("PRAGMA synchronous = FULL")
        for pragma in settings.location.pragmas:
            connection.execute(f"PRAGMA {pragma}")
        retry_while_busy(settings.busy_timeout, lambda: _prepare(connection, settings))
    except (sqlite3.Error, StoreRefusedError):
        connection.close()
        raise
    connection.text_factory = bytes
    return StateTable(connection, settings.table, settings.location.path)


def connect_reader(settings: SQLiteSettings) -> StateTable:
    """Return the table for reading; raises as `connect_writer` does.

    The tables are made here too, because after the file was removed the reader may be the first to open a new one.
    """
    table = connect_writer(settings)
    table.connection.execute("PRAGMA query_only = 1")
    return table


def _make_folder(location: Location) -> None:
    if location.is_in_memory:
        return
    if isdir(location.path):
        raise StoreRefusedError(
            f"connectionString names the folder{_shown(location, location.path)}; write the path of a file in it"
        )
    folder = Path(dirname(location.path) or ".")
    if folder.is_dir() or not location.may_be_created:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefusedError(
            f"folder{_shown(location, folder)} for {location} can't be made ({reason(error)}); "
            "make it, or change connectionString"
        ) from error


def _make_file(location: Location) -> None:
    """Make the file, readable by its owner alone; SQLite gives the files beside it (`-wal`) the same mode.

    A file that exists is left as it is, and not opened: closing it would drop the locks that this process has on it.
    """
    if location.is_in_memory or not location.may_be_created:
        return
    with suppress(OSError):  # opening it will say what is wrong, if anything is
        os.close(os.open(os.path.realpath(location.path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _shown(location: Location, path: object) -> str:
    return f" {path}" if location.may_be_shown else ""


def _prepare(connection: sqlite3.Connection, settings: SQLiteSettings) -> None:
    if not settings.location.is_read_only:
        if not settings.location.is_in_memory:
            connection.execute(f"PRAGMA journal_mode = {'WAL' if settings.uses_wal else 'DELETE'}")
        connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_newer_layout(connection, settings)
        if not settings.location.is_read_only:
            _create_tables(connection, settings)
        _refuse_other_table(connection, settings)
    except (sqlite3.Error, StoreRefusedError):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if connection.in_transaction:
        connection.execute("COMMIT")


def _create_tables(connection: sqlite3.Connection, settings: SQLiteSettings) -> None:
    connection.execute(_METADATA_TABLE.format(metadata=settings.metadata_table))
    connection.execute(_STATE_TABLE.format(table=settings.table))
    _refuse_other_table(connection, settings)
    connection.execute(_EXPIRY_INDEX.format(table=settings.table))
    connection.execute(
        f"INSERT INTO \"{settings.metadata_table}\" (key, value) VALUES ('migrations', ?) ON CONFLICT (key) DO NOTHING",
        (str(LEVEL),),
    )


def _refuse_newer_layout(connection: sqlite3.Connection, settings: SQLiteSettings) -> None:
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", (settings.metadata_table,)
    ).fetchone()
    if found is None:
        return
    row = connection.execute(f"SELECT value FROM \"{settings.metadata_table}\" WHERE key = 'migrations'").fetchone()
    if row is None:
        return
    if not str(row[0]).isdecimal():
        raise StoreRefusedError(f"{settings.location} has a layout level that is no number; is it ours?")
    if int(row[0]) > LEVEL:
        raise StoreRefusedError(
            f"{settings.location} has layout level {row[0]}, and this version knows {LEVEL}: "
            "use a newer version, or point connectionString at another file"
        )


def _refuse_other_table(connection: sqlite3.Connection, settings: SQLiteSettings) -> None:
    columns = {row[1]: row[2] for row in connection.execute(f'PRAGMA table_info("{settings.table}")')}
    missing = _COLUMNS - columns.keys()
    if missing:
        what = f"lacks the column {min(missing)}" if columns else "does not exist"
        raise StoreRefusedError(f"table {settings.shown_table} of {settings.location} {what}; write another tableName")
    for name in _TEXTS:
        if not _keeps_text(columns[name]):
            raise StoreRefusedError(
                f"table {settings.shown_table} of {settings.location} would change texts in its column {name}, which "
                "is not TEXT; make the column TEXT, or write another tableName"
            )
    collations = connection.execute(_COLLATIONS_OF_KEYS, (settings.table,)).fetchall()
    if any(collation != "BINARY" for (collation,) in collations):
        raise StoreRefusedError(
            f"table {settings.shown_table} of {settings.location} takes different keys for the same, because its "
            "column key has a COLLATE; make the table without it, or write another tableName"
        )


def _keeps_text(declared: str) -> bool:
    kind = declared.upper()
    return not kind or ("INT" not in kind and any(text in kind for text in _KEPT_AS_SENT))
