"""Requests over HTTP to one server, for stores whose database has an HTTP API: no write is sent twice, and neither
answers nor connections are without a limit.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
from yarl import URL

from pannier_sidecar.network.connections import Connections, TooManyConnectionsError
from pannier_sidecar.network.http_answers import PLAIN, BoundedResponse, bounded
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError, unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONNECTIONS: Final = 32
"""Further calls wait for one."""


class Answer(NamedTuple):
    """An answer of the server."""

    status: int
    fields: Mapping[str, str]
    """Header fields; their names are looked up in any case."""
    body: bytes


class Wording(NamedTuple):
    """What messages say about the server."""

    server: str
    """Its name and address, such as `Consul at 127.0.0.1:8500`."""
    check: str
    """What to check if there is no connection."""
    about_tls: str
    """What to change if TLS fails."""


class _RawResponse(BoundedResponse):
    """A response whose body is taken as it was sent, even if it says that it is compressed."""

    takes_encodings = True


class HttpClient:
    """Sends requests. Every method raises a StoreError."""

    def __init__(
        self,
        wording: Wording,
        timeout: float,
        *,
        tls: ssl.SSLContext | bool = True,
        fields: Mapping[str, str] | None = None,
        takes_encodings: bool = False,
        server_name: str = "",
        uses_proxies: bool = False,
    ):
        """Call it in the event loop. `timeout` is in seconds; `fields` are sent with each request.

        With `takes_encodings`, bodies with a Content-Encoding are taken too, undecoded. `server_name` is the name that
        the server's certificate is for, if not that of the URL. `uses_proxies`: of the environment (HTTPS_PROXY).
        """
        self._server_name = server_name or None
        self._wording = wording
        self._timeout = timeout
        self._connections = Connections(MAX_CONNECTIONS, timeout / 2)
        self._session = aiohttp.ClientSession(
            connector=bounded(
                aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=tls, socket_factory=self._connections.make_socket)
            ),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers={**PLAIN, **(fields or {})},
            skip_auto_headers=("Content-Type", "User-Agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=uses_proxies,
            response_class=_RawResponse if takes_encodings else BoundedResponse,
        )
        # aiohttp would repeat a PUT or DELETE whose answer was lost, although it may have been carried out.
        self._session._retry_connection = False  # noqa: SLF001  # aiohttp has no public option for it

    async def close(self) -> None:
        await self._session.close()
        self._connections.close()

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        is_write: bool = False,
        waits: float = 0,
    ) -> Answer:
        """Return the answer, whatever its status. A read is repeated if the connection is lost. The URL is sent as it
        is, so it must be encoded. The server may wait for `waits` seconds before it answers.
        """
        for is_last in (is_write, True):
            try:
                return await self._once(method, url, body, fields, waits)
            except TooManyConnectionsError as error:
                raise StoreUnavailableError(f"{self._wording.server}: {error}") from error
            except (TimeoutError, aiohttp.ClientError, RuntimeError) as error:
                if self._session.closed:
                    was_sent = not isinstance(error, RuntimeError)  # which aiohttp raises before it connects
                    closed = f"the store over {self._wording.server} is closed"
                    raise unanswered(closed, may_have_changed=is_write and was_sent) from error
                if is_last or not _is_loss(error):
                    raise self._translated(error, is_write=is_write) from error
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self, method: str, url: str, body: bytes | None, fields: Mapping[str, str] | None, waits: float
    ) -> Answer:
        options: dict[str, Any] = {"data": body, "headers": fields, "allow_redirects": False}
        if waits:
            options["timeout"] = aiohttp.ClientTimeout(total=self._timeout + waits)
        if self._server_name:
            options["server_hostname"] = self._server_name
        try:
            async with (
                self._connections,
                self._session.request(method, URL(url, encoded=True), **options) as response,
            ):
                return Answer(response.status, response.headers, await response.read())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._session.closed and task is not None and not task.cancelling():
                raise RuntimeError("closed") from None  # closing cancels calls that wait for a connection
            raise

    def _translated(self, error: Exception, *, is_write: bool) -> StoreError:
        """Return the error to raise for an error of the connection."""
        server, check, about_tls = self._wording
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
            return StoreRefusedError(f"no TLS with {server}: {_why(error)}; {about_tls}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return StoreUnavailableError(f"{server} cannot be reached: {_why(error)}; {check}")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return StoreUnavailableError(f"{server} could not be reached within {self._timeout:g} s (timeout)")
        if isinstance(error, TimeoutError):
            message = f"{server} did not answer within {self._timeout:g} s (timeout)"
        else:
            message = f"the connection to {server} was lost ({type(error).__name__})"
        return unanswered(message, may_have_changed=is_write)


def _is_loss(error: Exception) -> bool:
    """Return whether the connection ended before the answer came."""
    failed_to_connect = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not failed_to_connect


def _why(error: Exception) -> str:
    return reason(getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error)
