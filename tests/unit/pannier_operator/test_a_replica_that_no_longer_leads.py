"""A replica that has lost the Lease reports nothing that it found as the leader, because nothing would correct it."""

from __future__ import annotations

import asyncio
from typing import Any

from servers.cluster_in_memory import ClusterInMemory
from servers.eventually import until

from pannier_operator.cluster.errors import ApiRefusedError
from pannier_operator.controller.control_plane import ControlPlane
from pannier_operator.settings import OperatorSettings

QUOTA = ApiRefusedError(403, 'secrets "x" is forbidden: exceeded quota: few, requested: secrets=1', "Forbidden")
POD: Any = {
    "kind": "Pod",
    "metadata": {
        "name": "cart-1",
        "namespace": "shop",
        "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": "cart"},
    },
    "spec": {"volumes": [{"name": "pannier-components", "secret": {"secretName": "cart-pannier"}}]},
    "status": {"phase": "Pending"},
}


def undelivered(plane: ControlPlane) -> float:
    """Return the sum of the metric as a scrape sees it."""
    plane._set_gauges()
    lines = plane._metrics.text().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("pannier_operator_undelivered_apps{"))


async def test_the_metric_of_refused_apps_is_the_leaders() -> None:
    cluster = ClusterInMemory()
    cluster.fail("write Secret shop/cart-pannier", QUOTA)
    api: Any = cluster
    plane = ControlPlane(OperatorSettings(), api)
    running = asyncio.create_task(plane._reconciler.run())
    try:
        plane.observe("pods", False, cluster.put(POD))
        plane._reconciler.lead(True)
        await until(lambda: undelivered(plane) == 1)

        plane._reconciler.lead(False)

        await until(lambda: undelivered(plane) == 0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await plane.stop()
