"""Counts and durations of calls, under the names and labels that Dapr 1.18 gives them.

It is written by hand because each call pays for being counted: two dictionary look-ups and a bisection take about a
microsecond.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections import Counter
from time import time
from typing import TYPE_CHECKING, Final

from pannier_sidecar.observing.exposition import (
    BOUNDS_MS,
    SUM,
    Histogram,
    Labels,
    Page,
    count_of,
    new_histogram,
    observe,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pannier_sidecar.observing.exposition import Relabelling
    from pannier_sidecar.observing.path_labels import PathLabels
    from pannier_sidecar.observing.resiliency_metrics import ResiliencyMetrics, StoreMetrics
    from pannier_sidecar.observing.watch_metrics import WatchMetrics
    from pannier_sidecar.state.cached_values import CacheCounts

_OTHER_PATH: Final = "other"
_KNOWN_PATHS: Final = frozenset(
    (
        "/v1.0/healthz",
        "/v1.0/healthz/outbound",
        "/v1.0/metadata",
        "/v1.0/shutdown",
        "/v1.0/state",
        "/openapi.json",
        "/docs",
    )
)
_CUT_PATHS: Final = (
    ("/v1.0/actors/", "/v1.0/actors/{type}/{id}/state"),
    ("/v1.0-alpha1/state", "/v1.0-alpha1/state/{store}"),
    ("/v1.0-alpha1/actors/", "/v1.0-alpha1/actors/{type}/{id}/state"),
    ("/v1.0/metadata/", "/v1.0/metadata/{attribute}"),
    ("/v1.0/secrets/", "/v1.0/secrets/{store}"),
)
UNKNOWN_STORE: Final = "/v1.0/state/{store}"
"""Dapr's label for the path of a state call is `/v1.0/state/<store>`. Calls to stores that do not exist share this one.
"""
_KNOWN_METHODS: Final = frozenset((b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS"))
_OTHER_METHOD: Final = b"UNKNOWN"


def _category_of(code: str) -> str:
    """Return the group of an error code, as Dapr groups them."""
    if code.startswith("ERR_ACTOR"):
        return "actor"
    if code.startswith("ERR_SECRET"):
        return "secret"
    return "state" if "STATE" in code else "common"


class Metrics:
    """What one sidecar counts. Implements `state.begun_call.Observer` and `loading.open_stores.OpeningObserver`."""

    def __init__(
        self,
        app_id: str,
        namespace: str | None = None,
        version: str = "",
        bounds_ms: Sequence[float] = BOUNDS_MS,
    ):
        """Count calls of an app. `bounds_ms` are the upper bounds of the histograms, in milliseconds."""
        self._bounds_ms = tuple(bounds_ms)
        self._bounds = tuple(bound / 1000 for bound in bounds_ms)
        self.relabelling: Relabelling | None = None
        """Changes the labels of the page, as a Configuration says."""
        self.path_labels: PathLabels | None = None
        """Gives paths another label from now on, as a Configuration says."""
        self._app_id = app_id
        self._namespace = namespace or ""
        self._version = version
        self._calls: dict[tuple[str, str, bool], Histogram] = {}
        self._secrets: dict[tuple[str, str, bool], Histogram] = {}
        self._requests: dict[tuple[bytes, str, int], Histogram] = {}
        self._rpcs: dict[tuple[str, str], Histogram] = {}
        self._openings: Counter[tuple[str, str, bool]] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._resiliency: ResiliencyMetrics | None = None
        self._watches: WatchMetrics | None = None
        self._caches: dict[str, CacheCounts] = {}
        self._paths: dict[bytes, str] = {}
        self._started = time()
        self.count_loaded: Callable[[], int] = _none
        """Returns how many components are served now."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        """Record a call that reached a store."""
        slot = (store, operation, succeeded)
        histogram = self._calls.get(slot)
        if histogram is None:
            histogram = self._calls[slot] = new_histogram(len(self._bounds))
        histogram[bisect_left(self._bounds, seconds)] += 1  # as `observe`, whose call would cost a tenth of this method
        histogram[SUM] += seconds

    def secrets_read(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        """Record a call that reached a secret store."""
        observe(
            self._secrets.setdefault((store, operation, succeeded), new_histogram(len(self._bounds))),
            self._bounds,
            seconds,
        )

    def request_ended(self, method: bytes, path: bytes, status: int, seconds: float) -> None:
        """Record an HTTP request; `path` is as sent, without the query."""
        observe(self._histogram_of_requests(method, path, status), self._bounds, seconds)

    def _histogram_of_requests(self, method: bytes, path: bytes, status: int) -> Histogram:
        label = None if self.path_labels is None else self.path_labels.find(path)
        if label is None and path.startswith(b"/v1.0/state/"):
            end = path.find(b"/", 12)
            label = self._paths.get(path[12:end] if end > 0 else path[12:], UNKNOWN_STORE)
        elif label is None:
            label = _label(path)
        slot = (method, label, status)
        histogram = self._requests.get(slot)
        if histogram is None:
            slot = (method if method in _KNOWN_METHODS else _OTHER_METHOD, label, status)
            histogram = self._requests.setdefault(slot, new_histogram(len(self._bounds)))
        return histogram

    def request_counter(self, method: bytes, path: bytes) -> Callable[[int, float], None] | None:
        """Return a function that records requests of one method, and of paths that differ from this one in their key
        alone, faster than `request_ended`. It takes status and seconds. None if the key may change the label.
        """
        if self.path_labels is not None and self.path_labels.depends_on_key(path):
            return None
        return _counter(lambda status: self._histogram_of_requests(method, path, status), self._bounds)

    def rpc_ended(self, method: str, status: str, seconds: float) -> None:
        """Record a gRPC call: `method` is one that is served, `status` the name of a status code."""
        observe(self._histogram_of_rpcs(method, status), self._bounds, seconds)

    def _histogram_of_rpcs(self, method: str, status: str) -> Histogram:
        histogram = self._rpcs.get((method, status))
        if histogram is None:
            histogram = self._rpcs[method, status] = new_histogram(len(self._bounds))
        return histogram

    def rpc_counter(self, method: str, statuses: Sequence[str]) -> Callable[[int, float], None]:
        """Return a function that records gRPC calls of one method faster than `rpc_ended`. It takes the number of the
        status, which is its index in `statuses`, and seconds.
        """
        return _counter(lambda status: self._histogram_of_rpcs(method, statuses[status]), self._bounds)

    def error_answered(self, code: str, *, is_about_a_key: bool = False) -> None:
        """Record a call that was answered with an error; `code` is its `errorCode`."""
        self._errors[code, "state" if is_about_a_key else _category_of(code)] += 1

    def store_opened(self, store: str, store_type: str, succeeded: bool) -> None:
        """Record an attempt to open a store."""
        self._openings[store, store_type, succeeded] += 1

    def resiliency_loaded(self, name: str, namespace: str) -> None:
        """Record that a Resiliency was read with new content."""
        self._of_resiliency().loaded[name, namespace] += 1

    def of_policies(self, store: str, origin: tuple[str, str]) -> StoreMetrics | None:
        """Return what counts for the policies of a store; `origin` is name and namespace of their Resiliency."""
        return self._of_resiliency().of_store(store, origin)

    def forget_policies(self, store: str) -> None:
        """Report no circuit breaker for a store any more."""
        if self._resiliency is not None:
            self._resiliency.of_store(store, ("", "")).watch(None)

    def cache_changed(self, store: str, counts: CacheCounts | None) -> None:
        """Report what a store's cache counts; None: it has none any more."""
        if counts is None:
            self._caches.pop(store, None)
        else:
            self._caches[store] = counts

    def _of_resiliency(self) -> ResiliencyMetrics:
        if self._resiliency is None:
            from pannier_sidecar.observing.resiliency_metrics import ResiliencyMetrics  # few sidecars need it

            self._resiliency = ResiliencyMetrics()
        return self._resiliency

    def of_watches(self) -> WatchMetrics:
        """Return what counts watches."""
        if self._watches is None:
            from pannier_sidecar.observing.watch_metrics import WatchMetrics  # most sidecars are never asked for one

            self._watches = WatchMetrics()
        return self._watches

    def know_stores(self, names: Iterable[str]) -> None:
        """Give each of these stores its own path in the labels; all other names share one."""
        self._paths = {name.encode(): f"/v1.0/state/{name}" for name in names}

    def page(self) -> bytes:
        """Return everything as Prometheus reads it."""
        page = Page({"app_id": self._app_id}, self._bounds_ms, self.relabelling)
        self._write_calls(page)
        self._write_requests(page)
        self._write_rpcs(page)
        self._write_errors(page)
        self._write_components(page)
        if self._resiliency is not None:
            self._resiliency.write(page)
        if self._watches is not None:
            self._watches.write(page)
        if self._caches:
            from pannier_sidecar.observing.cache_metrics import write_caches  # few sidecars need it

            write_caches(page, self._caches)
        self._write_process(page)
        return page.bytes()

    def _write_calls(self, page: Page) -> None:
        self._write_calls_of(page, self._calls, "state", "a state store")
        if self._secrets:
            self._write_calls_of(page, self._secrets, "secret", "a secret store")

    def _write_calls_of(
        self, page: Page, recorded: dict[tuple[str, str, bool], Histogram], kind: str, where: str
    ) -> None:
        calls: list[tuple[Labels, Histogram]] = [
            (
                (
                    ("component", store),
                    ("namespace", self._namespace),
                    ("operation", operation),
                    ("success", "true" if succeeded else "false"),
                ),
                histogram,
            )
            for (store, operation, succeeded), histogram in sorted(recorded.items())
        ]
        counts = [(labels, count_of(histogram)) for labels, histogram in calls]
        page.family(f"dapr_component_{kind}_count", "counter", f"Calls that reached {where}.", counts)
        duration = f"Duration of calls that reached {where}, in milliseconds."
        page.histograms(f"dapr_component_{kind}_latencies", duration, calls)

    def _write_requests(self, page: Page) -> None:
        requests: list[tuple[Labels, Histogram]] = [
            ((("method", method.decode()), ("path", path), ("status", str(status))), histogram)
            for (method, path, status), histogram in sorted(self._requests.items())
        ]
        counts = [(labels, count_of(histogram)) for labels, histogram in requests]
        page.family("dapr_http_server_request_count", "counter", "HTTP requests received.", counts)
        page.family("dapr_http_server_response_count", "counter", "HTTP requests answered.", counts)
        page.histograms("dapr_http_server_latency", "Time to answer an HTTP request, in milliseconds.", requests)

    def _write_errors(self, page: Page) -> None:
        counts: list[tuple[Labels, int]] = [
            ((("category", category), ("error_code", code)), count)
            for (code, category), count in sorted(self._errors.items())
        ]
        page.family("dapr_error_code_total", "counter", "Errors that calls were answered with.", counts)

    def _write_rpcs(self, page: Page) -> None:
        rpcs: list[tuple[Labels, Histogram]] = [
            ((("grpc_server_method", method), ("grpc_server_status", status)), histogram)
            for (method, status), histogram in sorted(self._rpcs.items())
        ]
        counts = [(labels, count_of(histogram)) for labels, histogram in rpcs]
        page.family("dapr_grpc_io_server_completed_rpcs", "counter", "gRPC calls answered.", counts)
        page.histograms("dapr_grpc_io_server_server_latency", "Time to answer a gRPC call, in milliseconds.", rpcs)

    def _write_components(self, page: Page) -> None:
        loaded = [((("namespace", self._namespace),), self.count_loaded())]
        page.family("dapr_runtime_component_loaded", "gauge", "Components served now.", loaded)
        attempts: Counter[str] = Counter()
        for (_, store_type, _), count in self._openings.items():
            attempts[store_type] += count
        totals: list[tuple[Labels, int]] = [((("component", each),), count) for each, count in sorted(attempts.items())]
        page.family("dapr_runtime_component_init_total", "counter", "Attempts to open a component.", totals)
        failed: list[tuple[Labels, int]] = [
            ((("component", store_type), ("component_name", store), ("reason", "init")), count)
            for (store, store_type, succeeded), count in sorted(self._openings.items())
            if not succeeded
        ]
        page.family("dapr_runtime_component_init_fail_total", "counter", "Failed attempts to open a component.", failed)

    def _write_process(self, page: Page) -> None:
        python = ".".join(map(str, sys.version_info[:3]))
        build: Labels = (("version", self._version), ("python", python))
        page.family("pannier_build_info", "gauge", "The running version.", [(build, 1)])
        page.family("process_start_time_seconds", "gauge", "Unix time of the start.", [((), self._started)])
        spent = os.times()
        cpu = spent.user + spent.system
        page.family("process_cpu_seconds_total", "counter", "Processor time spent.", [((), cpu)])
        resident = _resident_bytes()
        if resident is not None:
            page.family("process_resident_memory_bytes", "gauge", "Resident memory.", [((), resident)])


def _label(path: bytes) -> str:
    """Return the label for a path that names no store; it is cut, so that there are few labels."""
    text = path.decode("latin-1")
    if text in _KNOWN_PATHS:
        return text
    for prefix, label in _CUT_PATHS:
        if text.startswith(prefix):
            return label
    return _OTHER_PATH


def _counter(find: Callable[[int], Histogram], bounds: Sequence[float]) -> Callable[[int, float], None]:
    """Return a function that records durations by status. It looks up the histogram of each status once."""
    by_status: dict[int, Histogram] = {}

    def count(status: int, seconds: float) -> None:
        histogram = by_status.get(status)
        if histogram is None:
            histogram = by_status[status] = find(status)
        histogram[bisect_left(bounds, seconds)] += 1  # as `observe`, without the cost of its call
        histogram[SUM] += seconds

    return count


class Unobserved:
    """Counts nothing: for a sidecar whose metrics are off."""

    def call_ended(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        pass

    def secrets_read(self, store: str, operation: str, succeeded: bool, seconds: float) -> None:
        pass

    def store_opened(self, store: str, store_type: str, succeeded: bool) -> None:
        pass

    def resiliency_loaded(self, name: str, namespace: str) -> None:
        pass

    def of_policies(self, store: str, origin: tuple[str, str]) -> None:
        return None

    def forget_policies(self, store: str) -> None:
        pass

    def cache_changed(self, store: str, counts: CacheCounts | None) -> None:
        pass


def _resident_bytes() -> int | None:
    """Return the resident memory. Only Linux reports it; elsewhere the metric is omitted."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _none() -> int:
    return 0
