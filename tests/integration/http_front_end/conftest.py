import asyncio
from collections.abc import Callable, Mapping

import pytest
from servers.event_loops import loops_of

from pannier_sidecar import serving


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return loops_of(item)


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server check its time limits twenty times a second."""
    monkeypatch.setattr(serving, "TICK_S", 0.05)


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server check its time limits only when the test says that time has passed."""
    monkeypatch.setattr(serving, "TICK_S", 1000.0)
