"""Every database that tests run stores on; the conformance suite and the scenarios take them from here.

A new store adds its module of this folder.
"""

from __future__ import annotations

from servers import (
    cassandra_server,
    consul_server,
    cosmosdb_server,
    dynamodb_server,
    embedded,
    etcd_server,
    memcached_server,
    mongodb_server,
    postgresql_server,
    redis_server,
    spanner_server,
)
from servers.database import Database

DATABASES: tuple[Database, ...] = (
    *embedded.DATABASES,
    *redis_server.DATABASES,
    *postgresql_server.DATABASES,
    *memcached_server.DATABASES,
    *mongodb_server.DATABASES,
    *dynamodb_server.DATABASES,
    *etcd_server.DATABASES,
    *spanner_server.DATABASES,
    *consul_server.DATABASES,
    *cosmosdb_server.DATABASES,
    *cassandra_server.DATABASES,
)


def named(name: str) -> Database:
    return next(each for each in DATABASES if each.name == name)
