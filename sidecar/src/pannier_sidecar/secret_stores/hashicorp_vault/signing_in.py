"""How the sidecar gets the token that it sends to Vault: as written, from a file, or from a method that signs it in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds.secret import Secret
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.secret_reader import SecretStoreFailedError

from .client import decoded

if TYPE_CHECKING:
    from .client import Client
    from .settings import VaultSettings

_MAX_TOKEN_BYTES: Final = 64 * 1024
_RENEWED_AFTER: Final = 2 / 3
"""The part of a token's life after which the sidecar signs in again."""


class _Auth(Struct):
    client_token: str
    lease_duration: int = 0
    """Seconds; 0: the token does not end."""


class _SignedIn(Struct):
    auth: _Auth


class Tokens:
    """The token for requests. Each method raises SecretStoreFailedError."""

    def __init__(self, settings: VaultSettings, client: Client):
        self._settings = settings
        self._client = client
        self._token = settings.token
        self._renew_at: float | None = None
        self._signing_in = asyncio.Lock()

    @property
    def may_be_renewed(self) -> bool:
        """Whether a new token may help where this one is refused."""
        return self._settings.method != "token"

    async def token(self) -> str:
        """Return the token. A file is read each time, because its writer replaces it before the token ends."""
        settings = self._settings
        if settings.method == "token":
            return await _text_of(settings.token_file, "vaultTokenMountPath") if settings.token_file else self._shown()
        if not self._token or (self._renew_at is not None and monotonic() >= self._renew_at):
            await self._sign_in(self._shown())
        return self._shown()

    async def renew(self, refused: str) -> str:
        """Sign in again, because Vault has refused a token, and return the new one."""
        await self._sign_in(refused)
        return self._shown()

    def _shown(self) -> str:
        return self._token.reveal()

    async def _sign_in(self, instead_of: str) -> None:
        async with self._signing_in:
            if self._shown() != instead_of:
                return  # another call has signed in meanwhile
            settings = self._settings
            if settings.method == "kubernetes":
                jwt = await _text_of(settings.pod_token_file, "vaultServiceAccountTokenPath")
                sent = {"role": settings.role, "jwt": jwt}
            else:
                sent = {"role_id": settings.role_id, "secret_id": settings.secret_id.reveal()}
            body = await self._client.post(f"auth/{settings.auth_path}/login", sent)
            if body is None:
                raise SecretStoreFailedError(
                    f"Vault at {settings.where} has no method at auth/{settings.auth_path}; check vaultAuthPath"
                )
            auth = decoded(body, _SignedIn).auth
            self._token = Secret(_as_header(auth.client_token, "the token that Vault sent"))
            self._renew_at = monotonic() + auth.lease_duration * _RENEWED_AFTER if auth.lease_duration > 0 else None


async def _text_of(path: str, field: str) -> str:
    def read() -> bytes:
        with Path(path).open("rb") as file:
            return file.read(_MAX_TOKEN_BYTES)

    try:
        return _as_header((await asyncio.to_thread(read)).decode().strip(), f"the file of {field}")
    except OSError as error:
        raise SecretStoreFailedError(f"the file of {field} cannot be read: {reason(error)}") from None
    except ValueError:
        raise SecretStoreFailedError(f"the file of {field} holds no token") from None


def _as_header(token: str, what: str) -> str:
    """Return a token that can be sent in a header."""
    if not token or not token.isascii() or not token.isprintable():
        raise SecretStoreFailedError(f"{what} holds no token")
    return token
