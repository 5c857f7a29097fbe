"""The requests to Azure Blob Storage that the store makes, for the blobs of one container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from pannier_sidecar.clouds.azure_storage_login import sign_in
from pannier_sidecar.network import azure_storage
from pannier_sidecar.network.http_client import Wording
from pannier_sidecar.state.store import StoredValue

from . import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from pannier_sidecar.network.http_client import Answer
    from pannier_sidecar.state.errors import StoreError

    from .listing import BlobPage
    from .settings import BlobStorageSettings

VERSION: Final = "2021-12-02"
"""Of the REST API."""
_MISSING: Final = "create it, or leave disableEntityManagement out"
_UNMET: Final = ("ConditionNotMet", "BlobAlreadyExists", "TargetConditionNotMet")
"""Codes that say that a precondition does not hold."""


class Blob(NamedTuple):
    """What a blob holds, and the stored key that is noted with it; None: none is."""

    stored: StoredValue
    key: str | None


class Client:
    """One container. Every method raises a StoreError."""

    def __init__(self, settings: BlobStorageSettings):
        """Call it in the event loop."""
        self._settings = settings
        wording = Wording(
            settings.where,
            "check accountName, endpoint and connectionString",
            "write an address whose certificate is trusted",
        )
        fields = {"x-ms-version": VERSION}
        self._service = azure_storage.StorageService("blob", settings.account, wording, settings.timeout, fields)
        self._container = f"/{settings.container}"

    async def sign_in(self, resources: AsyncExitStack) -> None:
        """Have calls signed by a token of Entra ID, if neither a key nor a SAS is given."""
        await sign_in(self._service, self._settings.profile, self._settings.timeout, resources)

    async def close(self) -> None:
        await self._service.close()

    async def create_container(self) -> None:
        """Create the container if it does not exist and this login may create it."""
        access = self._settings.public_access
        fields = {"x-ms-blob-public-access": access} if access else {}
        answer = await self._service.call("PUT", self._container, {"restype": "container"}, fields, is_write=True)
        # 409: it exists. 403: this login may only use it, so whether it exists turns out at the next call.
        if answer.status not in (201, 403, 409) or azure_storage.code_of(answer) == "ContainerBeingDeleted":
            raise self._failure(answer, is_write=False)

    async def get(self, name: str) -> Blob | None:
        """Return what a blob holds; None: there is none of this name."""
        return self._blob(await self._service.call("GET", self._url_of(name)))

    async def head(self, name: str) -> Blob | None:
        """Return what is known of a blob without reading it, its value left empty."""
        # Not by HEAD: aiohttp closes the connection after an answer to it without a length, as for an absent blob.
        return self._blob(await self._service.call("GET", self._url_of(name), {"comp": "metadata"}))

    async def put(self, name: str, value: bytes, fields: Mapping[str, str]) -> bool:
        """Write a blob; return False if the precondition among the fields does not hold."""
        answer = await self._service.call("PUT", self._url_of(name), fields=fields, body=value, is_write=True)
        if answer.status == 201:
            return True
        return self._is_unmet(answer)

    async def delete(self, name: str, fields: Mapping[str, str]) -> bool | None:
        """Delete a blob; return False if the precondition does not hold, None if there is no blob."""
        fields = {"x-ms-delete-snapshots": "include", **fields}
        answer = await self._service.call("DELETE", self._url_of(name), fields=fields, is_write=True)
        if answer.status == 202:
            return True
        if _is_absent(answer):
            return None
        return self._is_unmet(answer)

    async def list_page(self, prefix: str, limit: int, marker: str) -> BlobPage:
        """Return up to `limit` blobs whose names begin with a prefix, from a marker of the page before."""
        from . import listing  # imported here, because XML takes memory, and many apps list no keys

        query = {
            "restype": "container",
            "comp": "list",
            "prefix": prefix,
            "maxresults": str(limit),
            "include": "metadata",
            "marker": marker,
        }
        answer = await self._service.call("GET", self._container, {name: each for name, each in query.items() if each})
        if answer.status != 200:
            raise self._failure(answer, is_write=False)
        try:
            return listing.read_page(answer.body, limit)
        except ValueError as error:
            raise azure_storage.not_understood(self._settings.what, is_write=False) from error

    def _url_of(self, name: str) -> str:
        return f"{self._container}/{quote(name, safe='~')}"

    def _blob(self, answer: Answer) -> Blob | None:
        if answer.status == 200:
            etag = answer.fields.get("ETag", "")
            if layout.is_etag(etag):
                return Blob(StoredValue(answer.body, etag), layout.recorded(answer.fields))
            raise azure_storage.not_understood(self._settings.what, is_write=False)
        if _is_absent(answer):
            return None
        raise self._failure(answer, is_write=False)

    def _is_unmet(self, answer: Answer) -> bool:
        """Return False for a precondition that does not hold. Raises a StoreError for any other answer."""
        if answer.status in (409, 412) and azure_storage.code_of(answer) in _UNMET:
            return False
        raise self._failure(answer, is_write=True)

    def _failure(self, answer: Answer, *, is_write: bool) -> StoreError:
        return azure_storage.failure(answer, self._settings.what, _MISSING, is_write=is_write)


def _is_absent(answer: Answer) -> bool:
    return answer.status == 404 and azure_storage.code_of(answer) == "BlobNotFound"
