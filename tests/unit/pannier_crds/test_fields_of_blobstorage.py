"""The fields of state.azure.blobstorage, and addresses of Azure Storage."""

import pytest

from pannier_crds import catalogue
from pannier_crds.addresses import azure_storage
from pannier_crds.addresses.azure_storage import Account
from pannier_crds.catalogue import ComponentType, read_settings
from pannier_crds.problems import InvalidValueError

DAPR_FIELDS = (
    "accountName accountKey containerName connectionString endpoint publicAccessLevel retryCount "
    "disableEntityManagement "
    "azureTenantId azureClientId azureClientSecret azureCertificate azureCertificateFile azureCertificatePassword "
    "azureEnvironment azureCloud azureAuthMethods storageAccount storageAccessKey container getBlobRetryCount keyPrefix"
)
"""Those in Dapr's documentation of the component, between spaces."""
KEY = "bGV0bWVpbg=="
SAS = "sv=2022-11-02&ss=b&srt=co&sp=rwdl&se=2030-01-01T00:00:00Z&sig=letmein%3D"


@pytest.fixture(params=["v1", "v2"])
def kind(request: pytest.FixtureRequest) -> ComponentType:
    kind = catalogue.component_type("state.azure.blobstorage", request.param)
    assert kind is not None
    return kind


def told(kind: ComponentType, **given: str) -> list[str]:
    return [str(problem) for problem in read_settings(kind, {"containerName": "states", **given})[1]]


def test_every_field_of_dapr_is_known_to_blobstorage(kind: ComponentType) -> None:
    assert [name for name in DAPR_FIELDS.split() if kind.field(name) is None] == []


def test_blobstorage_needs_a_container_an_account_and_what_signs_calls(kind: ComponentType) -> None:
    assert told(kind, accountName="acc", accountKey=KEY) == []
    assert told(kind, connectionString=f"AccountName=acc;AccountKey={KEY}") == []
    (missing,) = told(kind)
    assert "add accountName, or connectionString" in missing
    assert told(kind, accountName="acc") == []
    (container,) = told(kind, accountName="acc", accountKey=KEY, containerName="States")
    assert "lower-case letters" in container


def test_a_key_and_a_login_by_entra_id_are_one_too_many(kind: ComponentType) -> None:
    login = {"azureTenantId": "t", "azureClientId": "c", "azureClientSecret": "letmein"}
    assert told(kind, accountName="acc", **login) == []
    (warned,) = told(kind, accountName="acc", accountKey=KEY, **login)
    assert "azureClientSecret has no effect beside accountKey" in warned
    assert "letmein" not in warned


def test_what_has_no_effect_or_lets_everybody_read_is_warned_of(kind: ComponentType) -> None:
    (warned,) = told(kind, connectionString=f"AccountName=acc;AccountKey={KEY}", accountKey=KEY)
    assert "no effect beside connectionString" in warned
    (warned,) = told(kind, accountName="acc", accountKey=KEY, publicAccessLevel="blob")
    assert "anybody who knows the address may read all state" in warned


def shown(account: Account) -> tuple[str, str, str, str]:
    return str(account.url), account.name, account.key.reveal(), account.sas.reveal()


def test_connection_strings_are_read() -> None:
    expected = {
        f"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey={KEY};EndpointSuffix=core.windows.net": (
            "https://acc.blob.core.windows.net",
            "acc",
            KEY,
            "",
        ),
        f"accountname=acc; AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn;": (
            "https://acc.blob.core.chinacloudapi.cn",
            "acc",
            KEY,
            "",
        ),
        f"BlobEndpoint=https://x.example:8443/;TableEndpoint=https://t.example;SharedAccessSignature=?{SAS}": (
            "https://x.example:8443",
            "",
            "",
            SAS,
        ),
    }
    assert {text: shown(azure_storage.blob_connection(text)) for text in expected} == expected
    emulator = azure_storage.table_connection("UseDevelopmentStorage=true")
    assert str(emulator.url) == "http://127.0.0.1:10002/devstoreaccount1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("letmein", "what begins at character 1 is no part of a connection string"),
        (f"AccountName=acc;letmein={KEY}", "what begins at character 17 is no part"),
        (f"AccountName=acc;AccountKey={KEY};AccountKey={KEY}", "it has AccountKey twice"),
        ("AccountName=acc;AccountKey=letmein!", "its AccountKey cannot be used: it is no key of a storage account"),
        ("AccountName=acc", "neither AccountName and AccountKey nor SharedAccessSignature"),
        (f"AccountName=A/c;AccountKey={KEY}", "its AccountName cannot be used"),
        (f"SharedAccessSignature={SAS}", "neither BlobEndpoint nor AccountName"),
        ("BlobEndpoint=https://a.example;SharedAccessSignature=letmein", "it is no shared access signature"),
        (f"BlobEndpoint=https://a.example/?x;AccountName=acc;AccountKey={KEY}", "character 19, '?', has no place"),
        (f"DefaultEndpointsProtocol=ftp;AccountName=acc;AccountKey={KEY}", "neither http nor https"),
        (f"EndpointSuffix=a b;AccountName=acc;AccountKey={KEY}", "its EndpointSuffix is no host name"),
    ],
)
def test_wrong_connection_strings_are_refused_and_not_quoted(text: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        azure_storage.blob_connection(text)
    assert words in caught.value.message
    assert "letmein" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_urls_of_services_are_read_to_the_last_character() -> None:
    assert str(azure_storage.service_url("http://127.0.0.1:10000/devstoreaccount1/")) == (
        "http://127.0.0.1:10000/devstoreaccount1"
    )
    for text in ("acc.blob.core.windows.net", "https://", "https://u:letmein@h", "https://h/a?sig=letmein"):
        with pytest.raises(InvalidValueError) as caught:
            azure_storage.service_url(text)
        assert "letmein" not in str(caught.value)
