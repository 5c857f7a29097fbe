"""The statement of a write, and the parameters of many."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pannier_sidecar.state.preconditions import absent_or_changed
from pannier_sidecar.state.requests import Set, Write

from .names import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.state.prefilter import Group

    from .layout import Layout
    from .statements import Statements


_SPECIAL: Final = re.compile(rb"[%_\\]")
"""What a pattern of LIKE has to escape."""


class Statement(NamedTuple):
    """One statement and its parameters."""

    text: str
    parameters: tuple[Any, ...]


def statement_of(write: Write, statements: Statements, layout: Layout) -> Statement:
    """Return the statement of one write. Raises ETagMismatchError and InvalidETagError for an impossible ETag."""
    name = name_of(write.key)
    etag = () if write.if_match is None else (etag_of(write, layout),)
    if isinstance(write, Set):
        parameters = (name, write.ttl, *layout.encoded(write.value), *etag)
        if etag:
            return Statement(statements.replace if write.kept_expiry is None else statements.replace_only, parameters)
        return Statement(statements.create if write.if_absent else statements.write, parameters)
    if etag:
        return Statement(statements.delete_matching, (name, *etag))
    return Statement(statements.find if write.if_absent else statements.delete, (name,))


def patterns_of(group: Group) -> list[str]:
    """Return patterns of LIKE, in hexadecimal, for values that contain one of the texts."""
    return [(b"%" + _SPECIAL.sub(rb"\\\g<0>", text) + b"%").hex() for text in group.all_texts]


def check_outcome(write: Write, status: str) -> None:
    """Raise ETagMismatchError if a statement's status, such as `UPDATE 0`, says that the precondition did not hold."""
    if write.is_conditional:
        has_row = not status.endswith(" 0")
        must_have_row = isinstance(write, Set) or not write.if_absent
        if has_row is not must_have_row:
            raise absent_or_changed(write)


def etag_of(write: Write, layout: Layout) -> object:
    """Return the ETag that must be current as PostgreSQL takes it. Raises ETagMismatchError and InvalidETagError."""
    etag = layout.parsed(write.if_match or "")
    if etag is None:
        raise absent_or_changed(write)
    return etag


def columns_of(sets: Sequence[Set], layout: Layout) -> tuple[Any, ...]:
    """Return the parameters of `write_many`. The keys must differ."""
    named = sorted(((name_of(write.key), write) for write in sets), key=itemgetter(0))
    ttls = [None if write.ttl is None else str(write.ttl) for _, write in named]
    return [name for name, _ in named], ttls, *layout.columns([write.value for _, write in named])


def statement_of_many(run: Sequence[Write], statements: Statements, layout: Layout) -> Statement:
    """Return the statement of a run of several writes; if they are conditional, its rows are the keys written.

    Raises ETagMismatchError and InvalidETagError for an impossible ETag.
    """
    sets = [write for write in run if isinstance(write, Set)]
    if not sets:
        return Statement(statements.delete_many, ([name_of(write.key) for write in run],))
    if sets[0].if_match is not None:
        sets.sort(key=lambda write: name_of(write.key))
        etags = [str(etag_of(write, layout)) for write in sets]
        return Statement(statements.replace_many, (*columns_of(sets, layout), etags))
    return Statement(statements.create_many if sets[0].if_absent else statements.write_many, columns_of(sets, layout))
