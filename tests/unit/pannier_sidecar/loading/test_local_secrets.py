"""Local secret stores: the environment, and a JSON file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pannier_crds.component import SecretKeyRef
from pannier_sidecar.loading.local_secrets import EnvironmentSecrets, FileSecrets
from pannier_sidecar.loading.secrets import SecretStores
from pannier_sidecar.secret_reader import SecretMissingError

NESTED = '{"redis": {"password": "s3cret", "ports": [6379, 6380]}, "plain": "text", "flag": true}'


def ref(name: str, key: str | None = None) -> SecretKeyRef:
    return SecretKeyRef(name, key or name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.json"
    path.write_text(NESTED)
    return path


def test_a_variable_is_found_with_the_prefix():
    store = EnvironmentSecrets({"SHOP_PASSWORD": "s3cret"}, "SHOP_")
    assert store.secret(ref("PASSWORD")) == "s3cret"


def test_a_missing_variable_is_named():
    with pytest.raises(SecretMissingError, match="'SHOP_PASSWORD' is not set"):
        EnvironmentSecrets({}, "SHOP_").secret(ref("PASSWORD"))


@pytest.mark.parametrize("name", ["DAPR_API_TOKEN", "dapr_x", "APP_API_TOKEN"])
def test_the_sidecars_own_variables_are_kept_back(name):
    with pytest.raises(SecretMissingError, match="belongs to the sidecar"):
        EnvironmentSecrets({name: "x"}).secret(ref(name))


def test_a_variable_has_no_keys():
    with pytest.raises(SecretMissingError, match="take 'key' out"):
        EnvironmentSecrets({"A": "x"}).secret(ref("A", "b"))


def test_nested_secrets_have_joined_names(path):
    store = FileSecrets(path)
    assert store.secret(ref("redis:password")) == "s3cret"
    assert store.secret(ref("redis:ports:1")) == "6380"
    assert store.secret(ref("plain")) == "text"
    assert store.secret(ref("flag")) == "true"


def test_a_name_and_a_key_find_a_nested_secret_too(path):
    assert FileSecrets(path).secret(ref("redis", "password")) == "s3cret"


def test_the_separator_can_be_chosen(path):
    assert FileSecrets(path, "/").secret(ref("redis/password")) == "s3cret"


def test_a_multi_valued_file_is_read_by_name_and_key(path):
    store = FileSecrets(path, is_multi_valued=True)
    assert store.secret(ref("redis", "password")) == "s3cret"
    assert store.secret(ref("redis", "ports:0")) == "6379"


def test_a_misspelt_secret_gets_the_closest_known_one(path):
    with pytest.raises(SecretMissingError, match="no secret 'redis:pasword'; write 'redis:password'") as raised:
        FileSecrets(path).secret(ref("redis", "pasword"))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is no JSON"), ("[1]", "is no JSON object"), ("{", "is no JSON"), ("[" * 100_000, "is no JSON")],
)
def test_a_broken_secrets_file_is_an_error_with_its_path(tmp_path, text, words):
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(SecretMissingError, match=words):
        FileSecrets(path).secret(ref("a"))


def test_a_missing_secrets_file_is_an_error_with_its_path(tmp_path):
    with pytest.raises(SecretMissingError, match="nowhere.json: no such file"):
        FileSecrets(tmp_path / "nowhere.json").secret(ref("a"))


def test_the_only_secret_store_needs_no_name():
    store = EnvironmentSecrets({})
    assert SecretStores({"env": store}).find(None) is store


@pytest.mark.parametrize(
    ("stores", "name", "words"),
    [
        ([], None, "add a component of type secretstores.local.env"),
        (["a", "b"], None, "write auth.secretStore: 'a' or 'b'"),
        (["a"], "b", "there is no secret store 'b'; write 'a'"),
        ([], "b", "there is no secret store 'b'; add its component"),
        (["a"], "kubernetes", "filled in by Pannier's operator"),
    ],
)
def test_a_missing_secret_store_is_reported_with_advice(stores, name, words):
    known = SecretStores({store: EnvironmentSecrets({}) for store in stores})
    with pytest.raises(SecretMissingError, match=words):
        known.find(name)
