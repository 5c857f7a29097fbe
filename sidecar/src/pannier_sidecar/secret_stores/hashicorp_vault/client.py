"""Requests to Vault's HTTP API, and what its answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import json

from pannier_sidecar.secret_reader import SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores import https_calls
from pannier_sidecar.secret_stores.https_calls import HttpsCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import VaultSettings

Found = TypeVar("Found")

FORBIDDEN: Final = 403
_REDIRECTS: Final = (301, 302, 303, 307, 308)
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
        namespace = {"X-Vault-Namespace": settings.namespace} if settings.namespace else {}
        self._calls = HttpsCalls(
            f"Vault at {settings.where}",
            settings.timeout,
            address_field="vaultAddr",
            tls_fields="vaultAddr, caPem, caPath and caCert",
            tls=settings.tls(),
            server_name=settings.server_name,
            headers={"X-Vault-Request": "true", **namespace},
        )

    async def close(self) -> None:
        await self._calls.close()

    async def get(self, path: str, token: str) -> bytes | None:
        """Return the body at a path after `/v1/`; None for 404."""
        return await self._request("GET", path, token)

    async def post(self, path: str, body: Mapping[str, str]) -> bytes | None:
        """Return the answer to a body that is sent without a token, as one that signs in; None for 404."""
        return await self._request("POST", path, "", json.encode(body))

    async def _request(self, method: str, path: str, token: str, body: bytes | None = None) -> bytes | None:
        headers = {"X-Vault-Token": token} if token else None
        status, answer = await self._calls.request(method, f"{self._settings.url}/v1/{path}", headers, body)
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
        if status in _REDIRECTS:
            advice = "let vaultAddr name the active server, or a load balancer"
            return RefusedError(f"{where} refers to another server ({status}); {advice}", status)
        if status == FORBIDDEN:
            advice = "let the token be valid, and its policy allow 'read' and 'list'"
            return RefusedError(f"{where} refused ({status}); {advice}", status)
        return RefusedError(f"{where} refused ({status}); check enginePath, vaultKVVersion and vaultAuthPath", status)


def decoded(body: bytes, kind: type[Found]) -> Found:
    """Return what an answer holds. Raises SecretStoreFailedError."""
    return https_calls.decoded(body, kind, _NOT_VAULT)
