"""For databases that accept a key only once in a request: joins a transaction's writes by key, cuts bulk writes into
runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from .errors import ETagMismatchError
from .requests import Delete, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .requests import Write


def joined(writes: Iterable[Write]) -> list[Write]:
    """Return one write for each key: it has the preconditions of all writes to that key, and the effect of the last.
    All preconditions are about the state before the transaction. Raises ETagMismatchError if no state can fulfil them.
    """
    by_key: dict[str, Write] = {}
    for write in writes:
        earlier = by_key.get(write.key)
        by_key[write.key] = write if earlier is None else _joined(earlier, write)
    return list(by_key.values())


def _joined(earlier: Write, later: Write) -> Write:
    wanted = {etag for etag in (earlier.if_match, later.if_match) if etag is not None}
    if_absent = earlier.if_absent or later.if_absent
    if len(wanted) > 1 or (wanted and if_absent):
        raise ETagMismatchError(
            f"the transaction expects key {later.key} to have two ETags, or one and none; give it one"
        )
    strong = earlier.strong or later.strong
    return replace(later, if_match=next(iter(wanted), None), if_absent=if_absent, strong=strong)


def with_distinct_keys(
    writes: Sequence[Write], max_length: int = 0, go_together: Callable[[Write, Write], bool] | None = None
) -> Iterator[range]:
    """Cut a sequence into runs, as long as possible, in which no key occurs twice.

    They have at most `max_length` writes, unless that is 0, and only writes that `go_together` with the first one.
    """
    start = 0
    keys: set[str] = set()
    for place, write in enumerate(writes):
        if place > start and (
            write.key in keys
            or place - start == max_length
            or (go_together is not None and not go_together(writes[start], write))
        ):
            yield range(start, place)
            start = place
            keys.clear()
        keys.add(write.key)
    if start < len(writes):
        yield range(start, len(writes))


def are_of_one_kind(one: Write, other: Write) -> bool:
    """Return whether two writes are sets with the same kind of precondition, or deletes without one: a store can carry
    them out together.
    """
    if isinstance(one, Set):
        kind = (one.if_absent, one.if_match is None)
        return isinstance(other, Set) and kind == (other.if_absent, other.if_match is None)
    return isinstance(other, Delete) and not one.is_conditional and not other.is_conditional
