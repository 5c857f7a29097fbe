"""Each test of the suite runs on every database that claims the tested feature. The results become the table of stores
(`--store-table`). The suite calls the stores themselves, past front ends and service, with every value, key, ETag and
precondition that may be special to a database: tests/scenarios/matrix.py says why these need no repetition through the
front ends.

Tests are multiplied by stores and by nothing else. A table of values, keys, ETags or limits, and the ways in which a
store carries out a write (`calls.WAYS`), are walked through in one test: the store is opened once, the items have keys
of their own and are sent together, and each is reported by name as a subtest, even if others have failed. How much a
test sends at once, and how often it repeats a race, is up to `Database.many` and `Database.increments`.
"""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from uuid import uuid4

import pytest
from conformance import store_table
from conformance.in_one_place import InOnePlace
from conformance.matrix import Matrix
from servers.database import Database, Server
from servers.databases import DATABASES, applies

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.encryption.keys import Key
from pannier_sidecar.encryption.sealing import Sealing
from pannier_sidecar.state.store import Store

MATRIX = pytest.StashKey[Matrix]()

Keys = Callable[[str], str]

OF_SEVERAL_KEYS = ("transactions", "any sequence of calls")
"""Topics whose tests have transactions over several keys."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = Matrix(DATABASES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        subjects = [database for database in DATABASES if applies(metafunc.definition, database)]
        metafunc.parametrize("subject", subjects, indirect=True, scope="session", ids=str)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    topic = item.get_closest_marker("topic")
    subject = item.callspec.params.get("subject") if isinstance(item, pytest.Function) and topic else None
    if topic and isinstance(subject, Database) and (report.when == "call" or not report.passed):
        item.config.stash[MATRIX].note(subject.name, topic.args[0], report.outcome)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    what = config.getoption("--store-table", None)
    if what is None or session.exitstatus != pytest.ExitCode.OK:
        return
    matrix = config.stash[MATRIX]
    if what == "write":
        store_table.write(matrix)
    elif not store_table.is_current(matrix):
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None
        reporter.write_line(store_table.ADVICE, red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Database:
    """The database behind the store under test."""
    return request.param


@pytest.fixture(scope="session")
def server(
    subject: Database, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server in which the store keeps its state, for all tests of the run."""
    with subject.serve(tmp_path_factory.mktemp("server")) as server:
        pytestconfig.stash[MATRIX].versions[subject.name] = server.version
        yield server


@pytest.fixture
def make_store(request: pytest.FixtureRequest, subject: Database, server: Server) -> Callable[[], Store]:
    """Make another store on the same server, not yet open."""
    kind = subject.store_class
    settings = {**subject.typed(subject.patient(server.settings)), **server.chosen}
    if subject.is_encrypted:
        sealing = Sealing("statestore", [Key(bytes(range(32)), "key", "key")])
        return lambda: EncryptedStore(kind(settings), sealing)
    topic = request.node.get_closest_marker("topic")
    if subject.metadata_of_transactions and topic and topic.args[0] in OF_SEVERAL_KEYS:
        return lambda: InOnePlace(kind(settings), subject.metadata_of_transactions)
    return lambda: kind(settings)


@pytest.fixture
async def store(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """An open store."""
    store = make_store()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest, subject: Database) -> str:
    """The prefix of this test's keys: spread over a cluster, except for transactions, which need one hash slot."""
    topic = request.node.get_closest_marker("topic")
    unique = uuid4().hex
    if subject.keeps_one_app:
        return f"app||{unique}"
    return f"{{{unique}}}||" if topic and topic.args[0] == "transactions" else f"{unique}||"


@pytest.fixture
def key(prefix: str) -> Keys:
    """Return a key that only this test uses."""
    return lambda name: prefix + name
