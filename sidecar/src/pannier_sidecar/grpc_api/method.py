"""What a service declares for each of its methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from msgspec import Struct

from ..http2.headers import Headers
from .fast_path import FastMethod


class Messages(Protocol):
    """The messages of a streamed answer, one by one."""

    def __aiter__(self) -> Messages: ...
    async def __anext__(self) -> bytes:
        """Return the next message, encoded. Raises StopAsyncIteration after the last one, and StatusError for a status
        other than OK.
        """

    async def aclose(self) -> None:
        """Free what the answer needs. No message is asked for at the same time or later."""


class Method(Struct):
    """How the calls of one method are answered. `Services` exchanges `answer`, `fast` and `stream` in place, because
    connections keep the methods of calls whose headers they have seen.
    """

    answer: Callable[[bytes, Headers], Awaitable[bytes]]
    """Takes a message and the call's headers, and returns the answer. Raises StatusError for a status other than OK."""
    is_streaming: bool = False
    """Each message of the client is answered as it comes; otherwise a request has exactly one."""
    poll_interval: float | None = None
    """For server streaming by polling: seconds between two calls of `answer`. Each answer that differs from the last
    one is sent, until the client cancels the call."""

    fast: FastMethod | None = None
    """Begins its plain calls without a task; None: no call takes the fast path."""

    stream: Callable[[bytes, Headers], Awaitable[Messages]] | None = None
    """For server streaming: begins an answer of many messages, instead of `answer`."""

    is_unary: bool = True
    """It has one answer, after which the call ends; computed."""

    def __post_init__(self) -> None:
        self.is_unary = not self.is_streaming and self.poll_interval is None and self.stream is None


async def _no_answer(message: bytes, headers: Headers) -> bytes:
    raise AssertionError("a request that is no call, or has a streamed answer, is not answered so")


def streamed(stream: Callable[[bytes, Headers], Awaitable[Messages]]) -> Method:
    """Return a method with a streamed answer."""
    return Method(_no_answer, stream=stream)


NOT_GRPC: Final = Method(_no_answer)
"""The method of requests that are not gRPC calls."""
