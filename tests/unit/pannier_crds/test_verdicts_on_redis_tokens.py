"""The verdicts on a component of Redis that signs in with a token."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

ENTRA = {"redisHost": "cache.example:6380", "enableTLS": "true", "useEntraID": "true"}
AWS = {
    "redisHost": "cache.example",
    "enableTLS": "true",
    "useAWSIAM": "true",
    "redisUsername": "shop",
    "cacheName": "shop-cache",
}


PROVIDER = {"redisHost": "cache.example:6380", "enableTLS": "true", "credentialProvider": "shop.credentials:Rotating"}


def said(values: dict[str, str]) -> list[str]:
    kind = component_type("state.redis")
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, values)[1]]


@each_row(
    "values",
    [
        ENTRA,
        {"redisHost": "h", "enableTLS": "true", "useAzureAD": "true", "azureClientId": "c"},
        {"redisHost": "127.0.0.1", "useEntraID": "true"},
        {"redisHost": "127.0.0.1,localhost:1", "redisType": "cluster", "useEntraID": "true"},
        {**AWS, "region": "eu-central-1", "isServerlessCache": "true"},
        {"redisHost": "h", "redisPassword": "p", "useEntraID": "false"},
        PROVIDER,
        {**PROVIDER, "credentialProvider": "a:B.c", "useEntraID": "false"},
        {**PROVIDER, "credentialProviderArguments": '{"a": [1]}', "credentialProviderInterval": "5m"},
        {"redisHost": "localhost", "credentialProvider": "shop:f"},
    ],
)
def test_valid_components_have_no_problem(values: dict[str, str]) -> None:
    assert said(values) == []


@each_row(
    ["values", "words"],
    [
        ({**ENTRA, "redisPassword": "s3cret"}, "redisPassword and useEntraID exclude each other; keep one of them"),
        ({**ENTRA, "redisUsername": "u"}, "redisUsername and useEntraID exclude each other"),
        ({**ENTRA, "enableTLS": "false"}, "a token is never sent as plain text to another machine; add enableTLS"),
        ({**ENTRA, "azureClientSecret": "s3cret", "azureClientId": "c"}, "azureClientSecret needs azureTenantId"),
        ({**ENTRA, "useAWSIAM": "true"}, "useAWSIAM has no effect beside useEntraID; keep one of them"),
        ({**AWS, "redisPassword": "s3cret"}, "redisPassword and useAWSIAM exclude each other"),
        ({**AWS, "redisUsername": ""}, "useAWSIAM needs redisUsername; add redisUsername"),
        ({**AWS, "cacheName": ""}, "useAWSIAM needs cacheName; add cacheName"),
        ({**AWS, "cacheName": "a.b"}, "the value is not the name of a cache; write letters"),
        ({**AWS, "accessKey": "s3cret"}, "accessKey needs secretKey"),
        ({"redisHost": "h", "azureTenantId": "t"}, "azureTenantId has no effect without useEntraID"),
        ({"redisHost": "h", "region": "r"}, "region has no effect without useAWSIAM"),
        ({**PROVIDER, "redisPassword": "s3cret"}, "redisPassword and credentialProvider exclude each other; keep one"),
        ({**PROVIDER, "redisUsername": "u"}, "redisUsername and credentialProvider exclude each other"),
        ({**PROVIDER, "useEntraID": "true"}, "useEntraID and credentialProvider exclude each other"),
        ({**PROVIDER, "useAWSIAM": "true"}, "useAWSIAM and credentialProvider exclude each other"),
        ({**PROVIDER, "enableTLS": "false"}, "a token is never sent as plain text to another machine; add enableTLS"),
        ({**PROVIDER, "credentialProvider": "s3cret"}, "the value is not the name of a class; write module:Class"),
        ({**PROVIDER, "credentialProvider": "a.b:C, s3cret:D"}, "the value is not the name of a class"),
        ({**PROVIDER, "credentialProvider": f"{'s3cret' * 40}:D"}, "the value is not the name of a class"),
        (
            {**PROVIDER, "credentialProviderArguments": '["s3cret"]'},
            'the value is not a JSON object; write one such as {"',
        ),
        ({**PROVIDER, "credentialProviderArguments": '{"s3cret'}, "the value is not a JSON object"),
        ({**PROVIDER, "credentialProviderArguments": "[" * 100_000}, "the value is not a JSON object"),
        ({"redisHost": "h", "credentialProviderInterval": "5m"}, "credentialProviderInterval has no effect without"),
    ],
)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
    assert "s3cret" not in problem
