"""The catalogue is complete and agrees with itself."""

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.catalogue import ComponentType, Field, Form, read_settings
from pannier_crds.catalogue.names import MODULES

TYPES = catalogue.known_types()
FIELDS = [pytest.param(kind, field, id=f"{kind.name}-{field.name}") for kind in TYPES for field in kind.fields]


def test_names_are_those_of_the_modules() -> None:
    modules = [each.name for each in iter_modules(catalogue.__path__)]
    found = [kind for name in modules for kind in getattr(import_module(f"{catalogue.__name__}.{name}"), "TYPES", ())]
    assert sorted(found, key=str) == sorted(TYPES, key=str)
    assert {name for kind in found for name in (kind.name, *kind.aliases)} == set(MODULES)


def test_names_of_state_stores_come_first() -> None:
    stores = catalogue.known_names("state.")
    assert "state.redis" in stores
    assert catalogue.known_names() == (
        *stores,
        "secretstores.aws.parameterstore",
        "secretstores.aws.secretmanager",
        "secretstores.azure.keyvault",
        "secretstores.gcp.secretmanager",
        "secretstores.hashicorp.vault",
        "secretstores.kubernetes",
        "secretstores.local.env",
        "secretstores.local.file",
    )


@each_row("kind", TYPES)
def test_every_type_is_found_by_its_names_and_versions(kind: ComponentType) -> None:
    for name in (kind.name, *kind.aliases, kind.name.upper(), f" {kind.name}"):
        for version in kind.versions:
            assert catalogue.component_type(name, version) is kind
        assert catalogue.component_type(name, "v99") is None


@pytest.mark.parametrize("version", ["", "v0", "V0", "v1", "V1"])
def test_no_version_and_v0_are_the_first(version: str) -> None:
    found = catalogue.component_type("state.sqlite3", version)
    assert found is not None
    assert found.name == "state.sqlite"


def test_unknown_types_are_not_found() -> None:
    assert catalogue.component_type("state.nothing") is None
    assert catalogue.known_versions("state.nothing") == ()


@each_row("kind", TYPES)
def test_names_of_fields_do_not_collide(kind: ComponentType) -> None:
    names = [name.lower() for field in kind.fields for name in (field.name, *field.aliases)]
    assert len(names) == len(set(names))


@each_row(("kind", "field"), FIELDS)
def test_every_field_makes_sense(kind: ComponentType, field: Field) -> None:
    types = {"integer": int, "number": float, "boolean": bool, "duration": float}
    assert field.default is None or isinstance(field.default, types.get(field.kind, str))
    assert (field.kind == "choice") == bool(field.choices)
    assert field.default is None or not field.choices or field.default in field.choices
    assert field.bare_unit is None or field.kind == "duration"
    assert field.stands_for is None or kind.field(field.stands_for) is not None
    assert field.description or not field.has_effect
    assert not field.required or field.default is None
    assert not (field.sensitive and field.kind == "choice")


@pytest.mark.parametrize(
    ("features", "capabilities"),
    [
        ((), ()),
        (("TTL",), ("TTL",)),
        (("ETAG", "TTL"), ("ETAG", "TTL")),
        (("TRANSACTIONAL",), ("TRANSACTIONAL",)),
        (("ETAG", "TRANSACTIONAL"), ("ETAG", "TRANSACTIONAL", "ACTOR")),
    ],
)
def test_actors_need_etags_and_transactions(features: tuple[str, ...], capabilities: tuple[str, ...]) -> None:
    assert ComponentType("state.x", "X", fields=(), features=features).capabilities == capabilities


@pytest.mark.parametrize("path", ["a//b", "..", "a/../b", "a b", "/", "ä?"])
def test_a_prefix_that_cannot_be_a_path_in_consul_is_refused(path: str) -> None:
    consul = catalogue.component_type("state.consul")
    assert consul is not None
    for fine in ("dapr", "/teams/blue/", "a.b/c-d_e"):
        assert read_settings(consul, {"keyPrefixPath": fine})[1] == []
    (problem,) = read_settings(consul, {"keyPrefixPath": path})[1]
    assert "is not the path of a folder" in str(problem)


def test_a_timeout_of_memcached_is_milliseconds_as_for_dapr() -> None:
    memcached = catalogue.component_type("state.memcached")
    assert memcached is not None
    for text, seconds in (("1500", 1.5), ("2s", 2.0), ("0", 1.0), ("-1", 1.0)):
        settings, problems = read_settings(memcached, {"hosts": "h", "timeout": text})
        assert (settings["timeout"], problems) == (seconds, [])


@each_row(
    ("values", "problem"),
    [
        ({"table": "a b"}, "the value is not a table; write its name"),
        ({"partitionKey": "value"}, "the key and the value would share one attribute"),
        ({"ttlAttributeName": "key"}, "the time of expiry and the key would share one attribute"),
    ],
)
def test_mistakes_of_a_dynamodb_component_are_reported(values: dict[str, str], problem: str) -> None:
    dynamodb = catalogue.component_type("state.aws.dynamodb")
    assert dynamodb is not None
    (found,) = read_settings(dynamodb, {"table": "state", **values})[1]
    assert problem in str(found)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"hosts": "a:port"}, "is not a port; write a port from 1 to 65535"),
        ({"username": "a"}, "username needs password; add password"),
        ({"clientCert": "a", "enableHostVerification": "true"}, "clientCert needs clientKey"),
        ({"caCert": "a"}, 'caCert needs TLS; add enableHostVerification: "true"'),
        ({"keyspace": "a-b"}, "the value is not a name in Cassandra"),
        ({"consistency": "Most"}, "'Most' is not a consistency"),
    ],
)
def test_mistakes_of_a_cassandra_component_are_reported(values: dict[str, str], problem: str) -> None:
    cassandra = catalogue.component_type("state.cassandra")
    assert cassandra is not None
    (found,) = read_settings(cassandra, {"hosts": "a, b", **values})[1]
    assert problem in str(found)


def test_patterns_of_forms_are_regular_expressions() -> None:
    table = ComponentType("state.x", "X", fields=(Field("table", form=Form("[a-z]+", "a table", "write letters")),))
    assert read_settings(table, {"table": "abc"}) == ({"table": "abc"}, [])
    (problem,) = read_settings(table, {"table": "a-b"})[1]
    assert str(problem) == "spec.metadata[table].value: the value is not a table; write letters"


def test_looking_at_components_needs_no_yaml_and_loads_no_type_that_is_not_asked_for() -> None:
    code = (
        "import sys; from pannier_crds import catalogue, checks, component;"
        "catalogue.component_type('state.sqlite');"
        "print([name for name in ('yaml', 'difflib', 'json', 'pannier_crds.catalogue.redis') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_cockroachdb_has_the_defaults_of_postgresql_because_one_store_reads_both() -> None:
    assert catalogue.defaults("state.cockroachdb") == {
        name: default
        for name, default in catalogue.defaults("state.postgresql").items()
        if name in catalogue.defaults("state.cockroachdb")
    }
