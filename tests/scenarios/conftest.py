"""Scenarios run against a real `pannier serve`; `matrix.py` says which ones on which store and front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from scenarios import matrix
from scenarios.grpc_client import GrpcClient
from scenarios.http_client import HttpClient
from scenarios.matrix import FrontEnds
from scenarios.state_client import ActorApi, StateApi
from scenarios.worlds import World, Worlds, served, world, write_components
from servers.database import Database
from servers.databases import named

_numbers = count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    matrix.parametrize(metafunc)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    worlds = Worlds(tmp_path_factory.mktemp("worlds"))
    yield worlds
    worlds.close()


@pytest.fixture
def here(worlds: Worlds, database: Database) -> World:
    """A sidecar with stores of one kind."""
    return worlds.of(database)


@pytest.fixture
def api(here: World, front_ends: FrontEnds) -> StateApi:
    """A front end of that sidecar."""
    found: StateApi = getattr(here, front_ends[0])
    return found


@pytest.fixture
def pair(here: World, front_ends: FrontEnds) -> tuple[StateApi, StateApi]:
    """Two front ends of that sidecar."""
    one, other = front_ends
    return getattr(here, one), getattr(here, other)


@pytest.fixture
def actors(here: World, front_ends: FrontEnds) -> ActorApi:
    """A front end of that sidecar that has the state of actors."""
    found: ActorApi = getattr(here, front_ends[0])
    return found


@pytest.fixture
def lists(here: World, front_ends: FrontEnds) -> ActorApi:
    """A front end of that sidecar that has lists of keys: the gRPC one has them beside Dapr's service."""
    found: ActorApi = getattr(here, front_ends[0])
    return found


@pytest.fixture
def grpc_client(here: World, front_ends: FrontEnds) -> GrpcClient:
    """A front end of that sidecar that speaks gRPC."""
    found: GrpcClient = getattr(here, front_ends[0])
    return found


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """The HTTP front end, for features that only HTTP has: there the store makes no difference."""
    with world(named("in-memory"), tmp_path_factory.mktemp("http")) as found:
        yield found.http


@pytest.fixture(scope="session")
def dapr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """The HTTP front end in profile `dapr`."""
    folder = tmp_path_factory.mktemp("dapr") / "components"
    write_components(folder, named("in-memory"), {})
    with served(folder, "--profile", "dapr") as pannier:
        client = HttpClient(pannier.port(), saved=204, deleted=204)
        yield client
        client.close()


@pytest.fixture
def key(new_key: Callable[[], str]) -> str:
    """A key that no other test uses, and that is a prefix of no other key."""
    return new_key()


@pytest.fixture
def new_key() -> Callable[[], str]:
    """Make such keys: one for each subtest."""
    return lambda: f"key-{next(_numbers)}."


@pytest.fixture
def group() -> str:
    """The prefix of keys that are used together: because of its braces a Redis Cluster keeps them in one place."""
    return f"{{group-{next(_numbers)}}}."


@pytest.fixture
def actor(group: str) -> str:
    """The id of an actor that no other test uses."""
    return group
