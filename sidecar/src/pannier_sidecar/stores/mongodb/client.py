"""The one client that all calls share: connected, verified, and made ready for expiry."""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pymongo
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pannier_sidecar.state.errors import StoreRefusedError

from . import errors, layout
from .pool import counting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.asynchronous.collection import AsyncCollection

    from pannier_sidecar.network.connections import Connections

    from .settings import MongoDBSettings

    Collection = AsyncCollection[layout.Document]

logger = logging.getLogger(__name__)

Client = AsyncMongoClient[layout.Document]

MAX_SEARCH_S: Final = 4.0
"""How long opening may search for a server: shorter than a component's usual initTimeout, so that the reason is
reported.
"""


@dataclass(frozen=True, slots=True)
class Server:
    """An open client, and its collection for calls of either consistency."""

    settings: MongoDBSettings
    client: Client
    eventual: Collection
    strong: Collection
    has_transactions: bool

    @property
    def repeats_writes(self) -> bool:
        """Whether the client repeats a write whose answer was lost, with a transaction number by which MongoDB
        recognizes it.
        """
        return self.has_transactions and self.client.options.retry_writes

    def collection(self, *, strong: bool) -> Collection:
        return self.strong if strong else self.eventual


def connect(settings: MongoDBSettings, connections: Connections) -> Client:
    """Return a client that has not connected yet. Raises StoreRefusedError for a URL or options that it refuses."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            client: Client = AsyncMongoClient(
                settings.url.reveal(), timeoutMS=round(settings.timeout * 1000), _pool_class=counting(connections)
            )
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            raise StoreRefusedError(
                f"{settings} can't be used as the component says: {errors.why(error)}; "
                "correct host, params or connectionString"
            ) from error
    connections.limit = int(client.options.pool_options.max_pool_size or sys.maxsize)
    for warning in caught:
        logger.warning("%s: an option of the connection has no effect: %s", settings, _option(str(warning.message)))
    return client


async def verify(client: Client, settings: MongoDBSettings) -> Server:
    """Prove that the collection can be used, and have MongoDB remove what expires. Raises the client's errors."""
    with pymongo.timeout(min(settings.timeout, MAX_SEARCH_S)):
        hello = await client.admin.command("hello")
    server = _server(client, settings, _has_members(hello))
    await probe(server)
    await _refuse_collation(server)
    await _expire(server.eventual, settings)
    if not server.has_transactions:
        logger.warning(
            "%s is a single server, so transactions over several keys, actors' among them, will be refused; "
            "make it a replica set, be it of one member, for those",
            settings,
        )
    return server


async def probe(server: Server) -> None:
    """Read one document, which proves the permission to read."""
    await server.eventual.find_one({"_id": ""}, {"_id": 1})


async def _refuse_collation(server: Server) -> None:
    """Raise StoreRefusedError for a collection in which keys that differ in case or accents can be equal."""
    settings = server.settings
    try:
        found = await server.client[settings.database].list_collections(filter={"name": settings.collection})
        collections = await found.to_list()
    except OperationFailure:  # this user may not ask
        return
    for collection in collections:
        collation = collection.get("options", {}).get("collation", {})
        if collation.get("locale", "simple") != "simple":
            raise StoreRefusedError(
                f"{settings} has a collation, so different keys could be the same there; "
                "make the collection without one, or write another collectionName"
            )


def _option(text: str) -> str:
    return "Unknown option" if text.startswith("Unknown option") else "its value is not one that the client takes"


def _has_members(hello: Mapping[str, Any]) -> bool:
    """Return whether the server is part of a replica set or a sharded cluster: only these have transactions."""
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def _server(client: Client, settings: MongoDBSettings, has_members: bool) -> Server:
    concern = settings.write_concern
    eventual = client[settings.database].get_collection(
        settings.collection,
        codec_options=layout.OPTIONS,
        read_concern=ReadConcern(settings.read_concern),
        write_concern=client.write_concern if concern is None else WriteConcern(concern, j=True),
    )
    strong = eventual.with_options(
        read_preference=ReadPreference.PRIMARY,
        # A single server has no majority, and refuses reads that ask for one.
        read_concern=ReadConcern("linearizable") if has_members else ReadConcern("local"),
        write_concern=WriteConcern("majority", j=True),
    )
    return Server(settings, client, eventual, strong, has_members)


async def _expire(collection: Collection, settings: MongoDBSettings) -> None:
    try:
        await collection.create_index("_ttl", expireAfterSeconds=0)
    except OperationFailure as error:
        # Reads check the time themselves: without the index expired documents only take space.
        logger.warning(
            "%s will not remove expired entries (code %s); have its administrator call "
            "createIndex({_ttl: 1}, {expireAfterSeconds: 0})",
            settings,
            error.code,
        )
