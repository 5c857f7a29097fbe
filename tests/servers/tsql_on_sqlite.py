"""The databases of a fake of SQL Server: sessions and transactions over one file of SQLite.

Like SQL Server, it ignores blanks at the end of keys, and case unless a collation says otherwise. One transaction at a
time writes; the others wait for it as long as LOCK_TIMEOUT says.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.tsql_in_sqlite import CASELESS, EXACT, FUNCTIONS, Step, collation, compiled, mapped, sqlite, unmapped
from sqlglot import exp
from sqlglot.errors import SqlglotError

Result = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Names of columns, and rows."""
_CHANGING = (exp.Transaction, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Alter)
_NAMES = {"rowversion": "timestamp", "uuid": "uniqueidentifier"}
"""Names of types in INFORMATION_SCHEMA, where they are not those of the parser."""
_AFFINITY = {"nvarchar": "TEXT", "datetime2": "TEXT", "uuid": "TEXT", "int": "INTEGER", "bit": "INTEGER"}


class Refused(Exception):
    """An error of the server."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class Server:
    """All databases of a server."""

    def __init__(self, file: Path):
        self.sqlite = sqlite3.connect(file, isolation_level=None)
        self.sqlite.execute("PRAGMA synchronous = OFF")
        self.lock = asyncio.Lock()
        self.transactions = itertools.count(1)
        self._versions = itertools.count(time.time_ns() // 1000)
        self.errors: list[int] = []
        """Numbers of errors with which the next statements on tables fail."""
        for name, function in FUNCTIONS.items():
            self.sqlite.create_function(name, -1, function)
        self.sqlite.create_function("next_version", 0, lambda: next(self._versions).to_bytes(8, "big"))
        self.sqlite.create_function("DB_ID", 2, lambda name, _: 5 if self.has("", "database", name) else None)
        self.sqlite.create_function("SCHEMA_ID", 2, lambda name, own: 7 if self.has(own, "schema", name) else None)
        self.sqlite.create_collation(EXACT, collation(str))
        self.sqlite.create_collation(CASELESS, collation(str.casefold))
        self.sqlite.execute("CREATE TABLE IF NOT EXISTS objects (database, kind, name, UNIQUE (database, kind, name))")
        self.sqlite.execute(
            "CREATE TABLE IF NOT EXISTS columns (database, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, "
            "CHARACTER_MAXIMUM_LENGTH, COLLATION_NAME)"
        )
        self.sqlite.execute("INSERT OR IGNORE INTO objects VALUES ('', 'database', 'master')")

    def has(self, database: str, kind: str, name: str) -> bool:
        found = "SELECT 1 FROM objects WHERE database = ? AND kind = ? AND name = ?"
        return (kind, name) == ("schema", "dbo") or bool(self.sqlite.execute(found, (database, kind, name)).fetchone())


class Session:
    """What a connection has changed: its transaction, and how long it waits for locks."""

    def __init__(self, server: Server, database: str, *, may_make: bool = True):
        self._server = server
        self._database = database
        self._may_make = may_make
        self._patience = 60.0
        self._row_count = 0
        self.transaction = 0
        """Its number; 0: none is open."""

    async def run(self, text: str, parameters: Mapping[str, Any]) -> Sequence[Result]:
        """Run statements, and return their results. An error undoes the transaction, as XACT_ABORT has it."""
        if text.startswith("FAKE ERRORS "):
            self._server.errors = [int(number) for number in text.removeprefix("FAKE ERRORS ").split()]
            return []
        try:
            steps = compiled(text, self._database)
            is_locked = not self.transaction and any(isinstance(step.node, _CHANGING) for step in steps)
            if is_locked:
                await self._wait_for_lock()
            try:
                return self._all(steps, parameters)
            finally:
                if is_locked and not self.transaction:
                    self._server.lock.release()
        except sqlite3.IntegrityError as error:
            self.rollback()
            raise Refused(2627) from error
        except sqlite3.OperationalError as error:
            self.rollback()
            print(text, error, flush=True)
            raise Refused(208 if "no such table" in str(error) else 102) from error
        except SqlglotError as error:
            self.rollback()
            print(text, error, flush=True)
            raise Refused(102) from error
        except Refused:
            self.rollback()
            raise

    def rollback(self) -> None:
        if self.transaction:
            self._server.sqlite.execute("ROLLBACK")
            self.transaction = 0
            self._server.lock.release()

    async def _wait_for_lock(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._server.lock.acquire()
        except TimeoutError:
            raise Refused(1222) from None

    def _all(self, steps: Sequence[Step], parameters: Mapping[str, Any]) -> Sequence[Result]:
        values = {name.removeprefix("@"): mapped(value) for name, value in parameters.items()}
        results = [self._one(step, values) for step in steps]
        return [result for result in results if result is not None]

    def _one(self, step: Step, values: Mapping[str, Any]) -> Result | None:
        if step.texts and self._server.errors and isinstance(step.node, _CHANGING):
            raise Refused(self._server.errors.pop(0))
        for kind, run in _RUNNERS.items():
            if isinstance(step.node, kind):
                return run(self, step, values)
        raise Refused(102)

    def _set(self, step: Step, _: Mapping[str, Any]) -> None:
        name, _, value = step.node.expressions[0].sql().partition(" = ")
        if name.upper() == "LOCK_TIMEOUT":
            self._patience = int(value) / 1000

    def _begin(self, *_: object) -> None:
        self._server.sqlite.execute("BEGIN")
        self.transaction = next(self._server.transactions)

    def _commit(self, *_: object) -> None:
        if not self.transaction:
            raise Refused(3902)
        self._server.sqlite.execute("COMMIT")
        self.transaction = 0
        self._server.lock.release()

    def _if(self, step: Step, _: Mapping[str, Any]) -> None:
        assert step.node.this.sql("tsql") == "@@TRANCOUNT > 0"
        assert [type(each) for each in step.node.args["true"].expressions] == [exp.Rollback]
        self.rollback()

    def _select(self, step: Step, values: Mapping[str, Any]) -> Result:
        if step.node.sql("tsql") == "SELECT @@ROWCOUNT":
            return [""], [[self._row_count]]
        found = self._server.sqlite.execute(step.texts[0], values)
        names = [str(column[0]) for column in found.description]
        return names, [[unmapped(value) for value in row] for row in found]

    def _change(self, step: Step, values: Mapping[str, Any]) -> None:
        self._row_count = self._changes(step.texts[0], values)

    def _changes(self, text: str, values: Mapping[str, Any]) -> int:
        """Run a statement, and return how many rows it has changed: `rowcount` does not know for one with WITH."""
        before = self._server.sqlite.total_changes
        self._server.sqlite.execute(text, values)
        return self._server.sqlite.total_changes - before

    def _merge(self, step: Step, values: Mapping[str, Any]) -> None:
        twice, update, insert = step.texts
        if self._server.sqlite.execute(twice, values).fetchone():
            raise Refused(8672)
        self._server.sqlite.execute("SAVEPOINT merging")
        try:
            self._row_count = self._changes(update, values) + self._changes(insert, values)
        except BaseException:
            self._server.sqlite.execute("ROLLBACK TO merging")
            raise
        finally:
            self._server.sqlite.execute("RELEASE merging")

    def _create(self, step: Step, _: Mapping[str, Any]) -> None:
        node = step.node
        kind = node.args["kind"].lower()
        if not self._may_make:
            raise Refused(2760 if kind == "schema" else 262)
        if kind == "index":
            return
        target = node.this.this if kind == "table" else node.this
        database = "" if kind == "database" else self._database
        name = target.db or target.name if kind == "schema" else target.name
        name = f"{target.db}.{target.name}" if kind == "table" else name
        if self._server.has(database, kind, name):
            raise Refused({"database": 1801, "table": 2714, "schema": 2759}[kind])
        if kind == "table":
            if not self._server.has(self._database, "schema", target.db):
                raise Refused(2760)
            self._create_table(target, node.this.expressions)
        self._server.sqlite.execute("INSERT INTO objects VALUES (?, ?, ?)", (database, kind, name))

    def _create_table(self, table: exp.Expression, parts: Sequence[exp.Expression]) -> None:
        columns = [part for part in parts if isinstance(part, exp.ColumnDef)]
        definitions = [self._column(table, column) for column in columns]
        if not any(column.name == "RowVersion" for column in columns):
            definitions.append('"RowVersion" BLOB')  # so that all tables are written alike
        assert any(part.find(exp.PrimaryKey) for part in parts)
        definitions.append('PRIMARY KEY ("Key")')
        self._server.sqlite.execute(f"CREATE TABLE {sqlite(table, self._database)} ({', '.join(definitions)})")

    def _column(self, table: exp.Expression, column: exp.ColumnDef) -> str:
        """Note a column, and return its definition for SQLite."""
        kind = column.args["kind"].this.value.lower()
        constraints = [each.args["kind"] for each in column.args.get("constraints", ())]
        collations = [each.this.sql() for each in constraints if isinstance(each, exp.CollateColumnConstraint)]
        collate = (collations or [CASELESS])[0] if kind == "nvarchar" else ""
        size = column.args["kind"].expressions[0].sql() if kind == "nvarchar" else None
        length = None if size is None else -1 if size.upper() == "MAX" else int(size)
        self._note(table, column.name, _NAMES.get(kind, kind), length, collate or None)
        nulls = [each for each in constraints if isinstance(each, exp.NotNullColumnConstraint)]
        needed = " NOT NULL" if any(not each.args.get("allow_null") for each in nulls) else ""
        defaults = [each.this for each in constraints if isinstance(each, exp.DefaultColumnConstraint)]
        default = f" DEFAULT {defaults[0].sql()}" if defaults and defaults[0].is_number else ""
        order = f" COLLATE {collate}" if collate else ""
        return f'"{column.name}" {_AFFINITY.get(kind, "BLOB")}{needed}{default}{order}'

    def _note(self, table: exp.Expression, *column: Any) -> None:
        noted = (self._database, table.args["db"].name, table.name, *column)
        self._server.sqlite.execute("INSERT INTO columns VALUES (?, ?, ?, ?, ?, ?, ?)", noted)

    def _alter(self, step: Step, _: Mapping[str, Any]) -> None:
        """Note a computed column; nothing reads it."""
        if not self._may_make:
            raise Refused(297)
        (added,) = step.node.args["actions"]
        self._note(step.node.this, added.name, "nvarchar", 100, CASELESS)


_RUNNERS: dict[Any, Callable[..., Any]] = {
    exp.Set: Session._set,
    exp.Transaction: Session._begin,
    exp.Commit: Session._commit,
    exp.IfBlock: Session._if,
    exp.Select: Session._select,
    exp.Update: Session._change,
    exp.Delete: Session._change,
    exp.Merge: Session._merge,
    exp.Create: Session._create,
    exp.Alter: Session._alter,
}
