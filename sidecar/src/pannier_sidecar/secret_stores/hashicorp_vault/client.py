"""Requests to Vault's HTTP API, and what its answers mean."""

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

    from .settings import VaultSettings

Found = TypeVar("Found")

MAX_CONNECTIONS: Final = 8
"""Further calls wait for one."""
FORBIDDEN: Final = 403
_NOT_VAULT: Final = "the server that answers is not Vault, or enginePath names no key/value engine of vaultKVVersion"
_TRY_LATER: Final = {
    429: "it is a standby, or its rate limit is reached",
    472: "it is a standby for disaster recovery",
    473: "it is a standby for performance",
    503: "it is sealed or in maintenance",
}


class RefusedError(SecretStoreFailedError):
    """Vault refused a request; `status` is that of HTTP."""

    def __init__(self, text: str, status: int):
        super().__init__(text)
        self.status = status


class Client:
    """Vault over HTTP. Every method raises SecretStoreFailedError or one of its kinds."""

    def __init__(self, settings: VaultSettings):
        """Call it in the event loop."""
        self._settings = settings
        self._connections = Connections(MAX_CONNECTIONS, settings.timeout / 2)
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, ssl=settings.tls(), socket_factory=self._connections.make_socket
        )
        namespace = {"X-Vault-Namespace": settings.namespace} if settings.namespace else {}
        self._session = aiohttp.ClientSession(
            connector=bounded(connector),
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            headers={"X-Vault-Request": "true", **PLAIN, **namespace},
            skip_auto_headers=("User-Agent",),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=BoundedResponse,
        )

    async def close(self) -> None:
        await self._session.close()
        self._connections.close()

    async def get(self, path: str, token: str) -> bytes | None:
        """Return the body at a path after `/v1/`; None for 404."""
        return await self._request("GET", path, token)

    async def post(self, path: str, body: Mapping[str, str]) -> bytes | None:
        """Return the answer to a body that is sent without a token, as one that signs in; None for 404."""
        return await self._request("POST", path, "", json.encode(body))

    async def _request(self, method: str, path: str, token: str, body: bytes | None = None) -> bytes | None:
        settings = self._settings
        where = f"Vault at {settings.where}"
        try:
            async with (
                self._connections,
                self._session.request(
                    method,
                    URL(f"{settings.url}/v1/{path}", encoded=True),
                    data=body,
                    headers={"X-Vault-Token": token} if token else None,
                    server_hostname=settings.server_name or None,
                    allow_redirects=False,  # they would take the token to another host
                ) as response,
            ):
                answer = await response.read()
                status = response.status
        except TooManyConnectionsError as error:
            raise SecretStoreSilentError(f"{where}: {error}") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            why = reason(getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error)
            raise SecretStoreFailedError(
                f"no TLS with {where}: {why}; check vaultAddr, caPem, caPath and caCert"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise SecretStoreSilentError(
                f"{where} cannot be reached: {reason(error.os_error)}; check vaultAddr"
            ) from None
        except TimeoutError:
            raise SecretStoreSilentError(f"{where} did not answer within {settings.timeout:g} s (timeout)") from None
        except (aiohttp.ClientError, RuntimeError, ValueError) as error:
            raise SecretStoreSilentError(f"the connection to {where} was lost ({type(error).__name__})") from None
        if status == 200:
            return answer
        if status == 404:
            return None
        raise self._refusal(status)

    def _refusal(self, status: int) -> SecretStoreFailedError:
        where = f"Vault at {self._settings.where}"
        if status in _TRY_LATER or status >= 500:
            return SecretStoreSilentError(
                f"{where} cannot answer now ({status}): {_TRY_LATER.get(status, 'it failed')}"
            )
        if status in (301, 302, 307, 308):
            advice = "let vaultAddr name the active server, or a load balancer"
            return RefusedError(f"{where} refers to another server ({status}); {advice}", status)
        if status == FORBIDDEN:
            advice = "let the token be valid, and its policy allow 'read' and 'list'"
            return RefusedError(f"{where} refused ({status}); {advice}", status)
        return RefusedError(f"{where} refused ({status}); check enginePath, vaultKVVersion and vaultAuthPath", status)


def decoded(body: bytes, kind: type[Found]) -> Found:
    """Return what an answer holds. Raises SecretStoreFailedError."""
    try:
        return json.decode(body, type=kind)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise SecretStoreFailedError(_NOT_VAULT) from None
