"""The operator's metrics, in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "pannier_operator_"
_HELP: Final[Mapping[str, tuple[str, str]]] = {
    "leader": ("gauge", "1 while this replica acts, 0 while it stands by"),
    "webhook_certificate_days_left": ("gauge", "Days until the certificate of the webhooks ends"),
    "missed_pods": ("gauge", "Pods that ask for a sidecar and have none"),
    "components": ("gauge", "Components that exist, by whether they are ready"),
    "apps": ("gauge", "Apps that have running pods with a sidecar"),
    "undelivered_apps": ("gauge", "Apps whose Secret cannot be written, by what refuses it"),
    "reconcile_total": ("counter", "Looks at one namespace, by how they ended"),
    "resync_total": ("counter", "Looks at everything, by how they ended"),
    "repairs_total": ("counter", "Objects that a resync found and no watch had reported"),
    "admissions_total": ("counter", "Answers of the webhooks, by webhook and answer"),
    "evictions_total": ("counter", "Pods evicted because they missed their sidecar"),
    "secrets_written_total": ("counter", "Secrets of apps that were written"),
    "late_deliveries_total": ("counter", "Pods touched again because their volume had not followed their Secret"),
    "last_resync_timestamp_seconds": ("gauge", "When everything was looked at last"),
}


class Metrics:
    """Numbers by name and labels. Only names of the table above."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = {name: {} for name in _HELP}

    def set(self, name: str, value: float, **labels: str) -> None:
        self._values[name][_labels(labels)] = value

    def set_all(self, name: str, label: str, values: Mapping[str, float]) -> None:
        """Set a metric by one label; where it has been set before and is not now, it becomes 0."""
        for key in self._values[name]:
            self._values[name][key] = 0
        for value, number in values.items():
            self.set(name, number, **{label: value})

    def count(self, name: str, more: float = 1, **labels: str) -> None:
        values = self._values[name]
        key = _labels(labels)
        values[key] = values.get(key, 0) + more

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, (kind, words) in _HELP.items():
            if not self._values[name]:
                continue
            yield f"# HELP {_PREFIX}{name} {words}"
            yield f"# TYPE {_PREFIX}{name} {kind}"
            for labels, value in sorted(self._values[name].items()):
                yield f"{_PREFIX}{name}{labels} {value:.12g}"


def _labels(labels: Mapping[str, str]) -> str:
    """Label values here are words of our own, which need no escaping."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
