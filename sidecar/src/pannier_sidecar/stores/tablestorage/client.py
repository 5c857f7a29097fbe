"""The requests to Azure Table Storage that the store makes, for the entities of one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from msgspec import DecodeError, Struct, field, json

from pannier_sidecar.clouds.azure_storage_login import COSMOS, STORAGE, sign_in
from pannier_sidecar.network import azure_storage
from pannier_sidecar.network.http_client import Wording
from pannier_sidecar.state.errors import StoreRefusedError

from . import layout
from .layout import Entity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from pannier_sidecar.network.http_client import Answer
    from pannier_sidecar.state.errors import StoreError
    from pannier_sidecar.state.store import StoredValue

    from .layout import EntityName
    from .settings import TableStorageSettings

VERSION: Final = "2019-02-02"
"""Of the REST API; Azure Cosmos DB has this one too."""
MAX_PAGE: Final = 1000
"""Entities in an answer."""
_MISSING: Final = "create it, or leave skipCreateTable out"
_NO_ENTITY: Final = ("ResourceNotFound", "EntityNotFound")
_UNMET: Final = ("UpdateConditionNotSatisfied", "ConditionNotMet", "EntityAlreadyExists")
"""Codes that say that a precondition does not hold."""
_NEXT: Final = ("NextPartitionKey", "NextRowKey")
_MAX_MARKER: Final = 8192
"""Characters of the marker of a page."""


class Found(NamedTuple):
    """A value, and the ETag of its entity in Azure."""

    stored: StoredValue
    etag: str
    has_expired: bool


class EntityPage(NamedTuple):
    """A page of entities without their values, and the marker of the next one; empty: there is none."""

    entities: Sequence[Entity]
    marker: str


class _Entities(Struct):
    entities: list[Entity] = field(name="value")


Answered = TypeVar("Answered", Entity, _Entities)


class Client:
    """One table. Every method raises a StoreError."""

    def __init__(self, settings: TableStorageSettings):
        """Call it in the event loop."""
        self._settings = settings
        wording = Wording(
            settings.where,
            "check accountName, serviceURL and connectionString",
            "write an address whose certificate is trusted",
        )
        fields = {
            "x-ms-version": VERSION,
            "DataServiceVersion": "3.0;NetFx",
            "MaxDataServiceVersion": "3.0;NetFx",
            "Accept": "application/json;odata=minimalmetadata",
        }
        self._service = azure_storage.StorageService("table", settings.account, wording, settings.timeout, fields)
        self._table = f"/{settings.table}"

    async def sign_in(self, resources: AsyncExitStack) -> None:
        """Have calls signed by a token of Entra ID, if neither a key nor a SAS is given."""
        settings = self._settings
        scope = COSMOS if settings.is_cosmos else STORAGE
        await sign_in(self._service, settings.profile, settings.timeout, resources, scope)

    async def close(self) -> None:
        await self._service.close()

    async def create_table(self) -> None:
        """Create the table if it does not exist and this login may create it."""
        answer = await self._send("POST", "/Tables", json.encode({"TableName": self._settings.table}))
        # 409: it exists. 403: this login may only use it, so whether it exists turns out at the next call.
        if answer.status not in (201, 204, 403, 409) or azure_storage.code_of(answer) == "TableBeingDeleted":
            raise self._failure(answer, is_write=False)

    async def prove_adding(self) -> None:
        """Raise StoreRefusedError if this login may not add entities: one without a RowKey is never added."""
        answer = await self._send("POST", self._table, b'{"PartitionKey":"pannier-permission-probe"}')
        if answer.status != 400:
            raise self._failure(answer, is_write=False)

    async def get(self, name: EntityName) -> Found | None:
        """Return what an entity holds, even if it has expired; None: there is none of this name."""
        answer = await self._service.call("GET", self._address(name))
        if answer.status == 404 and azure_storage.code_of(answer) in _NO_ENTITY:
            return None
        if answer.status != 200:
            raise self._failure(answer, is_write=False)
        entity = self._decoded(answer.body, Entity)
        etag = answer.fields.get("ETag") or entity.etag
        if (entity.partition, entity.row) != name or not layout.is_etag(etag):
            raise azure_storage.not_understood(self._settings.what, is_write=False)
        try:
            return Found(layout.stored(entity, etag), etag, entity.has_expired)
        except ValueError as error:
            raise StoreRefusedError(
                f"another program wrote an entity with the name of this key into {self._settings.what}, in another "
                "form; delete it there"
            ) from error

    async def add(self, body: bytes) -> bool:
        """Add an entity; return False if there is one of its name."""
        return self._is_done(await self._send("POST", self._table, body), 201, 204)

    async def replace(self, name: EntityName, body: bytes, etag: str | None) -> bool:
        """Replace an entity, or without an ETag also add it; return False if it has another ETag or is absent."""
        return self._is_done(await self._send("PUT", self._address(name), body, etag), 204)

    async def delete(self, name: EntityName, etag: str | None) -> bool | None:
        """Delete an entity; return False if it has another ETag, None if there is no entity."""
        answer = await self._send("DELETE", self._address(name), None, etag or "*")
        if answer.status == 404 and azure_storage.code_of(answer) in _NO_ENTITY:
            return None
        return self._is_done(answer, 204)

    async def list_page(self, filter_: str, limit: int, marker: str) -> EntityPage:
        """Return up to `limit` entities that a filter finds, from a marker of the page before."""
        query = {"$top": str(min(limit, MAX_PAGE)), "$select": f"PartitionKey,RowKey,{layout.EXPIRES}"}
        if filter_:
            query["$filter"] = filter_
        query |= {name: value for name, value in parse_qsl(marker, keep_blank_values=True) if name in _NEXT}
        answer = await self._service.call("GET", f"{self._table}()", query)
        if answer.status != 200:
            raise self._failure(answer, is_write=False)
        following = {name: answer.fields.get(f"x-ms-continuation-{name}") for name in _NEXT}
        marker = urlencode({name: value for name, value in following.items() if value is not None})
        entities = self._decoded(answer.body, _Entities).entities
        if len(entities) > limit or len(marker) > _MAX_MARKER:
            raise azure_storage.not_understood(self._settings.what, is_write=False)
        return EntityPage(entities, marker)

    def _decoded(self, body: bytes, kind: type[Answered]) -> Answered:
        try:
            return json.decode(body, type=kind)
        except (DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise azure_storage.not_understood(self._settings.what, is_write=False) from error

    def _address(self, name: EntityName) -> str:
        keys = (quote(layout.quoted(each), safe="~") for each in name)
        return "{}(PartitionKey={},RowKey={})".format(self._table, *keys)

    async def _send(self, method: str, path: str, body: bytes | None, etag: str | None = None) -> Answer:
        fields: dict[str, str] = {}
        if body is not None:
            fields |= {"Content-Type": "application/json", "Prefer": "return-no-content"}
        if etag is not None:
            fields["If-Match"] = etag
        return await self._service.call(method, path, fields=fields, body=body, is_write=True)

    def _is_done(self, answer: Answer, *statuses: int) -> bool:
        """Return whether a write was made, False for a precondition that does not hold. Raises a StoreError for any
        other answer.
        """
        if answer.status in statuses:
            return True
        code = azure_storage.code_of(answer)
        if (answer.status in (409, 412) and code in _UNMET) or (answer.status == 404 and code in _NO_ENTITY):
            return False
        raise self._failure(answer, is_write=True)

    def _failure(self, answer: Answer, *, is_write: bool) -> StoreError:
        return azure_storage.failure(answer, self._settings.what, _MISSING, is_write=is_write)
