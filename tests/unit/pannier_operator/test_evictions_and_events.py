"""Evictions keep to their rate and to pods that a controller replaces; an Event that is created twice exists once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pannier_operator.controller.eviction import EvictionRate, is_recreated
from pannier_operator.metrics import Metrics
from pannier_operator.status.events import event_of_missed_pod, event_of_transition
from pannier_operator.status.findings import Event

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NAMED = {"name": "orders-1", "namespace": "shop", "uid": "1"}


def owned_by(kind: str) -> dict[str, Any]:
    owners = [{"kind": kind, "name": "orders", "controller": True}] if kind else []
    return {"metadata": {**NAMED, "ownerReferences": owners}}


def test_no_more_than_the_rate_is_evicted_in_any_minute() -> None:
    rate = EvictionRate(2)
    for now in (0.0, 1.0):
        assert rate.allows(now)
        rate.record(now)

    assert not rate.allows(59.0)
    assert rate.allows(60.0)
    assert not EvictionRate(0).allows(0.0)


@pytest.mark.parametrize(("kind", "is_it"), [("ReplicaSet", True), ("Job", True), ("", False), ("Node", False)])
def test_only_pods_that_a_controller_replaces_may_be_evicted(kind: str, is_it: bool) -> None:
    assert is_recreated(owned_by(kind)) is is_it


def test_an_event_that_is_created_again_has_the_same_name() -> None:
    first, second = (event_of_missed_pod({"metadata": NAMED}, now) for now in (NOW, LATER))

    assert first["metadata"]["name"] == second["metadata"]["name"]
    assert first["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", **NAMED}


def test_the_same_trouble_at_another_time_is_another_event() -> None:
    def name(time: str) -> str:
        status = {"conditions": [{"type": "Ready", "reason": "StoreUnavailable", "lastTransitionTime": time}]}
        event = Event("Warning", "StoreUnavailable", "it is down")
        made: str = event_of_transition("Component", {"metadata": NAMED}, event, status, NOW)["metadata"]["name"]
        return made

    assert name("2026-11-23T08:00:00Z") == name("2026-11-23T08:00:00Z")
    assert name("2026-11-23T08:00:00Z") != name("2026-11-23T09:00:00Z")


def test_metrics_are_written_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.count("admissions_total", webhook="pods", answer="admitted")
    metrics.count("admissions_total", webhook="pods", answer="admitted")
    metrics.set("leader", 1)

    with metrics.time("admission_duration_seconds", webhook="pods"):
        pass
    metrics.set_all("undelivered_apps", "cause", {"Immutable": 2})
    metrics.set_all("undelivered_apps", "cause", {"NoRight": 1})

    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }
    assert found["pannier_operator_leader",] == 1
    assert found["pannier_operator_admissions_total", ("answer", "admitted"), ("webhook", "pods")] == 2
    assert found["pannier_operator_admission_duration_seconds_count", ("webhook", "pods")] == 1
    assert found["pannier_operator_undelivered_apps", ("cause", "Immutable")] == 0
    assert found["pannier_operator_undelivered_apps", ("cause", "NoRight")] == 1
    assert found["process_resident_memory_bytes",] > 1_000_000
