"""Each store over a network with faults on demand, and a server for each."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from servers.database import Database, Server
from servers.databases import named
from servers.proxy_setups import PROXY_SETUPS


@pytest.fixture(scope="module", params=PROXY_SETUPS)
def subject(request: pytest.FixtureRequest) -> Database:
    return named(request.param)


@pytest.fixture(scope="module")
def server(subject: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with subject.serve(tmp_path_factory.mktemp("server")) as server:
        yield server
        gc.collect()
