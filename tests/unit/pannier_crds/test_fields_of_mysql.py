"""The fields of state.mysql, and the data source names that it takes."""

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.addresses.hosts import HostPort
from pannier_crds.addresses.mysql import data_source
from pannier_crds.catalogue import ComponentType, read_settings
from pannier_crds.problems import InvalidValueError

DAPR_FIELDS = (
    "connectionString tableName schemaName metadataTableName timeoutInSeconds cleanupInterval "
    "cleanupIntervalInSeconds pemPath keyPrefix"
)
"""Those in Dapr's documentation of the component, between spaces."""


@pytest.fixture
def kind() -> ComponentType:
    kind = catalogue.component_type("state.mysql")
    assert kind is not None
    return kind


def test_every_field_of_dapr_is_known_to_mysql(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []


def test_the_defaults_of_mysql_are_those_of_dapr(kind: ComponentType) -> None:
    settings, problems = read_settings(kind, {"connectionString": "u:p@tcp(localhost:3306)/"})
    assert problems == []
    assert {name: settings[name] for name in ("schemaName", "tableName", "metadataTableName", "timeout")} == {
        "schemaName": "dapr_state_store",
        "tableName": "state",
        "metadataTableName": "dapr_metadata",
        "timeout": 20.0,
    }
    assert "connectionString" in str(read_settings(kind, {})[1][0])


@each_row(
    ["given", "words"],
    {
        "a name with a dot": ({"tableName": "a.b"}, "tableName"),
        "one table for both": ({"metadataTableName": "State"}, "share one table"),
        "tls=custom alone": ({"connectionString": "u@tcp(h)/?tls=custom"}, "pemPath is missing"),
        "pemPath alone": ({"pemPath": "/ca.pem"}, "only with tls=custom"),
        "a token without TLS": ({"useAzureAD": "true"}, "a token is never sent without TLS"),
        "a token and a password": (
            {"useAzureAD": "true", "connectionString": "u:p@tcp(h)/?tls=true"},
            "no effect beside useAzureAD",
        ),
        "AWS by a socket": ({"useAWSIAM": "true", "connectionString": "u@unix(/s)/"}, "does not sign in by a Unix"),
        "a profile of nobody": ({"azureClientId": "c"}, "azureClientId has no effect without useAzureAD"),
        "no address": ({"connectionString": "u@tcp(h)"}, "'/'"),
    },
)
def test_names_and_authorities_that_cannot_work_are_refused(kind: ComponentType, given, words):
    (problem,) = read_settings(kind, {"connectionString": "u@tcp(h)/", **given})[1]
    assert words in str(problem)


@each_row(
    ["text", "wanted"],
    [
        ("u:p@tcp(db.example:3307)/?parseTime=true", ("u", "p", HostPort("db.example", 3307), "", "false", False)),
        ("u@/", ("u", "", HostPort("127.0.0.1", 3306), "", "false", False)),
        ("u@tcp([::1]:3307)/?tls=true", ("u", "", HostPort("::1", 3307), "", "true", False)),
        ("u:a@b/c:d@tcp(h)/?tls=1", ("u", "a@b/c:d", HostPort("h", 3306), "", "true", False)),
        ("u:p@unix(/run/mysqld/mysqld.sock)/", ("u", "p", None, "/run/mysqld/mysqld.sock", "false", False)),
        (
            "u@tcp(h)/?tls=skip-verify&allowCleartextPasswords=true",
            ("u", "", HostPort("h", 3306), "", "skip-verify", True),
        ),
    ],
)
def test_data_source_names_are_read_as_by_go(text, wanted):
    assert tuple(data_source(text)) == wanted


@each_row(
    ["text", "words"],
    {
        "a URL": ("mysql://u:letmein@h/d", "database"),
        "a database": ("u:letmein@tcp(h)/shop", "schemaName"),
        "no slash": ("u:letmein@tcp(h)", "no '/'"),
        "no slash behind a socket": ("u:letmein@unix(/run/s)", "no '/'"),
        "no user": ("tcp(h)/", "no user"),
        "another protocol": ("u:letmein@memory(h)/", "neither tcp nor unix"),
        "no brackets": ("u:letmein@h:3306/", "PROTOCOL"),
        "another parameter": ("u@tcp(h)/?max_execution_time=letmein", "not known"),
        "a parameter without value": ("u@tcp(h)/?letmein", "no '='"),
        "another tls": ("u@tcp(h)/?tls=letmein", "tls has a value"),
        "old passwords": ("u@tcp(h)/?allowOldPasswords=true", "not safe"),
    },
)
def test_what_is_no_data_source_name_is_refused_without_quoting_it(text, words):
    with pytest.raises(InvalidValueError) as caught:
        data_source(text)
    assert words in caught.value.message + caught.value.advice
    assert "letmein" not in str(caught.value)
