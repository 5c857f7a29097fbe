"""The verdicts on how a component signs in to Azure, which all components of Azure's services share."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

NEEDED = {
    "state.azure.cosmosdb": {"url": "https://x.documents.azure.com:443/", "database": "d", "collection": "c"},
    "secretstores.azure.keyvault": {"vaultName": "shop"},
}
APP = {"azureTenantId": "t", "azureClientId": "c"}
RIGHT = [
    {},
    {"azureClientId": "c"},
    {**APP, "azureClientSecret": "s", "azureEnvironment": "AzureChina"},
    {"spnTenantId": "t", "clientId": "c", "spnCertificate": "x", "spnCertificatePassword": "p"},
    {"azureAuthMethods": "clientcredentials, CERT,wi,managedidentity,cli"},
    {"entraIDAuthMethods": "mi"},
]
WRONG = [
    ({"azureClientSecret": "s3cret", "azureTenantId": "t"}, "azureClientSecret needs azureClientId; add azureClientId"),
    ({"azureCertificateFile": "/x", "azureClientId": "c"}, "azureCertificateFile needs azureTenantId"),
    ({**APP, "azureCertificate": "s3cret", "azureCertificateFile": "/x"}, "has no effect beside azureCertificate"),
    ({"azureCertificatePassword": "s3cret"}, "azureCertificatePassword needs azureCertificate or azureCertificateFile"),
    ({"azureAuthMethods": "mi,spiffe"}, "a way to sign in is not known or not served; write clientcredentials, "),
    ({"azureAuthMethods": "none"}, "a way to sign in is not known or not served"),
    ({"azureEnvironment": "AzurePublicClout"}, "write 'AzurePublicCloud'"),
]
OF_VAULTS = [
    ({"vaultName": ""}, "secretstores.azure.keyvault needs 'vaultName'; add it"),
    ({"vaultName": "a_b"}, "the value is not the name of a vault; write 3 to 24 letters"),
    ({"vaultName": "shop.example.com"}, "the value is not the name of a vault"),
    ({"vaultUrl": "http://shop"}, "the value is not the URL of a vault; write https://HOST"),
    ({"vaultUrl": "https://vault.local"}, "vaultName has no effect beside vaultUrl"),
]


def said(name: str, values: dict[str, str]) -> list[str]:
    kind = component_type(name)
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, {**NEEDED[name], **values})[1]]


@each_row("name", list(NEEDED))
def test_valid_profiles_have_no_problem(name: str) -> None:
    for values in RIGHT:
        assert said(name, values) == [], values


@each_row("name", list(NEEDED))
def test_mistakes_are_named_with_advice(name: str) -> None:
    for values, words in WRONG:
        (problem,) = said(name, values)
        assert words in problem
        assert "s3cret" not in problem


@each_row(("values", "words"), OF_VAULTS)
def test_mistakes_of_a_vault_are_named_with_advice(values: dict[str, str], words: str) -> None:
    assert any(words in problem for problem in said("secretstores.azure.keyvault", values))
