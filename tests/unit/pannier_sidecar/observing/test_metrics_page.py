"""The page of metrics: Dapr's names and labels in the text format of Prometheus."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from unit.tables import each_row

from pannier_crds.configuration import Configuration
from pannier_crds.metric_options import MetricOptions
from pannier_sidecar.observing.exposition import BOUNDS_MS
from pannier_sidecar.observing.metrics import Metrics
from pannier_sidecar.observing.relabelling import labels_of, path_labels_of

LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Sample = tuple[str, dict[str, str], float]


def parse(page: bytes) -> list[Sample]:
    """Parse a page as the format's description says, and refuse everything else."""
    samples, kinds = [], {}
    assert page.endswith(b"\n")
    for line in page.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds and kind in ("counter", "gauge", "histogram")
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = LINE.fullmatch(line)
            assert match is not None, line
            name = match[1]
            family = re.sub("_(bucket|sum|count)$", "", name)
            assert name in kinds or kinds[family] == "histogram"
            labels = {k: re.sub(r"\\.", lambda m: ESCAPES[m[0]], v) for k, v in LABEL.findall(match[2] or "")}
            samples.append((name, labels, float(match[3])))
    return samples


def value(metrics: Metrics, name: str, **labels: str) -> float:
    (found,) = [v for n, given, v in parse(metrics.page()) if n == name and labels.items() <= given.items()]
    return found


def test_calls_are_counted_by_store_operation_and_outcome():
    metrics = Metrics("shop", "red", "1.2.3")
    for succeeded in (True, True, False):
        metrics.call_ended("orders", "get", succeeded, 0.002)
    about = {"app_id": "shop", "namespace": "red", "component": "orders", "operation": "get"}
    assert value(metrics, "dapr_component_state_count", **about, success="true") == 2
    assert value(metrics, "dapr_component_state_count", **about, success="false") == 1


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, "1"), (0.001, "1"), (0.0011, "2"), (0.013, "13"), (99.0, "100000")]
)
def test_a_duration_falls_into_its_bucket_and_those_above(seconds, bound):
    metrics = Metrics("shop")
    metrics.call_ended("orders", "get", True, seconds)
    buckets = {
        labels["le"]: count for name, labels, count in parse(metrics.page()) if name.endswith("state_latencies_bucket")
    }
    assert len(buckets) == len(BOUNDS_MS) + 1
    for limit, count in buckets.items():
        assert count == (float(limit) >= float(bound))
    assert value(metrics, "dapr_component_state_latencies_sum") == pytest.approx(seconds * 1000)
    assert value(metrics, "dapr_component_state_latencies_count") == 1


def test_a_duration_beyond_every_bucket_is_in_the_last():
    metrics = Metrics("shop")
    metrics.call_ended("orders", "get", True, 1000.0)
    assert value(metrics, "dapr_component_state_latencies_bucket", le="+Inf") == 1
    assert value(metrics, "dapr_component_state_latencies_bucket", le="100000") == 0


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a,b", "a}b", "ä"])
def test_odd_names_are_escaped(name):
    metrics = Metrics(name)
    metrics.call_ended(name, "get", True, 0.1)
    assert value(metrics, "dapr_component_state_count", app_id=name, component=name) == 1


@each_row(
    ("path", "label"),
    [
        ("/v1.0/state/orders", "/v1.0/state/orders"),
        ("/v1.0/state/orders/key-1", "/v1.0/state/orders"),
        ("/v1.0/state/orders/bulk", "/v1.0/state/orders"),
        ("/v1.0/state/made-up/key", "/v1.0/state/{store}"),
        ("/v1.0/state", "/v1.0/state"),
        ("/v1.0/actors/cart/1/state/k", "/v1.0/actors/{type}/{id}/state"),
        ("/v1.0-alpha1/state/orders/keys", "/v1.0-alpha1/state/{store}"),
        ("/v1.0/healthz", "/v1.0/healthz"),
        ("/v1.0/metadata/x", "/v1.0/metadata/{attribute}"),
        ("/anything", "other"),
        ("/\xff", "other"),
    ],
)
def test_paths_are_cut_so_that_callers_cannot_make_up_series(path, label):
    metrics = Metrics("shop")
    metrics.know_stores(["orders"])
    metrics.request_ended(b"GET", path.encode("latin-1"), 200, 0.001)
    assert value(metrics, "dapr_http_server_request_count", path=label, method="GET", status="200") == 1


def test_unknown_methods_share_a_series():
    metrics = Metrics("shop")
    for n in range(10):
        metrics.request_ended(b"MADE%d" % n, b"/", 501, 0.001)
    assert value(metrics, "dapr_http_server_request_count", method="UNKNOWN") == 10


def test_components_and_the_process_have_metrics():
    metrics = Metrics("shop", version="1.2.3")
    metrics.count_loaded = lambda: 2
    metrics.store_opened("orders", "state.redis", False)
    metrics.store_opened("orders", "state.redis", True)
    assert value(metrics, "dapr_runtime_component_loaded") == 2
    assert value(metrics, "dapr_runtime_component_init_total", component="state.redis") == 2
    assert value(metrics, "dapr_runtime_component_init_fail_total", component_name="orders") == 1
    assert value(metrics, "pannier_build_info", version="1.2.3") == 1
    assert value(metrics, "process_resident_memory_bytes") > 1_000_000
    assert value(metrics, "process_start_time_seconds") > 1_500_000_000


def test_a_page_before_the_first_call_is_valid():
    assert parse(Metrics("shop").page())


def test_counting_a_call_is_cheap():
    """A bound far above the cost (about a microsecond), which a defect such as making labels per call would break."""
    metrics = Metrics("shop")
    started = perf_counter()
    for _ in range(10_000):
        metrics.call_ended("orders", "get", True, 0.0005)
    assert perf_counter() - started < 1.0


def options(**given: object) -> MetricOptions:
    manifest = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "spec": {"metrics": given}}
    return Configuration.from_manifest(manifest).metrics


def requested(patterns: list[str], *paths: str, **http: object) -> Metrics:
    """What a Configuration with patterns makes of a GET of each path."""
    metrics, given = Metrics("shop"), options(http={"pathMatching": patterns, **http})
    metrics.know_stores(["orders"])
    metrics.relabelling, metrics.path_labels = labels_of(given), path_labels_of(given)
    for path in paths:
        metrics.request_ended(b"GET", path.encode(), 200, 0.0015)
    return metrics


STATE = "/v1.0/state"
TREE = [
    *(
        f"{STATE}/{{store}}/{{key}}",
        f"{STATE}/orders/total",
        f"{STATE}/orders/day/",
        f"{STATE}/{{store}}/{{k}}/{{rest...}}",
    ),
    *("/v1.0/actors/Cart/{id}/state", f"{STATE}/a%2fb/{{$}}", "/v1.0/secrets/{store}", f"{STATE}/{{other}}/{{same}}"),
]


@each_row(
    ("path", "label"),
    [
        (f"{STATE}/orders/1", f"{STATE}/{{store}}/{{key}}"),
        (f"{STATE}/unknown/1", f"{STATE}/{{store}}/{{key}}"),
        (f"/{STATE}//orders/1", f"{STATE}/{{store}}/{{key}}"),
        (f"{STATE}/orders/total", f"{STATE}/orders/total"),
        (f"{STATE}/orders/tot%61l", f"{STATE}/orders/total"),
        (f"{STATE}/carts/total", f"{STATE}/{{store}}/{{key}}"),
        (f"{STATE}/orders/day", f"{STATE}/{{store}}/{{key}}"),
        (f"{STATE}/orders/day/", f"{STATE}/orders/day/"),
        (f"{STATE}/orders/day/1/2", f"{STATE}/orders/day/"),
        (f"{STATE}/carts/day/1/2", f"{STATE}/{{store}}/{{k}}/{{rest...}}"),
        (f"{STATE}/A%2fb", f"{STATE}/{{store}}"),
        (f"{STATE}/a%2Fb", f"{STATE}/a%2fb/{{$}}"),
        (f"{STATE}/a%2Fb/", f"{STATE}/a%2fb/{{$}}"),
        (f"{STATE}/orders", f"{STATE}/orders"),
        ("/v1.0/actors/Cart/7/state", "/v1.0/actors/Cart/{id}/state"),
        ("/v1.0/actors/Cart/7/state/k", "/v1.0/actors/Cart/{id}/state"),
        ("/v1.0/actors/Bag/7/state/k", "/v1.0/actors/{type}/{id}/state"),
        ("/v1.0/secrets/vault/key", "/v1.0/secrets/{store}"),
        ("/v1.0/healthz", "/v1.0/healthz"),
        ("/" + "/a" * 5000, "other"),
        ("/", "other"),
    ],
)
def test_a_pattern_of_a_configuration_is_the_label_of_the_paths_that_match_it(path, label):
    assert [labels["path"] for labels in shown(requested(TREE, path), COUNT)] == [label]


def test_without_the_label_path_the_patterns_remain():
    metrics = requested(TREE, f"{STATE}/orders/1", f"{STATE}/orders", f"{STATE}/carts", increasedCardinality=False)
    assert value(metrics, COUNT, path=f"{STATE}/{{store}}/{{key}}") == 1
    assert value(metrics, COUNT, path="") == value(metrics, LATENCY, path="") == 2
    metrics = requested([*TREE, "/"], f"{STATE}/orders", "/v1.0/healthz", increasedCardinality=False)
    assert value(metrics, COUNT, path="/") == 2


@each_row(
    ("pattern", "path", "is_counted"),
    [
        (f"{STATE}/{{store}}/{{key}}", f"{STATE}/orders/1", True),
        (f"{STATE}/orders/", f"{STATE}/orders/1", True),
        ("/v1.0/invoke/shop/method/total", f"{STATE}/orders/1", True),
        (f"{STATE}/{{store}}/total", f"{STATE}/orders/1", False),
        (f"{STATE}/{{store}}/total", f"{STATE}/orders", True),
    ],
)
def test_requests_are_counted_without_their_path_only_where_the_key_does_not_matter(pattern, path, is_counted):
    metrics = requested([pattern])
    count = metrics.request_counter(b"GET", path.encode())
    assert (count is not None) is is_counted
    if count is not None:
        count(200, 0.001)
        assert shown(metrics, COUNT) == shown(requested([pattern], path), COUNT)


def observed(**given: object) -> Metrics:
    """What a Configuration makes of four requests and an error."""
    metrics = Metrics("shop")
    metrics.know_stores(["orders", "carts"])
    metrics.relabelling = labels_of(options(**given))
    for method in (b"GET", b"POST"):
        for store in (b"orders", b"carts"):
            metrics.request_ended(method, b"/v1.0/state/" + store, 200, 0.0015)
    metrics.error_answered("ERR_STATE_GET")
    return metrics


def shown(metrics: Metrics, name: str) -> list[dict[str, str]]:
    return [labels for found, labels, _ in parse(metrics.page()) if found == name]


COUNT = "dapr_http_server_request_count"
LATENCY = "dapr_http_server_latency_count"


def test_a_configuration_drops_labels_and_adds_up_what_is_the_same_then():
    metrics = observed(http={"increasedCardinality": False})
    assert value(metrics, COUNT, method="GET") == value(metrics, LATENCY, method="GET") == 2
    assert value(metrics, "dapr_http_server_latency_bucket", method="GET", le="2") == 2
    assert value(metrics, "dapr_http_server_latency_sum", method="GET") == pytest.approx(3)
    assert {labels["path"] for labels in shown(metrics, COUNT)} == {""}  # as in Dapr; to Prometheus it is no label
    assert shown(metrics, "dapr_http_server_response_count") == []
    metrics = observed(http={"excludeVerbs": True})
    assert value(metrics, COUNT, path="/v1.0/state/orders") == 2
    assert len(shown(metrics, COUNT)) == len(shown(metrics, "dapr_http_server_response_count")) == 2


@each_row(
    ("metric", "regex", "paths"),
    [
        (COUNT, {"any": "orders|carts"}, {"/v1.0/state/any"}),
        ("http_server_request_count", {"a": "o\\w+s$", "b": "^/v1[.]0"}, {"b/state/a", "b/state/carts"}),
        (COUNT, {"\\1": "(orders|carts)"}, {"/v1.0/state/\\1"}),
        ("dapr_another", {"any": "orders|carts"}, {"/v1.0/state/orders", "/v1.0/state/carts"}),
    ],
)
def test_rules_replace_parts_of_a_label(metric, regex, paths):
    rule = {"name": metric, "labels": [{"name": "path", "regex": regex}]}
    metrics = observed(rules=[rule])
    assert {labels["path"] for labels in shown(metrics, COUNT)} == paths
    assert sum(number for name, _, number in parse(metrics.page()) if name == COUNT) == 4
    assert {labels["path"] for labels in shown(metrics, LATENCY)} == {"/v1.0/state/orders", "/v1.0/state/carts"}


def test_errors_are_counted_unless_a_configuration_says_no():
    for given, counted in (({}, 1), ({"recordErrorCodes": True}, 1), ({"recordErrorCodes": False}, 0)):
        assert len(shown(observed(**given), "dapr_error_code_total")) == counted


def test_buckets_may_be_others():
    metrics = Metrics("shop", bounds_ms=options(latencyDistributionBuckets=[1, 10]).buckets_ms)
    metrics.request_ended(b"GET", b"/v1.0/state/orders", 200, 0.005)
    metrics.request_counter(b"GET", b"/v1.0/state/orders")(200, 0.5)
    metrics.call_ended("orders", "get", True, 0.0005)
    metrics.rpc_ended("/s/m", "OK", 0.01)
    found = [
        (labels["le"], number)
        for name, labels, number in parse(metrics.page())
        if name == "dapr_http_server_latency_bucket"
    ]
    assert found == [("1", 0), ("10", 1), ("+Inf", 2)]
    assert value(metrics, "dapr_component_state_latencies_bucket", le="1") == 1
    assert value(metrics, "dapr_grpc_io_server_server_latency_bucket", le="10") == 1
