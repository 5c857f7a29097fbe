"""What httpx reports, in the words of `calls`."""

from __future__ import annotations

import httpx

from .calls import LostError, NotSentError, Reply

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def reply_of(answer: httpx.Response) -> Reply:
    """Return an answer whose body has been read."""
    return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content)


def failure_of(error: httpx.HTTPError) -> NotSentError | LostError:
    """Return whether a request that has failed was sent. Of httpx's words only the type of the error is shown."""
    where = f"the sidecar at {error.request.url.host}:{error.request.url.port or 80}"
    if isinstance(error, _NOT_SENT):
        return NotSentError(
            f"{where} cannot be reached ({type(error).__name__}); start it, or check url or DAPR_HTTP_PORT"
        )
    if isinstance(error, httpx.TimeoutException):
        return LostError(f"{where} did not answer in time ({type(error).__name__})")
    return LostError(f"the connection to {where} was lost ({type(error).__name__})")
