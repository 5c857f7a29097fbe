"""Every scenario runs on every store, through every head, against a real `pannier serve`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from _pytest.mark import ParameterSet
from scenarios.http_client import HttpClient
from scenarios.state_client import StateApi
from scenarios.worlds import World, served, world, write_components
from servers.databases import DATABASES, named

SDKS = ("dapr_sdk", "dapr_sdk_aio")
HEADS = ("http", "dapr_grpc", "layotto_grpc", *SDKS)
_numbers = count(1)


def through(*heads: str) -> ParameterSet:
    """A parameter of heads; those that an SDK is in front of run where the SDKs are tried."""
    if not set(heads) & set(SDKS):
        return pytest.param(heads, id="-".join(heads))
    return pytest.param(heads, id="-".join(heads), marks=pytest.mark.on(lambda database: database.is_tried_by_sdks))


@pytest.fixture(scope="session", params=[each for each in DATABASES if not each.is_a_variant], ids=str)
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A sidecar with stores of one kind."""
    with world(request.param, tmp_path_factory.mktemp(request.param.name)) as found:
        yield found


@pytest.fixture(params=[through(head) for head in HEADS])
def api(request: pytest.FixtureRequest, here: World) -> StateApi:
    """A head of that sidecar."""
    (head,) = request.param
    found: StateApi = getattr(here, head)
    return found


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """The HTTP head, for what only HTTP has: the store makes no difference there."""
    with world(named("in-memory"), tmp_path_factory.mktemp("http")) as found:
        yield found.http


@pytest.fixture(scope="session")
def dapr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """The HTTP head in profile `dapr`."""
    folder = tmp_path_factory.mktemp("dapr") / "components"
    write_components(folder, named("in-memory"), {})
    with served(folder, "--profile", "dapr") as pannier:
        client = HttpClient(pannier.port(), saved=204, deleted=204)
        yield client
        client.close()


@pytest.fixture
def key() -> str:
    """A key that no other test uses, and that is the beginning of no other one."""
    return f"key-{next(_numbers)}."


@pytest.fixture
def group() -> str:
    """What keys begin with that are used together: a Redis Cluster keeps them in one place for their braces."""
    return f"{{group-{next(_numbers)}}}."


@pytest.fixture
def actor(group: str) -> str:
    """The id of an actor that no other test uses."""
    return group
