"""Options of the whole suite, and which of its tests run on which database."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from servers.database import Database
from servers.databases import DATABASES, applies, is_of, named

HERE = Path(__file__).parent
ON_EVERY_DATABASE = ("conformance", "scenarios")
"""Folders whose tests run on every database."""
MANY_CHANGES_LIMIT_S = 3600
"""With `--changes`, of each test: a slow emulator takes many minutes."""
FIRST_TEST_LIMIT_S = 300
"""The first test of a database waits for its server, which on a busy machine may take a minute by itself."""

settings.register_profile(
    "pannier",
    deadline=None,  # the machine may be busy
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ and "PANNIER_RANDOM_SEEDS" not in os.environ,  # new examples at night, none in CI
)
settings.load_profile("pannier")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run")
    parser.addoption("--store", help="run tests on this database and its variants only, such as redis or sqlite")
    parser.addoption(
        "--store-table",
        choices=("write", "check"),
        help="write the table of stores from what the conformance suite has proved, or check that it says just that",
    )
    parser.addoption(
        "--changes", type=int, help="how many increments and appends of one key, instead of fewer on slow stores"
    )
    parser.addoption("--at-length", action="store_true", help="run tests/hostile in its long form")
    parser.addoption(
        "--promises",
        choices=("write", "add", "check"),
        help="write docs/promises.md from what tests/hostile proved, add the rows that it lacks, or check it",
    )


def pytest_configure(config: pytest.Config) -> None:
    chosen = config.getoption("--store")
    if chosen is not None and not any(is_of(chosen, database) for database in DATABASES):
        raise pytest.UsageError(f"--store: no database is called {chosen}: {', '.join(map(str, DATABASES))}")
    for line in (
        "topic(name, feature): what the test proves, and the feature that a store claims",
        "needs(feature): runs on stores that claim the feature",
        "lacks(feature): runs on stores that do not claim the feature",
        "on(predicate): runs on databases for which the predicate is true",
        "every_store: a scenario that runs on every store: scenarios/matrix.py explains it",
        "over(name): needs the server of that database",
        "transport: of a front end: depends on the event loop, so it runs on both (servers/event_loops.py)",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(trylast=True)  # pytest puts the items in its own order first
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of features that a store does not claim, and put tests of one database together, so that it
    starts once.
    """
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        database = _database_of(item)
        for warning in database.passed_over if database else ():
            item.add_marker(pytest.mark.filterwarnings(warning))
        if config.getoption("--changes"):
            item.add_marker(pytest.mark.timeout(MANY_CHANGES_LIMIT_S), append=False)
        stays = (database is None or applies(item, database)) and _is_of(config.getoption("--store"), item, database)
        (kept if stays else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    for folder in ON_EVERY_DATABASE:
        places = [place for place, item in enumerate(kept) if _is_in(folder, item)]
        together = sorted((kept[place] for place in places), key=_place)
        for place, item in zip(places, together, strict=True):
            kept[place] = item
        for database in DATABASES:
            if (first := next((item for item in together if _database_of(item) is database), None)) is not None:
                first.add_marker(pytest.mark.timeout(FIRST_TEST_LIMIT_S))
    items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build programs that take minutes while other tests run."""
    wanted = {database.name for item in session.items if (database := _database_of(item))}
    steps = [database.prepare for database in DATABASES if database.name in wanted and database.prepare]
    if steps and not session.config.option.collectonly:
        threading.Thread(target=_prepare, args=(list(dict.fromkeys(steps)),), daemon=True).start()


def _prepare(steps: list[Callable[[], object]]) -> None:
    for step in steps:
        with suppress(Exception):  # the first test on this database fails with it again
            step()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Wait for programs that are being built before the test's own timeout begins."""
    database = _database_of(item)
    if database is not None and database.prepare is not None:
        with suppress(Exception):  # the test's fixture fails with it again
            database.prepare()
    return (yield)


def _is_of(chosen: str | None, item: pytest.Item, database: Database | None) -> bool:
    if chosen is None:
        return True
    return (
        not any(_is_in(folder, item) for folder in ON_EVERY_DATABASE) if database is None else is_of(chosen, database)
    )


def _is_in(folder: str, item: pytest.Item) -> bool:
    return item.path.is_relative_to(HERE / folder)


def _place(item: pytest.Item) -> int:
    database = _database_of(item)
    return -1 if database is None else DATABASES.index(database)


def _database_of(item: pytest.Item) -> Database | None:
    named_one = item.get_closest_marker("over")
    if named_one is not None:
        return named(named_one.args[0])
    given = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return next((value for value in given if isinstance(value, Database)), None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that did not run proves nothing: if every server can be had, a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not session.config.getoption("--fail-on-skip") or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and config.getoption("--fail-on-skip"):
        terminalreporter.write_line(f"{len(skipped)} skipped: a failure here", red=True)
