"""The control planes of two replicas on one cluster: they start, one leads, and nothing is lost when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from servers.cluster_in_memory import PLURALS, WATCHED, ClusterInMemory
from servers.eventually import until

from pannier_operator.cluster import lease, server_version
from pannier_operator.cluster.errors import ApiError
from pannier_operator.controller import control_plane
from pannier_operator.controller.control_plane import ControlPlane
from pannier_operator.settings import LeaderElectionSettings, ObservingSettings, OperatorSettings, OwnPlace

SETTINGS = OperatorSettings(
    election=LeaderElectionSettings(lease_duration=7200.0, renew_interval=3600.0),
    observing=ObservingSettings(metrics_port=0, health_port=0),
)
"""No test is so long that a Lease expires; port 0 means any free one."""


class Replica:
    """One replica, connected to the cluster's watches as by kopf."""

    def __init__(self, cluster: ClusterInMemory, name: str) -> None:
        api: Any = cluster
        self.cluster = cluster
        self.name = name
        settings = replace(SETTINGS, operator=OwnPlace(pod_name=name))
        self.plane = ControlPlane(settings, api)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.cluster.put(own_pod(self.name))
        await self.plane.prepare()
        self.cluster.watchers.append(self.plane.observe)
        for kind in WATCHED:
            for each in self.cluster.all(kind):
                self.plane.observe(PLURALS[kind], False, each)
        self.tasks = self.plane.start()

    def knows_leader(self, name: str) -> bool:
        return self.plane._election.holder == name

    async def stop(self) -> None:
        """Stop it as SIGTERM does."""
        await self.plane.leave()
        await self.kill()

    async def kill(self) -> None:
        """Stop it at once."""
        if self.plane.observe in self.cluster.watchers:
            self.cluster.watchers.remove(self.plane.observe)
        await self.plane.stop()
        self.cluster.is_closed = False  # the other replica has its own client


def own_pod(name: str, **metadata: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "pannier"}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "pannier-system", "labels": labels, **metadata},
        "spec": {"containers": [{"name": "operator"}]},
        "status": {},
    }


def component(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"type": "state.in-memory", "version": "v1"},
    }


@pytest.fixture
def cluster() -> ClusterInMemory:
    found = ClusterInMemory()
    found.put(component("orders"))
    return found


@pytest.fixture
async def replicas(cluster: ClusterInMemory, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Replica]]:
    monkeypatch.setattr(control_plane, "_LEAVING", 0.0)
    monkeypatch.setattr(lease, "_RETRY", 0.05)
    monkeypatch.setattr(server_version, "_RETRY", 0.01)
    made = [Replica(cluster, "operator-1"), Replica(cluster, "operator-2")]
    yield made
    for each in made:
        await each.kill()


def holder(cluster: ClusterInMemory) -> str:
    found = cluster.find("Lease", "pannier-system", "pannier-operator")
    return "" if found is None else str(found["spec"]["holderIdentity"])


def has_status(cluster: ClusterInMemory, name: str) -> bool:
    return "status" in (cluster.find("Component", "shop", name) or {})


async def test_before_the_webhooks_answer_there_is_a_version_and_a_certificate(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    first, _ = replicas
    cluster.fail("version", ApiError("ClientConnectorError"))
    starting = asyncio.create_task(first.start())
    await until(lambda: len(cluster.called("version")) > 2)
    assert not starting.done()
    assert not cluster.called("write"), "nothing is done before the API server answers"
    cluster.fail("version", None)
    await starting

    assert first.plane.reviews.server_version == (1, 35)
    assert first.plane.certificate.is_valid()
    written = cluster.calls.index("write Secret pannier-system/pannier-operator-certificate")
    assert cluster.calls.index("trust pannier") > written
    await until(lambda: has_status(cluster, "orders"))


async def test_only_the_one_that_leads_reconciles_and_both_keep_a_cache(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    for each in replicas:
        await each.start()
    await until(lambda: has_status(cluster, "orders"))

    cluster.put(component("carts"))
    await until(lambda: has_status(cluster, "carts"))

    assert len(cluster.called("write status")) == 2, "each status was written once"
    assert len(cluster.called("list components")) == 2, "each has listed everything"


async def test_a_replica_that_stops_cleanly_hands_over_at_once(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    first, second = replicas
    await first.start()
    await until(lambda: has_status(cluster, "orders"))
    await second.start()
    await until(lambda: second.knows_leader("operator-1"))

    cluster.put(own_pod("operator-1", deletionTimestamp="2026-11-27T12:00:00Z"))
    await first.stop()
    assert all(task.done() for task in first.tasks)
    cluster.put(component("carts"))

    await until(lambda: has_status(cluster, "carts"))
    assert holder(cluster) == "operator-2"
    assert cluster.called("write status shop/orders") == ["write status shop/orders"], "it is as it should be"


async def test_a_replica_whose_pod_has_gone_is_replaced_before_its_lease_expires(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    first, second = replicas
    await first.start()
    await until(lambda: holder(cluster) == "operator-1" and has_status(cluster, "orders"))
    await second.start()
    await until(lambda: second.knows_leader("operator-1"))

    await first.kill()
    cluster.remove("Pod", "pannier-system", "operator-1")
    cluster.put(component("carts"))

    await until(lambda: has_status(cluster, "carts"))
    assert holder(cluster) == "operator-2"


async def test_a_stopped_replica_makes_no_more_calls_though_it_was_in_the_middle(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    first, _ = replicas
    reached = asyncio.Event()

    async def hang(_: str) -> None:
        reached.set()
        await asyncio.Event().wait()

    cluster.then("write status", hang)
    await first.start()
    await asyncio.wait_for(reached.wait(), 30)
    await first.kill()

    calls = len(cluster.calls)
    assert [task for task in asyncio.all_tasks() if "Reconciler." in repr(task)] == []
    cluster.put(component("carts"))
    await asyncio.sleep(0.2)
    assert len(cluster.calls) == calls


async def test_a_part_that_has_failed_fails_the_liveness_probe(
    cluster: ClusterInMemory, replicas: list[Replica]
) -> None:
    first, _ = replicas
    cluster.fail("list pods", RuntimeError("a bug"))
    await first.start()
    await until(lambda: any(task.done() for task in first.tasks))

    problems = await first.plane._health.liveness()

    assert "a part has ended: RuntimeError('a bug')" in problems
