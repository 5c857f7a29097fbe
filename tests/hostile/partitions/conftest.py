"""Each store over a network with faults on demand, and a server for each."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from servers.cutting_proxy import CuttingProxy
from servers.database import Database, Server
from servers.databases import named
from servers.eventually import eventually
from servers.proxy_setups import PROXY_SETUPS

from pannier_sidecar.state.requests import Get
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores import registry


@pytest.fixture(scope="module", params=PROXY_SETUPS)
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@pytest.fixture(scope="module")
def server(subject: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with subject.serve(tmp_path_factory.mktemp("server")) as server:
        yield server
        gc.collect()


class Both(NamedTuple):
    """A store whose connection can be cut, and another client's store."""

    proxy: CuttingProxy
    ours: Store
    theirs: Store
    metadata: Mapping[str, str]

    async def found(self, key: str) -> StoredValue | None:
        return await eventually(lambda: self.theirs.get(Get(key, True, self.metadata)))


@pytest.fixture
async def both(subject: Database, server: Server) -> AsyncIterator[Both]:
    kind: Any = registry.load(subject.store_type, subject.store_version)
    setup = PROXY_SETUPS[subject.name]
    async with (
        CuttingProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port) as proxy,
        opened(kind(subject.typed(server.settings))) as theirs,
    ):
        through = subject.typed({**server.settings, **setup.names(proxy.port)})
        async with opened(kind(through)) as ours:
            yield Both(proxy, ours, theirs, subject.metadata_of_transactions)


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()
