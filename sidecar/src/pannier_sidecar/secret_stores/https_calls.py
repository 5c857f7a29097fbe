"""Requests over HTTP to a server that holds secrets, within limits of time, size and connections."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
from msgspec import DecodeError, json
from yarl import URL

from pannier_sidecar.network.connections import Connections, TooManyConnectionsError
from pannier_sidecar.network.http_answers import PLAIN, BoundedResponse, bounded
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.secret_reader import SecretStoreFailedError, SecretStoreSilentError

if TYPE_CHECKING:
    from collections.abc import Mapping

Found = TypeVar("Found")

MAX_CONNECTIONS: Final = 8
"""Further calls wait for one."""
REDIRECTS: Final = (301, 302, 303, 307, 308)


class HttpsCalls:
    """Requests to one server; a redirect is an answer like any other, because it would take a token to another host."""

    def __init__(
        self,
        where: str,
        seconds: float,
        *,
        address_field: str,
        tls_fields: str,
        tls: ssl.SSLContext | bool = True,
        server_name: str = "",
        headers: Mapping[str, str] | None = None,
        uses_proxies: bool = False,
    ):
        """Call it in the event loop.

        `where` is the server, and the fields are those of its address and certificates: for messages. A request takes
        at most `seconds`. `uses_proxies`: of the environment (HTTPS_PROXY).
        """
        self._where = where
        self._seconds = seconds
        self._address_field = address_field
        self._tls_fields = tls_fields
        self._server_name = server_name or None
        self._connections = Connections(MAX_CONNECTIONS, seconds / 2)
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=tls, socket_factory=self._connections.make_socket)
        self._session = aiohttp.ClientSession(
            connector=bounded(connector),
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers={**PLAIN, **(headers or {})},
            skip_auto_headers=("User-Agent",),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=BoundedResponse,
            trust_env=uses_proxies,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        self._connections.close()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer. The URL is sent as it is, so it must be quoted.

        Raises SecretStoreSilentError, and SecretStoreFailedError if TLS is impossible.
        """
        where = self._where
        try:
            async with (
                self._connections,
                self._session.request(
                    method,
                    URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    server_hostname=self._server_name,
                    allow_redirects=False,
                ) as response,
            ):
                return response.status, await response.read()
        except TooManyConnectionsError as error:
            raise SecretStoreSilentError(f"{where}: {error}") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            why = reason(getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error)
            raise SecretStoreFailedError(f"no TLS with {where}: {why}; check {self._tls_fields}") from None
        except aiohttp.ClientConnectorError as error:
            raise SecretStoreSilentError(
                f"{where} cannot be reached: {reason(error.os_error)}; check {self._address_field}"
            ) from None
        except TimeoutError:
            raise SecretStoreSilentError(f"{where} did not answer within {self._seconds:g} s (timeout)") from None
        except (aiohttp.ClientError, RuntimeError, ValueError) as error:
            raise SecretStoreSilentError(f"the connection to {where} was lost ({type(error).__name__})") from None


def decoded(body: bytes, kind: type[Found], otherwise: str) -> Found:
    """Return what an answer holds, as JSON. Raises SecretStoreFailedError with the text `otherwise`."""
    try:
        return json.decode(body, type=kind)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise SecretStoreFailedError(otherwise) from None
