"""Secrets of a project by their names.

https://cloud.google.com/secret-manager/docs/reference/rest
"""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64decode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import Struct, field

from pannier_crds.addresses.hosts import HostPort, full_url
from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import quoted
from pannier_crds.secret import shown
from pannier_sidecar.clouds.gcp import SIGN_IN_ERRORS, Tokens, why_not
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.https_calls import HttpsCalls, decoded
from pannier_sidecar.secret_stores.reading_all import check_number, read_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_VERSION: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_PAGE: Final = 100


class _Payload(Struct):
    data: str = ""
    """Base64."""


class _Version(Struct):
    payload: _Payload


class _Named(Struct):
    name: str


class _Page(Struct):
    secrets: list[_Named] = field(default_factory=list)
    next_page: str = field(default="", name="nextPageToken")


class SecretManagerSecrets:
    """The secrets of one component. Implements `SecretServer`."""

    capabilities: tuple[str, ...] = ()

    def __init__(self, settings: Mapping[str, Setting]):
        """Connect to nothing yet; call it in the event loop."""
        given = GivenSettings("secretstores.gcp.secretmanager", settings)
        scheme, (host, port) = read_field("endpoint", given["endpoint"], full_url)
        origin = f"{scheme}://{HostPort(host, port)}"
        self._project = f"{origin}/v1/projects/{quote(given.text('project_id'), safe='')}"
        self._shown_project = shown(given["project_id"], "project_id")
        self._where = f"Secret Manager at {shown_addresses('endpoint', given['endpoint'], (origin,))}"
        self._timeout = given.number("timeout")
        self.refresh_interval = given.number("refreshInterval")
        self._tokens = Tokens(_account(given), self._timeout)
        self._calls = HttpsCalls(
            self._where,
            self._timeout,
            address_field="endpoint",
            tls_fields="endpoint",
            tls=ssl.create_default_context(),
            uses_proxies=True,
        )

    async def close(self) -> None:
        await self._calls.close()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return one secret under its name. The metadata may name a `version_id`."""
        version = metadata.get("version_id") or "latest"
        if not _NAME.fullmatch(name):
            raise SecretMissingError(f"{quoted(name)} is no name of a secret; write letters, digits, '-' and '_'")
        if not _VERSION.fullmatch(version):
            raise SecretMissingError(f"{quoted(version)} is no version of a secret (version_id)")
        body = await self._get(f"secrets/{name}/versions/{version}:access", name)
        try:
            data = b64decode(decoded(body, _Version, self._not_understood).payload.data, validate=True)
        except ValueError:
            raise SecretStoreFailedError(self._not_understood) from None
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            raise SecretMissingError(f"the secret {quoted(name)} is binary; store it as text") from None

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return the latest version of every secret of the project, as in Dapr by the names of its resources."""
        return await read_all(self._names, self._read_resource, self._where)

    async def _read_resource(self, resource: str) -> Mapping[str, str]:
        (text,) = (await self.read(resource.rpartition("/")[2], {})).values()
        return {resource: text}

    async def _names(self) -> list[str]:
        names: list[str] = []
        pages, position = 0, ""
        while True:
            more = f"&pageToken={quote(position, safe='')}" if position else ""
            page = decoded(await self._get(f"secrets?pageSize={_PAGE}{more}", ""), _Page, self._not_understood)
            names += [secret.name for secret in page.secrets]
            pages += 1
            check_number(len(names), pages)
            position = page.next_page
            if not position:
                return sorted(names)

    @property
    def _not_understood(self) -> str:
        return f"{self._where} gave an answer that is not Secret Manager's; check endpoint"

    async def _get(self, path: str, name: str) -> bytes:
        headers = {"Authorization": f"Bearer {await self._token()}"}
        status, body = await self._calls.request("GET", f"{self._project}/{path}", headers)
        if status == 200:
            return body
        raise self._refusal(status, name)

    async def _token(self) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._tokens.get()
        except TimeoutError:
            raise SecretStoreSilentError(
                f"Google did not sign the sidecar in within {self._timeout:g} s (timeout)"
            ) from None
        except SIGN_IN_ERRORS as error:
            why, may_succeed_later = why_not(error)
            raise (SecretStoreSilentError if may_succeed_later else SecretStoreFailedError)(why) from None

    def _refusal(self, status: int, name: str) -> Exception:
        project = self._shown_project
        if status == 404 and name:
            return SecretMissingError(f"project {project} has no secret {quoted(name)} or no such version of it")
        if status == 400 and name:
            return SecretMissingError(f"this version of the secret {quoted(name)} is disabled or destroyed")
        if status == 429 or status >= 500:
            return SecretStoreSilentError(f"{self._where} cannot answer now ({status})")
        if status == 401:
            return SecretStoreFailedError(f"{self._where} does not take the token (401); check the credentials")
        if status == 403:
            roles = "Secret Manager Secret Accessor" + ("" if name else " and Secret Manager Viewer")
            advice = f"give the service account the role {roles} in project {project}, and enable the API there"
            return SecretStoreFailedError(f"{self._where} refused (403); {advice}")
        return SecretStoreFailedError(f"{self._where} refused ({status}); check project_id and endpoint")


def _account(given: GivenSettings) -> dict[str, str] | None:
    """Return the service account as Google's library reads it; None: the component has none."""
    if not given.text("private_key_id"):
        return None
    names = ("type", "project_id", "private_key_id", "client_email", "token_uri")
    key = given.text("private_key").replace("\\n", "\n")  # as it stands in the JSON file
    return {**{name: given.text(name) for name in names}, "private_key": key}


def open_server(settings: Mapping[str, Setting]) -> SecretManagerSecrets:
    """Return the secrets that a component's settings describe."""
    return SecretManagerSecrets(settings)
