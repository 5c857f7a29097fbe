"""The text format that Prometheus reads (version 0.0.4), and the parts of histograms."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

BOUNDS_MS: Final = (
    *(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0, 100.0),
    *(130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5),
)
"""Dapr's default latency buckets, in milliseconds, so that its dashboards work."""

Labels = tuple[tuple[str, str], ...]


Histogram = list[float]
"""Counts by bucket, each without the counts of lower buckets; the last element is the sum of the durations in seconds.
It is a list and not an object, because every call adds to it, and a list is faster.
"""
SUM: Final = -1


def new_histogram(buckets: int) -> Histogram:
    """Return an empty histogram with this number of upper bounds."""
    return [0] * (buckets + 1) + [0.0]


def observe(histogram: Histogram, bounds: Sequence[float], seconds: float) -> None:
    """Add a duration. `bounds` are in seconds."""
    histogram[bisect_left(bounds, seconds)] += 1
    histogram[SUM] += seconds


def count_of(histogram: Histogram) -> int:
    return int(sum(histogram[:SUM]))


class Relabelling(Protocol):
    """Changes labels before they are written; samples whose labels are the same then are added up."""

    def counts(self, name: str, values: Iterable[tuple[Labels, float]]) -> Iterable[tuple[Labels, float]]:
        """Return the samples of a counter or gauge."""

    def histograms(self, name: str, values: Iterable[tuple[Labels, Histogram]]) -> Iterable[tuple[Labels, Histogram]]:
        """Return the samples of histograms."""


class Page:
    """A page of metrics, family by family."""

    def __init__(
        self,
        labels: Mapping[str, str],
        bounds_ms: Sequence[float] = BOUNDS_MS,
        relabelling: Relabelling | None = None,
    ):
        """Begin a page whose lines all carry `labels`; `bounds_ms` are the upper bounds of its histograms."""
        self._bounds_ms = bounds_ms
        self._relabelling = relabelling
        self._labels = tuple(labels.items())
        self._lines: list[str] = []

    def bytes(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()

    def family(self, name: str, kind: str, meaning: str, values: Iterable[tuple[Labels, float]]) -> None:
        """Write one counter or gauge; nothing if it has no values."""
        if self._relabelling is not None:
            values = self._relabelling.counts(name, values)
        rows = [f"{name}{self._shown(labels)} {_number(value)}" for labels, value in values]
        if rows:
            self._lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *rows]

    def histograms(self, name: str, meaning: str, values: Iterable[tuple[Labels, Histogram]]) -> None:
        rows: list[str] = []
        if self._relabelling is not None:
            values = self._relabelling.histograms(name, values)
        for labels, histogram in values:
            counts = list(accumulate(map(int, histogram[:SUM])))
            for bound, count in zip((*map(_number, self._bounds_ms), "+Inf"), counts, strict=True):
                rows.append(f"{name}_bucket{self._shown((*labels, ('le', bound)))} {count}")
            rows.append(f"{name}_sum{self._shown(labels)} {_number(histogram[SUM] * 1000)}")
            rows.append(f"{name}_count{self._shown(labels)} {counts[-1]}")
        if rows:
            self._lines += [f"# HELP {name} {meaning}", f"# TYPE {name} histogram", *rows]

    def _shown(self, labels: Labels) -> str:
        every = (*self._labels, *labels)
        return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in every) + "}" if every else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
