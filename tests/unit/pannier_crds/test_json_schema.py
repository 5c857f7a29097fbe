"""The JSON Schema of components accepts what `problems_of` accepts, and refuses what it can."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.catalogue import ComponentType
from pannier_crds.checks import problems_of
from pannier_crds.component import Component, InvalidManifestError
from pannier_crds.json_schema import component_schema

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = jsonschema_rs.validator_for(component_schema())
VALUES = ("", "true", "No", " on ", "5", "-1", "007", "1.5", "5s", "1h30m", "pipes", "first-write", "node", "localhost")


def manifest(type_name: str, *items: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore"},
        "spec": {"type": type_name, "metadata": list(items), **spec},
    }


def item(name: str, value: object) -> dict[str, Any]:
    return {"name": name, "value": value}


def components_of(folder: Path) -> Iterator[tuple[str, Any]]:
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            yield str(file.relative_to(ROOT)), document


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(component_schema())


def test_examples_are_accepted() -> None:
    for name, document in components_of(ROOT / "examples"):
        assert list(SCHEMA.iter_errors(document)) == [], name


def entries_of(kind: ComponentType) -> st.SearchStrategy[list[dict[str, Any]]]:
    names = [name for field in kind.fields for name in (field.name, *field.aliases)]
    fields = {field.name: field for field in kind.fields}
    of_field = {name: st.sampled_from((*fields[name].choices, *VALUES)) for name in fields}
    one = st.sampled_from(names).flatmap(
        lambda name: st.builds(
            item,
            st.sampled_from((name, name.lower(), name.upper())),
            of_field.get(name, st.sampled_from(VALUES)) | st.sampled_from((5, True, 1.5, None)),
        )
    )
    return st.lists(one, max_size=5)


@given(st.data())
def test_what_the_checks_accept_is_accepted(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(catalogue.known_types()))
    type_name = data.draw(st.sampled_from([kind.name, *kind.aliases, kind.name.upper(), f" {kind.name}"]))
    version = data.draw(st.sampled_from((*kind.versions, "V1", "v0", None)))
    needed = [item(field.name, "localhost:1") for field in kind.fields if field.required]
    document = manifest(type_name, *needed, *data.draw(entries_of(kind)), version=version)
    try:
        problems = problems_of(Component.from_manifest(document))
    except InvalidManifestError:
        return
    if not any(problem.is_error for problem in problems):
        assert list(SCHEMA.iter_errors(document)) == []


REFUSED = {
    "misspelt type": manifest("state.reddis"),
    "type of Dapr alone": manifest("state.oracledatabase"),
    "no block": manifest("redis"),
    "missing setting": manifest("state.redis"),
    "missing settings": {**manifest("state.redis"), "spec": {"type": "state.redis"}},
    "misspelt setting": manifest("state.redis", item("redisHost", "a:1"), item("redisPasword", "")),
    "no boolean": manifest("state.redis", item("redisHost", "a:1"), item("enableTLS", "maybe")),
    "no choice": manifest("state.redis", item("redisHost", "a:1"), item("redisType", "sentinel")),
    "no number": manifest("state.redis", item("redisHost", "a:1"), item("redisDB", "first")),
    "too small": manifest("state.redis", item("redisHost", "a:1"), item("redisDB", -1)),
    "no text": manifest("state.redis", item("redisHost", ["a:1"])),
    "no name": {**manifest("state.in-memory"), "metadata": {}},
    "scopes no list": {**manifest("state.in-memory"), "scopes": "my-app"},
}
ACCEPTED = {
    "another building block": manifest("pubsub.redis", item("anything", "x")),
    "a pluggable component": manifest("state.ledger", item("anything", "x")),
    "other kinds": {"apiVersion": "v1", "kind": "ConfigMap", "data": {}},
    "a version in capitals": manifest("state.postgresql", item("connectionString", "host=x"), version="V2"),
    "an older spelling": manifest("state.redis", item("redisHost", "a:1"), item("maxRetryBackoff", "2000000")),
}


@each_row("document", REFUSED)
def test_what_is_wrong_is_refused(document: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(document)


@each_row("document", ACCEPTED)
def test_what_is_served_elsewhere_is_accepted(document: dict[str, Any]) -> None:
    assert list(SCHEMA.iter_errors(document)) == []
