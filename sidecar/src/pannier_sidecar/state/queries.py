"""Queries of the alpha API: reads them, and decides which values match and in which order. No I/O.

    {"filter": {"AND": [{"EQ": {"person.org": "A"}}, {"IN": {"state": ["CA", "WA"]}}]},
     "sort": [{"key": "state", "order": "DESC"}],
     "page": {"limit": 10, "token": "..."}}

A path such as `person.org` names a field of objects within objects. All parts are optional; without a filter every
value matches. What the operators mean is in docs/decisions/0030-queries-read-the-apps-own-values.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from .errors import MalformedQueryError

MAX_CONDITIONS: Final = 100
"""Maximum of conditions in a filter."""
MAX_DEPTH: Final = 16
"""Maximum of filters within filters, and of lists and objects within each other in an operand."""
MAX_SORT_KEYS: Final = 8
"""Maximum of keys to sort by, because each is held for every match."""
MAX_RANKED: Final = 256
"""Characters of a text that decide its place in the order."""
_ABSENT: Final = object()


class Operator(StrEnum):
    """How a condition compares a field with its operand."""

    EQ = "EQ"
    NEQ = "NEQ"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    IN = "IN"


class Condition(Struct, frozen=True):
    """A filter on one field."""

    operator: Operator
    path: tuple[str, ...]
    operand: Any
    """JSON as Python has it; a list for IN."""

    def matches(self, value: Any) -> bool:
        """Return whether a value, JSON as Python has it, matches."""
        found = field_of(value, self.path)
        if self.operator is Operator.NEQ:
            return not is_equal(found, self.operand)
        if self.operator is Operator.EQ:
            return is_equal(found, self.operand)
        if self.operator is Operator.IN:
            return any(is_equal(found, operand) for operand in self.operand)
        return self._is_ordered(found)

    def _is_ordered(self, found: Any) -> bool:
        if not _are_comparable(found, self.operand):
            return False
        if self.operator is Operator.GT:
            return bool(found > self.operand)
        if self.operator is Operator.GTE:
            return bool(found >= self.operand)
        if self.operator is Operator.LT:
            return bool(found < self.operand)
        return bool(found <= self.operand)


class Junction(Struct, frozen=True):
    """Several filters of which all, or any, must match."""

    needs_all: bool
    """True: AND; False: OR."""
    filters: Sequence[Filter]

    def matches(self, value: Any) -> bool:
        """Return whether a value, JSON as Python has it, matches."""
        judge = all if self.needs_all else any
        return judge(each.matches(value) for each in self.filters)


Filter = Condition | Junction


class SortKey(Struct, frozen=True):
    """One field to sort by."""

    path: tuple[str, ...]
    is_descending: bool = False


class Query(Struct, frozen=True):
    """A query as it was sent."""

    filter: Filter | None = None
    """None: every value matches."""
    sort: Sequence[SortKey] = ()
    limit: int | None = None
    start: int = 0
    """How many matches the pages before have held; the token says so."""

    def matches(self, value: Any) -> bool:
        """Return whether a value, JSON as Python has it, matches."""
        return self.filter is None or self.filter.matches(value)

    def ranks(self, value: Any) -> list[Rank]:
        """Return what a value is sorted by, for each key of the sort."""
        return [_rank(field_of(value, key.path)) for key in self.sort]


class Rank(NamedTuple):
    """A field's place in the order: kinds are apart, and lists, objects and nulls are alike."""

    kind: int
    value: Any
    is_absent: bool = False
    """Absent fields come last, in either order."""


def field_of(value: Any, path: tuple[str, ...]) -> Any:
    """Return the field at a path; an object that equals nothing if it is absent."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def is_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: 1 equals 1.0, but true does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(one[name], other[name]) for name in one)
    return bool(one == other)


def _are_comparable(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) and _kind(one) in (_NUMBER, _TEXT)


_FALSE_OR_TRUE, _NUMBER, _TEXT, _OTHER = range(4)


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return _FALSE_OR_TRUE
    if isinstance(value, int | float):
        return _NUMBER
    return _TEXT if isinstance(value, str) else _OTHER


def _rank(value: Any) -> Rank:
    kind = _kind(value)
    if kind == _OTHER:
        return Rank(kind, 0, value is _ABSENT)
    return Rank(kind, value[:MAX_RANKED] if isinstance(value, str) else value)


# --- reading ----------------------------------------------------------------------------------------------------------


def parse(body: bytes, store: str) -> Query:
    """Return the query of a request's body. Raises MalformedQueryError, which names the place in it."""
    try:
        try:
            sent = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _RefusedError(f"the body is no JSON: {error}", 'write {"filter": {"EQ": {"field": 1}}}') from error
        return _query(sent)
    except _RefusedError as error:
        why, advice = error.args
        raise MalformedQueryError(store, f"failed to parse JSON query body: {why}", advice) from error


def _query(sent: Any) -> Query:
    fields = _object(sent, "$", ("filter", "sort", "page"))
    page = _object(fields.get("page") or {}, "$.page", ("limit", "token"))
    token = str(page.get("token") or "0")
    if not (token.isascii() and token.isdigit() and len(token) < 10):
        raise _RefusedError(f"$.page.token is {token[:50]!r}", "write the token of the page before, or none")
    return Query(
        _Filters().read(fields["filter"], "$.filter", 0) if fields.get("filter") else None,
        _sort_keys(fields.get("sort") or ()),
        _limit(page.get("limit")),
        int(token),
    )


class _RefusedError(Exception):
    """A part of the query cannot be read: why, and what to write."""


class _Filters:
    """Reads a filter, and counts its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def read(self, sent: Any, place: str, depth: int) -> Filter:
        if depth >= MAX_DEPTH:
            raise _RefusedError(f"filters are nested over {MAX_DEPTH} deep at {place}", "write a flatter filter")
        if not isinstance(sent, dict) or len(sent) != 1:
            raise _RefusedError(f"{place} has to be an object with one operator", f"write one of {_OPERATORS}")
        ((name, operand),) = sent.items()
        place = f"{place}.{name}"
        if name in ("AND", "OR"):
            if not isinstance(operand, list) or len(operand) < 2:
                raise _RefusedError(
                    f"{place} has to be an array of two filters or more", "a single one needs no operator"
                )
            filters = [self.read(each, f"{place}[{index}]", depth + 1) for index, each in enumerate(operand)]
            return Junction(name == "AND", filters)
        if name not in Operator.__members__:
            raise _RefusedError(f"{place[:100]} is no operator", f"write one of {_OPERATORS}, in capitals")
        return self._condition(Operator(name), operand, place)

    def _condition(self, operator: Operator, sent: Any, place: str) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _RefusedError(f"the filter has over {MAX_CONDITIONS} conditions", "use IN, or several queries")
        if not isinstance(sent, dict) or len(sent) != 1:
            raise _RefusedError(
                f"{place} has to be an object with one field", f'write {{"{operator}": {{"field": 1}}}}'
            )
        ((path, operand),) = sent.items()
        if operator is Operator.IN and not isinstance(operand, list):
            raise _RefusedError(f"{place} has to have an array", 'write {"IN": {"field": [1, 2]}}')
        if not _is_shallow(operand, MAX_DEPTH):
            raise _RefusedError(f"{place} has a value nested over {MAX_DEPTH} deep", "compare a field inside it")
        if operator in _ORDERING and _kind(operand) not in (_NUMBER, _TEXT):
            raise _RefusedError(f"{place} compares with a number or a text only", "write EQ or NEQ for other values")
        return Condition(operator, _path(path, place), operand)


_OPERATORS: Final = ", ".join((*Operator, "AND", "OR"))
_ORDERING: Final = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)


def _sort_keys(sent: Any) -> list[SortKey]:
    if not isinstance(sent, list | tuple) or len(sent) > MAX_SORT_KEYS:
        raise _RefusedError(f"$.sort has to be an array of at most {MAX_SORT_KEYS} keys", 'write [{"key": "field"}]')
    keys = []
    for index, each in enumerate(sent):
        place = f"$.sort[{index}]"
        fields = _object(each, place, ("key", "order"))
        order = fields.get("order") or "ASC"
        if order not in ("ASC", "DESC"):
            raise _RefusedError(f"{place}.order is {str(order)[:50]!r}", "write ASC or DESC")
        keys.append(SortKey(_path(_text(fields.get("key"), f"{place}.key"), place), order == "DESC"))
    return keys


def _is_shallow(operand: Any, depth: int) -> bool:
    inner = operand.values() if isinstance(operand, dict) else operand if isinstance(operand, list) else ()
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in inner)


def _object(sent: Any, place: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(sent, dict):
        raise _RefusedError(f"{place} has to be an object", f"with the fields {', '.join(known)}")
    for name in sent:
        if name not in known:
            raise _RefusedError(f"{place}.{name[:50]} is unknown", f"known fields: {', '.join(known)}")
    return sent


def _limit(sent: Any) -> int | None:
    if sent is None:
        return None
    if _kind(sent) != _NUMBER or not isinstance(sent, int) or sent < 0:
        raise _RefusedError(f"$.page.limit is {str(sent)[:50]!r}", "write a whole number")
    return sent or None


def _path(text: str, place: str) -> tuple[str, ...]:
    names = tuple(text.split("."))
    if not all(names):
        raise _RefusedError(f"{place} has the path {text[:100]!r}", "write names of fields, joined by dots")
    return names


def _text(sent: Any, place: str) -> str:
    if not isinstance(sent, str) or not sent:
        raise _RefusedError(f"{place} has to be a text", "and not empty")
    return sent
