"""The alpha query API: looks through the app's own values, and returns those that a query asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from .bulk_reads import BulkItem, read_values
from .errors import MalformedQueryError, OperationFailedError, QueryNotSupportedError, StoreError, StoreRefusedError
from .listing import own_keys
from .prefilter import needed_by
from .queries import parse
from .requests import MAX_LIMIT, Get, in_partition
from .store import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .bytes_in_flight import BytesInFlight
    from .directory import ServedStore
    from .key_lists import Calls
    from .limits import Limits
    from .pacing import Pace
    from .queries import Query, Rank

MAX_SCANNED: Final = 10_000
"""Maximum of values that one query reads."""
_AT_ONCE: Final = 250
"""Keys whose values are held at the same time while a query looks through them."""


class Results(NamedTuple):
    """A page of what a query has found."""

    items: Sequence[BulkItem]
    token: str | None
    """For the next page; None: there is none."""


class _Match(NamedTuple):
    """A value that matched; the value itself is read again when its page is made."""

    ranks: Sequence[Rank]
    key: str
    get: Get


class Queries:
    """Runs queries."""

    def __init__(self, calls: Calls, limits: Limits, bytes_in_flight: BytesInFlight, pace: Pace):
        self._calls = calls
        self._largest_answer = limits.answer
        self._bytes_in_flight = bytes_in_flight
        self._pace = pace

    async def run(self, store: str | None, body: bytes) -> Results:
        """Return a page of the app's own values that match, in the order of the query.

        Raises StoreNotFoundError, StoreNotReadyError, QueryNotSupportedError, MalformedQueryError for a query that
        cannot be read or would look through too much, and OperationFailedError.
        """
        served = self._calls.directory.find(store)
        if not served.supports(Feature.KEYS_LIKE):
            raise QueryNotSupportedError(served.name)
        query = parse(body, served.name)
        try:
            results: Results = await self._calls.counted(served, "query", self._results(served, query))
        except StoreError as error:
            what = f"state store {served.name} query failed"
            raise OperationFailedError("ERR_STATE_QUERY", what, [("", error)]) from error
        return results

    async def _results(self, served: ServedStore, query: Query) -> Results:
        matches = await self._matches(served, query)
        matches.sort(key=lambda match: match.key)
        for place, key in reversed(list(enumerate(query.sort))):
            matches.sort(key=lambda match: match.ranks[place], reverse=key.is_descending)  # used at once
            matches.sort(key=lambda match: match.ranks[place].is_absent)
        end = query.start + min(query.limit or MAX_LIMIT, MAX_LIMIT)
        page = matches[query.start : end]
        items = await self._read(served, page)
        still = [item for item in items if item.error is not None or item.found is not None]
        return Results(still, str(end) if end < len(matches) else None)

    async def _matches(self, served: ServedStore, query: Query) -> list[_Match]:
        matches: list[_Match] = []
        scanned, cursor = 0, None
        listing = own_keys(served, prefix="", max_cursor=2**31, needed=needed_by(query.filter))
        while True:
            listed, cursor = await listing.page(_AT_ONCE, cursor)
            scanned += len(listed)
            if scanned > MAX_SCANNED:
                why = f"over {MAX_SCANNED} of the app's values would have to be read to find those that match"
                advice = "ask for a text that few values have, or keep what is queried in a store of its own"
                raise MalformedQueryError(served.name, why, advice)
            found = [_Match((), each.key, Get(each.stored, metadata=in_partition(each.partition))) for each in listed]
            items = await self._read(served, found)
            judged = await self._pace.each(partial(_judged, query), list(zip(found, items, strict=True)))
            matches += [match for match in judged if match is not None]
            if cursor is None:
                return matches

    async def _read(self, served: ServedStore, matches: Sequence[_Match]) -> Sequence[BulkItem]:
        keys, gets = [match.key for match in matches], [match.get for match in matches]
        return await read_values(served.store, keys, gets, self._largest_answer, self._bytes_in_flight)


def _judged(query: Query, read: tuple[_Match, BulkItem]) -> _Match | None:
    """Return the match with what it is sorted by; None if its value does not match, or is no JSON."""
    match, item = read
    if item.is_in_parts:  # a query finds none of them, which docs/large-values.md says
        return None
    if item.error is not None:  # it might match, so the answer would be incomplete without a word
        raise StoreRefusedError(f"key {match.key!r}: {item.error}; a query reads every value")
    if item.found is None:
        return None
    try:
        value: Any = msgspec.json.decode(item.found.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return match._replace(ranks=query.ranks(value)) if query.matches(value) else None
