"""The state stores of Layotto's configuration, as components."""

from typing import Any

import pytest
from unit.tables import each_row

from pannier_crds.catalogue import known_names
from pannier_crds.component import Component, MetadataItem, SecretKeyRef
from pannier_crds.problems import listed
from pannier_sidecar.cli.layotto_config import NotLayottoError, translate

REDIS = {"type": "redis", "metadata": {"redisHost": "localhost:6380", "redisPassword": ""}}
FILE = {"type": "local.file", "metadata": {"secretsFile": "secrets.json"}}


def configuration(runtime: Any, **listener: Any) -> dict[str, Any]:
    filters = [{"type": "grpc", "config": {"server_name": "runtime", "grpc_config": runtime}}]
    grpc = {"name": "grpc", "address": "127.0.0.1:34904", "filter_chains": [{"filters": filters}], **listener}
    actuator = {"name": "actuator", "address": "127.0.0.1:34999", "filter_chains": [{"filters": [{"type": "proxy"}]}]}
    return {"servers": [{"default_log_level": "DEBUG", "routers": [], "listeners": [actuator, grpc]}]}


def stores(*left_out: str, **parts: Any) -> dict[str, Component]:
    """Return the components by name; `left_out` are all expected remarks."""
    made = translate(configuration({"app": {"app_id": "app1"}, **parts}))
    said = [str(left).removeprefix("left out: ") for left in made.left_out if not left.where.startswith("listener")]
    assert said == list(left_out)
    return {component.name: component for component in made.components}


def references(**changes: str) -> dict[str, str]:
    return {
        "store_name": "local.file",
        "key": "db:password",
        "sub_key": "db:password",
        "inject_as": "redisPassword",
    } | changes


def test_a_store_is_a_component_whose_keys_have_no_prefix() -> None:
    found = stores(state={"state_demo": REDIS})["state_demo"]
    assert (found.type, found.version, found.secret_store) == ("state.redis", "v1", None)
    assert found.metadata == (
        MetadataItem("redisHost", "localhost:6380"),
        MetadataItem("redisPassword", ""),
        MetadataItem("keyPrefix", "none"),
    )


@pytest.mark.parametrize("prefix", ["appid", "name", "none", "Fruit"])
def test_a_key_prefix_stays_as_it_is(prefix: str) -> None:
    found = stores(state={"s": {"type": "in-memory", "metadata": {"keyPrefix": prefix}}})["s"]
    assert found.metadata == (MetadataItem("keyPrefix", prefix),)


def test_without_an_app_id_there_is_no_prefix_of_the_app() -> None:
    found = stores(app={}, state={"s": {"type": "in-memory", "metadata": {"keyPrefix": "appid"}}})["s"]
    assert found.setting("keyPrefix") == "none"


def test_a_key_prefix_in_another_case_has_no_effect_on_layotto() -> None:
    said = "state.s.metadata.KeyPrefix: Layotto reads keyPrefix alone"
    found = stores(said, state={"s": {"type": "in-memory", "metadata": {"KeyPrefix": "appid"}}})["s"]
    assert found.metadata == (MetadataItem("keyPrefix", "none"),)


def test_a_prefix_with_another_meaning_here_is_reported() -> None:
    made = translate(configuration({"state": {"s": {"type": "in-memory", "metadata": {"keyPrefix": "namespace"}}}}))
    state_left_out = [left for left in made.left_out if left.is_state]
    assert [left.where for left in state_left_out] == ["state.s.metadata.keyPrefix"]


def test_fields_are_found_in_any_case_as_go_finds_them() -> None:
    assert stores(State={"s": {"Type": "in-memory", "Metadata": {"ttlInSeconds": 5}}})["s"].metadata[0].value == "5"


def test_older_configurations_have_the_type_in_the_name() -> None:
    assert stores(state={"redis": {"metadata": {"redisHost": "x"}}})["redis"].type == "state.redis"


def test_secrets_are_referred_to_and_their_store_comes_along() -> None:
    entry = {**REDIS, "secret_ref": [references()]}
    found = stores(state={"s": entry}, secret_store={"local.file": FILE})
    assert found["s"].secret_store == "local.file"
    assert found["s"].item("redisPassword") == MetadataItem(
        "redisPassword", secret=SecretKeyRef("db:password", "db:password")
    )
    assert found["local.file"] == Component(
        "local.file", "secretstores.local.file", metadata=(MetadataItem("secretsFile", "secrets.json"),)
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"inject_as": ""}, "db:password"), ({"sub_key": "", "inject_as": ""}, "db:password"), ({}, "redisPassword")],
)
def test_a_secret_without_another_name_goes_by_its_own(changes: dict[str, str], name: str) -> None:
    entry = {"type": "redis", "secret_ref": [references(**changes)]}
    found = stores(state={"s": entry}, secret_store={"local.file": FILE})["s"]
    assert found.metadata[0] == MetadataItem(name, secret=SecretKeyRef("db:password", "db:password"))


def test_kubernetes_secrets_need_no_component() -> None:
    entry = {"type": "redis", "secret_ref": [references(store_name="k8s")]}
    found = stores(state={"s": entry}, secret_store={"k8s": {"type": "kubernetes"}})
    assert list(found) == ["s"]
    assert found["s"].secret_store == "kubernetes"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (references(store_name="nowhere"), "there is no secret_store 'nowhere'"),
        (references(key=""), "it has no key"),
        (
            references(store_name="vault"),
            f"secretstores.hashicorp.nothing is not served; served are {listed(known_names('secretstores.'))}",
        ),
        (
            references(store_name="local.env"),
            "a component has only one secret store, and this one already uses 'local.file'",
        ),
    ],
)
def test_secrets_that_cannot_be_resolved_are_reported(reference: dict[str, str], why: str) -> None:
    entry = {"type": "redis", "secret_ref": [references(inject_as="redisUsername"), reference]}
    secret_stores = {"local.file": FILE, "local.env": {}, "vault": {"type": "hashicorp.nothing"}}
    made = translate(configuration({"state": {"s": entry}, "secret_store": secret_stores}))
    assert f"left out: state.s.secret_ref[redisPassword]: {why}" in map(str, made.left_out)
    assert made.components[0].item("redisPassword") is None


def test_every_part_without_a_counterpart_is_reported() -> None:
    stores(
        "state.broken: it is text, not an object",
        "state.z: state.no-such-store is not served; " + served_stores(),
        "state.s.metadata.odd: it is no text",
        "state.s.component_ref: a component has no such field",
        "secret_store.local.env: no state store takes a secret from it",
        "hellos: SayHello always answers 'greeting'",
        "lock: Pannier serves state alone",
        "app.grpc_callback_port: the app is not called back",
        state={
            "broken": "redis",
            "z": {"type": "no-such-store"},
            "s": {"type": "in-memory", "metadata": {"odd": []}, "component_ref": {"secret_store": "local.env"}},
        },
        secret_store={"local.env": {"metadata": {}}},
        hellos={},
        lock={"lock_demo": REDIS},
        app={"app_id": "app1", "grpc_callback_port": 9999},
    )


def served_stores() -> str:
    from pannier_crds.catalogue import known_names
    from pannier_crds.problems import listed

    return f"served are {listed(known_names('state.'))}"


def test_a_misspelt_type_is_reported_with_the_one_that_was_meant() -> None:
    assert stores("state.s: state.reddis is not served; 'state.redis' is", state={"s": {"type": "reddis"}}) == {}


def test_the_port_and_other_listeners_are_reported() -> None:
    made = translate(configuration({"app": {"app_id": "app1"}}, address="0.0.0.0:12345"))
    assert (made.app_id, made.port) == ("app1", 12345)
    assert [left.where for left in made.left_out] == ["listener 'actuator' on 127.0.0.1:34999"]


def test_a_unix_socket_is_no_port() -> None:
    made = translate(configuration({}, network="unix", address="/tmp/client-proxy.sock"))
    assert made.port is None
    assert made.left_out[-1].where == "listener /tmp/client-proxy.sock"


@each_row(
    "config",
    [
        *({}, [], "x", None, 5, {"servers": None}, {"servers": [5]}, {"servers": {"listeners": []}}),
        {"servers": [{"listeners": [{"filter_chains": [{"filters": [{"type": "grpc", "config": {}}]}]}]}]},
        configuration("no object"),
    ],
)
def test_a_file_that_is_no_layotto_configuration_is_refused(config: object) -> None:
    with pytest.raises(NotLayottoError, match="grpc_config"):
        translate(config)
