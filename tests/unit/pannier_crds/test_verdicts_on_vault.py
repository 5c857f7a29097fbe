"""The verdicts on a secret store of HashiCorp Vault, and on components that refer to a store that is not served."""

from typing import Any

import pytest
from unit.tables import each_row

from pannier_crds.catalogue import component_type, read_settings
from pannier_crds.checks import secret_store_problems
from pannier_crds.component import Component, MetadataItem, SecretKeyRef

RIGHT = (
    {"vaultToken": "t"},
    {"vaultTokenMountPath": "/token", "vaultAddr": "https://vault.example.com:8200/", "vaultKVVersion": "1"},
    {"vaultAuthMethod": "kubernetes", "vaultRole": "shop", "vaultNamespace": "a/b"},
    {"vaultAuthMethod": "AppRole", "vaultRoleId": "r", "vaultSecretId": "s", "vaultAuthPath": "approle-2"},
)
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "spec.metadata[vaultToken]: there is no token to sign in with; add vaultToken, vaultTokenMountPath or"),
    ({"vaultToken": "t", "vaultTokenMountPath": "/t"}, "vaultToken and vaultTokenMountPath are both given; keep one"),
    ({"vaultAuthMethod": "kubernetes"}, "vaultAuthMethod kubernetes needs vaultRole; add vaultRole"),
    ({"vaultAuthMethod": "approle", "vaultRoleId": "r"}, "vaultAuthMethod approle needs vaultSecretId"),
    (
        {"vaultToken": "t", "vaultRole": "r"},
        "has no use for vaultRole; remove it, or write vaultAuthMethod: kubernetes",
    ),
    ({"vaultToken": "s3cret", "vaultAddr": "vault:8200"}, "does not begin with http:// or https://"),
    ({"vaultToken": "t", "enginePath": "../sys"}, "the value is not a path in Vault"),
    ({"vaultToken": "t", "vaultKVPrefix": "a/../b"}, "the value is not a path in Vault"),
)


def said(values: dict[str, str]) -> list[str]:
    vault = component_type("secretstores.hashicorp.vault")
    assert vault is not None
    return [str(problem) for problem in read_settings(vault, values)[1]]


@pytest.mark.parametrize("values", RIGHT, ids=str)
def test_a_valid_secret_store_has_no_problem(values: dict[str, str]) -> None:
    assert said(values) == []


@each_row(("values", "words"), WRONG)
def test_mistakes_are_named_with_advice(values: dict[str, str], words: str) -> None:
    (problem,) = said(values)
    assert words in problem
    assert "s3cret" not in problem


def test_a_secret_store_of_a_type_that_is_not_served_is_named() -> None:
    password = MetadataItem("redisPassword", secret=SecretKeyRef("redis", "redis"))
    judged = Component("orders", "state.redis", metadata=(password,), secret_store="keyvault")
    (problem,) = secret_store_problems(judged, [Component("keyvault", "secretstores.alicloud.parameterstore")])
    words = str(problem)
    assert words.startswith(
        "auth.secretStore: the secret store 'keyvault' is of type 'secretstores.alicloud.parameterstore'"
    )
    assert "'secretstores.hashicorp.vault'" in words
    assert not list(secret_store_problems(judged, [Component("keyvault", "secretstores.hashicorp.vault")]))
