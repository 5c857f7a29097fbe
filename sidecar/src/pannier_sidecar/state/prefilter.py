"""What the text of a value must contain so that it can match a query. No I/O.

Databases compare JSON in ways of their own, and most values are stored as bytes that a database cannot read. But any
database can search bytes. Those without what a match must contain surely do not match; all others are read and judged
by `queries.py`. So the answer is the same with and without a prefilter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .queries import Junction, Operator

if TYPE_CHECKING:
    from .queries import Filter

MAX_GROUPS: Final = 4
MAX_TEXTS: Final = 64
"""In a group."""
MAX_BYTES: Final = 4096
"""Of all texts of a group."""
FRACTIONS: Final = tuple(f"{digit}{mark}".encode() for digit in range(10) for mark in ".eE")
"""Every number that is not written as an integer contains one of these. It may equal an integer: 1.2e1, or 12.0, or
11.99999999999999999999, which is rounded to 12.
"""
_MIN_NUMBER: Final = 10
"""Smaller numbers are part of most texts, so looking for them is of no use."""
_WORDS: Final = {True: b"true", False: b"false", None: b"null"}


class Group(NamedTuple):
    """A value must contain one of the texts, which are UTF-8 without NUL."""

    texts: tuple[bytes, ...]
    or_fraction: bool = False
    """Whether one of FRACTIONS suffices too. Databases have shorter ways to look for a digit and a mark."""
    is_of_name: bool = False
    """Whether the texts spell the name of a field, which most values may have."""

    @property
    def all_texts(self) -> tuple[bytes, ...]:
        """The texts, and those of FRACTIONS if one of them suffices."""
        return (*self.texts, *FRACTIONS) if self.or_fraction else self.texts

    @property
    def merit(self) -> tuple[bool, bool, int, int]:
        """What sorts the groups that leave out most first: few texts, and long ones, that are no names."""
        return self.is_of_name, self.or_fraction, len(self.texts), -max(map(len, self.texts), default=0)

    @property
    def is_small(self) -> bool:
        return len(self.texts) <= MAX_TEXTS and sum(map(len, self.texts)) <= MAX_BYTES


Needed = Sequence[Group]
"""All of these groups are needed; if there is none, every value may match."""


def needed_by(query: Filter | None) -> Needed:
    """Return what values must contain that match a filter: the few groups that leave out most."""
    groups = dict.fromkeys(_groups(query)) if query is not None else ()
    return sorted((group for group in groups if group.is_small), key=attrgetter("merit"))[:MAX_GROUPS]


def _groups(query: Filter) -> list[Group]:
    if isinstance(query, Junction):
        parts = [_groups(each) for each in query.filters]
        return [group for part in parts for group in part] if query.needs_all else _any_of(parts)
    if query.operator is Operator.NEQ:  # an absent field matches too
        return []
    groups = [Group(_text(name), is_of_name=True) for name in query.path]
    if query.operator is Operator.EQ:
        groups += _equal_to(query.operand)
    elif query.operator is Operator.IN:
        groups += _any_of([_equal_to(each) for each in query.operand])
    return groups


def _any_of(parts: Iterable[list[Group]]) -> list[Group]:
    """Return what is needed where any of several parts suffices: one of the best group of each."""
    best = []
    for part in parts:
        if not part:
            return []
        best.append(min(part, key=attrgetter("merit")))
    texts = dict.fromkeys(text for group in best for text in group.texts)
    or_fraction, is_of_name = any(group.or_fraction for group in best), any(group.is_of_name for group in best)
    return [Group(tuple(texts), or_fraction, is_of_name)] if best else []


def _equal_to(operand: Any) -> list[Group]:
    if isinstance(operand, bool) or operand is None:
        return [Group((_WORDS[operand],))]
    if isinstance(operand, str):
        return [Group(_text(operand))]
    if isinstance(operand, list):
        return [group for each in operand for group in _equal_to(each)]
    if isinstance(operand, dict):
        names = [Group(_text(name), is_of_name=True) for name in operand]
        return [*names, *(group for each in operand.values() for group in _equal_to(each))]
    if operand != int(operand):
        return [Group((), or_fraction=True)]
    return [Group((str(int(operand)).encode(),), or_fraction=True)] if abs(operand) >= _MIN_NUMBER else []


def _text(text: str) -> tuple[bytes, ...]:
    """Return how JSON may spell a text: as it is, or with an escape somewhere (RFC 8259, section 7)."""
    if any(character in '"\\' or character < " " for character in text):
        return (b"\\",)
    if "/" in text:
        escape = b"\\"
    else:  # other characters are escaped by their numbers alone
        escape = b"\\u00" if text.isascii() else b"\\u"
    return f'"{text}"'.encode("utf-8", "surrogatepass"), escape
