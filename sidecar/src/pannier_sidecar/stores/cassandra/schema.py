"""Makes the table if it is missing: Dapr's `(key text PRIMARY KEY, value blob)` with an added column `etag text`.

If the table exists, the role needs no permission to make it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from cassandra import InvalidRequest, Unauthorized

from pannier_sidecar.state.errors import StoreRefusedError

from .decoding import MAX_ROWS

if TYPE_CHECKING:
    from cassandra.cluster import Session

    from .settings import CassandraSettings

COLUMNS: Final = {"key": "text", "value": "blob", "etag": "text"}
_KEYSPACE: Final = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?"
_TABLE: Final = "SELECT column_name, type, kind FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"


def ensure(session: Session, settings: CassandraSettings) -> None:
    """Make the table, or its column `etag`, if it is missing. Blocks.

    Raises StoreRefusedError with the statement that an administrator has to run.
    """
    columns = _columns(session, settings)
    if not columns:
        _create(session, settings)
    elif "etag" not in columns:
        _check(columns | {"etag": ("text", "regular")}, settings)
        _run(session, settings, f"ALTER TABLE {settings.name} ADD etag text")
    _check(_columns(session, settings), settings)


def _columns(session: Session, settings: CassandraSettings) -> dict[str, tuple[str, str]]:
    """Return type and kind of the columns by their names; empty if there is no such table."""
    table = _rows(session, _TABLE, settings.keyspace, settings.table)
    return {name: (type, kind) for name, type, kind in table}


def _create(session: Session, settings: CassandraSettings) -> None:
    if not _rows(session, _KEYSPACE, settings.keyspace):
        replication = f"{{'class': 'SimpleStrategy', 'replication_factor': {settings.replication_factor}}}"
        _run(session, settings, f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = {replication}")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    _run(session, settings, f"CREATE TABLE IF NOT EXISTS {settings.name} ({columns}, PRIMARY KEY (key))")


def _check(columns: dict[str, tuple[str, str]], settings: CassandraSettings) -> None:
    keys = [name for name, (_, kind) in columns.items() if kind in ("partition_key", "clustering")]
    wrong = [name for name, kind in COLUMNS.items() if columns.get(name, ("", ""))[0] != kind]
    if wrong or keys != ["key"]:
        raise StoreRefusedError(
            f"table {settings.shown_name} is not one for state: it needs key text PRIMARY KEY, value blob, etag text; "
            "set table or keyspace to another one"
        )


def _run(session: Session, settings: CassandraSettings, statement: str) -> None:
    try:
        session.execute(statement)
    except Unauthorized as error:
        shown = statement.replace(settings.name, settings.shown_name).replace(f" {settings.keyspace} ", " KEYSPACE ")
        if settings.shown_name == settings.name:
            shown = statement
        raise StoreRefusedError(f"this role may not make the table; have an administrator run: {shown};") from error
    except InvalidRequest as error:
        if "conflict" not in str(error):  # which means that another sidecar was faster
            raise


def _rows(session: Session, statement: str, *values: str) -> list[tuple[str, ...]]:
    # The driver requests pages as long as the server announces another one.
    return list(islice(session.execute(session.prepare(statement), values), MAX_ROWS))
