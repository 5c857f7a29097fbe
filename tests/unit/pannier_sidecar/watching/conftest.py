"""A service whose store can be watched."""

from collections.abc import AsyncIterator

import pytest
from unit.pannier_sidecar.watching.watched_store import LoggedStore, Watched

from pannier_sidecar.state import following, watch


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (following, watch):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
        monkeypatch.setattr(module, "MAX_PAUSE_S", 0.05)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """A service over a store whose feed has no positions."""
    here = Watched()
    await here.store.open()
    yield here
    await here.service.end_watches()
    await here.store.close()
    assert here.budget.held == 0, "what was held is given back"


@pytest.fixture
async def logged() -> AsyncIterator[Watched]:
    """A service over a store whose feed has positions."""
    here = Watched(LoggedStore())
    await here.store.open()
    yield here
    await here.service.end_watches()
    await here.store.close()
    assert here.budget.held == 0, "what was held is given back"
