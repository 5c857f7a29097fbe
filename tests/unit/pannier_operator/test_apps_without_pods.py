"""An app that is scaled to 0, or a CronJob between its runs: the next pod starts with current components."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from servers.cluster_in_memory import ClusterInMemory
from servers.eventually import until

from pannier_crds.folder import KUBERNETES_SECRETS_FILE
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.cluster.probes import SidecarProber
from pannier_operator.controller.missed_pods import MissedPods
from pannier_operator.controller.reconciler import Reconciler
from pannier_operator.delivery import backoff
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.settings import ReconcilingSettings

KINDS = {"Component": "components", "Pod": "pods", "Secret": "secrets"}


class Replica:
    """The reconciler of the replica that leads."""

    def __init__(self, cluster: ClusterInMemory) -> None:
        api: Any = cluster
        settings = ReconcilingSettings(unused_secret_grace=3600.0)
        metrics, self.cache = Metrics(), ClusterCache()
        namespaces = NamespaceCache(api, LabelSelector())
        missed = MissedPods(api, self.cache, namespaces, settings, metrics)
        self.reconciler = Reconciler(api, self.cache, SidecarProber(), missed, namespaces, settings, metrics)
        cluster.watchers.append(self.observe)
        self.reconciler.lead(True)
        self.running = asyncio.create_task(self.reconciler.run())

    def observe(self, kind: str, is_gone: bool, manifest: Any) -> None:
        if self.cache.observe(kind, is_gone, manifest):
            self.reconciler.enqueue(manifest["metadata"]["namespace"])


@pytest.fixture
async def cluster() -> AsyncIterator[ClusterInMemory]:
    cluster = ClusterInMemory()
    replica = Replica(cluster)
    yield cluster
    replica.running.cancel()
    await asyncio.gather(replica.running, return_exceptions=True)


def component(type: str = "state.in-memory", generation: int = 1) -> dict[str, Any]:
    password = {"name": "redisPassword", "secretKeyRef": {"name": "db", "key": "password"}}
    metadata = [{"name": "redisHost", "value": "redis:6379"}, password] if type == "state.redis" else []
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore", "namespace": "shop", "generation": generation},
        "spec": {"type": type, "version": "v1", "metadata": metadata},
    }


def pod(name: str = "cart-1", **annotations: str) -> dict[str, Any]:
    annotations = {"dapr.io/enabled": "true", "dapr.io/app-id": "cart", **annotations}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"containers": [{"name": "daprd"}], "volumes": [{"name": "pannier-components"}]},
        "status": {"phase": "Pending"},
    }


def secret(password: str) -> dict[str, Any]:
    data = {"password": base64.b64encode(password.encode()).decode()}
    return {"kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": data}


def delivered(cluster: ClusterInMemory, file: str = "statestore.yaml") -> str:
    found = cluster.find("Secret", "shop", "cart-pannier")
    return base64.b64decode(found["data"].get(file, "")).decode() if found else ""


def observed_generation(cluster: ClusterInMemory) -> int:
    found = cluster.find("Component", "shop", "statestore")
    return int(found.get("status", {}).get("observedGeneration", 0))


async def test_the_secret_of_an_app_without_pods_follows_its_components(cluster: ClusterInMemory) -> None:
    cluster.put(component())
    cluster.put(pod())
    await until(lambda: "state.in-memory" in delivered(cluster))
    cluster.remove("Pod", "shop", "cart-1")

    cluster.put(component("state.sqlite", generation=2))

    await until(lambda: "state.sqlite" in delivered(cluster))
    cluster.remove("Component", "shop", "statestore")
    await until(lambda: delivered(cluster) == "")


async def test_a_secret_that_is_rotated_between_two_runs_is_new_in_the_second(cluster: ClusterInMemory) -> None:
    cluster.put(secret("old"))
    cluster.put(component("state.redis"))
    cluster.put(pod())
    await until(lambda: '"old"' in delivered(cluster, KUBERNETES_SECRETS_FILE))
    cluster.put({**pod(), "status": {"phase": "Succeeded"}})

    cluster.put(secret("new"))

    await until(lambda: '"new"' in delivered(cluster, KUBERNETES_SECRETS_FILE))


async def test_a_secret_without_pods_that_somebody_deletes_is_not_created_again(cluster: ClusterInMemory) -> None:
    cluster.put(component())
    cluster.put(pod())
    await until(lambda: delivered(cluster))
    cluster.remove("Pod", "shop", "cart-1")
    writes = len(cluster.called("write Secret"))
    cluster.objects.pop(("Secret", "shop", "cart-pannier"))  # no watch has reported it yet

    cluster.put(component("state.sqlite", generation=2))

    await until(lambda: len(cluster.called("get Secret shop/cart-pannier")) > 0)
    cluster.put(component("state.sqlite", generation=3))
    await until(lambda: observed_generation(cluster) == 3)
    assert delivered(cluster) == ""
    assert len(cluster.called("write Secret")) == writes + 1


async def test_an_app_whose_secret_is_deleted_while_it_is_written_gets_another(cluster: ClusterInMemory) -> None:
    cluster.put(component())
    cluster.put(pod())
    await until(lambda: delivered(cluster))
    cluster.objects.pop(("Secret", "shop", "cart-pannier"))  # no watch has reported it yet

    cluster.put(component("state.sqlite", generation=2))

    await until(lambda: "state.sqlite" in delivered(cluster))
    assert not [each for each in cluster.events if each["reason"] in ("SecretRefused", "ComponentsNotDelivered")]


async def test_a_mark_that_another_party_removes_is_not_written_again(
    cluster: ClusterInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "_INTERVAL", 0.01)
    cluster.put(component())
    cluster.put(pod(**{"pannier.dev/components": "an-earlier-version"}))

    def take_out() -> None:
        found = cluster.find("Pod", "shop", "cart-1")
        if found["metadata"]["annotations"].pop("pannier.dev/components", None):
            cluster.put(found)

    cluster.watchers.append(lambda kind, is_gone, manifest: take_out() if kind == "pods" else None)
    await until(lambda: delivered(cluster))
    for generation in range(2, 5):
        cluster.put(component("state.sqlite", generation=generation))
        said = f'generation": "{generation}"'
        await until(lambda said=said: said in delivered(cluster))
    await until(lambda: len(cluster.called("annotate Pod")) == len(cluster.called("write Secret")))
    assert len(cluster.called("annotate Pod")) <= 5
