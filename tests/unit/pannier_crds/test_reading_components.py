"""A component in Dapr's form is read with its meaning."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_crds.checks import problems_of
from pannier_crds.component import Component, MetadataItem, SecretKeyRef


def manifest(*items: dict[str, Any], **top: Any) -> dict[str, Any]:
    spec = {"type": "state.redis", "version": "v1", "metadata": list(items)} | top.pop("spec", {})
    start = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "statestore"}}
    return start | {"spec": spec} | top


def test_everything_a_manifest_may_say_is_read() -> None:
    component = Component.from_manifest(
        {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": "orders", "namespace": "shop", "labels": {"team": "a"}},
            "auth": {"secretStore": "vault"},
            "scopes": ["cart", "checkout"],
            "spec": {
                "type": "state.redis",
                "version": "v1",
                "ignoreErrors": True,
                "initTimeout": "1m30s",
                "metadata": [
                    {"name": "redisHost", "value": "localhost:6379"},
                    {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}},
                    {"name": "redisUsername", "envRef": "REDIS_USER"},
                ],
            },
        }
    )
    assert component == Component(
        name="orders",
        namespace="shop",
        type="state.redis",
        version="v1",
        ignore_errors=True,
        init_timeout=90.0,
        secret_store="vault",
        scopes=("cart", "checkout"),
        metadata=(
            MetadataItem("redisHost", "localhost:6379"),
            MetadataItem("redisPassword", secret=SecretKeyRef("redis", "password")),
            MetadataItem("redisUsername", env="REDIS_USER"),
        ),
    )


def test_the_oldest_specs_leave_version_and_metadata_out() -> None:
    bare = manifest()
    bare["spec"] = {"type": "state.in-memory"}
    component = Component.from_manifest(bare)
    assert (component.version, component.metadata, component.scopes, component.init_timeout) == ("v1", (), (), 5.0)


@each_row(
    ("written", "text"),
    [
        ("true", "true"),
        (True, "true"),
        (False, "false"),
        (6379, "6379"),
        (-1, "-1"),
        (1.0, "1"),
        (0.25, "0.25"),
        (1e21, "1e+21"),
        ("", ""),
        (None, ""),
    ],
)
def test_values_are_strings_numbers_or_booleans(written: object, text: str) -> None:
    component = Component.from_manifest(manifest({"name": "x", "value": written}))
    assert component.setting("x") == text


def test_a_secret_without_a_key_uses_its_name() -> None:
    component = Component.from_manifest(manifest({"name": "redisPassword", "secretKeyRef": {"name": "redis-password"}}))
    assert component.metadata[0].secret == SecretKeyRef("redis-password", "redis-password")
    assert component.setting("redisPassword") is None


@pytest.mark.parametrize("text", ["", "0", "0s", "-3s"])
def test_an_init_timeout_that_is_not_positive_is_the_default(text: str) -> None:
    assert Component.from_manifest(manifest(spec={"initTimeout": text})).init_timeout == 5.0


def test_settings_are_found_in_any_case() -> None:
    component = Component.from_manifest(manifest({"name": "RedisHOST", "value": "h"}))
    assert component.setting("redishost") == "h"
    assert component.item("REDISHOST") == MetadataItem("RedisHOST", "h")
    assert component.setting("redisPort") is None


@each_row("word", ["y", "yes", "true", "t", "on", "1", "TRUE", " Yes "])
def test_truthy_words_mark_actor_and_default_stores(word: str) -> None:
    component = Component.from_manifest(
        manifest({"name": "ActorStateStore", "value": word}, {"name": "defaultStateStore", "value": word})
    )
    assert component.holds_actor_state
    assert component.is_default_store


@pytest.mark.parametrize("word", ["", "no", "false", "0", "maybe"])
def test_other_words_do_not(word: str) -> None:
    component = Component.from_manifest(manifest({"name": "actorStateStore", "value": word}))
    assert not component.holds_actor_state
    assert not component.is_default_store


@each_row(
    ("scopes", "own_namespace", "app", "namespace", "visible"),
    [
        ((), None, "cart", None, True),
        (("cart",), None, "cart", None, True),
        (("cart",), None, "Cart", None, False),
        (("cart",), None, "orders", None, False),
        ((), "shop", "cart", "shop", True),
        ((), "shop", "cart", "bank", False),
        ((), "shop", "cart", None, True),
        ((), None, "cart", "bank", True),
        (("cart",), "shop", "cart", "bank", False),
    ],
)
def test_scopes_and_namespaces_decide_who_sees_a_component(
    scopes: tuple[str, ...], own_namespace: str | None, app: str, namespace: str | None, visible: bool
) -> None:
    component = Component("s", "state.redis", namespace=own_namespace, scopes=scopes)
    assert component.is_visible_to(app, namespace) is visible


words = st.text(min_size=1).filter(lambda text: bool(text.strip()))
items = st.builds(
    MetadataItem,
    name=words,
    value=st.none() | st.text(),
    secret=st.none() | st.builds(SecretKeyRef, name=words, key=words),
    env=st.none() | st.text(),
)
components = st.builds(
    Component,
    name=words,
    type=words,
    version=words,
    namespace=st.none() | words,
    metadata=st.lists(items, max_size=4).map(tuple),
    scopes=st.lists(st.text(), max_size=4).map(tuple),
    secret_store=st.none() | words,
    ignore_errors=st.booleans(),
    init_timeout=st.floats(min_value=1e-9, max_value=1e9).map(lambda seconds: round(seconds * 1e9) / 1e9),
)


@given(components)
def test_a_component_survives_being_written_and_read(component: Component) -> None:
    assert Component.from_manifest(component.to_manifest()) == component


@each_row("empty", [{"name": "", "key": ""}, {"name": ""}, {"name": None, "key": None}, {}, None])
@pytest.mark.parametrize(("value", "read"), [("localhost", "localhost"), ("", ""), (None, "")])
def test_an_empty_reference_as_go_writes_it_counts_as_none(empty: Any, value: Any, read: str) -> None:
    item = {"name": "redisHost", "value": value, "secretKeyRef": empty, "envRef": ""}
    component = Component.from_manifest(manifest(item))
    assert not component.metadata[0].is_reference
    assert component.setting("redisHost") == read


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("reference", [{"secretKeyRef": {"name": "a", "key": ""}}, {"envRef": "HOST"}])
def test_an_empty_value_beside_a_reference_is_none(value: Any, reference: dict[str, Any]) -> None:
    component = Component.from_manifest(manifest({"name": "redisHost", "value": value, **reference}))
    assert component.metadata[0].is_reference and component.setting("redisHost") is None
    assert problems_of(component) == []
