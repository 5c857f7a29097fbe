"""Changes metrics as a Configuration says: other values of labels, or none. Imported only with a Configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.metric_options import LabelRule, MetricOptions
    from pannier_sidecar.observing.exposition import Histogram, Labels
    from pannier_sidecar.observing.path_labels import PathLabels

_OF_HTTP: Final = "dapr_http_server_"
_RESPONSES: Final = "dapr_http_server_response_count"
_ERRORS: Final = "dapr_error_code_total"
_PREFIX: Final = "dapr_"


class ConfiguredLabels:
    """The labels of one Configuration. Samples whose labels become the same are added up."""

    def __init__(self, options: MetricOptions):
        """Do what the options ask for; what they leave out stays as it is."""
        self._omitted = {_RESPONSES} if options.has_path_label is False else set()
        if options.records_error_codes is False:
            self._omitted.add(_ERRORS)
        self._emptied = {"path"} if options.has_path_label is False else set()
        if options.has_method_label is False:
            self._emptied.add("method")
        self._patterns = frozenset(pattern.text for pattern in options.path_patterns)
        self._rules = options.rules

    def counts(self, name: str, values: Iterable[tuple[Labels, float]]) -> Iterable[tuple[Labels, float]]:
        """Return the samples of a counter or gauge."""
        added: dict[Labels, float] = {}
        for labels, value in values if name not in self._omitted else ():
            changed = self._changed(name, labels)
            added[changed] = added.get(changed, 0) + value
        return added.items()

    def histograms(self, name: str, values: Iterable[tuple[Labels, Histogram]]) -> Iterable[tuple[Labels, Histogram]]:
        """Return the samples of histograms."""
        added: dict[Labels, Histogram] = {}
        for labels, histogram in values:
            changed = self._changed(name, labels)
            before = added.get(changed)
            added[changed] = (
                histogram if before is None else [sum(pair) for pair in zip(before, histogram, strict=True)]
            )
        return added.items()

    def _changed(self, name: str, labels: Labels) -> Labels:
        if self._emptied and name.startswith(_OF_HTTP):
            labels = tuple(
                (label, "" if label in self._emptied and value not in self._patterns else value)
                for label, value in labels
            )
        for rule in self._rules:
            if rule.metric.removeprefix(_PREFIX) == name.removeprefix(_PREFIX):
                labels = tuple(
                    (label, _replaced(rule, value) if label == rule.label else value) for label, value in labels
                )
        return labels


def _replaced(rule: LabelRule, value: str) -> str:
    return rule.pattern.sub(lambda _: rule.replacement, value)  # by a function, so that a backslash means itself


def labels_of(options: MetricOptions) -> ConfiguredLabels | None:
    """Return what changes the labels; None if the options change none."""
    asks = (options.has_path_label, options.has_method_label, options.records_error_codes)
    return ConfiguredLabels(options) if options.rules or False in asks else None


def path_labels_of(options: MetricOptions) -> PathLabels | None:
    """Return what finds the patterns of paths; None if the options have none."""
    if not options.path_patterns:
        return None
    from pannier_sidecar.observing.path_labels import PathLabels  # few Configurations have patterns

    return PathLabels(options.path_patterns)
