"""Requests made up from /openapi.json get only answers that it describes, and no failures."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from scenarios.http_client import HttpClient
from scenarios.worlds import component, served
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pannier_sidecar.http_api.paths import paths_of
from pannier_sidecar.http_api.profiles import SPEC

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    folder = tmp_path_factory.mktemp("described") / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {"actorStateStore": "true"}))
    with served(folder) as pannier:
        client = HttpClient(pannier.port())
        pannier.until(lambda: client.call("GET", "/v1.0/healthz").status == 204, "health")
        yield client
        client.close()


@pytest.fixture(scope="module")
def document(sidecar: HttpClient) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{sidecar.port}/openapi.json")


OPERATIONS = [
    (path.template, method)
    for path in paths_of(SPEC)
    for method in path.methods
    if path.operation not in ("documentation", "shutdown", "watch")  # a watch has no end
]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_answers_as_described(
    document: schemathesis.BaseSchema, sidecar: HttpClient, path: str, method: str
) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy())
    def answers_as_described(case: Any) -> None:
        if "{store}" in path:
            case.path_parameters["store"] = "statestore"  # any other one does not exist
        if path.endswith("/{key}/value"):
            case.path_parameters["key"] = f"bytes {case.path_parameters['key']}"  # elsewhere they would be no JSON
        response = case.call()
        if "healthz" not in path:  # it answers 500 to calls of another app
            assert response.status_code < 500, response.text
        case.validate_response(response, checks=CHECKS)

    answers_as_described()
    assert sidecar.call("GET", "/v1.0/healthz").status == 204
