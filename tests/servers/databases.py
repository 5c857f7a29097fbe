"""Every database that tests run stores on; the conformance suite and the scenarios take them from here.

A new store adds its module of this folder.
"""

from __future__ import annotations

import pytest
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


def is_of(name: str, database: Database) -> bool:
    """Say whether a database is the one of that name or a variant of it, as `redis-cluster` is of `redis`."""
    return database.name == name or database.name.startswith(f"{name}-")


def applies(node: pytest.Item, database: Database) -> bool:
    """Say whether a test says anything about a database: by its marks `topic`, `needs`, `lacks` and `on`."""
    needed = {feature for mark in node.iter_markers("needs") for feature in mark.args}
    topic = node.get_closest_marker("topic")
    needed.update(topic.args[1:] if topic else ())
    lacked = {feature for mark in node.iter_markers("lacks") for feature in mark.args}
    return (
        needed <= database.claims
        and not lacked & database.claims
        and all(mark.args[0](database) for mark in node.iter_markers("on"))
    )
