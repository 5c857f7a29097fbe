"""Admission judges a Component by those that exist now, even if the watch is behind or has died."""

from __future__ import annotations

from typing import Any

import pytest
from servers.cluster_in_memory import ClusterInMemory

from pannier_operator.cluster import current_components
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.current_components import CurrentComponents
from pannier_operator.cluster.errors import ApiError


def component(name: str, value: str = "1") -> dict[str, Any]:
    spec = {"type": "state.redis", "version": "v1", "metadata": [{"name": "redisDB", "value": value}]}
    return {"kind": "Component", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


class World:
    """A cluster with three Components, which a cache has seen."""

    def __init__(self) -> None:
        self.cluster: Any = ClusterInMemory()
        self.cache = ClusterCache()
        for name in ("one", "two", "three"):
            self.cluster.put(component(name))
        for each in self.cluster.all("Component"):
            self.cache.observe("components", False, each)
        self.current = CurrentComponents(self.cluster, self.cache)

    async def found(self) -> dict[str, str]:
        """The Components by name, each with its setting."""
        found = await self.current.of("shop")
        return {each["metadata"]["name"]: each["spec"]["metadata"][0]["value"] for each in found}

    @property
    def calls(self) -> list[str]:
        return [*self.cluster.called("list Components"), *self.cluster.called("get Component")]


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_up_to_date_in_the_cache_is_not_read(world: World) -> None:
    assert await world.found() == {"one": "1", "two": "1", "three": "1"}
    assert world.calls == ["list Components of shop"]


async def test_what_the_watch_has_not_reported_yet_is_read(world: World) -> None:
    world.cluster.put(component("four"))
    world.cluster.put(component("two", "2"))
    world.cluster.remove("Component", "shop", "three")

    assert await world.found() == {"one": "1", "two": "2", "four": "1"}
    assert sorted(world.cluster.called("get Component")) == ["get Component shop/four", "get Component shop/two"]


async def test_an_object_that_took_the_name_of_another_is_read(world: World) -> None:
    world.cluster.remove("Component", "shop", "two")
    world.cluster.put(component("two", "2"))

    assert await world.found() == {"one": "1", "two": "2", "three": "1"}


async def test_what_is_deleted_while_it_is_read_is_left_out(world: World) -> None:
    world.cluster.put(component("four"))
    world.cluster.then("get Component", lambda _: world.cluster.remove("Component", "shop", "four"))

    assert await world.found() == {"one": "1", "two": "1", "three": "1"}


async def test_many_that_are_out_of_date_are_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_components, "_MAX_READ", 1)
    for name in ("four", "five"):
        world.cluster.put(component(name))

    assert set(await world.found()) == {"one", "two", "three", "four", "five"}
    assert not world.cluster.called("get Component")


async def test_all_are_listed_where_the_definition_of_components_is_not_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def none(namespace: str) -> None:
        asked.append(namespace)

    monkeypatch.setattr(world.cluster, "component_versions_in", none)
    world.cluster.put(component("two", "2"))

    for _ in range(2):
        assert await world.found() == {"one": "1", "two": "2", "three": "1"}
    assert len(asked) == 1, "the answer will not be another"


@pytest.mark.parametrize("call", ["list Components", "get Component"])
async def test_what_cannot_be_read_is_an_error(call: str, world: World) -> None:
    world.cluster.put(component("four"))
    world.cluster.fail(call, ApiError("no answer"))

    with pytest.raises(ApiError):
        await world.found()
