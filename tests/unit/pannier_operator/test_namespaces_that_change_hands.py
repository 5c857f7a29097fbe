"""A namespace's new labels, or its deletion and creation, apply to its very next pod."""

from __future__ import annotations

from typing import Any

import pytest

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.controller.reviews import AdmissionReviews
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector, parse
from pannier_operator.settings import OperatorSettings

OURS = parse('{"matchLabels": {"pannier.dev/state": "pannier"}}')
ASKING = {"dapr.io/enabled": "true"}


class Cluster:
    """The labels of one namespace, and how often they were read."""

    def __init__(self, **labels: str):
        self.labels = labels
        self.reads = 0

    async def namespace_labels(self, name: str) -> dict[str, str]:
        self.reads += 1
        return {"kubernetes.io/metadata.name": name, **self.labels}

    async def resiliencies_in(self, namespace: str) -> list[Any]:
        return []

    async def bounds_of(self, namespace: str) -> tuple[list[Any], list[Any]]:
        return [], []


def cached(cluster: Cluster, selector: LabelSelector | None = None) -> NamespaceCache:
    return NamespaceCache(cluster, selector or LabelSelector())  # type: ignore[arg-type]


async def test_a_namespace_that_no_longer_opts_out_gets_sidecars_at_once() -> None:
    cluster = Cluster(**{"pannier.dev/injection": "disabled"})
    namespaces = cached(cluster)
    assert await namespaces.expects_no_sidecars("shop")

    cluster.labels = {}

    assert "pannier.dev/injection" not in (await namespaces.facts_of("shop")).labels
    assert not await namespaces.expects_no_sidecars("shop")


async def test_a_namespace_that_becomes_ours_is_ours_at_once() -> None:
    cluster = Cluster()
    namespaces = cached(cluster, OURS)
    assert not await namespaces.is_ours("shop")

    cluster.labels = {"pannier.dev/state": "pannier"}

    assert await namespaces.is_ours("shop")
    assert not await namespaces.expects_no_sidecars("shop")


async def test_a_burst_of_pods_in_a_namespace_of_ours_reads_it_once() -> None:
    cluster = Cluster(**{"pannier.dev/state": "pannier"})
    namespaces = cached(cluster, OURS)
    for _ in range(100):
        await namespaces.facts_of("shop")
        assert await namespaces.is_ours("shop")
    assert cluster.reads < 10, "again only after seconds"


async def test_a_pod_that_would_get_no_sidecar_is_judged_by_current_labels() -> None:
    """Its namespace may just have got a label that requires a sidecar in every pod."""
    cluster: Any = Cluster()
    namespaces = cached(cluster)
    reviews = AdmissionReviews(cluster, ClusterCache(), namespaces, OperatorSettings(), Metrics())
    plain: Any = {"metadata": {"name": "a", "annotations": ASKING}, "spec": {}}
    windows: Any = {"metadata": {"name": "b", "annotations": ASKING}, "spec": {"os": {"name": "windows"}}}
    assert "initContainers" in (await reviews.mutate_pod(plain, "shop")).pod["spec"]
    assert (await reviews.mutate_pod(windows, "shop")).is_admitted

    cluster.labels = {"pannier.dev/injection": "required"}
    assert not (await reviews.mutate_pod(windows, "shop")).is_admitted
    cluster.labels = {}
    assert (await reviews.mutate_pod(windows, "shop")).is_admitted


@pytest.mark.parametrize(
    "pod",
    [
        {"metadata": {"name": "a"}, "spec": {}},
        {"metadata": {"name": "a", "annotations": {"dapr.io/enabled": "false"}}, "spec": {}},
        {"metadata": {"name": "a", "annotations": ASKING, "labels": {"pannier.dev/injection": "disabled"}}, "spec": {}},
        {"metadata": {"name": "a", "annotations": ASKING}, "spec": {"containers": [{"name": "daprd"}]}},
    ],
    ids=["no annotation", "not enabled", "labelled to get none", "it has one"],
)
async def test_a_burst_of_pods_that_want_no_sidecar_reads_their_namespace_once(pod: Any) -> None:
    """Most pods of a cluster are like this, and no label of their namespace would change them."""
    cluster: Any = Cluster()
    reviews = AdmissionReviews(cluster, ClusterCache(), cached(cluster), OperatorSettings(), Metrics())
    for _ in range(100):
        verdict = await reviews.mutate_pod(pod, "shop")
        assert verdict.is_admitted
        assert verdict.pod is pod
    assert cluster.reads < 10, "again only after seconds"
