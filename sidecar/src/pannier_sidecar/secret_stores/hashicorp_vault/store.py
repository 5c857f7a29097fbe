"""Secrets of Vault by their names: each is a path below the engine and the prefix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import DecodeError, Raw, Struct, field, json

from pannier_crds.problems import quoted
from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError

from .client import FORBIDDEN, Client, RefusedError, decoded
from .settings import VaultSettings, read_settings
from .signing_in import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

MAX_SECRETS: Final = 1000
"""Secrets that are read at once."""
MAX_FOLDERS: Final = 200
_AT_ONCE: Final = 4
_MAX_SECONDS: Final = 30.0
"""Seconds that reading all secrets may take."""


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
        try:
            async with asyncio.timeout(_MAX_SECONDS):
                return await self._read_all()
        except TimeoutError:
            where = self._settings.where
            raise SecretStoreSilentError(
                f"Vault at {where} took over {_MAX_SECONDS:g} s; read secrets one by one"
            ) from None

    async def _read_all(self) -> dict[str, Mapping[str, str]]:
        names = await self._names()
        found: dict[str, Mapping[str, str]] = {}
        left = answers.limit()
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            for name, texts in zip(some, await asyncio.gather(*map(self._read_or_none, some)), strict=True):
                if texts is not None:
                    found[name] = texts
                    left -= sum(len(key) + len(text) for key, text in texts.items())
            if left < 0:
                raise SecretStoreFailedError("all secrets together are too large for one answer; read them one by one")
        return found

    async def _read_or_none(self, name: str) -> Mapping[str, str] | None:
        try:
            return await self.read(name, {})
        except SecretMissingError:
            return None  # deleted, but its metadata is still there

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
            if len(names) > MAX_SECRETS or len(folders) + count > MAX_FOLDERS:
                raise SecretStoreFailedError(
                    f"there are over {MAX_SECRETS} secrets or {MAX_FOLDERS} folders; read secrets one by one"
                )
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
    """Return strings as they are, and other values as JSON."""
    try:
        found = json.decode(content, type=dict[str, Raw])
        return {key: _text(value) for key, value in found.items()}
    except (DecodeError, RecursionError, UnicodeDecodeError):
        raise SecretStoreFailedError("the secret is no JSON object") from None


def _text(value: Raw) -> str:
    written = bytes(value)
    return json.decode(written, type=str) if written.startswith(b'"') else written.decode()
