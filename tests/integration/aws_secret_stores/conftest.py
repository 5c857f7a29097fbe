"""One moto for the tests of this folder."""

from collections.abc import Iterator

import pytest
from servers.moto_server import MotoServer


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server
