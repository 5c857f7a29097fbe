"""Secrets of Key Vault by their names.

https://learn.microsoft.com/rest/api/keyvault/secrets
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from pannier_crds.addresses.hosts import HostPort, full_url
from pannier_crds.catalogue.azure_keyvault import SUFFIXES
from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import quoted
from pannier_sidecar.clouds.azure import CREDENTIAL_ERRORS, Tokens, open_credential
from pannier_sidecar.clouds.azure_answers import wrong_identity
from pannier_sidecar.clouds.azure_profile import read_profile
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.https_calls import HttpsCalls, decoded
from pannier_sidecar.secret_stores.reading_all import check_number, read_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_VERSION: Final = "api-version=7.4"
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_SECRET_VERSION: Final = re.compile(r"[0-9A-Za-z]{1,64}")


class _Attributes(Struct):
    enabled: bool = True


class _Secret(Struct):
    value: str


class _Entry(Struct):
    id: str
    attributes: _Attributes = field(default_factory=_Attributes)


class _Page(Struct):
    value: list[_Entry] | None = None
    next_link: str | None = field(default=None, name="nextLink")


class KeyVaultSecrets:
    """The secrets of one component. Implements `SecretServer`."""

    capabilities: tuple[str, ...] = ()

    def __init__(self, settings: Mapping[str, Setting]):
        """Connect to nothing yet; call it in the event loop."""
        given = GivenSettings("secretstores.azure.keyvault", settings)
        profile = read_profile(given)
        self._url, suffix, self._field = _vault(given, profile.cloud)
        self._profile = replace(profile, cloud=SUFFIXES[suffix].removesuffix("Cloud"))
        self._timeout = given.number("timeout")
        self.refresh_interval = given.number("refreshInterval")
        self._scope = f"https://{suffix}/.default"
        self._where = f"Key Vault at {shown_addresses(self._field, given[self._field], (self._url,))}"
        self._calls = HttpsCalls(
            self._where,
            self._timeout,
            address_field=self._field,
            tls_fields=self._field,
            tls=ssl.create_default_context(),
            uses_proxies=True,
        )
        self._resources = AsyncExitStack()
        self._tokens: Tokens | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        await self._calls.close()
        await self._resources.aclose()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return one secret under its name. The metadata may name a `version_id`."""
        version = metadata.get("version_id", "")
        if not _NAME.fullmatch(name):
            raise SecretMissingError(f"{quoted(name)} is no name of a secret; write letters, digits and '-'")
        if version and not _SECRET_VERSION.fullmatch(version):
            raise SecretMissingError(f"{quoted(version)} is no version of a secret (version_id)")
        body = await self._get(f"{self._url}/secrets/{name}/{version}?{_VERSION}", name)
        return {name: decoded(body, _Secret, self._not_a_vault).value}

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret that is enabled."""
        return await read_all(self._names, lambda name: self.read(name, {}), self._where)

    async def _names(self) -> list[str]:
        names: list[str] = []
        pages = 0
        url: str | None = f"{self._url}/secrets?{_VERSION}"
        while url:
            page = decoded(await self._get(url, ""), _Page, self._not_a_vault)
            for entry in page.value or ():
                name = entry.id.rpartition("/")[2]
                if not _NAME.fullmatch(name):
                    raise SecretStoreFailedError(self._not_a_vault)
                if entry.attributes.enabled:
                    names.append(name)
            pages += 1
            check_number(len(names), pages)
            url = page.next_link
            if url and not re.fullmatch(r"/secrets\?[!-~]{1,8192}", self._path(url)):
                raise SecretStoreFailedError(self._not_a_vault)  # a token is sent to the vault only
        return sorted(names)

    def _path(self, url: str) -> str:
        """Return a URL without the vault's own; empty for one of another server."""
        own = self._url.lower()
        for start in (own, f"{own}:443"):
            if url.lower().startswith(f"{start}/"):
                return url[len(start) :]
        return ""

    @property
    def _not_a_vault(self) -> str:
        return f"{self._where} gave an answer that is not Key Vault's; check {self._field}"

    async def _get(self, url: str, name: str) -> bytes:
        """Return the body at a URL."""
        headers = {"Authorization": f"Bearer {await self._token()}"}
        status, body = await self._calls.request("GET", url, headers)
        if status == 200:
            return body
        raise self._refusal(status, name)

    async def _token(self) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                tokens = self._tokens or await self._open()
                return await tokens.get()
        except TimeoutError:
            raise SecretStoreSilentError(
                f"Entra ID did not sign the sidecar in within {self._timeout:g} s (timeout)"
            ) from None
        except CREDENTIAL_ERRORS as error:
            raise _not_signed_in(error) from None

    async def _open(self) -> Tokens:
        async with self._opening:
            if self._tokens is None:
                async with AsyncExitStack() as opened:
                    credential = await open_credential(self._profile, self._timeout, opened)
                    self._resources.push_async_exit(opened.pop_all())
                self._tokens = Tokens(credential, self._scope)
            return self._tokens

    def _refusal(self, status: int, name: str) -> Exception:
        if status == 404 and name:
            return SecretMissingError(f"{self._where} has no secret {quoted(name)} or no such version of it")
        if status == 429 or status >= 500:
            return SecretStoreSilentError(f"{self._where} cannot answer now ({status})")
        if status == 401:
            return SecretStoreFailedError(f"{self._where} does not take the token (401); check azureTenantId")
        if status == 403:
            advice = "give the identity the role Key Vault Secrets User, let the vault's firewall pass this sidecar"
            what = f", and see that {quoted(name)} is enabled" if name else ""
            return SecretStoreFailedError(f"{self._where} refused (403); {advice}{what}")
        return SecretStoreFailedError(f"{self._where} refused ({status}); check {self._field}")


def _not_signed_in(error: BaseException) -> SecretStoreFailedError:
    if wrong := wrong_identity(error):
        return SecretStoreFailedError(wrong)
    inner = getattr(error, "inner_exception", None)
    inner = getattr(inner, "certificate_error", None) or getattr(inner, "os_error", None) or inner or error
    return SecretStoreSilentError(f"Entra ID cannot be reached: {reason(inner)}; check azureEnvironment")


def _vault(given: GivenSettings, cloud: str) -> tuple[str, str, str]:
    """Return a vault's URL, the suffix of vaults in its cloud, and the field that names it."""
    own_suffix = next(suffix for suffix, name in SUFFIXES.items() if name.removesuffix("Cloud") == cloud)
    if given["vaultUrl"]:
        scheme, (host, port) = read_field("vaultUrl", given["vaultUrl"], full_url)
        return f"{scheme}://{HostPort(host, port)}", own_suffix, "vaultUrl"
    host = given.text("vaultName").strip().lower().removeprefix("https://").rstrip("/")
    name, _, suffix = host.partition(".")
    suffix = suffix or own_suffix
    return f"https://{name}.{suffix}", suffix, "vaultName"


def open_server(settings: Mapping[str, Setting]) -> KeyVaultSecrets:
    """Return the secrets that a component's settings describe."""
    return KeyVaultSecrets(settings)
