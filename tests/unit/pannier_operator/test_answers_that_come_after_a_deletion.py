"""An object that a watch has reported as deleted does not come back through a late answer."""

from __future__ import annotations

from typing import Any

import pytest

from pannier_operator.cluster.cache import KINDS, ClusterCache


def thing(kind: str, name: str = "a", *, uid: str = "first", version: int = 1) -> Any:
    metadata = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    if kind == "pods":
        spec = {"containers": [{"name": "daprd"}], "volumes": [{"name": "pannier-components"}]}
        return {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
    return {"metadata": metadata, "spec": {"type": "state.in-memory"}, "data": {}}


def kept(cache: ClusterCache, kind: str) -> list[tuple[str, str]]:
    items: list[Any] = getattr(cache, kind)("shop")
    return [(each["metadata"]["name"], each["metadata"]["uid"]) for each in items]


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_object_does_not_come_back_with_a_late_answer(kind: str) -> None:
    cache = ClusterCache()
    cache.observe(kind, False, thing(kind, version=1))
    cache.observe(kind, True, thing(kind, version=3))

    assert not cache.put(kind, thing(kind, version=2)), "the answer to a write, or a page of a list"

    assert kept(cache, kind) == []
    assert cache.namespaces() == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_object_of_that_name_is_kept_whatever_is_reported_last(kind: str) -> None:
    cache = ClusterCache()
    cache.observe(kind, False, thing(kind, version=1))
    cache.observe(kind, False, thing(kind, uid="second", version=5))
    cache.observe(kind, True, thing(kind, version=4))
    cache.put(kind, thing(kind, version=3))

    assert kept(cache, kind) == [("a", "second")]


def test_the_deletions_that_are_remembered_are_bounded_and_the_latest_ones() -> None:
    cache = ClusterCache()
    for number in range(20_000):
        cache.observe("secrets", True, thing("secrets", uid=f"uid-{number}"))

    assert cache.has_reported("secrets", "uid-19999", 9)
    assert cache.has_reported("secrets", "uid-10000", 9)
    assert not cache.has_reported("secrets", "uid-9999", 9)
