"""Checks the host and origin of requests, and answers browsers in the Fetch standard's CORS protocol."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from .encoding import refusal
from .messages import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..access import AccessControl
    from .messages import Call

_METHODS: Final = b"GET, HEAD, POST, PUT, DELETE"
_EXPOSED: Final = b"etag, metadata.ttlexpiretime, retry-after, traceparent, tracestate"
_VARY: Final = (b"vary", b"origin, access-control-request-method, access-control-request-headers")
_MAX_AGE: Final = b"600"
"""Seconds for which a browser may cache the answer to a preflight."""


def guarded(
    answer: Callable[[Call], Awaitable[Answer]], access: AccessControl, *, answers_as_dapr: bool = False
) -> Callable[[Call], Awaitable[Answer]]:
    """Return a function that answers the same calls, but refuses other hosts and origins.

    With `answers_as_dapr`, preflights get Dapr's statuses. Preflights of other origins get no CORS headers, which a
    browser takes for a refusal.
    """
    known = access.known_hosts

    async def judged(call: Call) -> Answer:
        headers = call.headers
        origin = headers.get(b"origin")
        is_preflight = call.method == b"OPTIONS" and b"access-control-request-method" in headers
        if answers_as_dapr and is_preflight and access.refusal(headers.get(b"host"), None) is None:
            if not access.allowed_origins:
                return await answer(call)
            if access.refusal(headers.get(b"host"), origin) is not None:
                return Answer(200, headers=(_VARY,))
        refused = access.refusal(headers.get(b"host"), origin)
        if refused is not None:
            return refusal(refused.http_status, refused.code, refused.message)
        if origin is None:
            return await answer(call)
        if is_preflight:
            return _preflight(call, access, origin, 200 if answers_as_dapr else 204)
        answered = copy(await answer(call))  # a copy, because answers are shared
        answered.headers = (
            *answered.headers,
            *_allowing(access, origin),
            (b"access-control-expose-headers", _EXPOSED),
        )
        return answered

    def guarded_answer(call: Call) -> Awaitable[Answer]:
        headers = call.headers
        if headers.get(b"host") in known and b"origin" not in headers:
            return answer(call)
        return judged(call)

    return guarded_answer


def passes(access: AccessControl, call: Call) -> bool:
    """Return whether `guarded` would pass a call on unchanged."""
    headers = call.headers
    return b"origin" not in headers and access.refusal(headers.get(b"host"), None) is None


def _allowing(access: AccessControl, origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
    if access.allows_any_origin:
        return ((b"access-control-allow-origin", b"*"),)
    return ((b"access-control-allow-origin", origin), (b"vary", b"origin"))


def _preflight(call: Call, access: AccessControl, origin: bytes, status: int) -> Answer:
    """Answer a preflight, in which a browser asks whether a page may send a request. It has no token yet."""
    headers = [_allowing(access, origin)[0], _VARY, (b"access-control-allow-methods", _METHODS)]
    if wanted := call.headers.get(b"access-control-request-headers"):
        headers.append((b"access-control-allow-headers", wanted))
    if b"access-control-request-private-network" in call.headers:
        headers.append((b"access-control-allow-private-network", b"true"))
    headers.append((b"access-control-max-age", _MAX_AGE))
    return Answer(status, headers=tuple(headers))
