"""The tables of the fake Spanner: rows, transactions and commit times, kept in an SQLite file.

Like Spanner, it carries out all mutations of a commit in order, or none; it aborts a transaction whose reads were
overtaken by another commit; its commit times only grow; it checks values against their column. Expired rows stay, as in
Spanner for up to three days.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Value
from grpc import StatusCode

LARGEST_KEY = 8192
LARGEST_CELL = 10 * 1024 * 1024
COMMIT_TIME = "spanner.commit_timestamp()"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TABLE = re.compile(r"\s*CREATE TABLE (\w+) \((.*)\)\s*PRIMARY KEY \((\w+)\)\s*(?:,\s*ROW DELETION POLICY .*)?", re.S)
COLUMN = re.compile(
    r"\s*(\w+) (STRING|BYTES|TIMESTAMP)(?:\(MAX\))?( NOT NULL)?( OPTIONS \(allow_commit_timestamp = true\))?"
)

Cells = dict[str, str | None]


class Refused(Exception):
    """An error of the API."""

    def __init__(self, code: StatusCode, details: str):
        super().__init__(details)
        self.code = code


@dataclass(frozen=True)
class Column:
    kind: str
    is_required: bool
    takes_commit_time: bool


@dataclass
class Transaction:
    session: str
    read: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """Table and key -> the commit that wrote the row, None where there was none."""


class Tables:
    """All databases of the fake."""

    def __init__(self, file: Path):
        self._rows = sqlite3.connect(file, isolation_level=None)
        self._rows.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"  # it must survive a kill, but no power cut
            "CREATE TABLE IF NOT EXISTS databases (name TEXT PRIMARY KEY);"
            "CREATE TABLE IF NOT EXISTS tables (database TEXT, name TEXT, columns TEXT, PRIMARY KEY (database, name));"
            "CREATE TABLE IF NOT EXISTS rows (database TEXT, name TEXT, key TEXT, cells TEXT, written INTEGER, "
            "PRIMARY KEY (database, name, key));"
        )
        self._last = self._rows.execute("SELECT coalesce(max(written), 0) FROM rows").fetchone()[0]
        self._transactions: dict[bytes, Transaction] = {}
        self._numbers = itertools.count(1)

    def create(self, database: str, statements: Sequence[str]) -> None:
        self._rows.execute("INSERT OR IGNORE INTO databases VALUES (?)", (database,))
        for statement in statements:
            found = TABLE.fullmatch(statement)
            if found is None:
                raise Refused(StatusCode.INVALID_ARGUMENT, f"Error parsing Spanner DDL statement: {statement}")
            columns = [match.groups() for match in COLUMN.finditer(found[2]) if match[2]]
            assert columns[0][0] == found[3], "the fake wants the primary key to be the first column"
            text = json.dumps({name: [kind, bool(required), bool(time)] for name, kind, required, time in columns})
            self._rows.execute("INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", (database, found[1], text))

    def check_database(self, database: str) -> None:
        if not self._rows.execute("SELECT 1 FROM databases WHERE name = ?", (database,)).fetchone():
            raise Refused(StatusCode.NOT_FOUND, f"Database not found: {database}")

    def begin(self, session: str) -> bytes:
        """Begin a transaction; the session's previous one ends."""
        for old in [name for name, there in self._transactions.items() if there.session == session]:
            del self._transactions[old]
        name = b"transaction %d" % next(self._numbers)
        self._transactions[name] = Transaction(session)
        return name

    def forget(self, transaction: bytes) -> None:
        self._transactions.pop(transaction, None)

    def read(
        self, database: str, table: str, columns: Sequence[str], key_set: Any, limit: int, transaction: bytes
    ) -> Iterator[Value]:
        """Yield the cells of the rows in a KeySet, in the order of their keys."""
        known = self._columns(database, table)
        for name in columns:
            if name not in known:
                raise Refused(StatusCode.NOT_FOUND, f"Column not found in table {table}: {name}")
        found = self._found(database, table, key_set)
        if transaction:
            self._note(transaction, table, key_set, found)
        for key in sorted(found, key=str.encode)[: limit or None]:
            for name in columns:
                text = found[key][0][name]
                yield Value(null_value=NULL_VALUE) if text is None else Value(string_value=text)

    def commit(self, database: str, transaction: bytes | None, mutations: Sequence[object]) -> str:
        """Carry out the mutations, all or none, and return the time of the commit."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            if transaction is not None:
                self._check_reads(database, transaction)
            self._last = max(self._last + 1, time.time_ns() // 1000)
            for mutation in mutations:
                self._apply(database, mutation)
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")
        return text_of(self._last)

    def _columns(self, database: str, table: str) -> dict[str, Column]:
        row = self._rows.execute(
            "SELECT columns FROM tables WHERE database = ? AND name = ?", (database, table)
        ).fetchone()
        if row is None:
            raise Refused(StatusCode.NOT_FOUND, f"Table not found: {table}")
        return {name: Column(*rest) for name, rest in json.loads(row[0]).items()}

    def _found(self, database: str, table: str, key_set: Any) -> dict[str, tuple[Cells, int]]:
        conditions: list[tuple[str, tuple[str, ...]]] = [("key = ?", (text_key(key),)) for key in key_set.keys]
        conditions += [interval(each) for each in key_set.ranges]
        if key_set.all_:
            conditions.append(("1", ()))
        found = {}
        for condition, values in conditions:
            query = f"SELECT key, cells, written FROM rows WHERE database = ? AND name = ? AND {condition}"
            for key, cells, written in self._rows.execute(query, (database, table, *values)):
                found[key] = (json.loads(cells), written)
        return found

    def _note(self, transaction: bytes, table: str, key_set: Any, found: dict[str, tuple[Cells, int]]) -> None:
        if key_set.ranges or key_set.all_:
            raise Refused(StatusCode.UNIMPLEMENTED, "the fake locks no ranges")
        if transaction not in self._transactions:
            raise Refused(StatusCode.ABORTED, "Transaction was aborted")
        for key in map(text_key, key_set.keys):
            self._transactions[transaction].read[table, key] = found[key][1] if key in found else None

    def _check_reads(self, database: str, transaction: bytes) -> None:
        there = self._transactions.pop(transaction, None)
        if there is None:
            raise Refused(StatusCode.ABORTED, "Transaction was aborted")
        for (table, key), seen in there.read.items():
            query = "SELECT written FROM rows WHERE database = ? AND name = ? AND key = ?"
            row = self._rows.execute(query, (database, table, key)).fetchone()
            if (row[0] if row else None) != seen:
                raise Refused(StatusCode.ABORTED, "Transaction was aborted. It was wounded by another transaction")

    def _apply(self, database: str, mutation: Any) -> None:
        kind = mutation.WhichOneof("operation")
        if kind == "delete":
            self._columns(database, mutation.delete.table)
            for key in self._found(database, mutation.delete.table, mutation.delete.key_set):
                where = (database, mutation.delete.table, key)
                self._rows.execute("DELETE FROM rows WHERE database = ? AND name = ? AND key = ?", where)
        elif kind == "insert_or_update":
            write = mutation.insert_or_update
            columns = self._columns(database, write.table)
            for row in write.values:
                cells = self._cells(columns, dict(zip(write.columns, row.values, strict=True)))
                name = cells[next(iter(columns))]
                values = (database, write.table, name, json.dumps(cells), self._last)
                self._rows.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", values)
        else:
            raise Refused(StatusCode.UNIMPLEMENTED, f"the fake has no mutation {kind}")

    def _cells(self, columns: dict[str, Column], given: dict[str, Value]) -> Cells:
        if unknown := given.keys() - columns.keys():
            raise Refused(StatusCode.NOT_FOUND, f"Column not found in table: {unknown}")
        return {name: self._cell(name, column, given.get(name)) for name, column in columns.items()}

    def _cell(self, name: str, column: Column, value: Value | None) -> str | None:
        if value is None or value.HasField("null_value"):
            if column.is_required:
                raise Refused(StatusCode.FAILED_PRECONDITION, f"{name} must not be NULL")
            return None
        text = value.string_value
        if text == COMMIT_TIME and column.takes_commit_time:
            return text_of(self._last)
        check(name, column.kind, text)
        return text


def check(name: str, kind: str, text: str) -> None:
    """Refuse a value that a column of that kind can't hold."""
    try:
        size = len(base64.b64decode(text, validate=True)) if kind == "BYTES" else len(text.encode())
        if kind == "TIMESTAMP":
            assert datetime.fromisoformat(text).tzinfo is not None
    except (binascii.Error, ValueError, AssertionError) as error:
        raise Refused(StatusCode.FAILED_PRECONDITION, f"Could not parse {text[:30]} as {kind} for {name}") from error
    if size > (LARGEST_KEY if name == "key" else LARGEST_CELL):
        raise Refused(StatusCode.FAILED_PRECONDITION, f"New value exceeds the maximum size limit for column {name}")


def interval(each: Any) -> tuple[str, tuple[str, ...]]:
    """Return a KeyRange as a condition and its values; a missing bound means no limit."""
    start, end = each.WhichOneof("start_key_type"), each.WhichOneof("end_key_type")
    conditions, values = [], []
    for bound, sign in ((start, ">" if start == "start_open" else ">="), (end, "<" if end == "end_open" else "<=")):
        if parts := getattr(each, bound):
            conditions.append(f"key {sign} ?")
            values.append(text_key(parts))
    return " AND ".join(conditions) or "1", tuple(values)


def text_key(key: ListValue) -> str:
    return str(key[0])


def text_of(microseconds: int) -> str:
    """Write a time as Spanner does, with as many decimals as it needs."""
    text = (EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"
