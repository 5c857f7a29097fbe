"""The operator's metrics, by Prometheus' own client: those in the tables below, and the process's memory and CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

__all__ = ["CONTENT_TYPE", "Metrics"]

Metric = TypeVar("Metric", Gauge, Counter, Histogram)
Table: TypeAlias = "Mapping[str, tuple[str, tuple[str, ...]]]"
"""For each name, the help text and the names of the labels."""

_NAMESPACE: Final = "pannier_operator"
_GAUGES: Final[Table] = {
    "leader": ("1 while this replica leads, 0 while it stands by", ()),
    "webhook_certificate_days_left": ("Days until the certificate of the webhooks expires", ()),
    "missed_pods": ("Pods that ask for a sidecar and have none", ()),
    "pods_without_configuration": ("Pods whose Configuration does not exist or is wrong", ()),
    "components": ("Components that exist, by whether they are ready", ("ready",)),
    "apps": ("Apps that have running pods with a sidecar", ()),
    "undelivered_apps": ("Apps whose Secret cannot be written, by what refuses it", ("cause",)),
    "last_resync_timestamp_seconds": ("When everything was listed last", ()),
}
_COUNTERS: Final[Table] = {
    "reconcile_total": ("Reconciles of a namespace, by how they ended", ("result",)),
    "resync_total": ("Lists of everything, by how they ended", ("result",)),
    "repairs_total": ("Objects that a resync found and no watch had reported", ("kind",)),
    "admissions_total": ("Admission reviews, by webhook and answer", ("webhook", "answer")),
    "evictions_total": ("Pods evicted because they missed their sidecar", ()),
    "secrets_written_total": ("Secrets of apps that were written", ()),
    "late_deliveries_total": ("Pods annotated again because their volume had not followed their Secret", ()),
}
_HISTOGRAMS: Final[Table] = {
    "reconcile_duration_seconds": ("Duration of a reconcile of a namespace", ()),
    "admission_duration_seconds": ("Time until a webhook has answered, by webhook", ("webhook",)),
}


class Metrics:
    """Gauges, counters and histograms by name and labels. Only names in the tables above exist."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of no use here
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(GC_COLLECTOR)
        self._gauges = _made(Gauge, _GAUGES, registry)
        self._counters = _made(Counter, _COUNTERS, registry)
        self._histograms = _made(Histogram, _HISTOGRAMS, registry)
        self._seen: dict[str, set[str]] = {}
        """Values of labels that `set_all` has set, by metric."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        _labelled(self._gauges[name], labels).set(value)

    def set_all(self, name: str, label: str, values: Mapping[str, float]) -> None:
        """Set a gauge by one label; where it has been set before and is not now, it becomes 0."""
        seen = self._seen.setdefault(name, set())
        seen.update(values)
        for value in seen:
            self.set(name, values.get(value, 0), **{label: value})

    def count(self, name: str, more: float = 1, **labels: str) -> None:
        """Add to a counter."""
        _labelled(self._counters[name], labels).inc(more)

    def time(self, name: str, **labels: str) -> AbstractContextManager[object]:
        """Return a context whose duration is added to a histogram."""
        return _labelled(self._histograms[name], labels).time()

    def text(self) -> str:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry).decode()


def _made(
    kind: type[Metric], table: Mapping[str, tuple[str, tuple[str, ...]]], registry: CollectorRegistry
) -> dict[str, Metric]:
    return {
        name: kind(name, text, labels, namespace=_NAMESPACE, registry=registry)
        for name, (text, labels) in table.items()
    }


def _labelled(metric: Metric, labels: Mapping[str, str]) -> Metric:
    return metric.labels(**labels) if labels else metric
