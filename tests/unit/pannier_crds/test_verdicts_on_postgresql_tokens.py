"""The verdicts on a component of PostgreSQL that signs in with a token."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

AZURE, AWS = {"useAzureAD": "true"}, {"useAWSIAM": "true"}
URL = "postgresql://u@db.example/d"


def said(version: str, values: dict[str, str], unresolved: tuple[str, ...] = ()) -> list[str]:
    kind = component_type("state.postgresql", version)
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, values, unresolved=unresolved)[1]]


@each_row(
    "values",
    [
        {"connectionString": URL, **AZURE},
        {"connectionString": f"{URL}?sslmode=verify-full", **AWS, "region": "eu-central-1"},
        {"connectionString": URL, "useAzureAD": "false"},
        {"host": "db.example", "user": "u", **AZURE, "azureClientId": "c"},
        {"host": "127.0.0.1", "user": "u", "connectionString": "sslmode=disable", **AZURE},
        {"connectionString": "host=/run/postgresql user=u sslmode=disable", **AZURE},
        {"connectionString": URL, **AWS, "awsRegion": "r", "awsAccessKey": "a", "awsSecretKey": "s"},
        {"connectionString": URL, **AWS, "awsIamRoleArn": "arn:aws:iam::123456789012:role/shop"},
    ],
)
def test_valid_components_have_no_problem(values: dict[str, str]) -> None:
    for version in ("v1", "v2"):
        assert said(version, values) == []


@each_row(
    ["values", "words"],
    [
        ({"connectionString": "host=db.example", **AZURE}, "a token needs a user; add user"),
        ({"connectionString": f"{URL}?sslmode=disable", **AZURE}, "a token is never sent as plain text"),
        ({"connectionString": "host=127.0.0.1,h user=u sslmode=disable", **AWS}, "useAWSIAM signs in to one host"),
        ({"connectionString": "host=127.0.0.1,h user=u sslmode=disable", **AZURE}, "never sent as plain text"),
        ({"connectionString": "host=/run/postgresql user=u", **AWS}, "useAWSIAM signs in to one host"),
        ({"connectionString": "postgresql://u:s3cret@h/d", **AZURE}, "the password has no effect beside useAzureAD"),
        ({"connectionString": URL, **AZURE, **AWS}, "useAWSIAM has no effect beside useAzureAD; keep one of them"),
        ({"connectionString": URL, "azureTenantId": "t"}, "azureTenantId has no effect without useAzureAD"),
        ({"connectionString": URL, "region": "r"}, "region has no effect without useAWSIAM"),
        ({"connectionString": URL, **AZURE, "azureClientSecret": "s3cret", "azureTenantId": "t"}, "azureClientId"),
        ({"connectionString": URL, **AWS, "accessKey": "s3cret"}, "accessKey needs secretKey"),
        ({"connectionString": URL, "useAzureAD": "perhaps"}, "'perhaps' is neither true nor false"),
    ],
)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    for version in ("v1", "v2"):
        (problem,) = said(version, values)
        assert words in problem
        assert "s3cret" not in problem


def test_a_reference_that_is_not_read_yet_is_no_mistake() -> None:
    assert said("v2", AZURE, unresolved=("connectionString",)) == []
    assert said("v2", {"connectionString": "host=db.example", **AZURE}, unresolved=("user",)) == []
