"""Each test of the suite runs on every subject; what was proved can be written as a table (`--write-matrix FILE`)."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conformance.matrix import Matrix
from conformance.subjects import SUBJECTS, Server, Subject

from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry

MATRIX = pytest.StashKey[Matrix]()

Keys = Callable[[str], str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-matrix", type=Path, metavar="FILE", help="write what each store was seen to do")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "topic(name, feature): what the test proves, and the feature that a store claims"
    )
    config.stash[MATRIX] = Matrix()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    topic = item.get_closest_marker("topic")
    subject = item.callspec.params.get("subject") if isinstance(item, pytest.Function) and topic else None
    if topic and subject and (report.when == "call" or not report.passed):
        item.config.stash[MATRIX].note(subject.name, topic.args[0], report.outcome)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--write-matrix", None)
    if path:
        path.write_text(session.config.stash[MATRIX].as_markdown())


@pytest.fixture(scope="session", params=SUBJECTS, ids=lambda subject: subject.name.replace(",", "").replace(" ", "-"))
def subject(request: pytest.FixtureRequest) -> Subject:
    """The store under test."""
    return request.param


@pytest.fixture(scope="session")
def server(subject: Subject, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What the store keeps its state in, for all tests of the run."""
    with subject.serve(tmp_path_factory.mktemp("server")) as server:
        pytestconfig.stash[MATRIX].versions[subject.name] = server.version
        yield server


@pytest.fixture(autouse=True)
def must_be_claimed(request: pytest.FixtureRequest, subject: Subject) -> None:
    """A test of a feature that the store does not claim says nothing about it."""
    topic = request.node.get_closest_marker("topic")
    if topic and len(topic.args) > 1 and topic.args[1] not in subject.claims:
        pytest.skip(f"{subject.name} does not claim {topic.args[1].value}")


@pytest.fixture
def make_store(subject: Subject, server: Server) -> Callable[[], Store]:
    """Make another store on the same server, not yet open."""
    kind: Any = registry.load(subject.store_type)
    return lambda: kind(server.settings)


@pytest.fixture
async def store(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """An open store."""
    store = make_store()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """What the keys of this test begin with: spread over a cluster, but for transactions, which need one hash slot."""
    topic = request.node.get_closest_marker("topic")
    unique = uuid4().hex
    return f"{{{unique}}}||" if topic and topic.args[0] == "transactions" else f"{unique}||"


@pytest.fixture
def key(prefix: str) -> Keys:
    """Give a key of this test's own."""
    return lambda name: prefix + name
