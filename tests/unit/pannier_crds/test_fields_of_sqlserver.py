"""The fields of state.sqlserver, and the connection strings that it takes."""

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.addresses.hosts import HostPort
from pannier_crds.addresses.sqlserver import data_source
from pannier_crds.catalogue import ComponentType, read_settings
from pannier_crds.catalogue.sqlserver import indexed_properties
from pannier_crds.problems import InvalidValueError

DAPR_FIELDS = (
    "connectionString url databaseName database schemaName schema tableName metadataTableName keyType keyLength "
    "indexedProperties cleanupInterval cleanupIntervalInSeconds useAzureAD azureTenantId azureClientId "
    "azureClientSecret keyPrefix"
)
"""Those in Dapr's documentation of the component, between spaces."""
ADDRESS = "server=h;user id=u;password=p"


@pytest.fixture(params=["v1", "v2"])
def kind(request: pytest.FixtureRequest) -> ComponentType:
    kind = catalogue.component_type("state.sqlserver", request.param)
    assert kind is not None
    return kind


def test_every_field_of_dapr_is_known_to_sqlserver(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []
    assert (kind.field("bulkGetChunkSize") is not None) is ("v2" in kind.versions)


def test_the_defaults_of_sqlserver_are_those_of_dapr(kind: ComponentType) -> None:
    settings, problems = read_settings(kind, {"connectionString": ADDRESS})
    assert problems == []
    defaults = {
        "databaseName": "dapr",
        "schemaName": "dbo",
        "tableName": "state",
        "metadataTableName": "dapr_metadata",
        "keyType": "string",
        "keyLength": 200,
        "cleanupInterval": 3600.0,
    }
    assert {name: settings[name] for name in defaults} == defaults
    assert "connectionString" in str(read_settings(kind, {})[1][0])


@each_row(
    ["given", "words"],
    {
        "a name with a bracket": ({"schemaName": "a]b"}, "schemaName"),
        "one table for both": ({"metadataTableName": "State"}, "share one table"),
        "another kind of key": ({"keyType": "float"}, "keyType"),
        "a key that is too long": ({"keyLength": "451"}, "keyLength"),
        "a length of numbers": ({"keyType": "integer", "keyLength": "20"}, "keys that are strings"),
        "properties that are no JSON": ({"indexedProperties": "a"}, "no JSON"),
        "no user": ({"connectionString": "server=h"}, "no user"),
        "two ways to sign in": ({"useAzureAD": "true"}, "has a user"),
        "a secret without its application": (
            {"useAzureAD": "true", "connectionString": "server=h", "azureClientSecret": "s", "azureClientId": "c"},
            "azureTenantId",
        ),
    },
)
def test_fields_of_sqlserver_that_cannot_work_are_refused(given, words):
    kind = catalogue.component_type("state.sqlserver")
    assert kind is not None
    (problem,) = read_settings(kind, {"connectionString": ADDRESS, **given})[1]
    assert words in str(problem)


def wanted(**more: object) -> dict[str, object]:
    """Return what a connection string says, where it is not what most say."""
    usual = {"server": HostPort("h", 1433), "user": "u", "password": "p", "database": "", "encryption": "optional"}
    names = {"trusts_any_certificate": True, "certificate_name": "", "authority_file": ""}
    return {**usual, **names, **more}


@each_row(
    ["text", "found"],
    [
        (ADDRESS, wanted()),
        ("Server=tcp:h,1434;Initial Catalog=d;User ID=u;Password=p;", wanted(server=HostPort("h", 1434), database="d")),
        ("data source=h\\SQLEXPRESS;port=5;uid=u;pwd=p", wanted(server=HostPort("h", 5))),
        ("server=(local);user id=u;password='a;''b'", wanted(server=HostPort("localhost", 1433), password="a;'b")),
        ('server=h;user id=u;password="a;""b=c"', wanted(password='a;"b=c')),
        ("server=h;user id=u;password=a'b=c", wanted(password="a'b=c")),
        (
            "odbc:server=h;uid=u;pwd={a;}}b};encrypt=yes",
            wanted(password="a;}b", **{"encryption": "mandatory", "trusts_any_certificate": False}),
        ),
        ("sqlserver://u:p%40@h:5?database=d&app+name=x", wanted(server=HostPort("h", 5), password="p@", database="d")),
        ("sqlserver://h?user+id=u&password=p", wanted()),
        ("server=h;user id=u;password=p;encrypt=disable", wanted(encryption="disable", trusts_any_certificate=False)),
        (
            "server=h;user id=u;password=p;Encrypt=Strict;HostNameInCertificate=n;certificate=/ca.pem",
            wanted(encryption="strict", trusts_any_certificate=False, certificate_name="n", authority_file="/ca.pem"),
        ),
        (
            "server=h;user id=u;password=p;encrypt=true;TrustServerCertificate=True;Connection Timeout=30",
            wanted(encryption="mandatory"),
        ),
        ("server=[::1];user id=u;password=p;ApplicationIntent=ReadWrite", wanted(server=HostPort("::1", 1433))),
    ],
)
def test_connection_strings_of_sqlserver_are_read_in_their_three_forms(text, found):
    assert data_source(text)._asdict() == found


@each_row(
    ["text", "words"],
    {
        "another URL": ("postgresql://u:letmein@h/d", "another kind"),
        "no server": ("user id=u;password=letmein", "no host"),
        "an instance": ("server=h\\x;user id=u;password=letmein", "port is not known"),
        "an instance of a URL": ("sqlserver://u:letmein@h/x", "port is not known"),
        "a port after a colon": ("server=h:1433;user id=u;password=letmein", "':' follows"),
        "a port that is none": ("server=h,letmein;user id=u", "not a port"),
        "another parameter": ("server=h;letmein=1", "not known"),
        "no pairs": ("letmein", "can't be read"),
        "a quote that does not end": ("server=h;password='letmein", "can't be read"),
        "two servers": ("server=a;addr=b;password=letmein", "given twice"),
        "two servers of a URL": ("sqlserver://u:letmein@h?server=b", "given twice"),
        "Windows": ("server=h;Integrated Security=SSPI;password=letmein", "Windows"),
        "a token elsewhere": ("server=h;fedauth=ActiveDirectoryDefault", "useAzureAD"),
        "another encrypt": ("server=h;encrypt=letmein", "encrypt has a value"),
        "another trust": ("server=h;trustservercertificate=letmein", "trustservercertificate has a value"),
        "only reading": ("server=h;applicationintent=ReadOnly", "takes no writes"),
        "a long user": (f"server=h;user id={'u' * 129}", "too long"),
        "a wrong escape": ("sqlserver://u:letmein%@h", "does not begin"),
    },
)
def test_what_is_no_connection_string_of_sqlserver_is_refused_without_quoting_it(text, words):
    with pytest.raises(InvalidValueError) as caught:
        data_source(text)
    assert words in caught.value.message + caught.value.advice
    assert "letmein" not in str(caught.value)


def test_indexed_properties_are_columns_paths_and_types() -> None:
    text = '[{"column": "Total", "property": "order.lines[0].total", "type": "decimal(10, 2)"}]'
    assert [tuple(each) for each in indexed_properties(text)] == [("Total", "order.lines[0].total", "decimal(10, 2)")]
    assert indexed_properties("") == ()


@each_row(
    ["text", "words"],
    {
        "no list": ('{"column": "c"}', "no list"),
        "no type": ('[{"column": "c", "property": "p"}]', "entry 1"),
        "a column with a bracket": ('[{"column": "c]", "property": "p", "type": "int"}]', "column of entry 1"),
        "a property with a quote": ('[{"column": "c", "property": "p\'", "type": "int"}]', "property of entry 1"),
        "a type with a statement": ('[{"column": "c", "property": "p", "type": "int) DROP"}]', "type of entry 1"),
        "a number": ('[{"column": 1, "property": "p", "type": "int"}]', "column of entry 1"),
        "nested deeply": ("[" * 100_000, "no JSON"),
    },
)
def test_indexed_properties_that_cannot_be_columns_are_refused(text, words):
    with pytest.raises(InvalidValueError) as caught:
        indexed_properties(text)
    assert words in str(caught.value.message)
