"""Kubernetes Secrets by their names: each has several keys."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import quoted
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError
from pannier_sidecar.secret_stores.https_calls import HttpsCalls, decoded
from pannier_sidecar.secret_stores.reading_all import check_number, check_size, within_time

from .access import Access, find_access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_PAGE: Final = 20
"""Secrets of one page; each has up to 1 MiB."""
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_WHERE: Final = "the API server"
_NOT_KUBERNETES: Final = "the server that answers is not a Kubernetes API server; check apiServer or kubeconfigPath"


class _Identity(Struct):
    name: str


class _Secret(Struct):
    metadata: _Identity
    data: dict[str, str] | None = None


class _Position(Struct):
    next: str = field(default="", name="continue")


class _Secrets(Struct):
    items: list[_Secret]
    metadata: _Position = field(default_factory=_Position)


class KubernetesSecrets:
    """The Secrets of one component. Implements `SecretServer`."""

    capabilities: tuple[str, ...] = ()

    def __init__(self, settings: Mapping[str, Setting]):
        """Read the files that say how to sign in; call it in the event loop. Raises SecretStoreFailedError."""
        self._given = GivenSettings("secretstores.kubernetes", settings)
        self._access: Access = find_access(self._given)
        is_own = not self._given.text("kubeconfigPath")
        self._calls = HttpsCalls(
            _WHERE,
            self._given.number("timeout"),
            address_field="apiServer" if is_own else "kubeconfigPath",
            tls_fields="serviceAccountPath and apiServer" if is_own else "kubeconfigPath",
            tls=self._access.tls,
            server_name=self._access.server_name,
            headers={"Accept": "application/json"},
        )
        self.refresh_interval = self._given.number("refreshInterval")

    async def close(self) -> None:
        await self._calls.close()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one Secret by their keys, without those that are no text.

        The metadata may name a `namespace`.
        """
        namespace = self._namespace(metadata)
        if not _NAME.fullmatch(name):
            raise SecretMissingError(f"{quoted(name)} is no name of a Secret; write lower-case letters, digits and '-'")
        body = await self._get(f"namespaces/{namespace}/secrets/{name}", namespace, "get")
        if body is None:
            raise SecretMissingError(f"there is no Secret {quoted(name)} in namespace {quoted(namespace)}")
        return _texts(decoded(body, _Secret, _NOT_KUBERNETES))

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every Secret of a namespace by its name."""
        namespace = self._namespace(metadata)
        async with within_time(_WHERE):
            return await self._pages(namespace)

    async def _pages(self, namespace: str) -> dict[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        pages, position = 0, ""
        while True:
            more = f"&continue={position}" if position else ""
            body = await self._get(f"namespaces/{namespace}/secrets?limit={_PAGE}{more}", namespace, "list")
            page = decoded(body or b"", _Secrets, _NOT_KUBERNETES)
            found.update({secret.metadata.name: _texts(secret) for secret in page.items})
            pages += 1
            check_number(len(found), pages)
            check_size(found)
            position = page.metadata.next
            if not position:
                return found
            if not re.fullmatch(r"(?a:[\w=-]{1,16384})", position):
                raise SecretStoreFailedError(_NOT_KUBERNETES)

    def _namespace(self, metadata: Mapping[str, str]) -> str:
        namespace = metadata.get("namespace") or self._given.text("defaultNamespace") or self._access.namespace
        if not namespace:
            raise SecretStoreFailedError("no namespace is known; set defaultNamespace, or NAMESPACE in the environment")
        if not _NAMESPACE.fullmatch(namespace):
            raise SecretMissingError(f"{quoted(namespace)} is no namespace; write lower-case letters, digits and '-'")
        return namespace

    async def _get(self, path: str, namespace: str, verb: str) -> bytes | None:
        """Return the body at a path; None for 404."""
        token = await asyncio.to_thread(self._access.token)
        headers = {"Authorization": f"Bearer {token}"} if token else None
        status, body = await self._calls.request("GET", f"{self._access.url}/api/v1/{path}", headers)
        if status == 200:
            return body
        if status == 404:
            return None
        if status == 403:
            advice = f"let a Role allow {verb!r} on secrets in namespace {quoted(namespace)}, and bind it"
            raise SecretStoreFailedError(f"{_WHERE} refused ({status}); {advice}")
        if status == 401:
            advice = "check serviceAccountPath or kubeconfigPath"
            raise SecretStoreFailedError(f"{_WHERE} does not take the token or certificate ({status}); {advice}")
        if status in (410, 429) or status >= 500:
            raise SecretStoreSilentError(f"{_WHERE} cannot answer now ({status})")
        raise SecretStoreFailedError(f"{_WHERE} refused ({status}); check apiServer or kubeconfigPath")


def _texts(secret: _Secret) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, written in (secret.data or {}).items():
        try:
            found[key] = b64decode(written, validate=True).decode()
        except ValueError:  # such as a keystore
            continue
    return found


def open_server(settings: Mapping[str, Setting]) -> KubernetesSecrets:
    """Return the secrets that a component's settings describe."""
    return KubernetesSecrets(settings)
