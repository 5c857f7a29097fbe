"""The statement of a write, and which writes the table takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.sql_writes import key_of
from pannier_sidecar.state.errors import KeyRefusedError, StoreRefusedError
from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Set, Write

from .layout import LAST_EXPIRY, MAX_ETAG, check_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .statements import Statements

BYTES_AT_ONCE: Final = 256 * 1024
"""Bytes of values in one statement, so that it is smaller than a server's max_allowed_packet; one value may be more."""
DAY: Final = 86_400
"""Seconds by which the clock of the server may differ."""


def statement_of(write: Write, statements: Statements) -> str:
    """Return the statement of one write."""
    if isinstance(write, Set):
        if write.if_match is not None:
            return statements.replace(write, write.if_match)
        return statements.create(write) if write.if_absent else statements.write([write])
    if write.if_match is not None:
        return statements.delete_matching(write.key, write.if_match)
    return statements.find(write.key) if write.if_absent else statements.delete(write.key)


def statement_of_many(run: Sequence[Write], statements: Statements, *, is_exact: bool) -> str | None:
    """Return one statement for a run of writes that go together; None: they need a transaction, or several."""
    if run[0].is_conditional:
        return None
    sets = [write for write in run if isinstance(write, Set)]
    if not sets:
        return statements.delete_many(sorted(write.key for write in run))
    if is_exact and sum(len(write.value) for write in sets) <= BYTES_AT_ONCE:
        return statements.write(sorted(sets, key=key_of))
    return None


def check_etag(write: Write) -> None:
    """Raise ETagMismatchError for an ETag that is longer than any that a row can have."""
    if write.if_match is not None and len(write.if_match) > MAX_ETAG:
        raise absent_or_changed(write)


def taken_for_another(key: str) -> KeyRefusedError:
    """Return the error of a key that the table takes for another one, which is there."""
    return KeyRefusedError(
        f"the table takes key {key} for another one that is there, because the collation of its column id ignores "
        "case, accents or trailing spaces; change it with ALTER TABLE ... MODIFY id VARCHAR(255) ... COLLATE ..."
    )


def check_write(write: Write, max_key: int, now: float) -> None:
    """Raise KeyRefusedError for a key that is too long, StoreRefusedError for an expiry that MySQL can't hold, and
    ETagMismatchError for an ETag that no row can have. `now` is the Unix time.
    """
    check_key(write.key, max_key)
    check_etag(write)
    if isinstance(write, Set) and write.ttl is not None and now + write.ttl > LAST_EXPIRY - DAY:
        raise StoreRefusedError(
            f"ttlInSeconds of key {write.key} ends after January 2038, and MySQL holds no later time; write a smaller "
            "one, or -1 for none"
        )
