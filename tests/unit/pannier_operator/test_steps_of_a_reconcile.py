"""The steps of a reconcile run in order, and a failure in one of them stops nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from servers.cluster_in_memory import PLURALS, ClusterInMemory
from servers.eventually import until

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.namespaces import NamespaceCache
from pannier_operator.cluster.probes import Expected, SidecarProber
from pannier_operator.controller import reconciler as reconciling
from pannier_operator.controller import status_writer
from pannier_operator.controller.missed_pods import MissedPods
from pannier_operator.controller.reconciler import Reconciler
from pannier_operator.metrics import Metrics
from pannier_operator.objects.label_selectors import LabelSelector
from pannier_operator.settings import ReconcilingSettings

QUOTA = ApiRefusedError(403, 'secrets "x" is forbidden: exceeded quota: few, requested: secrets=1', "Forbidden")
ENDING = ApiRefusedError(403, "unable to create: namespace shop is being terminated", "Forbidden")
SILENT = ApiError("TimeoutError")


class Prober(SidecarProber):
    """Records probes of sidecars among the cluster's calls; each app's pods are due once."""

    def __init__(self, cluster: ClusterInMemory) -> None:
        super().__init__()
        self._cluster = cluster
        self._done: set[str] = set()

    def due_at(self, expected: Expected) -> float | None:
        return None if expected.pod["metadata"]["name"] in self._done else 0.0

    async def probe(self, pods: Any) -> bool:
        for each in pods:
            self._done.add(each.pod["metadata"]["name"])
            self._cluster.calls.append(f"probe {each.pod['metadata']['name']}")
        return True


class Replica:
    """The reconciler of one replica, with its own cache."""

    def __init__(self, cluster: ClusterInMemory, settings: ReconcilingSettings | None = None) -> None:
        api: Any = cluster
        settings = settings or ReconcilingSettings(unused_secret_grace=0.0)
        self.metrics = Metrics()
        self.cache = ClusterCache()
        namespaces = NamespaceCache(api, LabelSelector())
        missed = MissedPods(api, self.cache, namespaces, settings, self.metrics)
        self.reconciler = Reconciler(api, self.cache, Prober(cluster), missed, namespaces, settings, self.metrics)
        for each in cluster.objects.values():
            self.observe(PLURALS[each["kind"]], False, each)
        cluster.watchers.append(self.observe)
        self.running = asyncio.create_task(self.reconciler.run())

    def observe(self, kind: str, is_gone: bool, manifest: Any) -> None:
        if self.cache.observe(kind, is_gone, manifest):
            self.reconciler.enqueue(manifest["metadata"]["namespace"])

    def ended(self, result: str) -> int:
        """Return how many reconciles have had this outcome."""
        begin = f'pannier_operator_reconcile_total{{result="{result}"}} '
        return sum(int(float(line.split()[-1])) for line in self.metrics.text().splitlines() if line.startswith(begin))

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@pytest.fixture
def cluster() -> ClusterInMemory:
    return ClusterInMemory()


@pytest.fixture
async def replicas() -> AsyncIterator[list[Replica]]:
    made: list[Replica] = []
    yield made
    for each in made:
        await each.stop()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "_RETRY", 0.05)
    monkeypatch.setattr(reconciling, "_RETRY_AFTER_BUG", 0.05)
    monkeypatch.setattr(status_writer, "_RETRY", 0.05)


def lead(cluster: ClusterInMemory, replicas: list[Replica], settings: ReconcilingSettings | None = None) -> Replica:
    replica = Replica(cluster, settings)
    replicas.append(replica)
    replica.reconciler.lead(True)
    return replica


def component(name: str, namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": namespace, "generation": 1, **metadata},
        "spec": {"type": "state.in-memory", "version": "v1"},
    }


def pod(name: str, app: str, namespace: str = "shop", phase: str = "Pending", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": app, **annotations},
        },
        "spec": {
            "containers": [{"name": "app"}, {"name": "daprd"}],
            "volumes": [{"name": "pannier-components", "secret": {"secretName": f"{app}-pannier"}}],
        },
        "status": {"phase": phase, "podIP": "192.0.2.1"},
    }


def missed(name: str, namespace: str = "shop") -> dict[str, Any]:
    bare = pod(name, name, namespace)
    return {**bare, "spec": {"containers": [{"name": "app"}], "volumes": []}}


def conditions(cluster: ClusterInMemory, name: str, namespace: str = "shop") -> dict[str, tuple[str, str]]:
    found = cluster.find("Component", namespace, name)["status"]["conditions"]
    return {each["type"]: (each["status"], each["reason"]) for each in found}


async def test_they_come_in_the_order_that_the_docstring_gives(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    cluster.put(component("orders"))
    cluster.put(pod("cart-1", "cart", phase="Running", **{"dapr.io/log-levle": "debug"}))
    cluster.put(missed("bare"))
    labels = {"app.kubernetes.io/managed-by": "pannier-operator", "pannier.dev/app-id": "old"}
    metadata = {"name": "old-pannier", "namespace": "shop", "labels": labels}
    cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}})

    replica = lead(cluster, replicas)

    steps = (
        "list Components of shop",
        "write Secret shop/cart-pannier",
        "delete Secret shop/old-pannier",
        "probe cart-1",
        "write status shop/orders",
        "event SidecarMissing on Pod shop/bare",
        "event AnnotationWithoutEffect on Pod shop/cart-1",
    )
    await until(lambda: all(cluster.called(step) for step in steps) and replica.ended("completed"))
    places = {step: cluster.calls.index(step) for step in steps}
    background = places.pop("probe cart-1")
    assert sorted(places, key=lambda step: places[step]) == [step for step in steps if not step.startswith("probe")]
    assert background > places["write Secret shop/cart-pannier"], "what it should have read is known then"
    assert replica.ended("failed") == 0


async def test_policies_are_delivered_and_reported_on_beside_components(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    cluster.put(component("orders"))
    cluster.put(pod("cart-1", "cart"))
    spec: dict[str, Any] = {"policies": {"timeouts": {"quick": "2s"}}}
    named = {"targets": {"components": {"orders": {"outbound": {"timeout": "quick"}}}}}
    metadata = {"namespace": "shop", "generation": 1}
    policies = {"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency"}
    cluster.put({**policies, "metadata": {"name": "definer", **metadata}, "spec": spec})
    cluster.put({**policies, "metadata": {"name": "user", **metadata}, "spec": named})
    replica = lead(cluster, replicas)
    await until(lambda: replica.ended("completed") and cluster.called("write status shop/user"))

    def secret() -> Any:
        return cluster.find("Secret", "shop", "cart-pannier")

    def status(name: str) -> Any:
        return cluster.find("Resiliency", "shop", name)["status"]

    assert "_resiliencies.yaml" in secret()["data"]
    assert (status("user")["stores"], status("definer")["stores"]) == (["orders"], ["orders"])
    assert status("user")["conditions"][1]["reason"] == "Delivered"

    cluster.remove("Resiliency", "shop", "definer")
    await until(lambda: cluster.called("event UnknownPolicy on Resiliency shop/user"))
    assert "_resiliencies.yaml" not in secret()["data"]
    assert status("user")["conditions"][0]["reason"] == "UnknownPolicy"
    assert replica.ended("failed") == 0


async def test_an_app_whose_secret_is_refused_stops_no_other(cluster: ClusterInMemory, replicas: list[Replica]) -> None:
    cluster.put(component("orders"))
    for app in ("apple", "bad", "cart"):
        cluster.put(pod(f"{app}-1", app))
    cluster.fail("write Secret shop/bad-pannier", QUOTA)

    replica = lead(cluster, replicas)
    await until(lambda: replica.ended("completed") and cluster.called("event ComponentsNotDelivered"))

    assert [each["metadata"]["name"] for each in cluster.all("Secret")] == ["apple-pannier", "cart-pannier"]
    assert conditions(cluster, "orders")["Delivered"] == ("False", "SecretRefused")
    (event,) = [each for each in cluster.events if each["reason"] == "ComponentsNotDelivered"]
    assert event["involvedObject"]["name"] == "bad-1"
    assert "'few'" in event["message"]
    assert replica.ended("failed") == 0, "what is refused is no failure of the reconcile"


async def test_a_status_that_is_refused_stops_no_other_and_is_written_later(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    for name in ("apples", "orders"):
        cluster.put(component(name))
    cluster.fail("write status shop/apples", ApiRefusedError(422, "invalid", "Invalid"))

    replica = lead(cluster, replicas)
    await until(lambda: len(cluster.called("write status shop/apples")) > 1)
    assert conditions(cluster, "orders")["Ready"][0] == "True"
    cluster.fail("write status shop/apples", None)

    await until(lambda: "status" in cluster.find("Component", "shop", "apples"))
    assert len(cluster.called("write status shop/orders")) == 1, "one that is as it should be is not written again"
    assert replica.ended("failed") == 0


@pytest.mark.parametrize(
    "call", ["list Components of shop", "write Secret shop/cart-pannier", "write status shop/orders"]
)
async def test_without_an_answer_a_reconcile_ends_and_is_tried_again(
    cluster: ClusterInMemory, replicas: list[Replica], call: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.put(component("orders"))
    cluster.put(pod("cart-1", "cart"))
    cluster.fail(call, SILENT)

    replica = lead(cluster, replicas)
    await until(lambda: replica.ended("failed") > 1)
    assert cluster.calls[-1].startswith(call), "no step after it"
    assert "Reconciling namespace shop failed and is tried again" in caplog.text
    cluster.fail(call, None)

    await until(lambda: replica.ended("completed"))
    assert conditions(cluster, "orders")["Delivered"] == ("True", "Delivered")
    assert len(cluster.all("Secret")) == 1


async def test_a_bug_that_stops_one_namespace_stops_no_other(
    cluster: ClusterInMemory, replicas: list[Replica], caplog: pytest.LogCaptureFixture
) -> None:
    for namespace in ("away", "shop"):
        cluster.put(component("orders", namespace))
        cluster.put(pod("cart-1", "cart", namespace))
    cluster.fail("write Secret away/", RuntimeError("a bug"))

    replica = lead(cluster, replicas)
    await until(lambda: replica.ended("completed") and len(cluster.called("write Secret away/")) > 1)
    assert cluster.find("Secret", "shop", "cart-pannier") is not None
    assert "Reconciling namespace away failed because of a bug in the operator" in caplog.text
    cluster.fail("write Secret away/", None)

    await until(lambda: cluster.find("Secret", "away", "cart-pannier"))


async def test_a_namespace_that_is_being_deleted_is_left_in_peace(
    cluster: ClusterInMemory, replicas: list[Replica], caplog: pytest.LogCaptureFixture
) -> None:
    cluster.put(component("orders", "ending"))
    cluster.put(pod("cart-1", "cart", "ending"))
    cluster.put(component("orders"))
    cluster.fail("write Secret ending/", ENDING)

    replica = lead(cluster, replicas)
    await until(lambda: replica.ended("completed"))
    for _ in range(2):  # others are reconciled again and again, but this one is not
        before = replica.ended("completed")
        replica.reconciler.enqueue("shop")
        await until(lambda before=before: replica.ended("completed") > before)  # type: ignore[misc]

    assert len(cluster.called("write Secret ending/")) == 1
    assert replica.ended("failed") == 0
    assert "failed" not in caplog.text


async def test_a_change_of_status_makes_its_events_once(cluster: ClusterInMemory, replicas: list[Replica]) -> None:
    broken = component("orders")
    broken["spec"]["type"] = "state.rediss"
    cluster.put(broken)

    replica = lead(cluster, replicas)
    await until(lambda: cluster.events)
    before = replica.ended("completed")
    replica.reconciler.enqueue("shop")
    await until(lambda: replica.ended("completed") > before)

    assert [(each["type"], each["reason"]) for each in cluster.events] == [("Warning", "NotServed")]
    assert len(cluster.called("write status")) == 1


async def test_no_namespace_is_reconciled_twice_at_once_and_at_most_four_are_reconciled_at_once(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    gate, busy, most = asyncio.Event(), set[str](), [0]
    for number in range(6):
        cluster.put(component("orders", f"n{number}"))
        cluster.put(pod("cart-1", "cart", f"n{number}"))

    async def wait(call: str) -> None:
        namespace = call.split()[-1]
        assert namespace not in busy
        busy.add(namespace)
        most[0] = max(most[0], len(busy))
        await gate.wait()
        busy.discard(namespace)

    cluster.then("list Components", wait)
    replica = lead(cluster, replicas)
    await until(lambda: len(busy) == 4)
    for number in range(6):  # enqueued while it is reconciled, so it is reconciled again afterwards
        replica.reconciler.enqueue(f"n{number}", 0.0)
    await asyncio.sleep(0.1)
    gate.set()

    await until(lambda: len(cluster.all("Secret")) == 6 and replica.ended("completed") >= 6)
    assert most[0] == 4


async def test_a_replica_that_no_longer_leads_ends_its_work_and_begins_none(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    for namespace in ("away", "shop"):
        cluster.put(component("orders", namespace))
    cluster.put(pod("cart-1", "cart"))
    replica = Replica(cluster)
    replicas.append(replica)

    def lose(_: str) -> None:
        replica.reconciler.lead(False)
        replica.reconciler.enqueue("away")

    cluster.then("write Secret shop/", lose)
    cluster.fail("write status shop/", SILENT)
    replica.reconciler.leads = True
    replica.reconciler.enqueue("shop")
    await until(lambda: replica.ended("failed"))
    await asyncio.sleep(0.2)  # longer than the pause until it would be tried again

    assert cluster.called("write status") == ["write status shop/orders"], "neither again, nor of another namespace"
    assert replica.ended("completed") == 0

    cluster.fail("write status shop/", None)
    cluster.then("write Secret shop/", lambda _: None)
    replica.reconciler.lead(True)
    await until(lambda: all("status" in each for each in cluster.all("Component")))
    assert len(cluster.called("write Secret shop/")) == 1, "it was written before"


async def test_cancelled_between_two_steps_it_does_no_more_and_another_replica_does_the_rest(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    cluster.put(component("orders"))
    cluster.put(pod("cart-1", "cart"))
    reached = asyncio.Event()

    async def hang(_: str) -> None:
        reached.set()
        await asyncio.Event().wait()

    cluster.then("write status", hang)
    first = lead(cluster, replicas)
    await asyncio.wait_for(reached.wait(), 30)
    await first.stop()
    cluster.watchers.clear()
    cluster.then("write status", lambda _: None)
    calls = len(cluster.calls)
    await asyncio.sleep(0.1)
    assert len(cluster.calls) == calls
    assert [task for task in asyncio.all_tasks() if "Reconciler." in repr(task)] == [], "nothing of it runs on"

    second = lead(cluster, replicas)
    await until(lambda: second.ended("completed"))
    assert conditions(cluster, "orders")["Delivered"] == ("True", "Delivered")
    assert len(cluster.called("write Secret")) == 1, "the first had written it"
