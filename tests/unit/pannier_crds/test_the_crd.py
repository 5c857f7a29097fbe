"""The CustomResourceDefinition agrees with the code. The cluster tests show that an API server accepts it."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pannier_crds import catalogue
from pannier_crds.checks import problems_of
from pannier_crds.component import Component, MetadataItem, SecretKeyRef

ROOT = Path(__file__).parents[3]
FILE = ROOT / "crds" / "component.yaml"
SCRIPT = ROOT / "scripts" / "component-rules"
CRD: dict[str, Any] = yaml.safe_load(FILE.read_text())
(VERSION,) = CRD["spec"]["versions"]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]["properties"]
ITEM = SPEC["metadata"]["items"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


NODES = dict(nodes(SCHEMA))
RULES = [(path, rule) for path, node in NODES.items() for rule in node.get("x-kubernetes-validations", ())]


@pytest.fixture
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("component_rules", str(SCRIPT))
    spec = importlib.util.spec_from_loader("component_rules", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, written = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def test_it_is_daprs_kind_so_that_its_manifests_apply_unchanged() -> None:
    assert CRD["metadata"]["name"] == "components.dapr.io"
    assert (CRD["spec"]["group"], CRD["spec"]["names"]["kind"], VERSION["name"]) == ("dapr.io", "Component", "v1alpha1")
    assert CRD["spec"]["scope"] == "Namespaced"
    assert (VERSION["served"], VERSION["storage"], VERSION["subresources"]) == (True, True, {"status": {}})
    assert SCHEMA["required"] == ["spec"]
    assert SCHEMA["properties"]["spec"]["required"] == ["type"]


def test_it_has_every_field_that_a_component_is_read_from_and_no_other() -> None:
    items = (
        MetadataItem("a", "b"),
        MetadataItem("c", secret=SecretKeyRef("d", "e")),
        MetadataItem("f", env="g"),
    )
    whole = Component("x", "y", metadata=items, scopes=("z",), secret_store="s", ignore_errors=True, init_timeout=9)
    manifest: dict[str, Any] = whole.to_manifest()
    assert set(SCHEMA["properties"]) == {*manifest, "status"}
    assert set(SPEC) == set(manifest["spec"])
    assert set(ITEM["properties"]) == {key for item in manifest["spec"]["metadata"] for key in item}
    assert set(ITEM["properties"]["secretKeyRef"]["properties"]) == {"name", "key"}
    assert set(SCHEMA["properties"]["auth"]["properties"]) == set(manifest["auth"])


def test_a_value_may_be_any_scalar() -> None:
    assert "type" not in ITEM["properties"]["value"]
    assert ITEM["properties"]["value"]["x-kubernetes-preserve-unknown-fields"] is True


def test_everything_is_bounded_so_that_the_rules_have_a_bounded_cost() -> None:
    for path, node in NODES.items():
        if node.get("type") == "string" and path.startswith((".spec", ".auth", ".scopes")):
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node and "x-kubernetes-list-type" in node, path


def test_everything_is_described() -> None:
    undescribed = [path for path, node in NODES.items() if "description" not in node and "[]" not in path]
    assert undescribed == [".metadata"]
    assert "{{" not in FILE.read_text(), "the chart shows the file through Helm's templates"


def test_settings_merge_by_name_and_scopes_do_not_merge() -> None:
    assert SPEC["metadata"]["x-kubernetes-list-type"] == "map"
    assert SPEC["metadata"]["x-kubernetes-list-map-keys"] == ["name"]
    assert SCHEMA["properties"]["scopes"]["x-kubernetes-list-type"] == "atomic"


def test_kubectl_shows_what_matters() -> None:
    columns = {each["name"]: each for each in VERSION["additionalPrinterColumns"]}
    assert [name.upper() for name in columns] == ["TYPE", "ACTOR", "READY", "APPS", "AGE", "REASON", "REVISION"]
    assert [name for name, each in columns.items() if each.get("priority")] == ["Reason", "Revision"]
    for each in columns.values():
        top = each["jsonPath"].lstrip(".").split(".")[0]
        assert top in SCHEMA["properties"]
    status = SCHEMA["properties"]["status"]["properties"]
    assert columns["Actor"]["jsonPath"] == ".status.actor" and status["actor"]["type"] == "boolean"
    assert columns["Apps"]["jsonPath"] == ".status.appsSummary" and status["appsSummary"]["type"] == "string"


def test_every_rule_says_what_to_write() -> None:
    assert len(RULES) > 10
    for path, rule in RULES:
        assert "; " in rule["message"], (path, rule["rule"])
        assert "\n" not in rule["message"]
        assert rule["reason"] == "FieldValueForbidden", "which shows the message without the value's type before it"


def test_the_rules_speak_with_the_words_of_the_checks() -> None:
    wrong = Component(
        "x",
        "state.redis",
        "v2",
        metadata=(
            MetadataItem("redisHost", "h", SecretKeyRef("s", "s")),
            MetadataItem("redisPort", "1", env="DAPR_X"),
            MetadataItem("redisUsername", secret=SecretKeyRef("s", "s"), env="a b"),
        ),
        scopes=("", "a,b", "a b"),
    )
    said = [problem.text for problem in problems_of(wrong) if problem.is_error]
    assert len(said) == 9
    templates = [rule.get("messageExpression", rule["message"]) for _, rule in RULES]
    for text in said:
        advice = text.split("; ")[-1]
        assert any(advice in template for template in templates), text


def test_what_follows_from_the_catalogue_is_current() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_an_outdated_file_is_reported_and_written_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "component.yaml"
    copy.write_text(FILE.read_text().replace("'state.sqlite3', ", ""))
    monkeypatch.setattr(script, "FILE", copy)
    monkeypatch.setattr(sys, "argv", ["component-rules", "--check"])
    with pytest.raises(SystemExit, match="older than the catalogue: run 'make docs'"):
        script.main()
    monkeypatch.setattr(sys, "argv", ["component-rules"])
    script.main()
    assert copy.read_text() == FILE.read_text()


def test_every_name_version_and_required_setting_is_in_the_rules() -> None:
    (of_type,) = SPEC["type"]["x-kubernetes-validations"]
    of_spec = SCHEMA["properties"]["spec"]["x-kubernetes-validations"]
    for kind in catalogue.known_types():
        for name in (kind.name, *kind.aliases):
            assert f"'{name}'" in of_type["rule"]
            assert any(f"'{name}'" in rule["rule"] and ".version" in rule["rule"] for rule in of_spec)
        for field in kind.fields:
            if field.required:
                assert any(f"{kind.name} needs '{field.name}'" in rule["message"] for rule in of_spec)


def test_a_type_that_cannot_hold_actor_state_gets_a_rule(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from pannier_crds.catalogue import in_memory

    def of_memory(rules: Iterable[dict[str, str]]) -> list[dict[str, str]]:
        return [each for each in rules if {"actorstatestore", "state.in-memory"} <= set(each["rule"].split("'"))]

    assert not of_memory(rule for _, rule in RULES)
    monkeypatch.setattr(in_memory, "TYPES", (replace(in_memory.TYPES[0], features=("TTL",)),))
    (rule,) = of_memory(script._rules_of_spec())
    assert rule["message"].startswith("state.in-memory has no transactions and no ETags, which actors need; remove it")
