"""Every database that tests run stores on; the conformance suite and the scenarios take them from here.

They are the `DATABASES` in this folder's modules called `..._server`, after those that need no server.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from servers import embedded
from servers.database import Database

_SERVERS = sorted(path.stem for path in Path(__file__).parent.glob("*_server.py"))
DATABASES: tuple[Database, ...] = (
    *embedded.DATABASES,
    *(each for name in _SERVERS for each in getattr(import_module(f"servers.{name}"), "DATABASES", ())),
)


def named(name: str) -> Database:
    return next(each for each in DATABASES if each.name == name)


def is_of(name: str, database: Database) -> bool:
    """Return whether a database has that name or is a variant of it, as `redis-cluster` is of `redis`."""
    return database.name == name or database.name.startswith(f"{name}-")


def applies(node: pytest.Item, database: Database) -> bool:
    """Return whether a test applies to a database, by its marks `topic`, `needs`, `lacks` and `on`."""
    needed = {feature for mark in node.iter_markers("needs") for feature in mark.args}
    topic = node.get_closest_marker("topic")
    needed.update(topic.args[1:] if topic else ())
    lacked = {feature for mark in node.iter_markers("lacks") for feature in mark.args}
    return (
        needed <= database.claims
        and not lacked & database.claims
        and all(mark.args[0](database) for mark in node.iter_markers("on"))
    )
