"""A resync repairs the cache with a full list, and detects a watch that has died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pannier_operator.cluster import resync
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.resync import Resync
from pannier_operator.metrics import Metrics
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError

DIED = "the watch of components has died"


class Cluster:
    """An API that lists given objects, or fails on demand, which a real API server does not."""

    def __init__(self) -> None:
        self.components: list[dict[str, Any]] = []
        self.is_down = False
        self.lists = 0
        self.version = 100
        self.defines_resiliencies = True

    async def everything(
        self, plural: str, namespaces: Collection[str], take: Callable[[dict[str, Any]], object]
    ) -> int | None:
        if self.is_down:
            raise ApiError("refused")
        if plural == "resiliencies" and not self.defines_resiliencies:
            return None
        if plural == "components":
            self.lists += 1
            for each in self.components:
                take(each)
        return self.version


def component(name: str, version: int = 7) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"type": "state.in-memory"}}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def state() -> ClusterCache:
    return ClusterCache()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_WATCH_LAG", "_RETRY"):
        monkeypatch.setattr(resync, name, 0.01)


@asynccontextmanager
async def running(
    cluster: Cluster, state: ClusterCache, interval: float = 0.01, namespaces: Collection[str] = ()
) -> AsyncIterator[Resync]:
    found = Resync(cluster, state, namespaces, interval, Metrics(), lambda: None)  # type: ignore[arg-type]
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_an_object_that_no_watch_has_reported_is_added_by_the_list(cluster: Cluster, state: ClusterCache) -> None:
    state.put("components", component("gone", version=3))
    cluster.components = [component("missed")]

    async with running(cluster, state):
        await until(lambda: state.is_filled)

    assert [each["metadata"]["name"] for each in state.components("shop")] == ["missed"]


async def test_a_watch_that_does_not_report_a_listed_object_has_died(cluster: Cluster, state: ClusterCache) -> None:
    async with running(cluster, state) as resyncing:
        await until(lambda: cluster.lists > 2)
        assert DIED not in resyncing.problems()
        cluster.components = [component("missed")]
        await until(lambda: DIED in resyncing.problems())

        state.observe("components", False, component("missed"))
        await until(lambda: DIED not in resyncing.problems())


async def test_a_watch_has_not_died_before_it_has_begun(cluster: Cluster, state: ClusterCache) -> None:
    cluster.components = [component("there-before")]

    async with running(cluster, state, interval=1000) as resyncing:
        await until(lambda: state.is_filled)
        assert resyncing.problems() == []


async def test_lists_that_fail_for_three_intervals_are_a_problem(cluster: Cluster, state: ClusterCache) -> None:
    cluster.is_down = True

    async with running(cluster, state) as resyncing:
        await until(resyncing.problems)
        assert resyncing.problems()[0].startswith("nothing has been listed for")
        cluster.is_down = False
        await until(lambda: state.is_filled)


@pytest.mark.parametrize("reported", ["by a watch", "by a list call", "of one object"])
async def test_an_api_server_whose_versions_go_back_ends_the_operator(
    cluster: Cluster, state: ClusterCache, reported: str
) -> None:
    """The API server was restored from a backup: everything cached is invalid, and so are the watches."""
    if reported == "by a watch":
        state.observe("components", False, component("new", version=130))
        cluster.version = 120
    elif reported == "of one object":
        state.observe("components", False, component("old", version=90))
        cluster.components, cluster.version = [component("old", version=80)], 150

    found = Resync(cluster, state, (), 0.01, Metrics(), lambda: None)  # type: ignore[arg-type]
    task = asyncio.create_task(found.run())
    if reported == "by a list call":
        await until(lambda: cluster.lists > 2)
        cluster.version = 99

    with pytest.raises(ResourceVersionRewoundError):
        await asyncio.wait_for(task, 20)


async def test_a_definition_that_is_not_installed_is_no_failure_and_its_removal_empties_the_cache(
    cluster: Cluster, state: ClusterCache
) -> None:
    state.observe("resiliencies", False, {**component("policies", version=90), "kind": "Resiliency"})
    cluster.defines_resiliencies = False

    async with running(cluster, state) as resyncing:
        await until(lambda: cluster.lists > 2)
        assert resyncing.problems() == []
        assert state.resiliencies("shop") == []


class Busy(Cluster):
    """An API whose only object changes while it is listed, and a watch reports that at once."""

    def __init__(self, state: ClusterCache) -> None:
        super().__init__()
        self.state = state

    async def everything(
        self, plural: str, namespaces: Collection[str], take: Callable[[dict[str, Any]], object]
    ) -> int | None:
        listed = self.version
        self.components = [component("changing", version=listed)]
        self.version += 1
        self.state.observe("components", False, component("changing", version=self.version))
        await super().everything(plural, namespaces, take)
        return listed


async def test_a_watch_that_is_ahead_of_a_list_is_no_earlier_version(state: ClusterCache) -> None:
    cluster = Busy(state)

    async with running(cluster, state):
        await until(lambda: cluster.lists > 5)


async def test_a_requested_resync_begins_at_once(cluster: Cluster, state: ClusterCache) -> None:
    async with running(cluster, state, interval=3600) as resyncing:
        await until(lambda: cluster.lists == 1)
        cluster.components = [component("restored")]

        resyncing.request()

        await until(lambda: state.components("shop"))


async def test_with_a_list_of_namespaces_a_definition_that_comes_later_is_found_soon_and_needs_a_restart(
    cluster: Cluster, state: ClusterCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "_DEFINITION_POLL", 0.01)
    cluster.defines_resiliencies = False

    async with running(cluster, state, interval=1000, namespaces=("shop",)) as resyncing:
        await until(lambda: state.is_filled)
        cluster.is_down = True
        await asyncio.sleep(0.05)
        assert resyncing.problems() == [] and cluster.lists == 1
        cluster.is_down = False
        cluster.defines_resiliencies = True
        await until(resyncing.problems)
        assert resyncing.problems() == [
            "the definition of resiliencies came after the start; a restart begins its watch"
        ]
        await until(lambda: cluster.lists == 2)


async def test_where_definitions_are_watched_none_is_looked_for(
    cluster: Cluster, state: ClusterCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "_DEFINITION_POLL", 0.01)
    cluster.defines_resiliencies = False

    async with running(cluster, state, interval=1000) as resyncing:
        await until(lambda: state.is_filled)
        cluster.defines_resiliencies = True
        await asyncio.sleep(0.05)
        assert cluster.lists == 1
        resyncing.request()
        await until(lambda: cluster.lists == 2)
        assert resyncing.problems() == []
