"""The fields of TYPE."""

import pytest

from pannier_crds import catalogue
from pannier_crds.catalogue import ComponentType, read_settings

DAPR_FIELDS = ""
"""Those in Dapr's documentation of the component, between spaces."""


@pytest.fixture
def kind() -> ComponentType:
    kind = catalogue.component_type("TYPE")
    assert kind is not None
    return kind


def test_every_field_of_dapr_is_known_to_NAME(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []


def test_NAME_needs_a_host(kind: ComponentType) -> None:
    settings, problems = read_settings(kind, {"host": "localhost"})
    assert (settings["host"], settings["timeout"], problems) == ("localhost", 5.0, [])
    (problem,) = read_settings(kind, {})[1]
    assert "host" in str(problem)
