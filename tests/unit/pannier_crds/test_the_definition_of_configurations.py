"""The CustomResourceDefinition of Configurations agrees with the code that reads them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.tables import each_row

from pannier_crds import configuration
from pannier_crds.configuration import Configuration
from pannier_crds.problems import InvalidManifestError

ROOT = Path(__file__).parents[3]
FILE = ROOT / "crds" / "configuration.yaml"
CRD: dict[str, Any] = yaml.safe_load(FILE.read_text())
(VERSION,) = CRD["spec"]["versions"]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]


def test_it_is_daprs_kind_so_that_its_manifests_apply_unchanged() -> None:
    names = CRD["spec"]["names"]
    assert CRD["metadata"]["name"] == "configurations.dapr.io"
    assert (CRD["spec"]["group"], names["kind"], VERSION["name"]) == ("dapr.io", "Configuration", "v1alpha1")
    assert "shortNames" not in names, "Dapr's has none"
    assert (VERSION["served"], VERSION["storage"], VERSION["subresources"]) == (True, True, {"status": {}})


def test_it_describes_every_field_that_is_read_and_keeps_the_others() -> None:
    assert set(SCHEMA["properties"]) == {*configuration._TOP_KEYS, "status"}
    assert set(SPEC["properties"]) == set(configuration.SERVED)
    assert SPEC["x-kubernetes-preserve-unknown-fields"] is True
    for name, part in SPEC["properties"].items():
        described = part.get("items", part)
        assert described["x-kubernetes-preserve-unknown-fields"] is True, name
        assert part["description"], name
        assert part["type"] != "array" or part["maxItems"] == 1000, name
    assert "required" not in str(SPEC), "what is missing is said in the words of the checks"
    assert "{{" not in FILE.read_text(), "the chart shows the file through Helm's templates"


def test_kubectl_shows_what_matters() -> None:
    columns = {each["name"]: each["jsonPath"] for each in VERSION["additionalPrinterColumns"]}
    assert list(columns) == ["Ready", "Apps", "Age", "Reason"]


RULE = {"name": "state", "version": "v1", "protocol": "http"}


@each_row(
    ["spec", "path"],
    [
        ({"api": {"denied": [{**RULE, "protocol": "htp"}]}}, ("api", "denied", "protocol")),
        ({"api": {"allowed": [{**RULE, "version": "1"}]}}, ("api", "allowed", "version")),
        ({"secrets": {"scopes": [{"storeName": "s", "defaultAccess": "no"}]}}, ("secrets", "scopes", "defaultAccess")),
    ],
)
def test_the_rules_speak_with_the_words_of_the_checks(spec: Any, path: tuple[str, str, str]) -> None:
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "shop"}}
    with pytest.raises(InvalidManifestError) as refused:
        Configuration.from_manifest({**head, "spec": spec})
    (problem,) = refused.value.problems
    part, key, field = path
    entries = SPEC["properties"][part]["properties"][key]["items"]["properties"]
    (rule,) = entries[field]["x-kubernetes-validations"]
    assert problem.advice in rule["messageExpression"] and problem.advice in rule["message"], problem.text
    assert rule["reason"] == "FieldValueForbidden" and "; " in rule["message"]
