"""The CustomResourceDefinition of Resiliency objects agrees with the code that reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.tables import each_row

from pannier_crds import resiliency
from pannier_crds.problems import InvalidManifestError
from pannier_crds.resiliency import Resiliency

ROOT = Path(__file__).parents[3]
FILE = ROOT / "crds" / "resiliency.yaml"
CRD: dict[str, Any] = yaml.safe_load(FILE.read_text())
(VERSION,) = CRD["spec"]["versions"]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]["properties"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if key in schema:
            yield from nodes(schema[key], f"{path}{mark}")


NODES = dict(nodes(SCHEMA))
RULES = [rule for node in NODES.values() for rule in node.get("x-kubernetes-validations", ())]


def test_it_is_daprs_kind_so_that_its_manifests_apply_unchanged() -> None:
    names = CRD["spec"]["names"]
    assert CRD["metadata"]["name"] == "resiliencies.dapr.io"
    assert (CRD["spec"]["group"], names["kind"], VERSION["name"]) == ("dapr.io", "Resiliency", "v1alpha1")
    assert "shortNames" not in names, "Dapr's has none"
    assert (VERSION["served"], VERSION["storage"], VERSION["subresources"]) == (True, True, {"status": {}})


def test_it_has_every_field_that_is_read_and_no_other() -> None:
    policies, targets = SPEC["policies"]["properties"], SPEC["targets"]["properties"]
    assert set(SCHEMA["properties"]) == {*resiliency._TOP_KEYS, "status"}
    assert set(SPEC) == set(resiliency._SPEC_KEYS)
    assert set(policies) == set(resiliency._POLICIES_KEYS)
    assert set(policies["retries"]["additionalProperties"]["properties"]) == set(resiliency._RETRY_KEYS)
    assert set(policies["circuitBreakers"]["additionalProperties"]["properties"]) == set(resiliency._BREAKER_KEYS)
    assert set(targets) == set(resiliency._TARGETS_KEYS)
    of_component = targets["components"]["additionalProperties"]["properties"]
    assert set(of_component) == {"outbound", "inbound"}
    assert set(of_component["outbound"]["properties"]) == set(resiliency._NAMES_KEYS)


def test_everything_is_bounded_and_described() -> None:
    for path, node in NODES.items():
        if path.startswith((".spec", ".scopes")) and node.get("type") == "string":
            assert "maxLength" in node, path
        assert "additionalProperties" not in node or node["maxProperties"] == resiliency._MAX_NAMES, path
        assert node.get("type") != "array" or "maxItems" in node, path
    undescribed = [path for path, node in NODES.items() if "description" not in node and path[-1] not in "*]"]
    assert undescribed == [".metadata"]
    assert "{{" not in FILE.read_text(), "the chart shows the file through Helm's templates"


def test_kubectl_shows_what_matters() -> None:
    columns = {each["name"]: each["jsonPath"] for each in VERSION["additionalPrinterColumns"]}
    assert list(columns) == ["Stores", "Ready", "Apps", "Age", "Reason"]
    for path in columns.values():
        assert path.lstrip(".").split(".")[0] in SCHEMA["properties"]


@each_row(
    ["policies", "scopes"],
    [
        ({"timeouts": {"t": "2 s"}}, []),
        ({"retries": {"r": {"policy": "linear"}}}, []),
        ({"circuitBreakers": {"b": {"maxRequests": -1}}}, []),
        ({}, ["*"]),
        ({}, ["a,b"]),
        ({}, ["a b"]),
    ],
)
def test_the_rules_speak_with_the_words_of_the_checks(policies: Any, scopes: list[str]) -> None:
    manifest = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": "state"},
        "spec": {"policies": policies},
        "scopes": scopes,
    }
    with pytest.raises(InvalidManifestError) as refused:
        Resiliency.from_manifest(manifest)
    (problem,) = refused.value.problems
    templates = [rule.get("messageExpression", rule["message"]) for rule in RULES]
    assert any(problem.advice in template for template in templates), problem.text
    assert all(rule["reason"] == "FieldValueForbidden" and "; " in rule["message"] for rule in RULES)
