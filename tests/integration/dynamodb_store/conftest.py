"""One DynamoDB Local for the tests of this folder, with a table for each test."""

from collections.abc import Iterator
from itertools import count

import pytest
from servers.dynamodb_server import DynamoDBServer, running

_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBServer]:
    with running(tmp_path_factory.mktemp("dynamodb")) as server:
        yield server


@pytest.fixture
def table(server: DynamoDBServer) -> str:
    """A new table, with `key` for its partition key."""
    name = f"state-{next(_numbers)}"
    server.create_table(name)
    return name
