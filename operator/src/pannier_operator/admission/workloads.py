"""Warnings about the pods of a Deployment, StatefulSet, DaemonSet, Job or CronJob. Pure.

A workload is never refused: its pods are judged when they are created. But warnings at that time go to the controller
that creates them, and no human sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_operator.admission.namespace_bounds import NO_BOUNDS
from pannier_operator.admission.pods import mutate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_operator.admission.namespace_bounds import NamespaceBounds
    from pannier_operator.objects import kinds, pod_kinds
    from pannier_operator.settings import OperatorSettings


def warnings_for(
    workload: pod_kinds.Workload,
    namespace_labels: Mapping[str, str],
    settings: OperatorSettings,
    *,
    namespace: str,
    server_version: tuple[int, int],
    bounds: NamespaceBounds = NO_BOUNDS,
) -> tuple[str, ...]:
    """Return the warnings and refusals that each pod of a workload will get."""
    pod = pod_of(workload)
    if pod is None:
        return ()
    verdict = mutate(pod, namespace_labels, settings, namespace=namespace, server_version=server_version, bounds=bounds)
    refused = tuple(f"its pods will be refused: {error}" for error in verdict.errors)
    return refused + verdict.warnings


def pod_of(workload: pod_kinds.Workload) -> pod_kinds.Pod | None:
    """Return a pod as the workload's controller will create it; None if there is no template."""
    spec = workload.get("spec") or {}
    if workload.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template")
    if not isinstance(template, dict):
        return None
    metadata = workload.get("metadata") or {}
    owner: kinds.OwnerReference = {
        "apiVersion": workload.get("apiVersion", ""),
        "kind": workload.get("kind", ""),
        "name": metadata.get("name") or metadata.get("generateName") or "",
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**(template.get("metadata") or {}), "ownerReferences": [owner]},
        "spec": template.get("spec") or {},
    }
