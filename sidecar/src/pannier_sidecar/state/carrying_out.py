"""Carries out writes, each as often as its retry policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import retries
from .errors import StoreError
from .requests import Set

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from .directory import ServedStore
    from .requests import RetryPolicy, Write, WriteItem


async def carry_out_each(
    served: ServedStore, items: Sequence[WriteItem], writes: Sequence[Write], is_short: Callable[[], bool]
) -> Sequence[StoreError | None]:
    """Carry out the writes in order; a write with a retry policy is tried again before the next one begins."""
    if not any(item.retry for item in items):
        return await served.store.bulk_write(writes)
    return [await _error_of(served, write, item.retry, is_short) for item, write in zip(items, writes, strict=True)]


async def _error_of(
    served: ServedStore, write: Write, policy: RetryPolicy | None, is_short: Callable[[], bool]
) -> StoreError | None:
    try:
        await with_retries(served, write, policy, is_short)
    except StoreError as error:
        return error
    return None


def with_retries(
    served: ServedStore, write: Write, policy: RetryPolicy | None, is_short: Callable[[], bool]
) -> Coroutine[Any, Any, None]:
    return retries.attempt(
        lambda: carry_out(served, write, policy), policy, is_conditional=write.is_conditional, is_short=is_short
    )


def carry_out(served: ServedStore, write: Write, policy: RetryPolicy | None = None) -> Awaitable[None]:
    """Carry out a write once if it has a retry policy, which goes before those of a Resiliency."""
    store = served.store if policy is None else served.store.unretried
    return store.set(write) if isinstance(write, Set) else store.delete(write)
