"""The verdicts on a component of Cosmos DB."""

import pytest

from pannier_crds.catalogue import component_type, read_settings

PLACE = {"url": "https://x.documents.azure.com:443/", "database": "d", "collection": "c"}
WRONG = (
    ({"url": "x.documents.azure.com"}, "spec.metadata[url].value: the value is not a URL"),
    ({"azureClientSecret": "s", "azureTenantId": "t"}, "azureClientSecret needs azureClientId; add azureClientId"),
    ({"masterKey": "k", "azureClientSecret": "s", "azureTenantId": "t", "azureClientId": "c"}, "keep one of them"),
    ({"azureEnvironment": "AzurePublicClout"}, "write 'AzurePublicCloud'"),
    ({"database": ""}, "spec.metadata[database]: state.azure.cosmosdb needs 'database'"),
)


def said(values: dict[str, str]) -> list[str]:
    cosmosdb = component_type("state.azure.cosmosdb")
    assert cosmosdb is not None
    return [str(problem) for problem in read_settings(cosmosdb, {**PLACE, **values})[1]]


@pytest.mark.parametrize(
    "values",
    [
        {"masterKey": "k"},
        {},
        {"azureClientId": "c"},
        {"spnTenantId": "t", "spnClientId": "c", "spnClientSecret": "s"},
        {"contentType": "text/plain"},
    ],
    ids=str,
)
def test_a_valid_component_has_no_problem(values: dict[str, str]) -> None:
    assert said(values) == []


@pytest.mark.parametrize(("values", "words"), WRONG, ids=lambda part: str(part)[:60])
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
