"""The node of this run, and one with passwords that tests may break."""

from collections.abc import Iterator

import pytest
from servers import cassandra_server
from servers.cassandra_server import CassandraServer


@pytest.fixture
def server() -> CassandraServer:
    return cassandra_server.shared()


@pytest.fixture
def keyspace() -> str:
    """A keyspace that does not exist yet."""
    return cassandra_server.new_keyspace()


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraServer]:
    with cassandra_server.running(tmp_path_factory.mktemp("cassandra")) as server:
        yield server
