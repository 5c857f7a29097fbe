"""Faults of production and hostile clients, made on purpose. Promises that held go into docs/promises.md
(`--promises`).
"""

from collections.abc import Callable

import pytest
from hostile import promises
from hostile.effort import Effort
from hostile.promises import Row

PROVED = pytest.StashKey[list[Row]]()

Promise = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PROVED] = []


@pytest.fixture(scope="session")
def effort(pytestconfig: pytest.Config) -> Effort:
    """The effort: little in CI, much with `make hostile`."""
    return Effort(is_long=pytestconfig.getoption("--at-length"))


@pytest.fixture
def promise(request: pytest.FixtureRequest) -> Promise:
    """Record a promise after all assertions of the test have held.

    `promised`, `on` (which store or port, with versions) and `fault` are the same from run to run; `times` (how often
    the fault was made) and `counted` (what was counted) may differ.
    """
    folder = request.config.rootpath / "tests" / "hostile"
    function = getattr(request.node, "originalname", request.node.name)
    test = f"{request.path.relative_to(folder)}::{function}"

    def record(promised: str, *, on: str, fault: str, times: int, counted: str) -> None:
        request.config.stash[PROVED].append(Row(promised, on, fault, f"{times:,}", counted, test))

    return record


def pytest_sessionfinish(session: pytest.Session) -> None:
    what = session.config.getoption("--promises")
    proved = session.config.stash[PROVED]
    if what is None or session.exitstatus != pytest.ExitCode.OK:
        return
    if what == "write":
        promises.write(proved)
    elif what == "add":
        promises.add(proved)
    elif faults := promises.faults_of(promises.PAGE.read_text(), proved):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            for line in [promises.ADVICE, *faults]:
                reporter.write_line(line.rstrip(), red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
