"""Reads the bodies of reviews within bounds on the size of each body, on the size of all together, on the time that one
takes, and on the number of values in it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

MAX_REVIEW: Final = 16 * 1024 * 1024
"""Bytes. API servers take requests of up to 3 MiB; a review holds two such objects."""
LARGE_REVIEW: Final = 512 * 1024
"""Bytes. Larger ones are parsed and answered one at a time: parsed, each may take ten times as much memory."""
MAX_VALUES: Final = 500_000
"""Objects, lists and commas in a review. A value that takes two bytes in the body takes at least 50 in memory."""
_MAX_OF_LARGE: Final = 3 * MAX_REVIEW
_MAX_OF_SMALL: Final = 32 * LARGE_REVIEW
"""Bytes of all reviews of a kind that are being read or answered."""
_READING: Final = 10.0
"""Seconds for a body to arrive: as long as API servers wait for an answer."""
_API: Final = "admission.k8s.io/v1"


class BodyRefusedError(Exception):
    """A body that is not read to its end, or that is not a review."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class _Share:
    """The bytes that one kind of reviews may take together."""

    def __init__(self, maximum: int):
        self._maximum = maximum
        self._taken = 0
        self._readers: dict[_Reader, None] = {}

    def join(self, reader: _Reader) -> None:
        self._readers[reader] = None

    def leave(self, reader: _Reader) -> None:
        """Stop reading; the bytes stay taken until they are given back."""
        self._readers.pop(reader, None)

    def take(self, reader: _Reader, size: int) -> None:
        """Take bytes. If too few are left, the body that has been arriving for longest is given up. Raises
        BodyRefusedError.
        """
        if self._taken + size > self._maximum:
            slowest = next((each for each in self._readers if each.size), reader)
            self.leave(slowest)
            if slowest is reader:
                raise BodyRefusedError(503, "too many large reviews at once; try again in a moment")
            slowest.give_up()
        self._taken += size
        reader.size += size

    def give_back(self, reader: _Reader) -> None:
        self._taken -= reader.size
        reader.size = 0


class _Reader:
    """One body that is being read, or whose review is being answered."""

    def __init__(self, deadline: asyncio.Timeout):
        self._deadline = deadline
        self.size = 0

    def give_up(self) -> None:
        self._deadline.reschedule(asyncio.get_running_loop().time())


class Bodies:
    """Reads the bodies of reviews for one server."""

    def __init__(self) -> None:
        self._large, self._small = _Share(_MAX_OF_LARGE), _Share(_MAX_OF_SMALL)
        self._one_large_review = asyncio.Lock()

    @asynccontextmanager
    async def review_in(self, request: web.Request) -> AsyncIterator[Any]:
        """Read and parse a request's AdmissionReview. Raises BodyRefusedError."""
        length = request.content_length
        if length is not None and length > MAX_REVIEW:
            raise BodyRefusedError(413, f"a review has {MAX_REVIEW} bytes at most")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise BodyRefusedError(415, "a review is not compressed")
        is_large = length is None or length > LARGE_REVIEW
        share = self._large if is_large else self._small
        deadline = asyncio.timeout(_READING)
        reader = _Reader(deadline)
        try:
            try:
                async with deadline:
                    share.join(reader)
                    body = await _read(request, share, reader)
            except TimeoutError:
                raise BodyRefusedError(408, "the review did not arrive in time") from None
            finally:
                share.leave(reader)
            if not is_large:
                yield _parsed(body)
                return
            async with self._one_large_review:
                yield _parsed(body)
        finally:
            share.give_back(reader)


async def _read(request: web.Request, share: _Share, reader: _Reader) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        share.take(reader, len(chunk))
        body += chunk
        if len(body) > MAX_REVIEW:
            raise BodyRefusedError(413, f"a review has {MAX_REVIEW} bytes at most")
    return bytes(body)


def _parsed(body: bytes) -> Any:
    """Return an AdmissionReview of the shape that handlers rely on. Raises BodyRefusedError."""
    if sum(map(body.count, (b"{", b"[", b","))) > MAX_VALUES:
        raise BodyRefusedError(413, f"a review has {MAX_VALUES} values at most")
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyRefusedError(400, "this is not JSON, or it is nested too deeply") from None
    if not isinstance(review, dict) or (review.get("apiVersion"), review.get("kind")) != (_API, "AdmissionReview"):
        raise BodyRefusedError(400, f"write an AdmissionReview of {_API}")
    request = review.get("request")
    if not isinstance(request, dict) or not all(
        isinstance(request.get(name), kind) or (request.get(name) is None and not is_needed)
        for name, (kind, is_needed) in _PARTS.items()
    ):
        raise BodyRefusedError(400, "the request of the AdmissionReview lacks parts, or they are of other types")
    return review


_PARTS: Final[dict[str, tuple[type, bool]]] = {
    "uid": (str, True),
    "operation": (str, True),
    "resource": (dict, True),
    "userInfo": (dict, True),
    "namespace": (str, False),
    "name": (str, False),
    "object": (dict, False),
    "oldObject": (dict, False),
}
"""The parts of a request, their types, and which may not be missing."""
