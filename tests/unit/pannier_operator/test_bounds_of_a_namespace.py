"""A LimitRange or quota that would refuse the sidecar is named, with the annotation to write."""

from __future__ import annotations

from typing import Any

import pytest
from unit.tables import each_row

from pannier_operator.admission.namespace_bounds import NamespaceBounds, objections
from pannier_operator.admission.pods import mutate
from pannier_operator.settings import OperatorSettings

ASKS = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"memory": "128Mi"}}


def limit_range(**item: Any) -> NamespaceBounds:
    manifest = {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", **item}]}}
    return NamespaceBounds(limit_ranges=(manifest,))


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> NamespaceBounds:
    manifest = {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"used": used or {}}}
    return NamespaceBounds(quotas=(manifest,))


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (
            limit_range(max={"memory": "64Mi"}),
            "the sidecar's memory limit is 128Mi and LimitRange 'bounds' allows at most 64Mi; write the annotation "
            "dapr.io/sidecar-memory-limit: '64Mi'",
        ),
        (
            limit_range(min={"cpu": "50m"}),
            "the sidecar's cpu request is 10m and LimitRange 'bounds' requires at least 50m; write the annotation "
            "dapr.io/sidecar-cpu-request: '50m'",
        ),
        (
            limit_range(max={"cpu": "1"}),
            "the sidecar has no cpu limit and LimitRange 'bounds' requires one; write the annotation "
            "dapr.io/sidecar-cpu-limit: '1'",
        ),
        (
            quota({"limits.cpu": "4"}),
            "the sidecar has no cpu limit and ResourceQuota 'team' requires one; write the annotation "
            "dapr.io/sidecar-cpu-limit: '100m'",
        ),
        (
            quota({"limits.memory": "1Gi"}, {"limits.memory": "960Mi"}),
            "the sidecar's memory limit of 128Mi is more than ResourceQuota 'team' has left (960Mi of 1Gi are used); "
            "raise the quota, or write a smaller one into dapr.io/sidecar-memory-limit",
        ),
    ],
)
def test_bounds_that_would_refuse_the_sidecar_are_named_with_advice(bounds: NamespaceBounds, said: str) -> None:
    assert list(objections(ASKS, bounds)) == [said]
    pod = {
        "metadata": {"name": "orders", "annotations": {"dapr.io/enabled": "true"}},
        "spec": {"containers": [{"name": "orders"}]},
    }
    verdict = mutate(pod, {}, OperatorSettings(), namespace="shop", server_version=(1, 35), bounds=bounds)
    assert verdict.errors == (said,)


@each_row(
    "bounds",
    [
        NamespaceBounds(),
        limit_range(max={"cpu": "1"}, default={"cpu": "500m"}),
        limit_range(max={"memory": "128Mi"}, min={"cpu": "10m"}),
        limit_range(),
        quota({"limits.memory": "1Gi", "pods": "10"}, {"limits.memory": "896Mi"}),
        quota({"limits.cpu": "1"}, scopes=["BestEffort"]),
        quota({"requests.storage": "1Gi"}),
        NamespaceBounds(limit_ranges=({"metadata": {"name": "x"}, "spec": None},)),
        NamespaceBounds(quotas=({"metadata": {"name": "x"}},)),
    ],
)
def test_bounds_that_the_sidecar_keeps_raise_no_objection(bounds: NamespaceBounds) -> None:
    assert list(objections(ASKS, bounds)) == []
