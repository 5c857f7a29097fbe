"""Secrets of Vault by their names: each is a path below the engine and the prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import DecodeError, Raw, Struct, field

from pannier_crds.problems import quoted
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError
from pannier_sidecar.secret_stores.json_texts import texts_of
from pannier_sidecar.secret_stores.reading_all import check_number, read_all

from .client import FORBIDDEN, Client, RefusedError, decoded
from .settings import VaultSettings, read_settings
from .signing_in import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_NULL: Final = Raw(b"null")


class _Kv1(Struct):
    data: Raw


class _Versioned(Struct):
    data: Raw = _NULL
    """`null` if this version was deleted."""


class _Kv2(Struct):
    data: _Versioned = field(default_factory=_Versioned)


class _Keys(Struct):
    keys: list[str]


class _Listed(Struct):
    data: _Keys


class VaultSecrets:
    """The secrets of one component. Implements `SecretServer`."""

    def __init__(self, settings: VaultSettings):
        """Call it in the event loop. Raises SecretStoreFailedError for authorities that cannot be read."""
        self._settings = settings
        self._client = Client(settings)
        self._tokens = Tokens(settings, self._client)
        self.capabilities: tuple[str, ...] = () if settings.is_text else ("MULTIPLE_KEY_VALUES_PER_SECRET",)
        self.refresh_interval = settings.refresh_interval

    async def close(self) -> None:
        await self._client.close()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret by their keys. The metadata may name a `version_id`."""
        version = metadata.get("version_id", "0")
        if not (version.isascii() and version.isdigit() and len(version) <= 9):
            raise SecretStoreFailedError(
                "version_id is not a whole number; write the number of a version, or leave it out"
            )
        _refuse_strange(name)
        path = quote(f"{self._settings.prefix}{name}")
        kind = f"{quote(self._settings.engine)}/" if self._settings.is_kv1 else f"{quote(self._settings.engine)}/data/"
        body = await self._get(f"{kind}{path}" + ("" if self._settings.is_kv1 else f"?version={version}"))
        content = None if body is None else self._content(body)
        if content is None:
            raise SecretMissingError(
                f"Vault at {self._settings.where} has no secret {quoted(name)} or no such version of it"
            )
        if self._settings.is_text:
            return {name: bytes(content).decode()}
        return _texts(content)

    def _content(self, body: bytes) -> Raw | None:
        if self._settings.is_kv1:
            return decoded(body, _Kv1).data
        content = decoded(body, _Kv2).data.data
        return None if bytes(content) == b"null" else content

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret below the prefix by its name, which is a path."""
        return await read_all(self._names, lambda name: self.read(name, {}), f"Vault at {self._settings.where}")

    async def _names(self) -> list[str]:
        settings = self._settings
        below = f"{quote(settings.engine)}/" + ("" if settings.is_kv1 else "metadata/")
        folders, count = [""], 0
        names: list[str] = []
        while folders:
            folder = folders.pop()
            count += 1
            body = await self._get(f"{below}{quote(settings.prefix + folder)}?list=true")
            for key in decoded(body, _Listed).data.keys if body is not None else ():
                _refuse_strange(key.removesuffix("/"))
                (folders if key.endswith("/") else names).append(folder + key)
            check_number(len(names), len(folders) + count)
        return sorted(names)

    async def _get(self, path: str) -> bytes | None:
        """Return the body at a path. A token that Vault refuses is replaced once, because it may have been revoked."""
        token = await self._tokens.token()
        try:
            return await self._client.get(path, token)
        except RefusedError as refused:
            if refused.status != FORBIDDEN or not self._tokens.may_be_renewed:
                raise
        return await self._client.get(path, await self._tokens.renew(token))


def open_server(settings: Mapping[str, Setting]) -> VaultSecrets:
    """Return the secrets that a component's settings describe."""
    return VaultSecrets(read_settings(settings))


def _refuse_strange(name: str) -> None:
    """Refuse names that a proxy may read as another path, out of the prefix."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise SecretMissingError(f"{quoted(name)} is no name of a secret; write names with '/' between them")


def _texts(content: Raw) -> dict[str, str]:
    try:
        return texts_of(content)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise SecretStoreFailedError("the secret is no JSON object") from None
