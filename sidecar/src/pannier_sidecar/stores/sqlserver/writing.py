"""The statement of a write, and which writes and keys the table takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.sql_writes import key_of
from pannier_sidecar.state.errors import KeyRefusedError
from pannier_sidecar.state.requests import Set, Write

from .layout import EXACT, version_of
from .statements import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layout import Table
    from .statements import Statement, Statements

BYTES_AT_ONCE: Final = 1024 * 1024
"""Bytes of values in one statement, so that none holds locks for long; one value may be more."""


def statement_of(write: Write, statements: Statements) -> Statement:
    """Return the statement of one write, which counts rows. Raises InvalidETagError."""
    if isinstance(write, Set):
        if write.if_match is not None:
            return statements.replace(write, write.if_match)
        return statements.create([write]) if write.if_absent else statements.write([write])
    if write.if_match is not None:
        return statements.delete_matching(write.key, write.if_match)
    return statements.find(write.key) if write.if_absent else statements.delete([write.key])


def statement_of_many(run: Sequence[Write], statements: Statements, table: Table) -> Statement | None:
    """Return one statement for a run of writes that go together; None: they need a transaction, or several."""
    if run[0].is_conditional or len(run) > MAX_ROWS:
        return None
    sets = [write for write in run if isinstance(write, Set)]
    if not sets:
        return statements.delete(sorted(write.key for write in run))
    if table.is_exact and sum(len(write.value) for write in sets) <= BYTES_AT_ONCE:
        return statements.write(sorted(sets, key=key_of))
    return None


def taken_for_another(key: str, table: Table) -> KeyRefusedError:
    """Return the error of a key that the table takes for another one, which is there."""
    advice = "" if table.is_exact else f"; have its owner give the column the collation {EXACT}"
    return KeyRefusedError(
        f"the table takes key {key} for another one that is there, because the collation of its column Key ignores "
        f"case, accents or blanks at the end{advice}"
    )


def check_write(write: Write, table: Table) -> None:
    """Raise KeyRefusedError for a key that the table cannot hold, and InvalidETagError."""
    table.check(write.key)
    if write.if_match is not None:
        version_of(write.key, write.if_match)
