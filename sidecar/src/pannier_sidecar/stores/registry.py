"""Which class serves a component type.

Classes are named as strings and imported when a component asks for them, so that a store that is not used costs
neither memory nor its client library.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a store is, and what has to be installed for it."""

    path: str
    """`module:Class`."""
    extra: str | None = None
    """The extra of pannier-sidecar that brings `packages`."""
    packages: Mapping[str, str] | None = None
    """Import name to package name, for the libraries that come with the extra."""


ENTRIES: Final[Mapping[str, Entry]] = {
    "state.aws.dynamodb": Entry(
        "pannier_sidecar.stores.dynamodb:DynamoDBStore", "dynamodb", {"aiobotocore": "aiobotocore"}
    ),
    "state.azure.cosmosdb": Entry(
        "pannier_sidecar.stores.cosmosdb:CosmosDBStore",
        "cosmosdb",
        {"azure": "azure-cosmos", "azure.core": "azure-cosmos", "azure.cosmos": "azure-cosmos", "aiohttp": "aiohttp"},
    ),
    "state.cassandra": Entry(
        "pannier_sidecar.stores.cassandra:CassandraStore", "cassandra", {"cassandra": "cassandra-driver"}
    ),
    "state.etcd": Entry("pannier_sidecar.stores.etcd:RawStore", "etcd", {"aetcd": "aetcd", "grpc": "grpcio"}),
    "state.etcd/v2": Entry("pannier_sidecar.stores.etcd:TimedStore", "etcd", {"aetcd": "aetcd", "grpc": "grpcio"}),
    "state.gcp.spanner": Entry(
        "pannier_sidecar.stores.gcp_spanner:SpannerStore",
        "spanner",
        dict.fromkeys(("google", "google.cloud", "google.cloud.spanner_v1"), "google-cloud-spanner"),
    ),
    "state.hashicorp.consul": Entry("pannier_sidecar.stores.consul:ConsulStore", "consul", {"aiohttp": "aiohttp"}),
    "state.in-memory": Entry("pannier_sidecar.stores.in_memory:InMemoryStore"),
    "state.memcached": Entry("pannier_sidecar.stores.memcached:MemcachedStore"),
    "state.mongodb": Entry(
        "pannier_sidecar.stores.mongodb:MongoDBStore", "mongodb", {"pymongo": "pymongo", "bson": "pymongo"}
    ),
    "state.postgresql": Entry("pannier_sidecar.stores.postgresql:JsonStore", "postgresql", {"asyncpg": "asyncpg"}),
    "state.postgresql/v2": Entry("pannier_sidecar.stores.postgresql:BytesStore", "postgresql", {"asyncpg": "asyncpg"}),
    "state.redis": Entry("pannier_sidecar.stores.redis:RedisStore", "redis", {"hiredis": "hiredis"}),
    "state.sqlite": Entry("pannier_sidecar.stores.sqlite:SQLiteStore"),
}


def load(store_type: str, version: str = "v1", entries: Mapping[str, Entry] = ENTRIES) -> type[Store]:
    """Return the class that serves components of this type, by its canonical name (no alias).

    An entry `type/version` goes before one of the type alone.

    Raises StoreRefusedError for a type that no store serves and for one whose extra is not installed. An import that
    fails for any other reason is a defect and passes through.
    """
    entry = entries.get(f"{store_type}/{version}") or entries.get(store_type)
    if entry is None:
        known = sorted({name.partition("/")[0] for name in entries})
        raise StoreRefusedError(f"no state store serves type {store_type}; known types: {', '.join(known)}")
    module, _, name = entry.path.partition(":")
    try:
        return cast("type[Store]", getattr(import_module(module), name))
    except ModuleNotFoundError as error:
        package = (entry.packages or {}).get(error.name or "")
        if package is None:
            raise
        raise StoreRefusedError(
            f"{store_type} needs the package {package}: pip install 'pannier-sidecar[{entry.extra}]'"
        ) from error
