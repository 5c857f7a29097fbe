"""`spec.metric` and `spec.metrics` of a Configuration: which metrics a sidecar has, and how they are labelled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.path_patterns import PathPattern, read_path_patterns
from pannier_crds.problems import one_line, quoted
from pannier_crds.structure import Part, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.problems import Problem

_METRICS_KEYS: Final = ("enabled", "http", "rules", "latencyDistributionBuckets", "recordErrorCodes")
_HTTP_KEYS: Final = ("increasedCardinality", "pathMatching", "excludeVerbs")
_MAX_BUCKETS: Final = 100
_MAX_MS: Final = 2**31 - 1
_MAX_PATTERNS: Final = 1_000
_MAX_PATTERN_CHARS: Final = 20_000
"""Characters of all patterns together. Both bound the time that compiling takes: about 12 us for each character."""
_ESCAPED: Final = re.compile(r"\\[uUN]")


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Replaces parts of one label's values, in the samples of one metric."""

    metric: str
    """Its name, with or without `dapr_`."""
    label: str
    pattern: re.Pattern[str]
    replacement: str


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """What a Configuration says about metrics. None: not given."""

    is_enabled: bool | None = None
    has_path_label: bool | None = None
    """`http.increasedCardinality`."""
    has_method_label: bool | None = None
    """The opposite of `http.excludeVerbs`."""
    path_patterns: tuple[PathPattern, ...] = ()
    """`http.pathMatching`: paths that match one have it in the label `path`, whatever `has_path_label` says."""
    rules: tuple[LabelRule, ...] = ()
    buckets_ms: tuple[int, ...] = ()
    """Upper bounds of the latency histograms in milliseconds, ascending; empty: Dapr's own."""
    records_error_codes: bool | None = None


def read_metrics(spec: Part, remarks: list[Problem]) -> MetricOptions:
    """Read both fields of a Configuration's `spec`: of each of their fields that of `metrics` counts, as in Dapr."""
    metrics, metric = spec.part("metrics"), spec.part("metric")
    for part in (metrics, metric):
        part.refuse_misspelt(_METRICS_KEYS)

    def given_in(key: str) -> Part:
        return metric if metrics.content.get(key) is None else metrics

    http = given_in("http").part("http")
    http.refuse_misspelt(_HTTP_KEYS)
    excludes_verbs = _flag(http, "excludeVerbs")
    return MetricOptions(
        _flag(given_in("enabled"), "enabled"),
        _flag(http, "increasedCardinality"),
        None if excludes_verbs is None else not excludes_verbs,
        read_path_patterns(http, remarks),
        tuple(_rules(given_in("rules"))),
        _buckets(given_in("latencyDistributionBuckets")),
        _flag(given_in("recordErrorCodes"), "recordErrorCodes"),
    )


def _flag(part: Part, key: str) -> bool | None:
    return None if part.content.get(key) is None else part.boolean(key)


def _rules(part: Part) -> Iterator[LabelRule]:
    if _are_too_many(part):
        return
    for rule in part.parts("rules"):
        rule.refuse_misspelt(("name", "labels"))
        metric = rule.required_text("name", "dapr_http_server_request_count")
        for label in rule.parts("labels"):
            label.refuse_misspelt(("name", "regex"))
            name = label.required_text("name", "path")
            yield from _label_rules(label.part("regex"), metric, name)


def _are_too_many(part: Part) -> bool:
    """Return whether there are too many patterns, or too long ones, and add a problem then."""
    found: list[Problem] = []
    quiet = Part(part.content, part.path, found)  # what is wrong otherwise is reported when the rules are read
    labels = [label for rule in quiet.parts("rules") for label in rule.parts("labels")]
    patterns = [text for label in labels for text in label.part("regex").content.values() if isinstance(text, str)]
    if len(patterns) > _MAX_PATTERNS:
        part.refuse("rules", f"has {len(patterns)} regular expressions", f"write {_MAX_PATTERNS} at most")
    elif (size := sum(map(len, patterns))) > _MAX_PATTERN_CHARS:
        message = f"has regular expressions of {size} characters together"
        part.refuse("rules", message, f"write {_MAX_PATTERN_CHARS} at most")
    else:
        return False
    return True


def _label_rules(part: Part, metric: str, label: str) -> Iterator[LabelRule]:
    patterns: Mapping[str, object] = part.content
    for replacement, written in patterns.items():
        if not isinstance(written, str):
            part.refuse(
                one_line(replacement), f"is {kind_of(written)} but should be a regular expression", "write it in quotes"
            )
            continue
        if _ESCAPED.search(written) or any(character > "\xff" for character in written):
            message = f"{quoted(written)} has a character beyond U+00FF"  # sets of them take very long to compile
            part.refuse(one_line(replacement), message, "write '.' in its place")
            continue
        try:
            yield LabelRule(metric, label, re.compile(written), replacement)
        except (re.error, OverflowError, RecursionError):
            part.refuse(
                one_line(replacement),
                f"{quoted(written)} is not a regular expression",
                "escape what is meant literally",
            )


def _buckets(part: Part) -> tuple[int, ...]:
    key = "latencyDistributionBuckets"
    written = part.content.get(key)
    if written is None:
        return ()
    advice = f"write milliseconds, each more than the one before: {key}: [1, 10, 100]"
    if not isinstance(written, list | tuple):
        part.refuse(key, f"is {kind_of(written)} but should be a list", advice)
        return ()
    is_number = all(isinstance(each, int) and not isinstance(each, bool) and 0 < each <= _MAX_MS for each in written)
    if (
        not is_number
        or len(written) > _MAX_BUCKETS
        or any(one >= next_ for one, next_ in zip(written, written[1:], strict=False))
    ):
        part.refuse(key, f"is not a list of at most {_MAX_BUCKETS} ascending whole numbers", advice)
        return ()
    return tuple(written)
