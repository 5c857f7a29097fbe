"""A component that asks for a cache has one, for as long as it does, whatever else it asks for."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from unit.pannier_sidecar.loading.conftest import Folder

from pannier_sidecar.encryption.encrypted_store import EncryptedStore
from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.observing.metrics import Metrics
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.near_cache import NearCache
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores.in_memory import InMemoryStore

Keep = Callable[..., StoreSupervisor]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("shop")


def served(keeper: StoreSupervisor) -> Store | None:
    found = keeper.directory.served.get("s")
    return None if found is None else found.store


def counted(metrics: Metrics, name: str) -> float | None:
    """Return a number of the page of metrics."""
    lines = [line for line in metrics.page().decode().splitlines() if line.startswith(f"pannier_state_cache_{name}{{")]
    return float(lines[0].rpartition(" ")[2]) if lines else None


async def test_values_are_answered_from_memory_and_counted(
    folder: Folder, keep: Keep, eventually: Eventually, metrics: Metrics
) -> None:
    folder.put("s", cacheSize="1Mi")
    keeper = keep()
    keeper._observer = metrics
    keeper.read()
    keeper.start()
    await eventually(lambda: isinstance(served(keeper), NearCache))
    await eventually(lambda: counted(metrics, "age_seconds") is not None)
    store = served(keeper)
    assert store is not None
    await store.set(Set("shop||a", b"1"))
    while not counted(metrics, "hits_total"):
        await store.get(Get("shop||a"))
    assert counted(metrics, "keys") == 1
    size = counted(metrics, "size_bytes")
    assert size is not None
    assert size > 0
    folder.put("s")
    await eventually(lambda: isinstance(served(keeper), InMemoryStore))
    assert counted(metrics, "hits_total") is None


async def test_the_same_cache_serves_a_changed_component(
    folder: Folder, keep: Keep, eventually: Eventually, metrics: Metrics
) -> None:
    folder.put("s", cacheSize="1Mi")
    keeper = keep()
    keeper._observer = metrics
    keeper.read()
    keeper.start()
    await eventually(lambda: isinstance(served(keeper), NearCache))
    before: Any = served(keeper)
    folder.put("s", cacheSize="1Mi", primaryEncryptionKey="00" * 32)
    await eventually(lambda: isinstance(served(keeper), EncryptedStore))
    after: Any = served(keeper)
    assert after.inner._cached is before._cached
    folder.put("s", cacheSize="2Mi")
    await eventually(lambda: isinstance(served(keeper), NearCache))
    other: Any = served(keeper)
    assert other._cached is not before._cached


async def test_a_store_whose_changes_are_unknown_is_refused(
    folder: Folder, keep: Keep, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InMemoryStore, "changes_by", ChangesBy.NONE)
    folder.put("s", cacheSize="1Mi")
    keeper = keep()
    keeper.read()
    keeper.start()
    await eventually(
        lambda: "s" in keeper.directory.waiting and "take cacheSize out" in keeper.directory.waiting["s"].why
    )
