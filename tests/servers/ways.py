"""How each store over a network is led through a way of the tests', and what of its writes can be seen there."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from servers.postgresql_server import SUPERUSER


class Way(NamedTuple):
    """How a component names its server, and what of a write can be seen on the connection."""

    names: Callable[[int], Mapping[str, Any]]
    port: Callable[[Mapping[str, Any]], int]
    commit: Mapping[str, tuple[bytes, int]] = {}
    """By case: the word in the request that decides, and how often it comes before."""
    repeats: frozenset[str] = frozenset()
    """Cases whose request carries a number by which the database knows it again, so that its client may repeat it."""
    tells_its_port: bool = False
    """Its client goes where the server says that it is."""


def last_port(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda settings: int(str(settings[name]).rpartition(":")[2].partition("/")[0])


def as_address(name: str, form: str = "127.0.0.1:{}", **more: Any) -> Callable[[int], Mapping[str, Any]]:
    return lambda port: {name: form.format(port), **more}


TRANSACTIONS = frozenset({"transaction"})
POSTGRESQL = Way(
    as_address("connectionString", f"postgresql://{SUPERUSER}@127.0.0.1:{{}}/postgres"),
    last_port("connectionString"),
    commit={"transaction": (b"COMMIT", 0)},
)
WAYS = {
    "redis": Way(as_address("redisHost"), last_port("redisHost")),
    "postgresql": POSTGRESQL,
    "postgresql-v2": POSTGRESQL,
    "memcached": Way(as_address("hosts", timeout="5s"), last_port("hosts")),
    "mongodb": Way(
        as_address("host", params="?directConnection=true", operationTimeout="3s"),
        last_port("host"),
        commit={"transaction": (b"commitTransaction", 0)},
        repeats=TRANSACTIONS,
    ),
    "dynamodb": Way(as_address("endpoint", "http://127.0.0.1:{}"), last_port("endpoint"), repeats=TRANSACTIONS),
    "etcd": Way(as_address("endpoints"), last_port("endpoints")),
    "gcp-spanner": Way(
        as_address("emulatorHost"),
        last_port("emulatorHost"),
        # A precondition is read first, by the key too.
        commit=dict.fromkeys(("set by ETag", "delete by ETag", "create"), (b"cut-me", 1)),
    ),
    "consul": Way(as_address("httpAddr"), last_port("httpAddr")),
    "cosmosdb": Way(as_address("url", "http://127.0.0.1:{}"), last_port("url"), tells_its_port=True),
    "cassandra": Way(lambda port: {"port": port}, lambda settings: int(settings["port"])),
}
