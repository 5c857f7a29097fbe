"""How large an answer of a server may be.

A server that is broken, or is not the one that it should be, may announce or send more than this process has memory
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pannier_sidecar.state.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Key = TypeVar("Key")
Found = TypeVar("Found")

_DEFAULT: Final = 32 * 1024 * 1024
RATE: Final = 16 * 1024
"""Bytes a second that must come in, or go out, for a call to go on after its timeout has passed."""


class _Limit:
    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = _DEFAULT


_limit: Final = _Limit()


def limit() -> int:
    """Return how many bytes one answer may have."""
    return _limit.bytes


def allow(size: int) -> None:
    """Allow answers of `size` bytes in the whole process, on connections that are made from now on."""
    _limit.bytes = size


class AnswerTooLargeError(StoreUnavailableError):
    """The answer to a read is larger than answers may be."""


def too_large(server: object) -> AnswerTooLargeError:
    """Return the error for an answer of this server."""
    return AnswerTooLargeError(f"{server} sent an answer of more than {limit() >> 20} MiB")


async def read_in_parts(read: Callable[[Sequence[Key]], Awaitable[Found]], keys: Sequence[Key]) -> list[Found]:
    """Return what `read` returns for the keys: for all at once, or for fewer at a time if an answer is too large.

    Raises what `read` does; AnswerTooLargeError for a key whose value alone is too large.
    """
    try:
        return [await read(keys)]
    except AnswerTooLargeError:
        if len(keys) == 1:
            raise
        half = len(keys) // 2
        return [*await read_in_parts(read, keys[:half]), *await read_in_parts(read, keys[half:])]
