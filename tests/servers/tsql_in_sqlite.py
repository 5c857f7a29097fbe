"""T-SQL as SQLite carries it out. sqlglot parses it, which knows nothing of our store: what it cannot parse is refused.

Texts are UTF-16 in SQL Server, and may have halves of characters, which SQLite does not hold: those are kept as base64.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple

from sqlglot import exp
from sqlglot.dialects.tsql import TSQL

TSQLParser: Any = TSQL.Parser
ZONE = timezone(timedelta(hours=-3, minutes=-30))
"""Of the server's clock: not UTC, because the store must not depend on it."""
CASELESS = "SQL_Latin1_General_CP1_CI_AS"
EXACT = "Latin1_General_100_BIN2"
_MARK = "\U0010fffe"
"""Before the base64 of a text that SQLite does not hold, or that begins like one."""
_HALF = re.compile("[\ud800-\udfff]")
_FORM = "%Y-%m-%d %H:%M:%S.%f"


class Dialect(TSQL):
    """T-SQL whose functions stay as they are written."""

    class Parser(TSQLParser):
        FUNCTIONS: dict[str, Any] = {}
        NO_PAREN_FUNCTIONS: dict[Any, Any] = {}
        FUNCTION_PARSERS = {
            name: parser
            for name, parser in TSQLParser.FUNCTION_PARSERS.items()
            if name not in ("DATEPART", "SUBSTRING")
        }


class Step(NamedTuple):
    """One statement."""

    node: exp.Expression
    texts: tuple[str, ...]
    """For SQLite; for a MERGE: what finds rows that it would change twice, its update, and its insertion."""


@cache
def compiled(text: str, database: str) -> Sequence[Step]:
    """Return the statements of a text."""
    parsed: list[Any] = Dialect().parse(text)
    return [Step(each, _texts(each, database)) for each in parsed if each is not None]


def _texts(statement: exp.Expression, database: str) -> tuple[str, ...]:
    if isinstance(statement, exp.Merge):
        return _merge(statement, database)
    if isinstance(statement, exp.Update):
        statement = statement.copy()
        statement.append("expressions", _new_version())
    if isinstance(statement, exp.Select | exp.Update | exp.Delete):
        return (sqlite(statement, database),)
    return ()


def _merge(statement: exp.Expression, database: str) -> tuple[str, ...]:
    """Return the texts for a MERGE that updates rows which are there, and inserts others."""

    def text(node: exp.Expression) -> str:
        return sqlite(node, database)

    assert [hint.sql() for hint in statement.this.args["hints"]] == ["WITH (HOLDLOCK)"]
    table = text(statement.this).partition(" AS ")[0]
    given = statement.args["using"]
    columns = ", ".join(map(text, given.args["alias"].columns))
    source = f"WITH new ({columns}) AS (VALUES {', '.join(map(text, given.expressions))})"
    same = text(statement.args["on"])
    update, insert = statement.args["whens"].expressions
    assert (update.args["matched"], insert.args["matched"]) == (True, False)
    changes = [*update.args["then"].expressions, _new_version()]
    assigned = ", ".join(f'"{each.this.name}" = {text(each.expression)}' for each in changes)
    condition = update.args.get("condition")
    where = f"{same} AND {text(condition)}" if condition else same
    into = ", ".join(f'"{each.name}"' for each in insert.args["then"].this.expressions)
    values = ", ".join(map(text, insert.args["then"].expression.expressions))
    return (
        f"{source} SELECT 1 FROM {table} AS old, new WHERE {where} GROUP BY old.rowid HAVING COUNT(*) > 1",
        f"{source} UPDATE {table} AS old SET {assigned} FROM new WHERE {where}",
        f'{source} INSERT INTO {table} ({into}, "RowVersion") SELECT {values}, next_version() FROM new '
        f"WHERE NOT EXISTS (SELECT 1 FROM {table} AS old WHERE {same})",
    )


def sqlite(node: exp.Expression, database: str) -> str:
    """Return a part of a statement as SQLite reads it."""
    return node.copy().transform(lambda each: _translated(each, database)).sql("sqlite")


def _new_version() -> exp.Expression:
    return exp.EQ(this=exp.column("RowVersion", quoted=True), expression=exp.Anonymous(this="next_version"))


def _translated(node: exp.Expression, database: str) -> exp.Expression:
    if isinstance(node, exp.Table) and node.args.get("db"):
        if node.db == "INFORMATION_SCHEMA":
            wanted = exp.condition("database = 'here'").transform(lambda each: each)
            wanted.args["expression"].args["this"] = database
            return exp.select("*").from_("columns").where(wanted).subquery()
        flat = exp.to_table(f'"{database}.{node.db}.{node.name}"')
        flat.set("alias", node.args.get("alias"))
        return flat
    if isinstance(node, exp.Anonymous) and node.name.upper() in ("DATEADD", "DATEDIFF_BIG", "DATEPART"):
        unit = node.expressions[0]
        node.set("expressions", [exp.Literal.string(unit.name), *node.expressions[1:]])
    elif isinstance(node, exp.Anonymous) and node.name.upper() in ("DB_ID", "SCHEMA_ID"):
        node.append("expressions", exp.Literal.string(database))
    elif isinstance(node, exp.Cast | exp.Convert):
        kind = (node.args.get("to") or node.this).this.value.lower()
        value = node.this if isinstance(node, exp.Cast) else node.expression
        inner = value.copy().transform(lambda each: _translated(each, database))
        return exp.Anonymous(this=f"to_{kind}", expressions=[inner])
    elif isinstance(node, exp.National):
        return exp.Literal.string(node.this)
    return node


def mapped(value: Any) -> Any:
    """Return a value of a parameter as SQLite keeps it."""
    if not isinstance(value, str) or not (value.startswith(_MARK) or _HALF.search(value)):
        return value
    return _MARK + b64encode(value.encode("utf-16-le", "surrogatepass")).decode()


def unmapped(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_MARK):
        return value
    return b64decode(value[1:]).decode("utf-16-le", "surrogatepass")


def _raw(value: Any) -> bytes:
    return unmapped(value).encode("utf-16-le", "surrogatepass") if isinstance(value, str) else value


def _time(text: str) -> datetime:
    return datetime.strptime(text[:26], _FORM if "." in text else _FORM[:17])


def _written(time: datetime) -> str:
    return time.strftime(_FORM) + "0"


def _to_time(value: str | None) -> str | None:
    try:
        return None if value is None else _written(_time(value))
    except ValueError:
        return None


_UNITS = {"DAY": "days", "SECOND": "seconds", "MILLISECOND": "milliseconds"}


def _date_add(unit: str, number: int | None, time: str | None) -> str | None:
    if number is None or time is None:
        return None
    return _written(_time(time) + timedelta(**{_UNITS[unit.upper()]: number}))


def _date_diff(unit: str, first: str, second: str | None) -> int | None:
    """Count how often a new second begins in between."""
    assert (unit.upper(), first) == ("SECOND", "19700101")
    return None if second is None else int((_time(second) - datetime(1970, 1, 1)) // timedelta(seconds=1))


def _date_part(unit: str, time: str) -> int:
    assert unit.upper() == "TZOFFSET" and time
    return int(ZONE.utcoffset(None).total_seconds() // 60)


def _now(*_: Any) -> str:
    return _written(datetime.now(ZONE))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "SYSDATETIME": _now,
    "SYSDATETIMEOFFSET": _now,
    "DATEADD": _date_add,
    "DATEDIFF_BIG": _date_diff,
    "DATEPART": _date_part,
    "DATALENGTH": lambda value: None if value is None else len(_raw(value)),
    "SUBSTRING": lambda value, start, length: value[start - 1 : start - 1 + length],
    "to_varbinary": lambda value: None if value is None else _raw(value),
    "to_nvarchar": lambda value, *_: None if value is None else str(value),
    "to_uuid": lambda value: value.upper(),
    "to_datetime2": _to_time,
}


def collation(fold: Callable[[str], str]) -> Callable[[str, str], int]:
    """Return how texts are compared: unit by unit, the shorter one as if blanks followed it."""

    def compared(first: str, second: str) -> int:
        one, other = fold(first), fold(second)
        if one == other:
            return 0
        length = max(len(one), len(other))
        keys = [unmapped(each.ljust(length)).encode("utf-16-be", "surrogatepass") for each in (one, other)]
        return (keys[0] > keys[1]) - (keys[0] < keys[1])

    return compared
