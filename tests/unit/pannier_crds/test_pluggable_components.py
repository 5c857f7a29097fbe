"""Components that a socket serves: when a type that the catalogue does not know is accepted."""

from dataclasses import replace

import pytest
from unit.tables import each_row

from pannier_crds import catalogue, pluggable
from pannier_crds.checks import problems_among, problems_of
from pannier_crds.component import Component, MetadataItem
from pannier_crds.places import changes_of_place

CONTAINER = '{"image": "example/ledger"}'


def manifest(**annotations: str) -> dict[str, object]:
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore", "annotations": annotations},
        "spec": {"type": "state.ledger", "version": "v1", "metadata": [{"name": "File", "value": "x"}]},
    }


def marked(kind: str = "state.ledger", version: str = "v1", **settings: str) -> Component:
    items = tuple(MetadataItem(name, value) for name, value in settings.items())
    return Component("statestore", kind, version, metadata=items, is_pluggable=True)


def test_the_annotation_makes_it_pluggable_and_is_written_back() -> None:
    component = Component.from_manifest(manifest(**{"dapr.io/component-container": CONTAINER}))
    assert component.is_pluggable and component.container == CONTAINER
    assert problems_of(component) == []
    again = Component.from_manifest(component.to_manifest())
    assert again == component and again.is_pluggable


@each_row("annotations", [{}, {"dapr.io/component-container": " "}, {"another": "x"}])
def test_without_it_an_unknown_type_is_refused(annotations: dict[str, str]) -> None:
    (problem,) = problems_of(Component.from_manifest(manifest(**annotations)))
    assert problem.is_error and problem.field == "spec.type"


def test_its_type_has_the_fields_that_it_gives_and_those_of_every_store() -> None:
    component = marked(File="x", keyPrefix="name", ACTORSTATESTORE="true")
    kind = pluggable.type_of(component)
    assert kind is not None and kind.is_pluggable
    settings, problems = catalogue.read_settings(kind, {item.name: item.value or "" for item in component.metadata})
    assert problems == [] == problems_of(component)
    assert (settings["File"], settings["keyPrefix"], settings["actorStateStore"]) == ("x", "name", True)


@each_row(["kind", "version", "known"], [("state.ledger", "", 1), ("STATE.Ledger", "V1", 1), ("state.ledger", "v2", 0)])
def test_it_has_one_version(kind: str, version: str, known: int) -> None:
    assert (pluggable.type_of(marked(kind, version)) is not None) is bool(known)


def test_another_version_is_refused_with_the_one_that_there_is() -> None:
    (problem,) = problems_of(marked(version="v2"))
    assert str(problem) == "spec.version: state.ledger has no version 'v2'; write 'v1'"


@each_row("kind", ["state.redis", "pubsub.ledger", "state.", "ledger"])
def test_types_of_the_catalogue_and_of_others_are_never_pluggable(kind: str) -> None:
    found = pluggable.type_of(marked(kind))
    assert found is None or not found.is_pluggable


@pytest.mark.parametrize(("names", "conflicts"), [(("a", "a"), 1), (("a", "b"), 0)])
def test_it_conflicts_with_others_of_its_name(names: tuple[str, str], conflicts: int) -> None:
    components = [replace(marked(), name=name) for name in names]
    assert len(problems_among(components)) == conflicts


def test_another_setting_of_its_own_is_no_other_place() -> None:
    assert changes_of_place(marked(file="x"), marked(file="y", more="z")) == ()
    assert changes_of_place(marked(), marked("state.other")) == ("spec.type",)


@each_row(
    ["kind", "is_misspelt"],
    [
        ("state.rediss", True),
        ("state.postgre", True),
        ("state.Memory", True),
        ("state.sqlserver", True),
        ("state.ledger", False),
        ("state.my-store", False),
        ("state.redis-of-our-own", False),
    ],
)
def test_what_looks_like_a_misspelt_type(kind: str, is_misspelt: bool) -> None:
    assert pluggable.is_likely_misspelt(kind) is is_misspelt
