"""The verdicts on a secret store of Kubernetes."""

from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings

RIGHT = [
    {},
    {"defaultNamespace": "shop", "kubeconfigPath": "/config"},
    {"serviceAccountPath": "/x", "apiServer": "https://h"},
]
WRONG = [
    ({"defaultNamespace": "A b"}, "the value is not a namespace; write lower-case letters"),
    ({"apiServer": "http://h"}, "the value is not the URL of an API server; write https://HOST:PORT"),
    ({"apiServer": "https://h/x?y"}, "spec.metadata[apiServer]"),
    ({"kubeconfigPath": "/c", "serviceAccountPath": "/x"}, "serviceAccountPath has no effect beside kubeconfigPath"),
]


def said(values: dict[str, str]) -> list[str]:
    kind = component_type("secretstores.kubernetes")
    assert kind is not None
    return [str(problem) for problem in read_settings(kind, values)[1]]


def test_a_valid_secret_store_has_no_problem() -> None:
    assert [said(values) for values in RIGHT] == [[]] * len(RIGHT)


@each_row(("values", "words"), WRONG)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
