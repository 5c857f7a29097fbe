"""The fields of state.azure.tablestorage."""

import pytest

from pannier_crds import catalogue
from pannier_crds.addresses import azure_storage
from pannier_crds.catalogue import ComponentType, read_settings

DAPR_FIELDS = (
    "accountName accountKey tableName cosmosDbMode serviceURL skipCreateTable "
    "azureTenantId azureClientId azureClientSecret azureCertificate azureCertificateFile azureCertificatePassword "
    "azureEnvironment azureCloud azureAuthMethods storageAccount storageAccountName accessKey storageAccessKey "
    "storageAccountKey table storageAccountTable spnTenantId spnClientId spnClientSecret keyPrefix"
)
"""Those that Dapr's component reads, with their other names, between spaces."""
KEY = "bGV0bWVpbg=="


@pytest.fixture
def kind() -> ComponentType:
    kind = catalogue.component_type("state.azure.tablestorage")
    assert kind is not None
    return kind


def told(kind: ComponentType, **given: str) -> list[str]:
    return [str(problem) for problem in read_settings(kind, {"tableName": "states", **given})[1]]


def test_every_field_of_dapr_is_known_to_tablestorage(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []


def test_tablestorage_needs_a_table_and_an_account(kind: ComponentType) -> None:
    assert told(kind, accountName="acc", accountKey=KEY) == []
    assert told(kind, accountName="acc") == []
    assert told(kind, connectionString=f"AccountName=acc;AccountKey={KEY}") == []
    (missing,) = told(kind)
    assert "add accountName, or connectionString" in missing
    for name in ("my-states", "1states", "ab", "Tables", "a" * 64):
        (table,) = told(kind, accountName="acc", tableName=name)
        assert "3 to 63 letters and digits, beginning with a letter" in table
    (url,) = told(kind, accountName="acc", serviceURL="acc.table.core.windows.net")
    assert "does not begin with http" in url


def test_connection_strings_are_read_for_tables() -> None:
    found = azure_storage.table_connection(f"AccountName=acc;AccountKey={KEY}")
    assert str(found.url) == "https://acc.table.core.windows.net"
    own = azure_storage.table_connection(
        f"AccountName=acc;AccountKey={KEY};TableEndpoint=https://acc.table.cosmos.azure.com:443/"
    )
    assert str(own.url) == "https://acc.table.cosmos.azure.com:443"
