"""Queries in stores with more values than one query may read: the database leaves out those that cannot match."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier, serving

MANY = 10_050
AT_ONCE = 2_010
RETRIED = """\
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata:
  name: r
spec:
  policies:
    timeouts: {t: 30s}
    retries: {r: {policy: constant, duration: 10ms, maxRetries: 2}}
    circuitBreakers: {b: {maxRequests: 1, timeout: 5s, trip: consecutiveFailures >= 5}}
  targets:
    components:
      policed: {outbound: {timeout: t, retry: r, circuitBreaker: b}}
"""


@pytest.fixture(scope="module")
def pannier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pannier]:
    """A sidecar with stores over SQLite files: a plain one, one with policies around it, and an encrypted one."""
    folder = tmp_path_factory.mktemp("components")
    for name, more in (("plain", {}), ("policed", {}), ("sealed", {"primaryEncryptionKey": "00" * 32})):
        settings = {"connectionString": str(folder.parent / f"{name}.db"), **more}
        (folder / f"{name}.yaml").write_text(component(name, "state.sqlite", settings))
    (folder / "policies.yaml").write_text(RETRIED)
    with serving(folder) as pannier:
        for store, values in (("plain", MANY), ("policed", MANY), ("sealed", 50)):
            for start in range(0, values, AT_ONCE):
                places = range(start, min(start + AT_ONCE, values))
                items = [
                    {"key": f"k{place:05}", "value": {"number": place, "color": f"c{place % 4000}"}} for place in places
                ]
                assert pannier.call(f"/v1.0/state/{store}", "POST", json.dumps(items))[0] in (201, 204)
        yield pannier


def found(pannier: Pannier, store: str, query: object) -> list[str]:
    status, body = pannier.call(f"/v1.0-alpha1/state/{store}/query", "POST", json.dumps(query))
    assert status == 200, body
    return [each["key"] for each in json.loads(body)["results"]]


@pytest.mark.parametrize("store", ["plain", "policed"])
def test_values_that_cannot_match_do_not_count(pannier: Pannier, store: str) -> None:
    color = {"filter": {"EQ": {"color": "c7"}}, "sort": [{"key": "number", "order": "DESC"}]}
    assert found(pannier, store, color) == ["k08007", "k04007", "k00007"]
    assert found(pannier, store, color | {"page": {"limit": 1, "token": "1"}}) == ["k04007"]
    assert found(pannier, store, {"filter": {"IN": {"number": [10_049, 23, "23"]}}}) == ["k00023", "k10049"]
    narrow = {"AND": [{"EQ": {"color": "c9"}}, {"GT": {"number": 9}}, {"NEQ": {"number": 4009}}]}
    assert found(pannier, store, {"filter": narrow}) == ["k08009"]


@pytest.mark.parametrize("query", [{"filter": {"GT": {"number": 5}}}, {"filter": {"NEQ": {"color": "c7"}}}, {}])
def test_a_query_that_would_read_too_much_is_refused(pannier: Pannier, query: object) -> None:
    status, body = pannier.call("/v1.0-alpha1/state/plain/query", "POST", json.dumps(query))
    assert status == 400
    assert "over 10000 of the app's values would have to be read" in body


def test_encrypted_values_are_all_read_because_a_database_cannot_search_them(pannier: Pannier) -> None:
    assert found(pannier, "sealed", {"filter": {"EQ": {"color": "c7"}}}) == ["k00007"]
