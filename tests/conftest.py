"""Options of the whole suite, and which of its tests run on which database."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from servers.database import Database
from servers.databases import DATABASES, named


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run")
    parser.addoption(
        "--store-table",
        choices=("write", "check"),
        help="write the table of stores from what the conformance suite has proved, or check that it says just that",
    )
    parser.addoption("--at-length", action="store_true", help="run tests/hostile in its long form")
    parser.addoption(
        "--promises",
        choices=("write", "check"),
        help="write docs/promises.md from what tests/hostile has proved, or check that it has just these rows",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "topic(name, feature): what the test proves, and the feature that a store claims",
        "needs(feature): runs on stores that claim the feature",
        "lacks(feature): runs on stores that do not claim the feature",
        "on(predicate): runs on databases of which it holds",
        "over(name): needs the server of that database",
    ):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says nothing about a store: tests of what it does not claim."""
    kept, left_out = [], []
    for item in items:
        database = _database_of(item)
        for warning in database.passed_over if database else ():
            item.add_marker(pytest.mark.filterwarnings(warning))
        (kept if database is None or _applies(item, database) else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have what takes minutes to build built while other tests run."""
    wanted = {database.name for item in session.items if (database := _database_of(item))}
    steps = [database.prepare for database in DATABASES if database.name in wanted and database.prepare]
    if steps and not session.config.option.collectonly:
        threading.Thread(target=lambda: [step() for step in dict.fromkeys(steps)], daemon=True).start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Wait for what is being built before the test's own time begins to run."""
    database = _database_of(item)
    if database is not None and database.prepare is not None:
        with suppress(Exception):  # the test's fixture meets it again, and tells
            database.prepare()
    return (yield)


def _database_of(item: pytest.Item) -> Database | None:
    named_one = item.get_closest_marker("over")
    if named_one is not None:
        return named(named_one.args[0])
    given = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return next((value for value in given if isinstance(value, Database)), None)


def _applies(item: pytest.Item, database: Database) -> bool:
    needed = {feature for mark in item.iter_markers("needs") for feature in mark.args}
    topic = item.get_closest_marker("topic")
    needed.update(topic.args[1:] if topic else ())
    lacked = {feature for mark in item.iter_markers("lacks") for feature in mark.args}
    return (
        needed <= database.claims
        and not lacked & database.claims
        and all(mark.args[0](database) for mark in item.iter_markers("on"))
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that did not run proves nothing: where every server can be had, a skip is a failure."""
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
