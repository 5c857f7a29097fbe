"""Measure one store beside its bare client library: `make bench STORE=redis`.

Sixteen callers call the bare library, the store over it, and a sidecar that serves it. A sidecar over memory shows what
the HTTP front end takes, and an encrypted one what encryption at rest takes. CPU time is that of the calling process,
or of the sidecar; the server's does not count. With --brown-out the table is another one: `brown_out.py`.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import NamedTuple

import brown_out
import uvloop
from bare.calls import Calls
from measuring import wrk
from process_stats import cpu_seconds
from servers.component_files import component
from servers.database import Database, Settings
from servers.databases import DATABASES, named
from under_test import STORE, sidecar

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores import registry

CALLERS = 16
KEYS = 1000
VALUE = b'{"name":"Ada Lovelace","address":"12 St James Square, London","orders":[17,4,2026],"active":true}'


class Cost(NamedTuple):
    """Calls a second, and microseconds of CPU time for each."""

    rate: float
    cpu: float


def main() -> None:
    options = _options().parse_args()
    database = named(options.store)
    with tempfile.TemporaryDirectory() as folder, database.serve(Path(folder)) as server:
        print(f"{database.title}, {server.version}, {CALLERS} callers")
        if options.brown_out:
            for line in brown_out.rows(database, server.settings, options.seconds):
                print(line, flush=True)
            return
        print(f"{'call':>6}{'by':>24}{'calls/s':>10}{'CPU us/call':>13}")
        for row in _rows(database, server.settings, options.seconds):
            print(row, flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench STORE=...", description=__doc__)
    parser.add_argument("store", choices=[each.name for each in DATABASES], metavar="STORE")
    parser.add_argument("--seconds", type=int, default=3, help="of load for each row (3)")
    parser.add_argument("--brown-out", action="store_true", help="measure what calls get while the server is ill")
    return parser


def _rows(database: Database, settings: Settings, seconds: int) -> Iterator[str]:
    over_it = component(STORE, database.store_type, settings, version=database.store_version)
    keyed = {**settings, "primaryEncryptionKey": "0f" * 32, "keyPrefix": "encrypted"}
    encrypted = component(STORE, database.store_type, keyed, version=database.store_version)
    for operation in ("save", "get"):
        costs = {
            "bare client": uvloop.run(_called(_bare(database, settings), operation, seconds)),
            "store": uvloop.run(_called(_store(database, settings), operation, seconds)),
            "sidecar": _served(over_it, operation, seconds),
            "sidecar, encrypted": _served(encrypted, operation, seconds),
            "sidecar over memory": _served(component(STORE, "state.in-memory", {}), operation, seconds),
        }
        for name, cost in costs.items():
            yield f"{operation:>6}{name:>24}{cost.rate:>10.0f}{cost.cpu:>13.1f}"
        expected = 1.5 * costs["bare client"].cpu + costs["sidecar over memory"].cpu
        yield f"{'':>6}  sidecar / (1.5 x bare client + sidecar over memory) = {costs['sidecar'].cpu / expected:.2f}"


def _bare(database: Database, settings: Settings) -> AbstractAsyncContextManager[Calls]:
    module = import_module(f"bare.{database.store_type.rpartition('.')[2]}")
    calls: AbstractAsyncContextManager[Calls] = module.bare(settings)
    return calls


@asynccontextmanager
async def _store(database: Database, settings: Settings) -> AsyncIterator[Calls]:
    store = registry.load(database.store_type, database.store_version)(database.typed(settings))
    await store.open()

    async def get(key: str) -> bytes | None:
        found = await store.get(Get(key))
        return None if found is None else found.value

    async def set(key: str, value: bytes) -> None:
        await store.set(Set(key, value))

    yield get, set
    await store.close()


async def _called(calls: AbstractAsyncContextManager[Calls], operation: str, seconds: int) -> Cost:
    """Call in this process, once for each key before the clock starts."""
    async with calls as (get, set):
        keys = [f"bench||k{number}" for number in range(KEYS)]
        for key in keys:
            await set(key, VALUE)
        numbers, end = count(), time.perf_counter() + seconds

        async def caller() -> None:
            while time.perf_counter() < end:
                key = keys[next(numbers) * 7 % KEYS]
                await (get(key) if operation == "get" else set(key, VALUE))

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took, used = time.perf_counter() - began, time.process_time() - cpu
    calls_made = next(numbers)
    return Cost(calls_made / took, used / calls_made * 1e6)


def _served(manifest: str, operation: str, seconds: int) -> Cost:
    """Call a sidecar over HTTP."""
    with sidecar(manifest) as server:
        wrk(server.store_url, "save", CALLERS, 1)  # fills the store and warms up
        before = cpu_seconds(server.pid)
        result = wrk(server.store_url, operation, CALLERS, seconds)
        cpu = cpu_seconds(server.pid) - before
    requests = max(result["requests"], 1)
    return Cost(requests / result["us"] * 1e6, cpu / requests * 1e6)


if __name__ == "__main__":
    main()
