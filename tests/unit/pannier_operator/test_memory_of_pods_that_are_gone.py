"""Data about pods is forgotten with them, even if nothing scrapes the metrics."""

from __future__ import annotations

from typing import Any

from servers.cluster_in_memory import ClusterInMemory

from pannier_operator.cluster.probes import Expected
from pannier_operator.controller.control_plane import ControlPlane
from pannier_operator.settings import OperatorSettings


async def test_reports_of_pods_that_are_gone_are_forgotten_at_a_resync() -> None:
    api: Any = ClusterInMemory()
    plane = ControlPlane(OperatorSettings(), api)
    try:
        pod: Any = {
            "metadata": {"name": "job-1", "namespace": "shop", "uid": "uid-1"},
            "status": {"podIP": "127.0.0.1", "phase": "Running"},
            "ready": "True",
        }
        expected = Expected(pod, "version", {}, ["statestore"])
        await plane._prober.probe([expected])
        assert plane._prober.were_probed([expected])

        plane._reconcile_all()

        assert not plane._prober.were_probed([expected])
    finally:
        await plane.stop()
