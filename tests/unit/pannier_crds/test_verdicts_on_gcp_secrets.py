"""The verdicts on a secret store of Google Cloud."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

ACCOUNT = {"private_key_id": "1", "private_key": "s3cret", "client_email": "a@b"}
RIGHT = [
    {},
    ACCOUNT,
    {"privateKeyId": "1", "privateKey": "k", "clientEmail": "a@b", "type": "service_account"},
    {"endpoint": "https://secretmanager-shop.p.googleapis.com"},
]
WRONG = [
    ({"project_id": ""}, "secretstores.gcp.secretmanager needs 'project_id'"),
    ({"project_id": "a/b"}, "the value is not the id of a project; write one such as shop-123"),
    ({"private_key_id": "1", "client_email": "a@b"}, "private_key_id needs private_key; add private_key, or remove"),
    ({"private_key": "s3cret", "client_email": "a@b"}, "private_key needs private_key_id"),
    ({"private_key": "s3cret", "private_key_id": "1"}, "private_key_id needs client_email"),
    ({"type": "authorized_user"}, "the value is not a type ('service_account')"),
    ({"token_uri": "file:///etc/passwd"}, "the value is not a URL; write https://oauth2.googleapis.com/token"),
]


def said(values: dict[str, str]) -> list[str]:
    kind = component_type("secretstores.gcp.secretmanager")
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, {"project_id": "shop-123", **values})[1]]


def test_a_valid_secret_store_has_no_problem() -> None:
    assert [said(values) for values in RIGHT] == [[]] * len(RIGHT)


@each_row(("values", "words"), WRONG)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
    assert "s3cret" not in problem
