"""Signing in to Google Cloud: as a service account, or with the credentials that the environment has.

Google's library does not use asyncio. So a thread signs in, one at a time, over a transport that ends in time and reads
a limited answer.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import google.auth
from google.auth import exceptions, transport
from google.oauth2 import service_account

from pannier_sidecar.network.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

SIGN_IN_ERRORS: Final = (exceptions.GoogleAuthError, ValueError, OSError)
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_MAX_ANSWER: Final = 1024 * 1024
_PART: Final = 16 * 1024
_NOT_UNDERSTOOD: Final = (AttributeError, LookupError, RecursionError, TypeError)
"""What Google's library raises for an answer whose shape it takes for granted."""


class Tokens:
    """The access token, renewed before it ends."""

    def __init__(self, account: Mapping[str, str] | None, seconds: float):
        """Sign in later: as a service account, or for None with what the environment has. A request takes at most that
        many seconds.
        """
        self._account = account
        self._request = _Request(seconds)
        self._credentials: Any = None
        self._signing_in: asyncio.Future[None] | None = None

    async def get(self) -> str:
        """Return the token. Raises SIGN_IN_ERRORS, whose meaning `why_not` says."""
        if self._credentials is None or not self._credentials.valid:
            if self._signing_in is None or self._signing_in.done():
                self._signing_in = self._begin()
            await asyncio.shield(self._signing_in)  # another caller may wait for it too
        return str(self._credentials.token)

    def _begin(self) -> asyncio.Future[None]:
        """Sign in in a thread of its own, for which the end of the process does not wait."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        ended.add_done_callback(_take_note)

        def run() -> None:
            failure: BaseException | None = None
            try:
                self._sign_in()
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_end, ended, failure)

        threading.Thread(target=run, name="sign in to Google", daemon=True).start()
        return ended

    def _sign_in(self) -> None:
        credentials = self._credentials or self._find()
        try:
            credentials.refresh(self._request)
        except _NOT_UNDERSTOOD as error:
            raise exceptions.RefreshError("the answer is not one of Google's") from error
        self._credentials = credentials

    def _find(self) -> Any:
        if self._account is None:
            return google.auth.default(scopes=[_SCOPE], request=self._request)[0]
        return service_account.Credentials.from_service_account_info(self._account, scopes=[_SCOPE])


def _end(ended: asyncio.Future[None], failure: BaseException | None) -> None:
    if failure is not None:
        ended.set_exception(failure)
    else:
        ended.set_result(None)


def _take_note(ended: asyncio.Future[None]) -> None:
    """Have asyncio not report a failure for which nobody waits any more."""
    if not ended.cancelled():
        ended.exception()


def why_not(error: BaseException) -> tuple[str, bool]:
    """Return why signing in failed, with advice, and whether it may succeed later."""
    if isinstance(error, exceptions.TransportError):
        cause = error.__cause__
        inner = getattr(cause, "reason", None)
        return (
            f"Google's token server cannot be reached: {reason(inner if isinstance(inner, OSError) else cause)}",
            True,
        )
    if isinstance(error, exceptions.RefreshError):
        if isinstance(error.__cause__, exceptions.TransportError):
            return why_not(error.__cause__)
        return (
            "Google did not sign the sidecar in; check private_key, private_key_id and client_email, or the service "
            "account of the pod",
            bool(error.retryable),
        )
    if isinstance(error, exceptions.DefaultCredentialsError) and not isinstance(error, exceptions.MalformedError):
        return (
            "no Google credentials were found; add private_key_id, private_key and client_email, or give the pod a "
            "service account (Workload Identity)",
            False,
        )
    return "private_key or the file of GOOGLE_APPLICATION_CREDENTIALS cannot be read; write the key as PEM", False


class _Response(transport.Response):  # type: ignore[misc]  # it has no types
    """An answer as Google's library takes it."""

    def __init__(self, status: int, headers: Message, data: bytes):
        self._status, self._headers, self._data = status, headers, data

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Message:
        return self._headers

    @property
    def data(self) -> bytes:
        return self._data


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: it would take a secret to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Request(transport.Request):  # type: ignore[misc]  # it has no types
    """Makes requests over HTTP; it blocks."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Response:
        """Return an answer, whatever its status. Raises TransportError."""
        end = monotonic() + self._seconds
        patience = min(timeout or self._seconds, self._seconds)
        try:
            if not url.startswith(("http://", "https://")):
                raise ValueError("the URL is not one of HTTP")
            request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)
            try:
                answer = self._opener.open(request, timeout=patience)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                return _Response(answer.status, answer.headers, _read(answer, end))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise exceptions.TransportError("the request failed") from error


def _read(answer: Any, end: float) -> bytes:
    """Return a body. Raises TimeoutError and ValueError for one that is too slow or too large."""
    parts = bytearray()
    while part := answer.read1(_PART):
        parts += part
        if len(parts) > _MAX_ANSWER:
            raise ValueError("the answer is too large")
        if monotonic() > end:
            raise TimeoutError
    return bytes(parts)
