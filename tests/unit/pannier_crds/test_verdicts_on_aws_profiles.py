"""The verdicts on how a component signs in to AWS, which all components of AWS's services share."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, known_types, read_settings

ROLE = "arn:aws:iam::123456789012:role/team/shop"
TYPES = [kind.name for kind in known_types() if kind.field("assumeRoleArn") and not kind.field("useAWSIAM")]
NEEDED = {"state.aws.dynamodb": {"table": "state"}}
OF_DAPR = (
    "region awsRegion endpoint accessKey awsAccessKey secretKey awsSecretKey sessionToken awsSessionToken "
    "assumeRoleArn assumeRoleSessionName sessionName trustAnchorArn trustProfileArn"
)
RIGHT = [
    {},
    {"accessKey": "a", "secretKey": "b", "sessionToken": "c", "region": "eu-central-1"},
    {"awsAccessKey": "a", "awsSecretKey": "b"},
    {"assumeRoleArn": ROLE, "assumeRoleSessionName": "shop"},
    {"assumeRoleArn": "arn:aws-cn:iam::123456789012:role/shop", "endpoint": "http://localhost:4566"},
]
WRONG = [
    ({"accessKey": "s3cret"}, "accessKey needs secretKey; add secretKey, or remove accessKey"),
    ({"secretKey": "s3cret"}, "secretKey needs accessKey"),
    ({"sessionToken": "s3cret"}, "sessionToken needs accessKey"),
    ({"assumeRoleArn": "shop"}, "the value is not the ARN of a role; write arn:aws:iam::123456789012:role/NAME"),
    ({"assumeRoleArn": ROLE, "sessionName": "a b"}, "the value is not the name of a session"),
    ({"assumeRoleArn": ROLE, "accessKey": "s3cret", "secretKey": "s3cret"}, "has no effect beside accessKey"),
    ({"trustAnchorArn": "arn:x"}, "signing in by IAM Roles Anywhere is not served; take this field out"),
    ({"endpoint": "localhost:8000"}, "the value is not an endpoint; write a URL"),
]


def said(name: str, values: dict[str, str]) -> list[str]:
    kind = component_type(name)
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, {**NEEDED.get(name, {}), **values})[1]]


def test_the_components_of_aws_share_a_profile() -> None:
    assert TYPES == ["state.aws.dynamodb", "secretstores.aws.parameterstore", "secretstores.aws.secretmanager"]


@each_row("name", TYPES)
def test_valid_profiles_have_no_problem(name: str) -> None:
    for values in RIGHT:
        assert said(name, values) == [], values
    kind = component_type(name)
    assert [field for field in OF_DAPR.split() if kind.field(field) is None] == []


@each_row("name", TYPES)
def test_mistakes_are_named_with_advice(name: str) -> None:
    for values, words in WRONG:
        (problem,) = said(name, values)
        assert words in problem
        assert "s3cret" not in problem
