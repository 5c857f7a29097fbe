"""Which components an app's sidecar serves, refuses and hides, and with which messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pannier_crds.secret import Secret
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import DesiredStore, Plan
from pannier_sidecar.loading.resolving import ResolutionContext


def decide(folder, serving: tuple[DesiredStore, ...] = (), **context) -> Plan:
    reading = FolderWatch([folder.path]).read()
    assert reading is not None
    return plan(reading, ResolutionContext(**{"app_id": "shop", **context}), serving)


def desired(plan: Plan) -> list[str]:
    return [each.name for each in plan.desired]


def reasons(plan: Plan) -> dict[str, str]:
    return {each.name: each.why for each in plan.refused}


def test_a_good_component_is_served(folder):
    folder.put("orders", keyPrefix="name", ttlInSeconds="60", actorStateStore="true", defaultStateStore="yes")
    (orders,) = decide(folder).desired
    assert orders.keys.stored("1") == "orders||1"
    assert (orders.default_ttl, orders.is_default, orders.holds_actor_state) == (60, True, True)


def test_the_dash_scheme_is_taken(folder):
    folder.put("orders", keyScheme="dash")
    (orders,) = decide(folder).desired
    assert orders.keys.stored("1") == "shop-1"


@pytest.mark.parametrize(
    ("app_id", "namespace", "metadata", "why"),
    [
        ("shop-eu", None, {"keyScheme": "dash"}, "[keyScheme]: with keyScheme dash, stored keys can't begin with"),
        ("a|", None, {}, "[keyPrefix]: stored keys can't begin with 'a|'"),
        ("a", "x.y", {"keyPrefix": "namespace"}, "or write keyPrefix: x.y.a"),
        ("x.a", None, {"keyPrefix": "namespace"}, "or write keyPrefix: appid, which makes the same keys"),
        ("a", "x.y", {"keyPrefix": "{namespace}"}, "can't hold '.', which separates it from the app id"),
        ("Shop", None, {"keyPrefix": "{appID}"}, "'Shop' could be 'shop'; write keyPrefix: appid or namespace, which"),
        ("a", "North", {"keyPrefix": "{namespace}"}, "'North' could be 'north'"),
        ("a", None, {"keyPrefix": "shop|"}, "[keyPrefix].value: the prefix ends with '|'"),
        ("a", None, {"keyPrefix": "shop-eu", "keyScheme": "dash"}, "[keyPrefix].value: the prefix holds '-'"),
    ],
)
def test_a_prefix_that_another_app_could_have_is_refused_but_can_be_the_source_of_a_copy(
    folder, app_id, namespace, metadata, why
):
    folder.put("orders", **metadata)
    assert why in reasons(decide(folder, app_id=app_id, namespace=namespace))["orders"]
    reading = FolderWatch([folder.path]).read()
    assert reading is not None
    assert desired(plan(reading, ResolutionContext(app_id, namespace), keys_as_written=True)) == ["orders"]


def test_a_refused_prefix_from_a_variable_is_not_shown(folder):
    reference = "metadata:\n    - name: keyPrefix\n      envRef: PREFIX"
    folder.write("orders.yaml", folder.component("orders").replace("metadata: []", reference))
    why = reasons(decide(folder, environment={"PREFIX": "canary|"}))["orders"]
    assert "with this keyPrefix, another app's key could be the same" in why and "canary" not in why


def test_an_app_id_with_a_dot_is_accepted_under_keyprefix_namespace_if_the_namespace_is_known(folder):
    folder.put("orders", keyPrefix="namespace")
    assert decide(folder, app_id="x.a", namespace="north").desired[0].keys.stored("1") == "north.x.a||1"


@pytest.mark.parametrize("ttl", ["0", "-1"])
def test_a_default_ttl_of_never_counts_as_no_default_ttl(folder, ttl):
    folder.put("orders", ttlInSeconds=ttl)
    assert decide(folder).desired[0].default_ttl is None


def test_a_wrong_component_is_refused_with_file_and_line_and_the_others_are_served(folder):
    path = folder.put("bad", ttlInSeconds="soon")
    folder.put("good")
    decided = decide(folder)
    assert desired(decided) == ["good"]
    (line,) = decided.refused[0].lines()
    assert line.startswith(f"{path}:10: spec.metadata[ttlInSeconds].value: 'soon' is not a whole number; write")


def test_another_apps_component_is_hidden_with_the_reason(folder):
    folder.put("orders", more="scopes: [billing, stock]\n")
    decided = decide(folder)
    assert desired(decided) == []
    assert decided.hidden[0].why == "it exists, but app 'shop' is not in its scopes [billing, stock]: add it there"


def test_another_namespaces_component_is_hidden_with_the_reason(folder):
    text = folder.component("orders").replace("name: orders", "name: orders\n  namespace: red")
    folder.write("orders.yaml", text)
    assert "in namespace 'red', and app 'shop' runs in 'blue'" in decide(folder, namespace="blue").hidden[0].why
    assert desired(decide(folder)) == ["orders"]


def test_of_two_actor_stores_the_first_stays(folder):
    folder.put("a", actorStateStore="true")
    folder.put("b", actorStateStore="true")
    decided = decide(folder)
    assert desired(decided) == ["a"]
    assert "'a' already is the actor state store" in reasons(decided)["b"]


def test_of_two_actor_stores_the_one_that_serves_stays(folder):
    folder.put("b", actorStateStore="true")
    serving = decide(folder).desired
    folder.put("a", actorStateStore="true")
    decided = decide(folder, serving)
    assert desired(decided) == ["b"]
    assert "'b' already is" in reasons(decided)["a"]


def test_two_actor_stores_of_different_apps_are_no_conflict(folder):
    folder.put("a", actorStateStore="true", more="scopes: [other]\n")
    folder.put("b", actorStateStore="true")
    assert desired(decide(folder)) == ["b"]


def test_a_store_that_would_become_a_second_actor_store_stays_as_it_was(folder):
    folder.put("a", actorStateStore="true")
    folder.put("b")
    serving = decide(folder).desired
    folder.put("b", actorStateStore="true")
    decided = decide(folder, serving)
    assert desired(decided) == ["a", "b"]
    assert not decided.desired[1].holds_actor_state
    assert "'a' already is the actor state store" in decided.desired[1].note


def test_of_two_components_with_one_name_the_first_stays(folder):
    folder.write("1.yaml", folder.component("orders"))
    folder.write("2.yaml", folder.component("orders", "state.sqlite", connectionString=":memory:"))
    decided = decide(folder)
    assert [each.type.name for each in decided.desired] == ["state.in-memory"]
    assert "another component is called 'orders'" in reasons(decided)["orders"]


def test_of_two_components_with_one_name_the_one_that_serves_stays(folder):
    folder.write("2.yaml", folder.component("orders"))
    serving = decide(folder).desired
    folder.write("1.yaml", folder.component("orders", "state.sqlite", connectionString=":memory:"))
    decided = decide(folder, serving)
    assert [each.type.name for each in decided.desired] == ["state.in-memory"]
    assert decided.refused[0].source.endswith("1.yaml") and not decided.desired[0].note


def in_namespace(folder, file, namespace, name="orders", **metadata):
    text = folder.component(name, **metadata).replace(
        f"  name: {name}\n", f"  name: {name}\n  namespace: {namespace}\n"
    )
    return folder.write(file, text)


@pytest.mark.parametrize(
    ("names", "role", "said"),
    [
        (("orders", "orders"), {}, "another component in namespace 'red' is called 'orders'; set NAMESPACE to the one"),
        (("a", "b"), {"actorStateStore": "true"}, "'a' of namespace 'red' already is the actor state store of every"),
        (("a", "b"), {"defaultStateStore": "true"}, "'a' of namespace 'red' already is the default state store of"),
    ],
)
def test_without_a_namespace_rivals_of_two_namespaces_are_both_refused(folder, names, role, said):
    in_namespace(folder, "1.yaml", "red", names[0], ttlInSeconds="1", **role)
    in_namespace(folder, "2.yaml", "blue", names[1], ttlInSeconds="2", **role)
    decided = decide(folder)
    assert desired(decided) == [] and len(decided.refused) == 2
    assert said in " ".join(each.why for each in decided.refused)
    assert [each.default_ttl for each in decide(folder, namespace="blue").desired] == [2]


@pytest.mark.parametrize(("served", "new"), [("1.yaml", "2.yaml"), ("2.yaml", "1.yaml")])
def test_without_a_namespace_a_rival_of_what_serves_is_refused(folder, served, new):
    path = in_namespace(folder, served, "red", ttlInSeconds="1")
    serving = decide(folder).desired
    in_namespace(folder, new, "blue", ttlInSeconds="2")
    decided = decide(folder, serving)
    assert [each.default_ttl for each in decided.desired] == [1] and not decided.desired[0].note
    assert [Path(each.source).name for each in decided.refused] == [new]
    path.rename(folder.path / "3.yaml")
    assert [each.default_ttl for each in decide(folder, decided.desired).desired] == [1]


def test_two_rivals_in_place_of_what_serves_leave_it_as_it_was(folder):
    path = in_namespace(folder, "0.yaml", "red", ttlInSeconds="1")
    serving = decide(folder).desired
    path.unlink()
    in_namespace(folder, "1.yaml", "green", ttlInSeconds="2")
    in_namespace(folder, "2.yaml", "blue", ttlInSeconds="3")
    decided = decide(folder, serving)
    assert [each.default_ttl for each in decided.desired] == [1]
    assert "another component in namespace" in decided.desired[0].note


def with_password(folder):
    text = folder.component("orders", "state.redis", redisHost="localhost")
    item = "    - name: redisPassword\n      secretKeyRef: {name: p}\n"
    folder.write("orders.yaml", text + item + "auth: {secretStore: vault}\n")


def test_of_two_secret_stores_with_one_name_neither_is_used(folder):
    with_password(folder)
    folder.write("1.yaml", folder.component("vault", "secretstores.local.env"))
    serving = decide(folder, environment={"p": "1", "B_p": "2"}).desired
    assert serving[0].settings["redisPassword"] == Secret("1")
    folder.write("0.yaml", folder.component("vault", "secretstores.local.env", prefix="B_"))
    fresh = decide(folder, environment={"p": "1", "B_p": "2"})
    assert desired(fresh) == []
    assert [each.why for each in fresh.refused if each.name == "vault"] == [
        "metadata.name: another secret store is called 'vault', so neither is used; give one of the two another name"
    ] * 2
    assert "the component of the secret store 'vault' is refused; correct it" in reasons(fresh)["orders"]
    again = decide(folder, serving, environment={"p": "1", "B_p": "2"})
    assert [each.settings["redisPassword"] for each in again.desired] == [Secret("1")]


def test_the_same_file_twice_is_a_conflict_and_no_crash(folder):
    folder.write("1.yaml", folder.component("orders"))
    folder.write("2.yaml", folder.component("orders"))
    decided = decide(folder)
    assert desired(decided) == ["orders"] and "another component" in reasons(decided)["orders"]


def test_an_invalid_change_keeps_the_served_store(folder):
    folder.put("orders", ttlInSeconds="60")
    serving = decide(folder).desired
    folder.put("orders", ttlInSeconds="soon")
    decided = decide(folder, serving)
    assert decided.desired[0].default_ttl == 60
    assert decided.desired[0].note.startswith("its latest version is refused: spec.metadata[ttlInSeconds]")


def test_a_file_that_breaks_takes_nothing_away(folder):
    folder.write("all.yaml", folder.component("a") + "---\n" + folder.component("b"))
    folder.put("c")
    serving = decide(folder).desired
    folder.write("all.yaml", "kind: [")
    decided = decide(folder, serving)
    assert sorted(desired(decided)) == ["a", "b", "c"]


def test_a_document_that_becomes_invalid_keeps_its_own_store_but_not_the_store_of_a_removed_document(folder):
    folder.write("all.yaml", folder.component("a") + "---\n" + folder.component("b"))
    serving = decide(folder).desired
    folder.write("all.yaml", folder.component("a").replace("version: v1", "version: [1]"))
    assert desired(decide(folder, serving)) == ["a"]


def test_other_building_blocks_are_skipped(folder):
    folder.put("bus", "pubsub.redis")
    decided = decide(folder)
    assert decided.desired == decided.refused == ()
    assert "not served by Pannier" in decided.warnings[0]


SECRET = "\n    - name: redisPassword\n      secretKeyRef:\n        name: PASSWORD\n"


def redis_with_secret(folder, more: str = "") -> None:
    text = folder.component("orders", "state.redis", more=more, redisHost="127.0.0.1:1")
    folder.write("orders.yaml", text.replace("'127.0.0.1:1'\n", f"'127.0.0.1:1'{SECRET}"))


def test_a_secret_comes_from_the_only_secret_store(folder):
    folder.put("vault", "secretstores.local.env")
    redis_with_secret(folder)
    (orders,) = decide(folder, environment={"PASSWORD": "s3cret"}).desired
    assert orders.settings["redisPassword"] == Secret("s3cret")
    assert "s3cret" not in repr(orders)


def test_a_missing_secret_refuses_the_component_with_its_line(folder):
    folder.put("vault", "secretstores.local.env")
    redis_with_secret(folder)
    (line,) = decide(folder).refused[0].lines()
    assert ":12: spec.metadata[redisPassword].secretKeyRef: the environment variable 'PASSWORD' is not set" in line


def test_a_secret_without_any_store_is_reported(folder):
    redis_with_secret(folder)
    assert "there is no secret store" in reasons(decide(folder))["orders"]


def test_a_secret_store_of_another_app_does_not_answer(folder):
    folder.put("vault", "secretstores.local.env", more="scopes: [billing]\n")
    redis_with_secret(folder)
    assert "there is no secret store" in reasons(decide(folder, environment={"PASSWORD": "x"}))["orders"]


def test_a_relative_secrets_file_may_be_beside_its_component(folder):
    folder.write("secrets.json", '{"PASSWORD": "s3cret"}')
    folder.put("vault", "secretstores.local.file", secretsFile="secrets.json")
    redis_with_secret(folder, "auth: {secretStore: vault}\n")
    decided = decide(folder)
    assert decided.secret_files == (folder.path / "secrets.json",)
    assert [each.settings["redisPassword"] for each in decided.desired] == [Secret("s3cret")]


@pytest.mark.parametrize("path", ["~nobody-of-that-name/secrets.json", "x" * 300, "x/" * 3000])
def test_a_secrets_file_that_cannot_be_there_is_named(folder, path):
    folder.put("vault", "secretstores.local.file", secretsFile=path)
    redis_with_secret(folder, "auth: {secretStore: vault}\n")
    assert "correct secretsFile" in reasons(decide(folder))["orders"]


def test_a_wrong_value_that_was_secret_is_not_shown(folder):
    folder.put("vault", "secretstores.local.env")
    text = folder.component("orders", more="").replace(
        "metadata: []", "metadata:\n    - name: ttlInSeconds\n      secretKeyRef: {name: TTL}"
    )
    folder.write("orders.yaml", text)
    why = reasons(decide(folder, environment={"TTL": "s3cret"}))["orders"]
    assert "the value is not a whole number" in why and "s3cret" not in why


def from_variable(folder, variable: str) -> None:
    text = folder.component("orders").replace(
        "metadata: []", f"metadata:\n    - name: keyPrefix\n      envRef: {variable}"
    )
    folder.write("orders.yaml", text)


def test_a_value_comes_from_the_environment(folder):
    from_variable(folder, "PREFIX")
    (orders,) = decide(folder, environment={"PREFIX": "mine"}).desired
    assert orders.keys.stored("1") == "mine||1"


def test_a_variable_that_is_not_set_is_reported(folder):
    from_variable(folder, "PREFIX")
    assert "the environment variable 'PREFIX' is not set" in reasons(decide(folder))["orders"]


def test_in_kubernetes_only_listed_variables_are_given(folder):
    from_variable(folder, "PREFIX")
    about: dict[str, Any] = {"environment": {"PREFIX": "mine"}, "allowed_variables": frozenset()}
    assert "'PREFIX' is not given to components" in reasons(decide(folder, **about))["orders"]


@pytest.mark.parametrize(
    ("token", "prefix"),
    [("{appID}", "shop"), ("{namespace}", "red.shop"), ("{podName}", "pod-1"), ("a-{appID}-b", "a-shop-b")],
)
def test_tokens_are_filled_in(folder, token, prefix):
    folder.put("orders", keyPrefix=token)
    (orders,) = decide(folder, namespace="red", pod_name="pod-1").desired
    assert orders.keys.stored("1") == f"{prefix}||1"


def test_a_uuid_is_one_for_each_place_and_stays_at_each_reading(folder):
    folder.put("orders", keyPrefix="{uuid}{uuid}")
    about = ResolutionContext("shop")
    prefixes = set()
    for _ in range(2):
        reading = FolderWatch([folder.path]).read()
        assert reading is not None
        prefixes.add(plan(reading, about).desired[0].keys.prefix)
    (prefix,) = prefixes
    assert UUID(prefix[:36]) != UUID(prefix[36:72])


def test_an_unknown_pod_name_is_reported(folder):
    folder.put("orders", keyPrefix="{podName}")
    assert "{podName} is not known here; set POD_NAME" in reasons(decide(folder))["orders"]


def test_an_embedded_database_without_a_file_goes_to_the_data_folder(folder, tmp_path):
    folder.put("orders", "state.sqlite")
    (orders,) = decide(folder, data_folder=tmp_path).desired
    assert orders.settings["connectionString"] == str(tmp_path / "orders.db")


def test_without_a_data_folder_an_embedded_database_needs_a_place(folder):
    folder.put("orders", "state.sqlite")
    assert "set HOME or XDG_DATA_HOME" in reasons(decide(folder))["orders"]
